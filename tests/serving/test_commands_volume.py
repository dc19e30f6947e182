"""``foremend forecast`` as a person uses it, on a workspace that it ingested itself."""

from __future__ import annotations

import csv
import json
import re
import sqlite3
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from serving.cli import run

DAYS = 120
TOML = """
[workspace]
id = "test"

[time]
now = 2024-04-30T00:00:00Z
cutoff_utc = "00:00"

[forecast]
country = "{country}"
horizon = 14
{more}

[sources.calls]
table = "tickets"
zone = "UTC"
query = "SELECT * FROM read_csv('{file}', all_varchar = true)"
"""


def make(
    root: Path, regions: tuple[str, ...] = ("华东", "=north"), country: str = "CN", more: str = "", days: int = DAYS,
    volume: float = 1.0,
) -> Path:  # fmt: skip
    """A workspace without assets: a table of tickets is all that volume needs."""
    root.mkdir()
    rng = np.random.default_rng(3)
    start = datetime(2024, 1, 1)
    with (root / "calls.csv").open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(["ticket_id", "opened_at", "region", "ticket_type"])
        number = 0
        for day in range(days):
            for region in regions:
                for minute in rng.uniform(0, 1440, rng.poisson(volume * (12 if day % 7 < 5 else 5))):
                    number += 1
                    kind = "fault" if number % 3 else "question"
                    out.writerow([number, start + timedelta(days=day, minutes=float(minute)), region, kind])
    text = TOML.format(country=country, more=more, file=(root / "calls.csv").as_posix())
    (root / "foremend.toml").write_text(text, encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make(tmp_path_factory.mktemp("volume") / "workspace")
    assert run(["-w", str(root), "ingest"]) == 0
    return root


@pytest.fixture(scope="module")
def naive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with the quick model alone, for what does not hang on the model."""
    root = make(tmp_path_factory.mktemp("volume") / "naive", more="models = ['seasonal_naive']")
    assert run(["-w", str(root), "ingest"]) == 0
    return root


def stored(root: Path, query: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(root / "foremend.db") as con:
        return con.execute(query).fetchall()


def test_a_forecast_is_printed_compared_and_stored(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["-w", str(workspace), "forecast"]) == 0
    out, err = capsys.readouterr()
    assert "华东" in out
    assert "next 7 days" in out
    assert "next 14 days" in out
    assert "On the last 14 days, held out, over 9 series" in out
    assert "Next: foremend" in err
    models = stored(
        workspace, "SELECT model, count(*), count(DISTINCT unique_id) FROM forecasts GROUP BY model ORDER BY model"
    )
    assert models == [("prophet", 9 * 14, 9), ("seasonal_naive", 9 * 14, 9)]
    ((settings,),) = stored(workspace, "SELECT settings FROM forecast_runs")
    assert {row["model"] for row in json.loads(str(settings))["accuracy"]} == {"prophet", "seasonal_naive"}


def test_the_tables_speak_the_workspaces_language(naive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toml = naive / "foremend.toml"
    english = toml.read_text(encoding="utf-8")
    try:
        toml.write_text(english.replace("[time]", 'language = "zh-CN"\n[time]', 1), encoding="utf-8")
        assert run(["-w", str(naive), "forecast"]) == 0
    finally:
        toml.write_text(english, encoding="utf-8")
    out = capsys.readouterr().out
    assert "2024-04-30 至 2024-05-13 的工单数，括号内为 80% 区间" in out
    assert re.search(r"^区域 +类型 +未来 7 天 +未来 14 天 +模型", out, re.MULTILINE)
    assert re.search(r"^全部 +全部 .* 季节性朴素（重复上周）", out, re.MULTILINE)
    assert re.search(r"^模型 +标准化误差（MASE） +误差占比（WAPE） +落入 80% 区间 +落入 95% 区间", out, re.MULTILINE)
    assert set(re.findall("[A-Za-z_]{3,}", out)) == {"MASE", "WAPE", "north", "fault", "question"}


def test_series_that_the_champion_did_not_forecast_are_served_with_the_baseline(tmp_path: Path) -> None:
    from features.workspace import Workspace
    from serving.settings import load_settings
    from serving.store import newest_forecast_run, open_store
    from serving.store.forecasts import select_forecasts

    root = make(tmp_path / "w", more="prophet_nodes = 1")
    assert run(["-w", str(root), "ingest"]) == 0
    assert run(["-w", str(root), "forecast", "--model", "prophet"]) == 0
    engine = open_store(Workspace.open(root), load_settings())
    with engine.connect() as connection:
        stored_run = newest_forecast_run(connection)
        assert stored_run is not None
        query = select_forecasts(stored_run["run_id"], "prophet", instead=stored_run["settings"]["baseline"])
        rows = connection.execute(query).mappings().all()
    engine.dispose()
    assert len(rows) == 9 * 14
    assert {row["unique_id"] for row in rows if row["model"] == "prophet"} == {"total"}


@pytest.mark.proof
def test_a_second_run_stores_nothing_twice(workspace: Path) -> None:
    assert run(["-w", str(workspace), "forecast"]) == 0
    before = stored(workspace, "SELECT count(*) FROM forecasts") + stored(workspace, "SELECT * FROM forecast_runs")
    assert run(["-w", str(workspace), "forecast"]) == 0
    assert (
        stored(workspace, "SELECT count(*) FROM forecasts") + stored(workspace, "SELECT * FROM forecast_runs") == before
    )


def test_json_is_data_and_nothing_else_is_on_stdout(naive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["-w", str(naive), "forecast", "--json", "--model", "seasonal_naive", "--horizon", "10"]) == 0
    data = json.loads(capsys.readouterr().out, parse_constant=lambda text: pytest.fail(f"{text} is not JSON"))
    assert data["champion"] == "seasonal_naive"
    assert len(data["forecast"]) == 9 * 10
    total = [row for row in data["forecast"] if row["unique_id"] == "total"]
    assert [row["ds"] for row in total] == [
        f"2024-{m:02}-{d:02}" for m, d in [(4, 30), *((5, k) for k in range(1, 10))]
    ]
    assert total[0]["region"] is None
    assert all(row["lo95"] <= row["lo80"] <= row["yhat"] <= row["hi80"] <= row["hi95"] for row in data["forecast"])


def test_the_csv_opens_in_excel_and_runs_nothing(naive: Path, tmp_path: Path) -> None:
    file = tmp_path / "volumes.csv"
    assert run(["-w", str(naive), "forecast", "--csv", str(file)]) == 0
    raw = file.read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(raw.decode("utf-8-sig").splitlines()))
    assert len(rows) == 9 * 14
    cells = {cell for row in rows for cell in row.values()}
    assert "'=north" in cells
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)
    assert {"华东", "华东/fault"} <= cells


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ["Ticket volume", "tickets are expected", "By region and type"]),
        ("zh-CN", ["工单量预测", "预计有", "按区域与类型"]),
    ],
)
def test_the_page_has_a_sentence_a_picture_and_a_table_and_needs_nothing_else(
    naive: Path, tmp_path: Path, language: str, words: list[str]
) -> None:
    file = tmp_path / "volumes.html"
    assert run(["-w", str(naive), "forecast", "--html", str(file), "--language", language]) == 0
    page = file.read_text(encoding="utf-8")
    assert f'lang="{language}"' in page
    assert all(word in page for word in [*words, "华东", "=north"])
    assert page.count("<svg") == 1
    assert page.count("<path") > 4
    assert not re.search(r'(src|href)="|<script|@import|url\(', page)
    outside = set(re.findall(r"https?://[^\s\"'<]+", page))
    assert outside <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_names_of_a_company_are_text_on_the_page_and_never_code(tmp_path: Path) -> None:
    root = make(tmp_path / "w", ("<script>alert(1)</script>",), more="models = ['seasonal_naive']")
    file = tmp_path / "page.html"
    assert run(["-w", str(root), "ingest"]) == 0
    assert run(["-w", str(root), "forecast", "--html", str(file)]) == 0
    page = file.read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize("as_of", ["2024-04-10T00:00Z", "2024-04-10"])
def test_an_earlier_as_of_sees_only_what_was_known(as_of: str, naive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["-w", str(naive), "forecast", "--json", "--as-of", as_of]) == 0
    data = json.loads(capsys.readouterr().out)
    assert min(row["ds"] for row in data["forecast"]) == "2024-04-10"


def test_future_holidays_without_a_notice_are_called_provisional(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make(tmp_path / "w", ("north",), more="models = ['seasonal_naive']")
    assert run(["-w", str(root), "ingest"]) == 0
    assert run(["-w", str(root), "forecast", "--horizon", "300"]) == 0
    assert "from 2025-01-01 are provisional" in capsys.readouterr().err


def test_without_a_country_it_says_that_no_holidays_are_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make(tmp_path / "w", ("north",), country="", more="models = ['seasonal_naive']")
    assert run(["-w", str(root), "ingest"]) == 0
    assert run(["-w", str(root), "forecast"]) == 0
    assert "Note: No holidays are used" in capsys.readouterr().err
    toml, page = root / "foremend.toml", root / "page.html"
    toml.write_text(toml.read_text(encoding="utf-8").replace("[time]", 'language = "zh-CN"\n[time]'), encoding="utf-8")
    assert run(["-w", str(root), "forecast", "--html", str(page)]) == 0
    assert "注意：未使用节假日：请在 foremend.toml" in capsys.readouterr().err
    assert "未使用节假日" in page.read_text(encoding="utf-8")


def test_a_short_history_is_forecast_and_said_to_be_rough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make(tmp_path / "w", ("north",), days=25)
    assert run(["-w", str(root), "ingest"]) == 0
    assert run(["-w", str(root), "forecast", "--as-of", "2024-01-26T00:00Z"]) == 0
    err = capsys.readouterr().err
    assert "only 24 complete days" in err
    assert "seasonal naive forecast (24 days of history" in err


def test_a_figure_that_too_few_tickets_cannot_tell_is_a_dash(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make(tmp_path / "w", ("north",), volume=0.1, more="models = ['seasonal_naive']")
    assert run(["-w", str(root), "ingest"]) == 0
    assert run(["-w", str(root), "forecast"]) == 0
    out = capsys.readouterr().out
    assert "in 80 % range" in out
    assert "nan" not in out
    assert "–" in out.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--model", "profet"], "Did you mean 'prophet'?"),
        (["--as-of", "yesterday"], "'yesterday' is not an instant"),
        (["--as-of", "2024-04-10T00:00"], "carries no zone"),
        (["--as-of", "2023-01-01T00:00Z"], "no organic ticket was known"),
        (["--horizon", "0"], "not in the range"),
    ],
)
def test_what_cannot_be_meant_is_an_error_of_the_users(
    naive: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert run(["-w", str(naive), "forecast", *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_a_country_that_does_not_exist_is_named_with_the_nearest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make(tmp_path / "w", ("north",), country="CNN")
    assert run(["-w", str(root), "ingest"]) == 0
    assert run(["-w", str(root), "forecast"]) == 2
    assert "Did you mean 'CN'?" in capsys.readouterr().err


def test_a_workspace_without_tickets_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "foremend.toml").write_text('[workspace]\nid = "empty"\n', encoding="utf-8")
    assert run(["-w", str(tmp_path), "forecast"]) == 2
    assert "Add a source for `tickets`" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--csv", "--html"])
def test_a_file_that_cannot_be_written_is_found_before_the_work(
    naive: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    assert run(["-w", str(naive), "forecast", option, "/proc/nowhere/f"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "foremend: /proc/nowhere/f: cannot be written: No such file or directory. Name another place."
