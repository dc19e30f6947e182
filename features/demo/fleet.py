"""Who and what is there before anything happens: customers, contracts, machines, engineers, one block at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.demo.degradation import NEVER, Lives
from features.demo.texts import customer_names, engineer_names
from features.demo.workdays import DAY, Calendar
from features.demo.world import BAD_BATCH, BATCHES, BLOCK, COMPONENTS, MODELS, ORGANISATIONS, REGIONS, stream

__all__ = ["Block", "make_block"]

CUSTOMERS = 12
"""Customers per block; the first six stand in one region each."""
ENGLISH_SHARE = 0.2
NEW_SHARE, RETIRED_SHARE = 0.10, 0.03
FRAILTY = 0.45
"""Spread of the logarithm of a component's own hazard."""
TIERS = (("A", 0.2, 0.5, 4.0, 24.0), ("B", 0.4, 1.0, 8.0, 48.0), ("C", 0.4, 4.0, 24.0, 96.0))
"""Tier, share, and limits in hours of first response, arrival and completion."""
REGION_SHARES = np.array([r.share for r in REGIONS])
REGION_NAMES = np.array([r.name for r in REGIONS], dtype=object)


@dataclass(frozen=True)
class Block:
    """A block of assets; frames have one row per thing, in the columns of the canonical tables.

    Attributes
    ----------
    first
        Ordinal of its first asset in the fleet.
    region, customer, model
        (asset) ordinals.
    lives
        What decides how its components fail.
    """

    number: int
    first: int
    assets: pd.DataFrame
    customers: pd.DataFrame
    contracts: pd.DataFrame
    engineers: pd.DataFrame
    inspections: pd.DataFrame
    region: NDArray[np.int64]
    customer: NDArray[np.int64]
    model: NDArray[np.int64]
    lives: Lives


def make_block(number: int, days: Calendar, seed: int) -> Block:
    """Make block `number` whole."""
    rng = stream(seed, "fleet", number)
    customers = _customers(rng, number, days)
    customer = rng.integers(0, CUSTOMERS, BLOCK)
    region = customers["region_ordinal"].to_numpy()[customer]
    model = rng.choice(len(MODELS), BLOCK, p=[m.share for m in MODELS])
    assets = _assets(rng, number, days, customers.iloc[customer], model)
    return Block(
        number, number * BLOCK, assets, customers.drop(columns=["region_ordinal", "english"]),
        _contracts(customers, number, days), _engineers(rng, number, days), _inspections(rng, assets),
        region, customer, model, _lives(rng, assets, model, days),
    )  # fmt: skip


def _customers(rng: np.random.Generator, number: int, days: Calendar) -> pd.DataFrame:
    rest = rng.choice(len(REGIONS), CUSTOMERS - len(REGIONS), p=REGION_SHARES)
    region = np.concatenate([np.arange(len(REGIONS)), rest])
    english = rng.random(CUSTOMERS) < ENGLISH_SHARE
    tier = rng.choice(len(TIERS), CUSTOMERS, p=[t[1] for t in TIERS])
    return pd.DataFrame({
        "customer_id": [f"C{number:04d}{n:02d}" for n in range(CUSTOMERS)],
        "name": customer_names(rng, region, english),
        "tier": [TIERS[t][0] for t in tier],
        "region": REGION_NAMES[region],
        "organisation": [ORGANISATIONS[r][0] for r in region],
        "salesperson": engineer_names(rng, CUSTOMERS),
        "customer_since_at": days.start - rng.integers(5 * 365, 9 * 365, CUSTOMERS) * DAY,
        "region_ordinal": region,
        "english": english,
    })  # fmt: skip


