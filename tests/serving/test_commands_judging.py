"""``foremend backtest risk`` and ``foremend audit leaks`` on a small made-up fleet, as a user types them."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from features.workspace import Workspace
from ml.economics import RULES
from ml.registry import Registry
from serving.cli import run

HONEST = """
[features.after]
entries = [{ kind = "age", column = "installed_at" }]
"""
LEAK = """
[features.after]
sql = '''SELECT s.asset_id, s.as_of, count(*) AS tickets FROM spine AS s JOIN tickets AS t
         ON t.asset_id = s.asset_id AND t.opened_at < s.as_of + INTERVAL 30 DAY GROUP BY s.asset_id, s.as_of'''
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judged") / "fleet"
    size = ["--assets", "30", "--days", "220", "--readings-per-day", "1", "--seed", "3"]
    assert run(["fleet", str(folder), *size, "--language", "en"]) == 0
    toml = folder / "foremend.toml"
    few = 'groups = ["alarms", "services", "after"]\nmax_rows = 1_000'
    toml.write_text(toml.read_text().replace("max_rows = 21_000", few) + HONEST)
    assert run(["-w", str(folder), "ingest"]) == 0
    return folder


@pytest.fixture(scope="module")
def data(folder: Path) -> dict[str, Any]:
    """What a backtest says as JSON."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert run(["-w", str(folder), "backtest", "risk", "--json"]) == 0
    answer: dict[str, Any] = json.loads(said.getvalue())
    return answer


def test_a_backtest_says_how_good_and_what_it_is_worth_and_registers_nothing(
    folder: Path, data: dict[str, Any]
) -> None:
    assert (data["schema"], data["protocol"]) == (1, "by_time")
    assert {(q["model"], q["horizon_days"]) for q in data["qualities"]} == {
        (name, h) for name in ("model", "baseline") for h in (1, 7, 14, 30)
    }
    assert {one["rule"] for one in data["economics"]} == set(RULES)
    assert all(one["relative"] == 1.0 for one in data["economics"] if one["rule"] == "run_to_failure")
    assert sum(month["rows"] for month in data["qualities"][0]["months"]) == data["qualities"][0]["rows"]
    assert not Registry(Workspace.open(folder).mlflow).has("risk")


def test_a_backtest_is_printed_for_people(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["-w", str(folder), "backtest", "risk"]) == 0
    said = capsys.readouterr()
    for words in ("Test window", "by month of the cut-off", "Cost of visits and failures", "run_to_failure"):
        assert words in said.out
    assert "Leak audit: no leak" in said.err
    assert f"Next: foremend -w {folder} train risk" in said.err


def test_the_page_and_the_tables_speak_the_workspaces_language(
    folder: Path, data: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toml, file = folder / "foremend.toml", tmp_path / "new" / "risk.html"
    english = toml.read_text(encoding="utf-8")
    try:
        toml.write_text(english.replace('language = "en"', 'language = "zh-CN"', 1), encoding="utf-8")
        assert run(["-w", str(folder), "backtest", "risk", "--html", str(file)]) == 0
    finally:
        toml.write_text(english, encoding="utf-8")
    said, page = capsys.readouterr(), file.read_text(encoding="utf-8")
    assert re.search(r"^检验期 2.* 至 2.*（按时间划分）$", said.out, re.MULTILINE)
    assert re.search(
        r"^预测期 +模型 +样本数 +故障样本 +AP +95% 区间 +ROC +Brier +ECE +实际/预期 +每天上门 K 次",
        said.out,
        re.MULTILINE,
    )
    assert re.search(r"^7 天 +基线 ", said.out, re.MULTILINE)
    assert "概率最高的 K 台" in said.out
    assert set(re.findall(r"[a-z_]{4,}", said.out)) <= {"rier", "policy", *data["modes"]}
    assert "泄漏审计：未发现泄漏" in said.err
    assert f"已写入 {file}" in said.err
    assert '<html lang="zh-CN">' in page
    assert page.count("<svg") >= 5
    assert not re.search(r'(src|href)="|<script|<link|@import|url\(', page)


def test_a_page_that_cannot_be_written_is_told_before_the_work(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["-w", str(folder), "backtest", "risk", "--html", "/proc/nowhere/risk.html"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "/proc/nowhere/risk.html: cannot be written" in line


@pytest.mark.proof
def test_a_leak_is_named_and_nothing_is_registered_with_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toml = folder / "foremend.toml"
    plain = toml.read_text()
    toml.write_text(plain.replace(HONEST, LEAK))
    try:
        assert run(["-w", str(folder), "audit", "leaks", "--json"]) == 2
        found = json.loads(capsys.readouterr().out)
        assert [(one["kind"], one["feature"]) for one in found["leaks"]] == [("rebuild", "after_tickets")]
        assert run(["-w", str(folder), "train", "risk"]) == 2
        assert "leak audit: after_tickets of AC-" in capsys.readouterr().err
    finally:
        toml.write_text(plain)
    assert not Registry(Workspace.open(folder).mlflow).has("risk")


def test_every_field_of_a_backtest_is_described(data: dict[str, Any]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "backtest.md").read_text(encoding="utf-8")
    fields = {*data, *data["qualities"][0], *data["economics"][0], *data["economics"][0]["replayed"]} - {
        "notes",
        "model",
    }
    assert [name for name in sorted(fields) if f"`{name}`" not in page and f"`{name}[]`" not in page] == []
