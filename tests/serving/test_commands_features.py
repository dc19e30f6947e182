"""``foremend features`` and ``foremend bench``, in process."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from features.demo.bench import bench_readings
from features.ingest import ingest
from features.workspace import Workspace
from serving.cli import run

FEATURES = 50


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three machines over 40 days."""
    folder = tmp_path_factory.mktemp("fleet")
    bench_readings(folder, 3, hours=24 * 40)
    ingest(Workspace.open(folder))
    return folder


def features(folder: Path, *args: object) -> int:
    return run(["-w", str(folder), "features", *map(str, args)])


def test_tonights_features_are_written_at_the_last_cut_off(
    fleet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "tonight.parquet"
    assert features(fleet, "--out", out) == 0
    table = pq.read_table(out).to_pandas()
    assert table["as_of"].unique().tolist() == [pd.Timestamp(Workspace.open(fleet).last_cutoff())]
    printed = capsys.readouterr()
    assert f"3 rows × {table.shape[1] - 2} features" in printed.out
    assert "Then: foremend" in printed.err
    assert [p.name for p in tmp_path.iterdir()] == ["tonight.parquet"]


def test_a_file_that_cannot_be_written_is_the_users_to_name(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert features(fleet, "--out", "/proc/nowhere/f.parquet") == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.endswith("/proc/nowhere/f.parquet: cannot be written: No such file or directory. Name another place.")


def test_a_range_has_a_row_per_asset_and_day(fleet: Path, tmp_path: Path) -> None:
    out = tmp_path / "range.parquet"
    assert (
        features(
            fleet, "--from", "2015-01-10", "--to", "2015-01-20", "--every-days", "5", "--out", out, "--group", "sensors"
        )
        == 0
    )
    table = pq.read_table(out).to_pandas()
    assert table.groupby("as_of").size().tolist() == [3, 3, 3]
    assert table["as_of"].min() == pd.Timestamp("2015-01-10", tz="UTC")
    assert all(name.startswith("reading_") for name in table.columns[2:])


def test_instants_may_be_irregular(fleet: Path, tmp_path: Path) -> None:
    out = tmp_path / "some.parquet"
    assert features(fleet, "--as-of", "2015-01-20", "--as-of", "2015-01-21T13:37:00Z", "--out", out) == 0
    assert pq.read_table(out)["as_of"].to_pandas().nunique() == 2


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_spine_file_gives_a_row_for_each_of_its_rows(
    fleet: Path, tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = pq.read_table(fleet / "data" / "assets.parquet")["asset_id"].to_pylist()
    first = datetime(2015, 1, 20, 11, tzinfo=UTC)
    spine = pd.DataFrame({"asset_id": [ids[2], ids[0]], "as_of": [first, first - timedelta(hours=50)]})
    source, out = tmp_path / f"spine.{suffix}", tmp_path / "out.parquet"
    spine.to_csv(source, index=False) if suffix == "csv" else spine.to_parquet(source)
    assert features(fleet, "--spine", source, "--out", out) == 0
    table = pq.read_table(out).to_pandas()
    assert table["asset_id"].tolist() == spine["asset_id"].tolist()
    assert "2 distinct instants" in capsys.readouterr().err


def test_more_than_two_hundred_irregular_instants_want_a_yes(
    fleet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "spine.csv", tmp_path / "out.parquet"
    at = [datetime(2015, 1, 20, tzinfo=UTC) + timedelta(minutes=n) for n in range(201)]
    pd.DataFrame({"asset_id": "x", "as_of": at}).to_csv(source, index=False)
    assert features(fleet, "--spine", source, "--out", out) == 2
    assert "201 irregular instants" in capsys.readouterr().err
    assert not out.exists()


def test_the_list_speaks_the_workspaces_language(
    fleet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(fleet, tmp_path / "fleet"))
    toml = copy / "foremend.toml"
    head = re.sub(r"^language = .*\n", "", toml.read_text(), flags=re.MULTILINE)
    toml.write_text(head.replace("[workspace]", '[workspace]\nlanguage = "zh-CN"', 1))
    assert features(copy, "--list") == 0
    out = capsys.readouterr().out
    assert out.split()[:5] == ["特征", "种类", "单位", "组", "含义"]
    assert re.search(r"^asset_age_days +数值 +天 +profile +投用天数", out, re.MULTILINE)
    assert re.search(r"^reading_silence_hours +数值 +小时 ", out, re.MULTILINE)


def test_the_list_says_what_each_feature_means(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert features(fleet, "--list", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["features"]) > FEATURES
    assert found["fingerprint"]
    meanings = {f["name"]: f["meaning"] for f in found["features"]}
    assert all(set(meaning) == {"en", "zh-CN"} and all(meaning.values()) for meaning in meanings.values())
    days = meanings["asset_age_days"]
    assert days == {"en": "days since the start of service", "zh-CN": "投用天数"}


def test_the_list_speaks_the_language_of_the_workspace(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toml = fleet / "foremend.toml"
    before = toml.read_text(encoding="utf-8")
    said = {}
    for language in ("en", "zh-CN"):
        toml.write_text(re.sub(r"\[workspace\]", f'[workspace]\nlanguage = "{language}"', before), encoding="utf-8")
        assert features(fleet, "--list") == 0
        said[language] = capsys.readouterr()
    toml.write_text(before, encoding="utf-8")
    assert "days since the start of service" in said["en"].out
    assert "投用天数" in said["zh-CN"].out
    assert "days since" not in said["zh-CN"].out
    assert said["en"].err.split()[-1] == said["zh-CN"].err.split("指纹")[1].strip()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "--out"),
        (["--out", "x.csv"], "written as Parquet, not as .csv. Say --out x.parquet."),
        (["--out", "x"], "Say --out x.parquet."),
        (["--out", "x.parquet", "--as-of", "yesterday"], "'yesterday' is not an instant"),
        (["--out", "x.parquet", "--as-of", "2015-01-20T10:00:00"], "carries no zone"),
        (["--out", "x.parquet", "--from", "2015-01-20"], "half a range"),
        (["--out", "x.parquet", "--from", "2015-01-20", "--to", "2015-01-10"], "precedes"),
        (
            ["--out", "x.parquet", "--from", "2015-01-10", "--to", "2015-01-20", "--as-of", "2015-01-20"],
            "one of the two",
        ),
        (["--out", "x.parquet", "--group", "sensor"], "Did you mean 'sensors'"),
        (["--out", "x.parquet", "--spine", "nowhere.parquet"], "nowhere.parquet"),
    ],
)
def test_a_wrong_question_is_refused_in_one_line(
    fleet: Path,
    args: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert features(fleet, *args) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_no_file_is_left_where_building_fails(fleet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = tmp_path / "taken"
    full.mkdir()
    assert features(fleet, "--out", full / "x" / "out.parquet", "--group", "calendar") == 0
    (fleet / "foremend.toml").rename(fleet / "away.toml")
    try:
        assert features(fleet, "--out", tmp_path / "never.parquet") == 2
    finally:
        (fleet / "away.toml").rename(fleet / "foremend.toml")
    assert not (tmp_path / "never.parquet").exists()


@pytest.mark.proof
def test_the_benchmark_finds_ours_equal_to_polars_and_pandas(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "features", "--assets", "2", "--repeats", "1", "--no-tenfold", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    plain, late = found["races"].values()
    assert plain["features"] == late["features"] == 102
    assert plain["compared"] == 2 * 364 * 102 * 2
    assert plain["difference"] < 1e-6
    assert late["difference"] < 1e-6
