"""A small fleet whose true hazards are known, as features and labels."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.workspace import Workspace

START = datetime(2024, 1, 1, tzinfo=UTC)
MODES = ("pump", "valve")


@dataclass(frozen=True)
class Fleet:
    """`features`: one row per asset and day; `failures`; `truth`: the true 7-day probability per row."""

    features: pd.DataFrame
    failures: pd.DataFrame
    truth: np.ndarray


@pytest.fixture(scope="session")
def make_fleet() -> Callable[..., Fleet]:
    """A fleet of pumps and valves that wear with the days since their own service, and faster where hot."""

    def make(assets: int = 60, days: int = 160, *, scale: float = 45.0, seed: int = 3) -> Fleet:
        rng = np.random.default_rng(seed)
        ids = np.array([f"m{i:03d}" for i in range(assets)])
        hot = rng.random(assets) < 0.5
        clock = {mode: rng.uniform(0, 60, assets) for mode in MODES}
        rows, failures, truth = [], [], []
        for day in range(days):
            as_of = START + timedelta(days=day)
            pace = np.where(hot, 5.0, 0.7)
            ahead = {m: ((clock[m] + 7) / scale) ** 3 - (clock[m] / scale) ** 3 for m in MODES}
            truth.append(1 - np.exp(-sum(pace * ahead[m] for m in MODES)))
            rows.append(
                pd.DataFrame(
                    {
                        "asset_id": ids, "as_of": as_of,
                        "reading_heat_mean_7d": 20 + 30 * hot + rng.normal(0, 3, assets),
                        "reading_noise_mean_7d": rng.normal(0, 1, assets), "asset_age_days": 500.0 + day,
                        "asset_asset_model": np.where(hot, "H", "C"),
                        **{f"service_days_since_last_{m}": clock[m].copy() for m in MODES},
                    }
                )
            )  # fmt: skip
            for mode in MODES:
                step = pace * (((clock[mode] + 1) / scale) ** 3 - (clock[mode] / scale) ** 3)
                broke = rng.random(assets) < 1 - np.exp(-step)
                clock[mode] = np.where(broke, 0.0, clock[mode] + 1)
                failures += [
                    (ids[i], mode, as_of + timedelta(hours=int(rng.integers(1, 24)))) for i in np.flatnonzero(broke)
                ]
        frame = pd.DataFrame(failures, columns=["asset_id", "failure_mode", "event_time"])
        return Fleet(pd.concat(rows, ignore_index=True), frame, np.concatenate(truth))

    return make


@pytest.fixture(scope="session")
def fleet(make_fleet: Callable[..., Fleet]) -> Fleet:
    return make_fleet()


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of an MLflow store in which nothing was logged: making one takes seconds."""
    from ml.registry import Registry

    folder = tmp_path_factory.mktemp("store")
    with Registry(folder)._client() as client:
        client.search_experiments()
    return folder / "mlflow.db"


@pytest.fixture(scope="session")
def connect_fleet(empty_store: Path) -> Callable[..., Workspace]:
    """Connect a fleet as a company's tables: Parquet files, a ``foremend.toml``, ``ingest``; with an empty store."""

    def connect(fleet: Fleet, folder: Path, risk: str = "") -> Workspace:
        from features.ingest import ingest

        files = folder / "files"
        files.mkdir(parents=True)
        first = fleet.features[fleet.features["as_of"] == START]
        before = first.melt("asset_id", [f"service_days_since_last_{m}" for m in MODES], "mode", "days")
        planned = pd.DataFrame(
            {
                "asset_id": before["asset_id"],
                "component": before["mode"].str.removeprefix("service_days_since_last_"),
                "reason": "planned", "performed_at": START - pd.to_timedelta(before["days"], unit="D").dt.floor("s"),
            }
        )  # fmt: skip
        repairs = fleet.failures.rename(columns={"failure_mode": "component", "event_time": "performed_at"})
        services = pd.concat([planned, repairs.assign(reason="corrective")], ignore_index=True)
        services["service_id"] = [f"s{i}" for i in range(len(services))]
        services.assign(action="replaced", initiator="routine").to_parquet(files / "services.parquet")
        first[["asset_id", "asset_asset_model"]].to_parquet(files / "assets.parquet")
        heat = fleet.features[["asset_id", "as_of", "reading_heat_mean_7d"]]
        heat.to_parquet(files / "readings.parquet")
        (folder / "foremend.toml").write_text(TOML.format(files=files, risk=risk), encoding="utf-8")
        workspace = Workspace.open(folder)
        ingest(workspace)
        workspace.mlflow.mkdir()
        shutil.copy(empty_store, workspace.mlflow)
        return workspace

    return connect


TOML = """
[workspace]
id = "pumps"
[time]
cutoff_utc = "00:00"
now = 2024-12-31T00:00:00Z
[channels.heat]
[sources.machines]
table = "assets"
query = '''SELECT asset_id, asset_asset_model AS asset_model, TIMESTAMPTZ '2022-08-18 00:00+00' AS installed_at
           FROM '{files}/assets.parquet' '''
[sources.work]
table = "services"
query = "SELECT * FROM '{files}/services.parquet'"
[sources.heat]
table = "readings"
query = "SELECT asset_id, as_of AS event_time, reading_heat_mean_7d AS heat FROM '{files}/readings.parquet'"
[[failures]]
version = 1
query = '''SELECT asset_id, component AS failure_mode, performed_at AS event_time FROM services
           WHERE reason = 'corrective' '''
[risk]
horizons_days = [1, 7, 14]
edges_days = [0, 1, 7, 14]
{risk}
"""
