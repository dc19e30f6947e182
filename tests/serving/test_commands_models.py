"""``foremend models``, ``promote`` and ``rollback``, on versions that were registered without a training."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ml.baseline import Weibull
from ml.gates import Judgement, Verdict
from ml.history import CHALLENGER, CHAMPION
from ml.registry import Registry
from ml.risk import RiskConfig, RiskModel
from ml.stacking import Layout
from ml.stored import write
from ml.versions import Run
from serving.cli import run

GOOD = Judgement(
    {"calibrated": Verdict(True, "promises what happens"), "not_worse": Verdict(True, "the first version")}
)
POOR = Judgement({"calibrated": Verdict(False, "promises too much: 0.40"), "not_worse": Verdict(True, "not worse")})

Foremend = Callable[..., tuple[int, str, str]]


def _registered(judged: Judgement) -> Run:
    parameters = {"risk.decision_days": 7, "split.train_until": datetime(2024, 3, 1, tzinfo=UTC)}
    figures = {f"model_7d_{name}": 0.5 for name in ("average_precision", "brier", "observed_over_expected")}
    expires = datetime(2024, 9, 1, tzinfo=UTC)
    return Run(parameters, figures, judged.tags(), {"card.md": "# Failure risk: 泵\n".encode()}, expires)


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with four versions: 1 and 2 were champions in turn, 3 failed a gate, 4 is of an older Foremend."""
    folder = tmp_path_factory.mktemp("models") / "w"
    folder.mkdir()
    (folder / "foremend.toml").write_text('[workspace]\nid = "w1"\n[time]\nnow = 2024-06-30T16:00:00Z\n')
    config = RiskConfig(horizons_days=(1, 7), edges_days=(0, 1, 7))
    files = write(RiskModel(config, Layout((), {}, {}, ("any",)), (), (Weibull("", 1.0, 100.0, 0.01),)))
    registry = Registry(folder / "mlflow")
    for version, judged in (("1", GOOD), ("2", GOOD)):
        registry.log("risk", _registered(judged), files)
        registry.alias("risk", CHAMPION, version, how="train", reason=judged.reason, by="ines")
    registry.log("risk", _registered(POOR), files)
    registry.alias("risk", CHALLENGER, "3", how="train", reason=POOR.reason, by="ines")
    registry.log("risk", Run({}, {}), files)
    return folder


@pytest.fixture
def folder(origin: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(origin, tmp_path / "w"))