def _assets(
    rng: np.random.Generator, number: int, days: Calendar, owners: pd.DataFrame, model: NDArray[np.int64]
) -> pd.DataFrame:
    new = rng.random(BLOCK) < NEW_SHARE
    installed = np.where(new, rng.integers(20, max(days.days, 21), BLOCK), -rng.integers(30, 4 * 365, BLOCK))
    installed_at = days.start + installed * DAY + rng.integers(2, 9, BLOCK) * (DAY // 24)
    retired = np.where(rng.random(BLOCK) < RETIRED_SHARE, rng.integers(90, max(days.days, 91), BLOCK), NEVER)
    retired_at = np.where(
        (retired < days.days) & ~new, days.start + np.minimum(retired, days.days) * DAY, np.datetime64("NaT")
    )
    region = owners["region_ordinal"].to_numpy()
    partner = rng.choice(3, BLOCK, p=(0.4, 0.45, 0.15))
    return pd.DataFrame({
        "asset_id": [f"AC-{number * BLOCK + n:06d}" for n in range(BLOCK)],
        "asset_model": np.array([m.name for m in MODELS], dtype=object)[model],
        "asset_class": "空压机",
        "batch": np.array(BATCHES, dtype=object)[rng.integers(0, len(BATCHES), BLOCK)],
        "region": REGION_NAMES[region],
        "organisation": [ORGANISATIONS[r][p] for r, p in zip(region, partner, strict=True)],
        "customer_id": owners["customer_id"].to_numpy(),
        "site": [f"{name}{1 + n % 3}号厂房" for n, name in enumerate(owners["name"])],
        "zone": "Asia/Shanghai",
        "latitude": np.array([r.latitude for r in REGIONS])[region] + rng.normal(0, 0.6, BLOCK).round(4),
        "longitude": np.array([r.longitude for r in REGIONS])[region] + rng.normal(0, 0.6, BLOCK).round(4),
        "rated_kw": np.array([22.0, 37.0, 55.0, 75.0])[model],
        "installed_at": installed_at,
        "warranty_until_at": installed_at + 730 * DAY,
        "retired_at": retired_at.astype("datetime64[us]"),
    })  # fmt: skip


def _lives(rng: np.random.Generator, assets: pd.DataFrame, model: NDArray[np.int64], days: Calendar) -> Lives:
    shape = (BLOCK, len(COMPONENTS))
    hazard = (
        np.exp(rng.normal(-(FRAILTY**2) / 2, FRAILTY, shape)) * np.array([m.hazard for m in MODELS])[model][:, None]
    )
    bad_model, bad_batch, bad_component, factor = BAD_BATCH
    bad = ((assets["asset_model"] == bad_model) & (assets["batch"] == bad_batch)).to_numpy()
    hazard[bad, [c.name for c in COMPONENTS].index(bad_component)] *= factor
    installed = np.floor((assets["installed_at"].to_numpy() - days.start) / DAY).astype("int64")
    interval = np.array([c.interval_days or 900 for c in COMPONENTS])
    age = np.minimum(np.maximum(-installed, 0)[:, None], (rng.random(shape) * interval).astype("int64"))
    starts = np.maximum(installed + 1, 0)
    due = days.next_workday(starts[:, None] - age + interval)
    due = np.where([c.interval_days > 0 for c in COMPONENTS], due, NEVER)
    retired = (assets["retired_at"].to_numpy() - days.start) / DAY
    ends = np.where(np.isnan(retired), NEVER, np.nan_to_num(retired)).astype("int64")
    return Lives(hazard, age, due, starts, ends)


def _contracts(customers: pd.DataFrame, number: int, days: Calendar) -> pd.DataFrame:
    """One contract per customer and year; the limits of its tier."""
    limits = {tier: (first, arrival, completion) for tier, _, first, arrival, completion in TIERS}
    years = range(-1, days.days // 365 + 1)
    coverage, hours = {"A": "full", "B": "parts", "C": "labour"}, {"A": "全天", "B": "工作日", "C": "工作日"}
    rows = [
        (f"K{number:04d}{n:02d}{year + 1}", customer, coverage[tier], *limits[tier], hours[tier],
         days.start + year * 365 * DAY, days.start + (year + 1) * 365 * DAY)
        for n, (customer, tier) in enumerate(zip(customers["customer_id"], customers["tier"], strict=True))
        for year in years
    ]  # fmt: skip
    names = ["contract_id", "customer_id", "coverage", "first_response_limit_hours", "arrival_limit_hours",
             "completion_limit_hours", "calendar", "valid_from_at", "valid_to_at"]  # fmt: skip
    frame = pd.DataFrame(rows, columns=names)
    return frame[frame["valid_from_at"] < days.now]


def _engineers(rng: np.random.Generator, number: int, days: Calendar) -> pd.DataFrame:
    """One engineer per region and block."""
    count = len(REGIONS)
    skills = np.array(["mechanical;hydraulic", "electrical;controls", "mechanical;electrical"], dtype=object)
    return pd.DataFrame({
        "engineer_id": [f"E{number:04d}{n}" for n in range(count)],
        "name": engineer_names(rng, count),
        "group": [f"{r.name}{1 + number % 4}组" for r in REGIONS],
        "region": REGION_NAMES,
        "organisation": [names[0] for names in ORGANISATIONS],
        "skills": skills[rng.integers(0, len(skills), count)],
        "weekly_hours": 40.0,
        "hired_at": days.start - rng.integers(100, 2500, count) * DAY,
        "left_at": np.full(count, np.datetime64("NaT"), dtype="datetime64[us]"),
    })  # fmt: skip


def _inspections(rng: np.random.Generator, assets: pd.DataFrame) -> pd.DataFrame:
    """One inspection per machine, before it was delivered; the bad batch passes less often at first."""
    bad = ((assets["asset_model"] == BAD_BATCH[0]) & (assets["batch"] == BAD_BATCH[1])).to_numpy()
    first = rng.random(BLOCK) >= np.where(bad, 0.25, 0.05)
    return pd.DataFrame({
        "inspection_id": ["Q" + name[3:] for name in assets["asset_id"]],
        "asset_id": assets["asset_id"],
        "asset_model": assets["asset_model"],
        "batch": assets["batch"],
        "inspected_at": assets["installed_at"] - rng.integers(8, 30, BLOCK) * DAY,
        "passed": first | (rng.random(BLOCK) < 0.95),
        "passed_first": first,
        "defect": pd.Series("振动超差", index=assets.index, dtype=object).where(~first),
    })  # fmt: skip
