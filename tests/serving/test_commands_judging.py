"""``foremend backtest risk`` and ``foremend audit leaks`` on a small made-up fleet, as a user types them."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from features.workspace import Workspace
from ml.economics import RULES
from ml.registry import Registry
from serving.cli import run

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
    toml.write_text(toml.read_text().replace("max_rows = 21_000", "max_rows = 1_000"))
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


def test_a_leak_is_named_and_nothing_is_registered_with_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toml = folder / "foremend.toml"
    plain = toml.read_text()
    toml.write_text(plain + LEAK)
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