@pytest.fixture
def foremend(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Foremend:
    """Run a command in the copy; its exit code, stdout and stderr."""
    monkeypatch.setenv("LOGNAME", "omar")

    def command(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(["-w", str(folder), *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return command


def _versions(foremend: Foremend) -> dict[str, Any]:
    code, out, _ = foremend("models", "--json")
    assert code == 0
    data: dict[str, Any] = json.loads(out)
    return data


def test_the_table_shows_versions_figures_gates_and_who_was_champion(foremend: Foremend) -> None:
    code, out, err = foremend("models")
    assert (code, err) == (0, "")
    lines = [re.split(r" {2,}", line.strip()) for line in out.splitlines()]
    assert lines[0] == ["version", "alias", "trained until", "expires", "within", "AP", "Brier", "obs/exp", "gates"]
    assert lines[1][0] == "4"
    assert lines[2] == ["3", "challenger", "2024-03-01", "2024-09-01", "7 d", *["0.5000"] * 3, "failed: calibrated"]
    assert lines[3][:2] == ["2", "champion"]
    assert lines[3][-1] == "passed"
    assert lines[6] == ["since (UTC)", "champion", "before", "how", "by", "why"]
    assert lines[7][1:] == ["2", "1", "train", "ines", "the first version"]
    assert lines[8][1:] == ["1", "train", "ines", "the first version"]


def test_the_data_hold_reasons_and_challengers_too(foremend: Foremend) -> None:
    data = _versions(foremend)
    assert [one["version"] for one in data["versions"]] == ["1", "2", "3", "4"]
    assert data["versions"][2]["gates"]["calibrated"] == {"passed": False, "reason": "promises too much: 0.40"}
    assert data["versions"][2]["trained_until"] == "2024-03-01T00:00:00+00:00"
    assert data["versions"][3]["average_precision"] is None
    assert [entry["alias"] for entry in data["history"]] == [CHAMPION, CHAMPION, CHALLENGER]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", data["history"][0]["at"])


def test_a_promotion_is_kept_with_who_and_why_and_repeats_what_the_gates_said(foremend: Foremend, folder: Path) -> None:
    code, out, err = foremend("promote", "3", "--reason", "agreed with the branch")
    assert (code, out) == (0, "")
    assert "version 3 is champion, before it was version 2; kept in the history as by omar." in err
    assert "Note: it failed the gate calibrated: promises too much: 0.40." in err
    assert f"foremend -w {folder} score" in err
    data = _versions(foremend)
    assert [one["aliases"] for one in data["versions"]] == [[], [], [CHAMPION], []]
    last = data["history"][-1]
    assert (last["from_version"], last["to_version"], last["how"], last["by"]) == ("2", "3", "promote", "omar")
    assert last["reason"] == "agreed with the branch"


def test_rollbacks_lead_back_step_by_step_and_stop_at_the_first(foremend: Foremend, folder: Path) -> None:
    registry = Registry(folder / "mlflow")
    assert foremend("promote", "3")[0] == 0
    for expected in ("2", "1"):
        code, _, err = foremend("rollback", "--reason", "too many visits")
        assert (code, f"version {expected} is champion" in err) == (0, True)
        assert registry.load("risk").version == expected
    code, out, err = foremend("rollback")
    assert (code, out) == (2, "")
    assert "nobody was champion before version 1" in err
    assert "foremend promote" in err
    assert registry.load("risk").version == "1"
    assert [change.how for change in registry.history("risk")][-2:] == ["rollback", "rollback"]


def test_the_name_in_the_history_can_be_set(foremend: Foremend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOREMEND_USER", "release pipeline 12")
    assert foremend("promote", "1")[0] == 0
    assert _versions(foremend)["history"][-1]["by"] == "release pipeline 12"


def test_versions_and_changes_are_told_in_the_language_of_the_workspace(foremend: Foremend, folder: Path) -> None:
    toml = folder / "foremend.toml"
    toml.write_text(toml.read_text().replace("[time]", 'language = "zh-CN"\n[time]'))
    assert foremend("promote", "3", "--reason", "sold to Foo, stored as spare, expected back")[2].splitlines()[:2] == [
        "模型 risk 第 3 版为现役模型，此前为第 2 版；已记入历史，操作人 omar。",
        "注意：未通过门槛“已校准”：预测偏高：0.40。",
    ]
    assert "模型 risk 第 2 版为现役模型" in foremend("rollback")[2]
    lines = [re.split(r" {2,}", line.strip()) for line in foremend("models")[1].splitlines()]
    assert lines[0][:5] == ["版本", "角色", "训练数据截至", "失效日期", "预测期"]
    assert lines[2] == ["3", "2024-03-01", "2024-09-01", "7 天", *["0.5000"] * 3, "未通过：已校准"]
    assert (lines[3][1], lines[3][-1]) == ("现役模型", "通过")
    assert [line[3:] for line in lines[7:9]] == [
        ["回退", "omar"],
        ["人工提升", "omar", "sold to Foo, stored as spare, expected back"],
    ]


def test_what_cannot_be_promoted_is_told_and_changes_nothing(foremend: Foremend, folder: Path) -> None:
    for words, told in (
        (("promote", "9"), "model 'risk': no version 9. `foremend models` lists"),
        (("promote", "newest"), "no version newest"),
        (("promote", "2"), "version 2 is champion already"),
    ):
        code, out, err = foremend(*words)
        assert (code, out, told in err) == (2, "", True), err
    registry = Registry(folder / "mlflow")
    run_id = registry.load("risk", version="1").run_id
    (trees,) = (folder / "mlflow" / "artifacts" / run_id).rglob("model.json")
    trees.write_bytes(trees.read_bytes().replace(b"0.01", b"0.99"))
    for words in (("promote", "1"), ("rollback",)):
        code, _, err = foremend(*words)
        assert (code, "risk version 1: refused, model.json has another SHA-256" in err) == (2, True), err
    assert registry.load("risk").version == "2"
    assert len(registry.history("risk")) == 3


def test_a_champion_that_was_made_past_foremend_is_noticed(foremend: Foremend, folder: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow/mlflow.db")
    client.set_registered_model_alias("risk", CHAMPION, "3")
    assert "the history does not say how version 3 became champion" in foremend("models")[2]
    code, _, err = foremend("rollback")
    assert (code, "version 2 is champion, before it was version 3" in err) == (0, True)
    client.delete_registered_model_alias("risk", CHAMPION)
    assert "There is no champion" in foremend("models")[2]
    code, _, err = foremend("rollback")
    assert (code, "model 'risk': no champion." in err) == (2, True)


def test_the_card_of_a_version_is_printed(foremend: Foremend) -> None:
    assert foremend("models", "--card") == (0, "# Failure risk: 泵\n", "")
    assert foremend("models", "--card", "1") == (0, "# Failure risk: 泵\n", "")
    code, out, err = foremend("models", "--card", "4")
    assert (code, out, "risk version 4: no card lies beside it" in err) == (2, "", True)
    code, _, err = foremend("models", "--card", "8")
    assert (code, "no version 8. Name one: 1, 2, 3, 4." in err) == (2, True)


def test_without_a_model_the_next_command_is_told_and_no_store_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "foremend.toml").write_text('[workspace]\nid = "w1"\n')
    assert run(["-w", str(tmp_path), "models"]) == 0
    assert f"Next: foremend -w {tmp_path} train risk" in capsys.readouterr().err
    assert run(["-w", str(tmp_path), "models", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"model": "risk", "versions": [], "history": []}
    for words in (["promote", "1"], ["rollback"], ["models", "--card"]):
        assert run(["-w", str(tmp_path), *words]) == 2
        assert "no champion" in capsys.readouterr().err
    assert not (tmp_path / "mlflow").exists()


def test_a_store_that_can_only_be_read_is_listed_and_nothing_is_promoted(
    foremend: Foremend, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Versions of a server, seen through a read-only database: their files lie where that server keeps them."""
    monkeypatch.setenv("FOREMEND_MLFLOW_URI", f"sqlite:///file:{folder}/mlflow/mlflow.db?mode=ro&uri=true")
    assert len(_versions(foremend)["versions"]) == 4
    code, out, err = foremend("promote", "3")
    assert (code, out, "MLflow's store failed" in err) == (1, "", True), err
    monkeypatch.delenv("FOREMEND_MLFLOW_URI")
    assert Registry(folder / "mlflow").holder("risk") == "2"


@pytest.mark.parametrize("words", [["models"], ["promote", "1"], ["rollback"]], ids=" ".join)
def test_a_server_that_does_not_answer_is_a_fault(
    foremend: Foremend, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOREMEND_MLFLOW_URI", "http://127.0.0.1:9")
    code, out, err = foremend(*words)
    assert (code, out) == (1, "")
    assert "http://127.0.0.1:9: MLflow's store failed" in err


def test_a_workspace_is_opened_before_the_registry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["-w", str(tmp_path), "models"]) == 2
    assert "foremend.toml" in capsys.readouterr().err
    assert not (tmp_path / "mlflow").exists()
