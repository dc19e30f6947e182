"""Tickets of a block: which there are and why; their lives are in :mod:`features.demo.lifecycle`.

One frame flows through: one row per ticket with ``asset`` (ordinal), ``kind`` (failure, organic,
planned, duplicate, repeat), ``ticket_type``, ``component_no`` (ordinal, -1 where none), ``opened_at``,
``performed_at`` (instant of the work on the component, NaT where none) and ``cause_of`` (row of the
ticket that it duplicates or repeats).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.demo.degradation import History
from features.demo.fleet import Block
from features.demo.lifecycle import live_through
from features.demo.volume import Demand
from features.demo.workdays import DAY, MARGIN, Calendar, hours_between
from features.demo.world import COMPONENTS, TICKET_TYPES, stream

__all__ = ["tickets_of"]

DUPLICATE_SHARE, REPEAT_SHARE = 0.05, 0.06
REPEAT_DAYS = (2, 25)
"""A false closure comes back within so many days."""
FAULT_TYPES = ("performance_fault", "hardware_damage")
NOWHERE = -1


def tickets_of(block: Block, history: History, demand: Demand, days: Calendar, seed: int) -> pd.DataFrame:
    """All tickets of a block that were opened before the history ends, with their lives, ordered by opening."""
    rng = stream(seed, "tickets", block.number)
    first = [_of_failures(rng, history, days), _of_routine(rng, history, days), _organic(rng, block, demand, days)]
    main = pd.concat(first, ignore_index=True)
    main["english"] = rng.random(len(main)) < 0.12
    main = live_through(rng, main, days)
    followers = pd.concat([_duplicates(rng, main), _repeats(rng, main)], ignore_index=True)
    followers = live_through(rng, followers, days, masters=main)
    main["false_closure"] = main.index.isin(followers.loc[followers["kind"] == "repeat", "cause_of"])
    whole = pd.concat([main, followers], ignore_index=True)
    return _numbered(whole[_possible(whole, block, days)], block)


def _of_failures(rng: np.random.Generator, history: History, days: Calendar) -> pd.DataFrame:
    """One ticket per failure, opened some minutes after it and before it is repaired."""
    failures = history.failures
    n = len(failures)
    repair = failures["repaired"] - failures["failed"]
    noticed = np.minimum(rng.exponential(25 / 1440, n), repair * 0.25)
    return pd.DataFrame({
        "asset": failures["asset"], "kind": "failure", "component_no": failures["component"],
        "ticket_type": np.where(rng.random(n) < 0.7, *FAULT_TYPES), "remote": False, "failure": np.arange(n),
        "opened_at": days.instant((failures["failed"] + noticed).to_numpy()),
        "performed_at": days.instant(failures["repaired"].to_numpy()),
    })  # fmt: skip


def _of_routine(rng: np.random.Generator, history: History, days: Calendar) -> pd.DataFrame:
    """One planned ticket per routine replacement, opened some days before it."""
    done = history.replacements
    performed = done["day"] + (10 + 6 * done["moment"]) / 24
    ahead = days.instant((performed - rng.integers(3, 11, len(done))).to_numpy())
    opened = days.advance(ahead, rng.exponential(1, len(done)))
    opened = np.minimum(opened, days.instant(performed.to_numpy() - 1))
    return pd.DataFrame({
        "asset": done["asset"], "kind": np.where(done["visit"], "preventive", "planned"),
        "component_no": done["component"], "ticket_type": "maintenance", "remote": False, "failure": NOWHERE,
        "opened_at": opened, "performed_at": days.instant(performed.to_numpy()),
    })  # fmt: skip


def _organic(rng: np.random.Generator, block: Block, demand: Demand, days: Calendar) -> pd.DataFrame:
    """Demand of the block's share of the installed base; tickets of assets out of service are thinned away later."""
    base = np.bincount(block.region, minlength=len(demand.mean))
    counts = rng.poisson(demand.mean * demand.shock * base[:, None, None])
    region, kind, day = (np.repeat(ordinal.ravel(), counts.ravel()) for ordinal in np.indices(counts.shape))
    n = len(region)
    by_region = np.argsort(block.region, kind="stable")
    begin = np.concatenate([[0], np.cumsum(base)])
    asset = by_region[begin[region] + (rng.random(n) * base[region]).astype("int64")]
    hour = np.where(rng.random(n) < 0.9, 8.3 + 10 * rng.beta(1.6, 2.2, n), rng.uniform(0, 24, n))
    return pd.DataFrame({
        "asset": asset, "kind": "organic", "component_no": NOWHERE,
        "ticket_type": np.array([t.name for t in TICKET_TYPES], dtype=object)[kind],
        "remote": rng.random(n) < np.array([t.remote for t in TICKET_TYPES])[kind], "failure": NOWHERE,
        "opened_at": days.instant(day + hour / 24), "performed_at": np.datetime64("NaT", "us"),
    })  # fmt: skip


