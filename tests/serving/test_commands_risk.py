"""``foremend score`` and ``foremend tickets``, on a small made-up fleet: the whole road once."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from features.assets import build_point
from features.workspace import Workspace
from ml.registry import Registry
from ml.stored import read
from serving.app import create_app
from serving.auth import create_key
from serving.cli import run
from serving.settings import Settings


def heard(folder: Path, *words: str) -> str:
    """What a command says on both streams, without the paths and commands in it."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = run([*words])
    assert code == 0, said.getvalue()
    return re.sub(r"`[^`]*`|foremend( \S+)*", "", said.getvalue().replace(str(folder.parent), ""))


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A fleet of 40 machines over 200 days, ingested and trained on, by the commands of a user; what they said in Chinese."""
    folder = tmp_path_factory.mktemp("road") / "fleet"
    size = ["--assets", "40", "--days", "200", "--readings-per-day", "1", "--seed", "3", "--language", "zh-CN"]
    told = {"fleet": heard(folder, "fleet", str(folder), *size)}
    toml = folder / "foremend.toml"
    dearer = toml.read_text().replace("failure_cost = 40000.0", "failure_cost = 120000.0")
    fewer = dearer.replace("capacity_per_run = 5", "capacity_per_run = 3")
    toml.write_text(fewer.replace("max_rows = 21_000", "min_failures = 1\nmax_rows = 1_000"))
    for words in ("ingest --dry-run alarms", "ingest", "train risk"):
        told[words] = heard(folder, "-w", str(folder), *words.split())
    toml.write_text(toml.read_text().replace('language = "zh-CN"', 'language = "en"', 1))
    return folder, told


@pytest.fixture(scope="module")
def folder(road: tuple[Path, dict[str, str]]) -> Path:
    """The fleet of the road, in English."""
    return road[0]


@pytest.fixture(scope="module")
def first(folder: Path) -> dict[str, Any]:
    """What the first night said."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert run(["-w", str(folder), "score", "--json"]) == 0
    answer: dict[str, Any] = json.loads(said.getvalue())
    return answer


def test_a_night_scores_every_asset_in_service_and_names_what_made_it(folder: Path, first: dict[str, Any]) -> None:
    workspace = Workspace.open(folder)
    snapshot = workspace.pin()
    assert first["assets"] == build_point(snapshot, workspace.last_cutoff()).num_rows > 30
    assert first["data_versions"] == snapshot.versions
    assert first["model_version"] == "risk/1"
    assert first["as_of"] == workspace.last_cutoff().isoformat()
    assert first["data_as_of"] < first["as_of"]
    assert sum(first["decisions"].values()) == first["assets"]


def test_a_night_says_how_the_fleet_does_and_what_its_scores_rest_on(first: dict[str, Any]) -> None:
    assert sum(first["health"].values()) == sum(first["bases"].values()) == first["assets"]
    assert set(first["health"]) <= set("ABCDE")
    assert first["bases"]["asset"] > 0.9 * first["assets"]
    assert (first["decision_days"], 0 < first["base_rate"] < 1) == (7, True)
    for proposal in first["proposals"]:
        assert proposal["basis"] in {"asset", "asset_model", "fleet"}
        assert proposal["health"] in set("ABCDE")
        assert (proposal["rul_days"] is None) == bool(proposal["rul_reason"])


def test_the_crews_are_filled_with_the_most_valuable_assets(first: dict[str, Any]) -> None:
    assert first["decisions"]["proposed"] == len(first["proposals"]) == 3
    values = [proposal["value"] for proposal in first["proposals"]]
    assert values == sorted(values, reverse=True)
    for proposal in first["proposals"]:
        short, later = (chance["probability"] for chance in proposal["probabilities"][:2])
        assert proposal["value"] == pytest.approx(120_000 * (short + 0.2 * (later - short)) - 600)
        assert proposal["state"] == "proposed"


def test_what_is_stored_is_what_the_champion_says_of_the_point_features(folder: Path, first: dict[str, Any]) -> None:
    """By another way: the model asked directly."""
    workspace = Workspace.open(folder)
    model = read(Registry(workspace.mlflow).load("risk").files)
    asked = model.probabilities(build_point(workspace.pin(), workspace.last_cutoff()).to_pandas()).set_index("asset_id")
    for proposal in first["proposals"]:
        for chance in proposal["probabilities"]:
            expected = asked.loc[proposal["asset_id"], f"p_{chance['horizon_days']:g}d"]
            assert chance["probability"] == pytest.approx(expected, rel=1e-12)


