"""NASA's engines through the shipped example: by asset, remaining life against the published test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("FOREMEND_DATA", REPOSITORY.parent / "shared" / "data"))

pytestmark = [
    pytest.mark.proof,
    pytest.mark.skipif(not (DATA / "cmapss").is_dir(), reason="the C-MAPSS tables are not here (FOREMEND_DATA)"),
]


@pytest.mark.parametrize(("subset", "bar"), [("FD001", 12.5), ("FD003", 11.5)])
def test_remaining_life_of_the_published_test_engines(tmp_path, monkeypatch, subset, bar):
    from features.ingest import ingest
    from features.workspace import Workspace
    from ml.train import backtest_risk

    monkeypatch.setenv("FOREMEND_DATA", str(DATA))
    example = (REPOSITORY / "docs" / "examples" / "cmapss" / "foremend.toml").read_text()
    (tmp_path / "foremend.toml").write_text(example.replace("FD001", subset))
    workspace = Workspace.open(tmp_path)
    ingest(workspace)
    tested, audited, _ = backtest_risk(workspace)
    assert audited.passed
    assert tested.protocol == "by_asset"
    assert tested.rul.estimable
    life = tested.life[0]
    print(f"{subset}: RMSE {life.rmse:.2f}, NASA score {life.nasa_score:.0f}")
    assert life.rows == 100  # every test engine, at its last cycle
    assert life.limit_days == 125
    assert life.rmse <= bar