def _duplicates(rng: np.random.Generator, main: pd.DataFrame) -> pd.DataFrame:
    """A second contact about an incident whose ticket is still open."""
    fault = main["ticket_type"].isin(FAULT_TYPES) & (main["kind"] != "planned")
    chosen = main[fault & (rng.random(len(main)) < DUPLICATE_SHARE * 3)]
    open_for = hours_between(chosen["opened_at"], chosen["closed_at"])
    later = np.minimum(rng.exponential(5, len(chosen)), open_for * 0.8)
    return _follow(
        chosen, "duplicate", chosen["opened_at"] + (later * 3600e6).astype("int64").astype("timedelta64[us]")
    )


def _repeats(rng: np.random.Generator, main: pd.DataFrame) -> pd.DataFrame:
    """The same trouble again, after a closure that had not solved it."""
    fault = main["ticket_type"].isin(FAULT_TYPES) & ~main["cancelled"] & (main["kind"] != "planned")
    chosen = main[fault & (rng.random(len(main)) < REPEAT_SHARE)]
    return _follow(chosen, "repeat", chosen["closed_at"] + rng.integers(*REPEAT_DAYS, len(chosen)) * DAY)


def _follow(chosen: pd.DataFrame, kind: str, opened_at: pd.Series) -> pd.DataFrame:
    followers = chosen[["asset", "component_no", "ticket_type", "english"]].assign(
        kind=kind, remote=False, failure=NOWHERE, opened_at=opened_at, performed_at=np.datetime64("NaT", "us"),
        cause_of=chosen.index,
    )  # fmt: skip
    return followers.reset_index(drop=True)


def _possible(tickets: pd.DataFrame, block: Block, days: Calendar) -> NDArray[np.bool_]:
    """Opened within the history and, where no failure or plan caused it, while the asset was in service."""
    day = np.floor((tickets["opened_at"].to_numpy() - days.start) / DAY)
    asset = tickets["asset"].to_numpy()
    in_service = (day >= block.lives.starts[asset]) & (day < block.lives.ends[asset])
    caused = tickets["kind"].isin(["failure", "planned", "preventive"]).to_numpy()
    return np.asarray((day >= -MARGIN) & (day < days.days) & (in_service | caused))


def _numbered(tickets: pd.DataFrame, block: Block) -> pd.DataFrame:
    """Order by opening and give ids; `cause_of` becomes the id of that ticket."""
    tickets = tickets.sort_values("opened_at", kind="stable")
    ids = pd.Series([f"WO{block.number:04d}-{n:06d}" for n in range(len(tickets))], index=tickets.index, dtype=object)
    names = np.array([*(c.name for c in COMPONENTS), None], dtype=object)
    return tickets.assign(
        ticket_id=ids, cause_id=tickets["cause_of"].map(ids), component_name=names[tickets["component_no"].to_numpy()]
    ).reset_index(drop=True)  # fmt: skip