def test_scoring_again_proposes_nothing_and_lists_the_same_tickets(
    folder: Path, first: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run(["-w", str(folder), "score"]) == 0
    assert "nothing was written" in capsys.readouterr().err
    assert run(["-w", str(folder), "tickets", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [row["external_key"] for row in listed] == [row["external_key"] for row in first["proposals"]]


def test_the_list_is_readable(folder: Path, first: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["-w", str(folder), "tickets"]) == 0
    said = capsys.readouterr()
    head, *rows = said.out.splitlines()
    assert head.split("  ")[0] == "as of"
    assert all(
        column in head for column in ("asset", "region", "mode", "P(1d)", "P(7d)", "P(14d)", "P(30d)", "saving", "why")
    )
    assert len(rows) == 3
    assert all(proposal["asset_id"] in row for proposal, row in zip(first["proposals"], rows, strict=True))
    assert run(["-w", str(folder), "tickets", "--state", "expired"]) == 0
    assert "None is expired." in capsys.readouterr().err


def test_the_tables_speak_the_workspaces_language_and_json_does_not(
    folder: Path, first: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "fleet"))
    toml = copy / "foremend.toml"
    capsys.readouterr()
    assert run(["-w", str(copy), "tickets", "--json"]) == 0
    english = json.loads(capsys.readouterr().out)
    toml.write_text(toml.read_text().replace('language = "en"', 'language = "zh-CN"', 1))
    assert run(["-w", str(copy), "tickets", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == english
    assert run(["-w", str(copy), "tickets"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert ("依据" in head) == any(row["basis"] != "asset" for row in english)
    assert head.replace("依据", "").split() == [
        "截止日", "设备", "区域", "故障模式", "1", "天概率", "7", "天概率", "14", "天概率", "30", "天概率", "健康等级", "预计节省", "状态",
        "原因",
    ]  # fmt: skip
    assert all("建议上门" in row for row in rows)
    assert run(["-w", str(copy), "score", "--as-of", "2025-12-28"]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[0].split() == ["设备数", "决定", "含义"]
    assert re.search(r"^\d+ +已有更晚的评分 +更晚的一夜已评分", said.out, re.MULTILINE)
    assert set(re.findall("[a-z]{3,}", said.out)) <= {"any"}  # the mode of all failures where too few are told apart
    assert re.search(r"台设备；最新数据 .*；模型 risk/1（(已校准|未另行校准|基线)）。", said.err)
    assert re.search(r"^7 天健康等级（对照基准率 [\d.]+%）：A 良好 \d+、B 正常 \d+、", said.err, re.MULTILINE)


def test_an_earlier_day_is_scored_and_proposes_nothing(
    folder: Path, first: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run(["-w", str(folder), "score", "--as-of", "2025-12-30", "--json"]) == 0
    other = json.loads(capsys.readouterr().out)
    assert other["as_of"] == "2025-12-30T16:00:00+00:00"
    assert other["decisions"] == {"later_night": other["assets"]}
    assert other["proposals"] == []


def test_a_night_builds_what_the_champion_reads_however_rare_its_codes_have_become(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot, cutoff = Workspace.open(folder).pin(), Workspace.open(folder).last_cutoff()
    trained_on = frozenset(build_point(snapshot, cutoff).column_names) - {"asset_id", "as_of"}
    monkeypatch.setattr("features.context.MOST_VALUES", 1)
    assert trained_on - set(build_point(snapshot, cutoff).column_names)
    assert trained_on <= set(build_point(snapshot, cutoff, keep=trained_on).column_names)
    assert run(["-w", str(folder), "score", "--as-of", "2025-12-29"]) == 0


def test_the_service_serves_what_the_night_stored(folder: Path, first: dict[str, Any]) -> None:
    app = create_app(Workspace.open(folder), Settings(database_url=None))
    _, token = create_key(app.state.engine, "reader", ["read"])
    client = TestClient(app, headers={"Authorization": f"Bearer {token}"})
    scores = client.get("/v1/risk-scores", params={"limit": 500}).json()["data"]
    proposed = {row["asset_id"] for row in scores if row["decision"] == "proposed"}
    assert len(scores) == first["assets"]
    assert proposed == {proposal["asset_id"] for proposal in first["proposals"]}
    assert {row["model_version"] for row in scores} == {"risk/1"}
    app.state.engine.dispose()


@pytest.mark.proof
def test_a_model_of_rows_that_were_replaced_says_so_until_it_is_trained_again(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "fleet"))

    def scored() -> tuple[str, bool, list[str]]:
        """The version, whether it was a repetition, and the notes without the caveats of a small test window."""
        capsys.readouterr()
        assert run(["-w", str(copy), "score", "--json"]) == 0
        said = capsys.readouterr()
        answer = json.loads(said.out)
        told = [line for line in said.err.splitlines() if "Note" in line]
        assert told == [f"Note: {note}." for note in answer["notes"]]
        others = [note for note in answer["notes"] if "on its test window" not in note]
        return answer["model_version"], answer["repeated"], others

    assert scored()[::2] == ("risk/1", [])
    assert run(["-w", str(copy), "ingest", "--rebuild", "services"]) == 0
    version, repeated, (note,) = scored()
    assert re.match(r"the source 'services' was rebuilt at \d{4}-.* UTC, after this model was trained", note)
    assert "foremend train risk" in note
    assert (version, repeated) == ("risk/1", False)  # it went on scoring
    assert run(["-w", str(copy), "train", "risk"]) == 0
    assert scored()[::2] == ("risk/2", [])


def test_a_model_of_other_features_or_failures_is_refused_by_the_name_of_what_changed(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "fleet"))
    toml = copy / "foremend.toml"
    written = toml.read_text()
    own = '[features.own]\nentries = [{kind = "count", table = "tickets", windows = [30]}]\n'

    def scored(text: str) -> tuple[int, str]:
        toml.write_text(text)
        capsys.readouterr()
        return run(["-w", str(copy), "score", "--json"]), capsys.readouterr().err

    assert scored(written + own)[0] == 0  # a feature that the model does not know
    code, said = scored(written.replace("[[failures]]", "[[failures]]\nrepeat_days = 30", 1))
    assert (code, "the failure rule is not the one that it was trained on" in said) == (2, True), said
    code, said = scored(written.replace('table = "assets"\n', 'table = "assets"\ndelay_hours = 6\n', 1))
    assert code == 2
    assert re.search(
        r"risk version 1: \d+ of the \d+ features that it rests on changed: the first, \w+, is defined", said
    )
    assert "foremend train risk" in said


def test_a_night_on_old_data_says_so_beside_its_proposals(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "fleet"))
    toml = (copy / "foremend.toml").read_text()
    (copy / "foremend.toml").write_text(re.sub(r"(?m)^now = \S+", "now = 2026-07-01T16:00:00Z", toml))
    assert run(["-w", str(copy), "score", "--json"]) == 0
    said = capsys.readouterr()
    answer = json.loads(said.out)
    note, *caveats, expired = answer["notes"]
    assert all("on its test window" in caveat for caveat in caveats)
    assert re.match(r"the newest row known by this cut-off is of 2025-12-3\d .* UTC, 18\d days before it", note)
    assert "foremend ingest" in note
    assert f"Note: {note}." in said.err.splitlines()
    assert re.match(
        r"risk version 1 expired at 2026-06-\d\d .* UTC, \[risk\] expires_days after the last data", expired
    )


def test_a_night_without_a_champion_is_told_how_the_challenger_becomes_one(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlflow import MlflowClient

    copy = Path(shutil.copytree(folder, tmp_path / "fleet"))
    client = MlflowClient(tracking_uri=f"sqlite:///{copy}/mlflow/mlflow.db")
    client.delete_registered_model_alias("risk", "champion")
    client.set_registered_model_alias("risk", "challenger", "1")
    assert run(["-w", str(copy), "score"]) == 2
    assert "no champion; version 1 is challenger. See why with `foremend models`" in capsys.readouterr().err
    assert run(["-w", str(copy), "promote", "1"]) == 0
    assert run(["-w", str(copy), "score"]) == 0


@pytest.mark.parametrize(
    ("as_of", "sentence"),
    [
        ("yesterday", "is not an instant"), ("2025-12-20T10:00", "carries no zone"), ("2099-01-01", "has not come yet"),
        ("1999-01-01", "no row was known before 1999-01-01"),
    ],
)  # fmt: skip
def test_a_cutoff_that_cannot_be_meant_is_told_with_exit_2(
    folder: Path, as_of: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["-w", str(folder), "score", "--as-of", as_of]) == 2
    assert sentence in capsys.readouterr().err


def test_a_workspace_without_a_model_is_told_to_train_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "foremend.toml").write_text('[workspace]\nid = "w"\n')
    assert run(["-w", str(tmp_path), "score"]) == 2
    assert f"First run `foremend -w {tmp_path} ingest`" in capsys.readouterr().err  # there are no tables yet
    assert run(["-w", str(tmp_path), "tickets"]) == 0
    said = capsys.readouterr().err
    assert "None is proposed." in said
    assert f"Next: foremend -w {tmp_path} score" in said


ENGLISH = re.compile(
    r"\b(the|of|with|rows|and|is|are|was|at|from|by|to|in|no|not|for|on|that|Next|Then|Note|Wrote|None|total|all)\b"
)


def test_no_command_says_an_english_word_in_a_chinese_workspace(
    road: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    copy, told = Path(shutil.copytree(road[0], tmp_path / "fleet")), dict(road[1])
    (copy / "foremend.db").unlink(missing_ok=True)
    toml = copy / "foremend.toml"
    text = toml.read_text().replace('language = "en"', 'language = "zh-CN"', 1)
    toml.write_text(text.replace("[forecast]", '[forecast]\nmodels = ["seasonal_naive"]'))
    other = "labels --compare-sql 'SELECT asset_id, opened_at AS event_time FROM tickets'"
    for words in (
        "validate", "labels", other, f"features --group alarms --out {copy}/a.parquet", "score", "tickets",
        "tickets --state expired", "forecast", "models", "models --card", "keys list", "keys create me",
    ):  # fmt: skip
        told[words] = heard(copy, "-w", str(copy), *shlex.split(words))
    english = {(words, line) for words, said in told.items() for line in said.splitlines() if ENGLISH.search(line)}
    assert english == set()
    assert all(re.search("[一-鿿]", said) for said in told.values())
