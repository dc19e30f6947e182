"""Proof: the volume road on real calls, from the published file to the figures of the design."""

from __future__ import annotations

import os
import shutil
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from features.calendars import calendar, holiday_effects
from features.ingest import ingest
from features.volumes import daily
from features.workspace import Workspace
from ml.volume import VolumeSettings
from ml.volume_backtest import accuracy, backtest, compare

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("FOREMEND_DATA", ROOT.parent / "shared" / "data"))

pytestmark = [
    pytest.mark.proof,
    pytest.mark.skipif(not (DATA / "emergency-calls").is_dir(), reason=f"no emergency-calls in {DATA}"),
]


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Daily volumes of the example workspace, read by its own foremend.toml."""
    root = tmp_path_factory.mktemp("calls") / "workspace"
    shutil.copytree(ROOT / "docs" / "examples" / "emergency-calls", root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOREMEND_DATA", str(DATA))
        workspace = Workspace.open(root)
        (done,) = ingest(workspace)
    assert (done.written, done.quarantined) == (99_492, 0)
    return daily(workspace.pin())


def _published() -> pd.DataFrame:
    frame = pd.read_parquet(DATA / "emergency-calls" / "montgomery_calls.parquet")
    return frame.assign(day=frame["timeStamp"].dt.normalize(), kind=frame["title"].str.split(":").str[0])


def test_daily_counts_are_those_of_the_file(calls: pd.DataFrame) -> None:
    raw = _published()
    raw = raw[(raw["day"] > "2015-12-10") & (raw["day"] < "2016-08-24")]
    by_node = {name: part.set_index("ds")["y"] for name, part in calls.groupby("unique_id")}
    assert len(by_node) == 1 + 3 + 69 + raw.fillna({"twp": "unknown"}).groupby(["twp", "kind"]).ngroups
    assert list(by_node["total"]) == list(raw.groupby("day").size())
    assert by_node["*/EMS"].sum() == (raw["kind"] == "EMS").sum()
    assert by_node["unknown/*"].sum() == raw["twp"].isna().sum()
    assert by_node["LOWER MERION/Fire"].sum() == ((raw["twp"] == "LOWER MERION") & (raw["kind"] == "Fire")).sum()
    assert not calls["y"].isna().any()


def test_prophet_beats_the_seasonal_naive_by_as_much_as_was_measured(
    calls: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    # Protocol of the design: total, 3 types, 10 largest townships; 6 origins × 14 d, h = 28.
    townships = _published()["twp"].value_counts().index[:10]
    nodes = ["total", "*/EMS", "*/Fire", "*/Traffic", *(f"{name}/*" for name in townships)]
    history = calls[calls["unique_id"].isin(nodes)]
    holidays = holiday_effects(calendar("US", date(2015, 12, 1), date(2016, 9, 30), known_on=date(2016, 8, 24)))
    held_out = backtest(history, holidays, VolumeSettings(), h=28, origins=6, step=14)
    table = compare(accuracy(held_out)).set_index("model")
    ratio = table.loc["prophet", "mase"] / table.loc["seasonal_naive", "mase"]
    with capsys.disabled():
        print(f"\nemergency calls, 14 series, 6 origins: Prophet / seasonal naive = {ratio:.3f} (design: .718)")
        print(table.round(3).to_string())
    assert len(held_out) == 14 * 2 * 6 * 28
    assert ratio <= 0.80
    assert table.loc["prophet", "wape"] <= 0.14
    assert 0.74 <= table.loc["prophet", "coverage80"] <= 0.90
    assert 0.92 <= table.loc["prophet", "coverage95"] <= 0.985
