"""A plain fleet for benchmarks: the shape of `data/azure-pdm` at any size.

100 machines × 8,760 hourly readings × 4 channels, with alarms, services and failures, and a
``foremend.toml`` over them. Made month by month and block by block, so that ten times the rows
need no more memory; levels, spreads and rates are those of the published set.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

__all__ = ["BenchSummary", "bench_readings"]

Column: TypeAlias = "pa.Array[Any]"

START = datetime(2015, 1, 1, 6, tzinfo=UTC)
CHANNELS: tuple[tuple[str, float, float], ...] = (
    ("volt", 170.8, 15.5), ("rotate", 446.6, 52.7), ("pressure", 100.9, 11.0), ("vibration", 40.4, 5.4),
)  # fmt: skip
"""Name, level and spread, measured on the published set."""
COMPONENTS = ("comp1", "comp2", "comp3", "comp4")
FAILURES_A_YEAR = 1.9
"""Per machine and component: 761 failures of 100 machines × 4 components in the published year."""
NOISE_ALARMS_A_YEAR = 32.0
PRECURSOR_HOURS, PRECURSOR_SPREADS = 48, 2.0
ROUTINE_DAYS = 15
BLOCK = 200
"""Machines made at once."""


@dataclass(frozen=True)
class BenchSummary:
    """What was written."""

    folder: Path
    assets: int
    readings: int
    failures: int


def bench_readings(
    folder: Path | str, assets: int = 100, *, hours: int = 8760, channels: int = 4,
    late_share: float = 0.0, late_days: float = 20.0, seed: int = 7,
) -> BenchSummary:  # fmt: skip
    """Write the fleet: ``folder/data/*.parquet`` and ``folder/foremend.toml``.

    Parameters
    ----------
    hours
        Hourly readings per asset, from 2015-01-01 06:00 UTC.
    channels
        Number of channels; beyond four they are named ``channel5`` ...
    late_share, late_days
        Share of readings known up to so many days late; the column ``known_at`` is written only
        where the share is above zero.
    """
    root = Path(folder)
    (root / "data").mkdir(parents=True, exist_ok=True)
    failures = _failures(np.random.default_rng([seed, 0]), assets, hours)
    _write_events(root / "data", failures, np.random.default_rng([seed, 1]), assets, hours)
    names = [CHANNELS[c][0] if c < len(CHANNELS) else f"channel{c + 1}" for c in range(channels)]
    schema = _schema(names, late=late_share > 0)
    for month, frm, to in _months(hours):
        with pq.ParquetWriter(root / "data" / f"readings-{month}.parquet", schema) as writer:
            for first in range(0, assets, BLOCK):
                rng = np.random.default_rng([seed, 2, first, frm])
                block = _readings(rng, failures, (first, min(first + BLOCK, assets)), (frm, to), names)
                block |= _lateness(rng, block["event_time"], late_share, late_days) if late_share else {}
                writer.write_table(pa.table(block, schema=schema))
    (root / "foremend.toml").write_text(_toml(names, late=late_share > 0, hours=hours), encoding="utf-8")
    return BenchSummary(root, assets, assets * hours, len(failures))


def _schema(names: list[str], *, late: bool) -> pa.Schema:
    instant = pa.timestamp("us", "UTC")
    fields: list[tuple[str, pa.DataType]] = [("asset_id", pa.string()), ("event_time", instant)]
    fields += [(name, pa.float64()) for name in names]
    return pa.schema(fields + ([("known_at", instant)] if late else []))


def _failures(rng: np.random.Generator, assets: int, hours: int) -> pd.DataFrame:
    """One row per failure: asset (ordinal), component (ordinal), hour."""
    counts = rng.poisson(FAILURES_A_YEAR * hours / 8760, (assets, len(COMPONENTS)))
    asset, component = (np.repeat(ordinal.ravel(), counts.ravel()) for ordinal in np.indices(counts.shape))
    hour = rng.integers(PRECURSOR_HOURS, max(hours, PRECURSOR_HOURS + 1), counts.sum())
    frame = pd.DataFrame({"asset": asset, "component": component, "hour": hour})
    return frame.drop_duplicates().sort_values(["asset", "hour", "component"], ignore_index=True)


def _months(hours: int) -> Iterator[tuple[str, int, int]]:
    """Yield month, first hour and end hour."""
    hour = 0
    while hour < hours:
        at = START + timedelta(hours=hour)
        following = (at.replace(day=1, hour=0) + timedelta(days=32)).replace(day=1)
        end = min(hours, hour + int((following - at) / timedelta(hours=1)))
        yield f"{at:%Y-%m}", hour, end
        hour = end


def _readings(
    rng: np.random.Generator, failures: pd.DataFrame, assets: tuple[int, int], hours: tuple[int, int], names: list[str]
) -> dict[str, Column]:
    n, width = assets[1] - assets[0], hours[1] - hours[0]
    columns: dict[str, Column] = {
        "asset_id": pa.array(np.repeat(_ids(assets), width)),
        "event_time": _instants(np.tile(np.arange(*hours), n)),
    }
    near = failures[failures["asset"].between(assets[0], assets[1] - 1)]
    for c, name in enumerate(names):
        level, spread = CHANNELS[c % len(CHANNELS)][1:]
        values = rng.standard_normal((n, width))
        for asset, hour in near.loc[near["component"] == c, ["asset", "hour"]].itertuples(index=False):
            frm, to = max(hour - PRECURSOR_HOURS, hours[0]) - hours[0], min(hour, hours[1]) - hours[0]
            values[asset - assets[0], frm : max(to, 0)] += PRECURSOR_SPREADS
        columns[name] = pa.array((level + spread * values).ravel())
    return columns


def _lateness(rng: np.random.Generator, event_time: Column, share: float, days: float) -> dict[str, Column]:
    late = rng.random(len(event_time)) < share
    delay = np.where(late, rng.random(len(event_time)) * days * 86_400e6, 0).astype("int64")
    return {"known_at": pa.array(event_time.cast(pa.int64()).to_numpy() + delay, pa.timestamp("us", "UTC"))}


def _write_events(data: Path, failures: pd.DataFrame, rng: np.random.Generator, assets: int, hours: int) -> None:
    ids = _ids((0, assets))
    started = _instants(-24 * rng.integers(1, 20 * 365, assets))
    models = [f"model{m}" for m in rng.integers(1, 5, assets)]
    _write(data / "assets.parquet", asset_id=ids, asset_model=models, installed_at=started)

    warned = failures[rng.random(len(failures)) < 0.976]
    noise = rng.poisson(NOISE_ALARMS_A_YEAR * hours / 8760, assets)
    alarms = pd.DataFrame({
        "asset": np.r_[warned["asset"], np.repeat(np.arange(assets), noise)],
        "hour": np.r_[warned["hour"] - 24, rng.integers(0, hours, noise.sum())],
        "code": np.r_[warned["component"], rng.integers(0, 5, noise.sum())],
    }).drop_duplicates().sort_values(["asset", "hour"])  # fmt: skip
    codes = [f"error{code + 1}" for code in alarms["code"]]
    _write(data / "alarms.parquet", asset_id=ids[alarms["asset"]], event_time=_instants(alarms["hour"]), code=codes)

    rounds = np.arange(24 * 8, hours, 24 * ROUTINE_DAYS)
    asset, turn = (ordinal.ravel() for ordinal in np.indices((assets, len(rounds))))
    services = pd.DataFrame({
        "asset": np.r_[failures["asset"], asset],
        "hour": np.r_[failures["hour"], rounds[turn] if len(rounds) else turn],
        "component": np.r_[failures["component"], (asset + turn) % len(COMPONENTS)],
        "reason": np.r_[np.full(len(failures), "corrective"), np.full(len(asset), "planned")],
    }).sort_values(["asset", "hour", "component"])  # fmt: skip
    _write(
        data / "services.parquet", service_id=[f"s{n}" for n in range(len(services))], asset_id=ids[services["asset"]],
        component=np.array(COMPONENTS)[services["component"]], action=["replaced"] * len(services),
        reason=services["reason"].to_numpy(), performed_at=_instants(services["hour"]),
    )  # fmt: skip


def _write(path: Path, **columns: Any) -> None:
    pq.write_table(pa.table(columns), path)


def _ids(assets: tuple[int, int]) -> NDArray[np.object_]:
    return np.array([f"m{n:06d}" for n in range(*assets)], dtype=object)


def _instants(hours: object) -> Column:
    microseconds = int(START.timestamp()) * 1_000_000 + np.asarray(hours, dtype="int64") * 3_600_000_000
    return pa.array(microseconds, pa.timestamp("us", "UTC"))


def _toml(names: list[str], *, late: bool, hours: int) -> str:
    channels = "\n".join(f'[channels.{name}]\nunit = ""' for name in names)
    sources = "\n".join(
        f'[sources.{name}]\ntable = "{name}"\nquery = "SELECT * FROM \'data/{files}.parquet\'"\n'
        for name, files in (
            ("assets", "assets"),
            ("alarms", "alarms"),
            ("services", "services"),
            ("readings", "readings-*"),
        )
    )
    return f"""# A fleet for benchmarks, made by features.demo.bench.
[workspace]
id = "bench"

[time]
cutoff_utc = "00:00"
now = {START + timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}

{channels}

{sources}{'known_at = "known_at"' if late else ""}

[[failures]]
version = 1
query = '''
SELECT asset_id, performed_at AS event_time, component AS failure_mode FROM services WHERE reason = 'corrective'
'''
"""
