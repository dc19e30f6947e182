"""``foremend validate`` and ``foremend labels`` as a user runs them."""

from __future__ import annotations

import csv
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from rich.cells import cell_len

from serving.cli import run

INSTANT = pa.timestamp("us", tz="UTC")
START = datetime(2024, 1, 1, tzinfo=UTC)
RULE = '[[failures]]\nversion = {}\nquery = "SELECT asset_id, performed_at AS event_time, component AS failure_mode FROM services{}"\n'


def commit(folder: Path, table: str, **columns: list[object]) -> None:
    size = len(next(iter(columns.values())))
    clocks = {name: [START] * size for name in ("event_time", "known_at", "ingested_at")} | columns
    types = {n: INSTANT if n.endswith(("_at", "event_time")) else pa.string() for n in clocks}
    arrays = {n: pa.array(values, types[n]) for n, values in clocks.items()}
    arrays |= {"source": pa.array(["erp"] * size), "deleted": pa.array([False] * size)}
    write_deltalake(str(folder / "tables" / table), pa.table(arrays))


@pytest.fixture
def folder(tmp_path):
    """Three assets, one of them with a typing error in a service; two versions of the failure rule."""
    (tmp_path / "foremend.toml").write_text(
        '[workspace]\nid = "x"\nname = "华东 <fleet>"\n[time]\nnow = 2024-06-01T00:00:00Z\n'
        + RULE.format(1, "") + RULE.format(2, " WHERE component <> 'fan'"), encoding="utf-8"
    )  # fmt: skip
    days = [START + timedelta(days=n) for n in range(5)]
    empty: list[object] = [None] * 3
    commit(tmp_path, "assets", asset_id=["A1", "A2", "A3"], asset_model=["M", "M", "N"], asset_class=empty,
           installed_at=[START] * 3, retired_at=empty)  # fmt: skip
    parts = ["pump", "fan", "pump", "fan", "pump"]
    commit(tmp_path, "services", service_id=list("12345"), asset_id=["A1", "A1", "A2", "A3", "a3 "],
           component=parts, performed_at=days, event_time=days, known_at=days)  # fmt: skip
    return tmp_path


def call(folder, *args):
    return run(["-w", str(folder), *args])


def test_validate_shows_findings_readiness_and_the_next_command(folder, capsys):
    assert call(folder, "validate") == 0
    out, err = capsys.readouterr()
    assert "services.asset_id: 1 of 5 rows: the id would match but for blanks" in out
    assert "first: found = a3 , meant = A3" in out
    assert "→ Write the id alike" in out
    assert "age-only" in out or "fleet's base rate" in out
    assert f"Next: foremend -w {folder} labels; foremend -w {folder} train risk" in err


def test_the_terminal_speaks_the_workspaces_language_or_the_one_asked_for(folder, capsys):
    def said(*args):
        assert call(folder, "validate", *args) == 0
        return capsys.readouterr()

    english, asked = said(), said("--language", "zh-CN")
    toml = folder / "foremend.toml"
    toml.write_text(toml.read_text(encoding="utf-8").replace("[time]", 'language = "zh-CN"\n[time]'), encoding="utf-8")
    assert said().out == asked.out
    assert said("--language", "en").out == english.out
    assert "services.asset_id：共 5 行，其中 1 行：若忽略空格、大小写或前导零，编号本可对应" in asked.out
    assert "→ 请让两个来源的查询以相同方式书写编号。" in asked.out
    assert "全部设备" in asked.out
    assert "项检查：2 项错误" in asked.err
    kept = {"tickets", "assets", "services", "readings"}  # names of tables and columns are kept
    told = [line for line in asked.out.splitlines() if not line.startswith((*kept, "提示"))]
    words = {w for line in told for w in re.findall(r"[A-Za-z]{3,}(?: [a-z]{2,})+", line)}
    assert words <= {"foremend ingest"}  # a command to type


def test_running_text_fits_a_terminal_in_either_language(folder, capsys):
    for language in ("en", "zh-CN"):
        assert call(folder, "validate", "--language", language) == 0
        lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith(" " * 9)]
        assert lines
        assert max(map(cell_len, lines)) <= 112


def test_strict_fails_on_an_error_that_is_otherwise_usable(folder, capsys):
    assert call(folder, "validate", "--strict") == 2
    assert "2 errors" in capsys.readouterr().err


def test_without_assets_the_exit_is_two_and_says_why(tmp_path, capsys):
    (tmp_path / "foremend.toml").write_text('[workspace]\nid = "x"\n', encoding="utf-8")
    assert call(tmp_path, "validate") == 2
    err = capsys.readouterr().err
    assert "Not usable for risk: no assets: connect a source" in err
    assert "Not usable for risk: no failures: declare [[failures]]" in err
    assert "Not usable for volume: no organic tickets: connect a source" in err


@pytest.fixture
def desk(tmp_path):
    """A desk that has tickets for sixty days, and nothing else."""
    (tmp_path / "foremend.toml").write_text(
        '[workspace]\nid = "x"\n[time]\nnow = 2024-03-01T00:00:00Z\n', encoding="utf-8"
    )
    opened: list[object] = [START + timedelta(hours=4 * n) for n in range(6 * 60)]
    commit(tmp_path, "tickets", ticket_id=[f"T{n}" for n in range(len(opened))], opened_at=opened, event_time=opened,
           known_at=opened, system=["desk"] * len(opened), asset_id=[None] * len(opened),
           origin=[None] * len(opened))  # fmt: skip
    return tmp_path


@pytest.mark.parametrize("strict", [(), ("--strict",)])
def test_tickets_alone_are_usable_for_volume_and_the_next_command_is_forecast(desk, capsys, strict):
    assert call(desk, "validate", *strict) == 0
    out, err = capsys.readouterr()
    assert "Not usable for risk: no assets" in err
    assert "Usable for volume: 360 organic tickets in 60 days, < 730 days → weekly cycle" in err
    assert f"Next: foremend -w {desk} forecast" in err
    assert "Readiness" not in out


@pytest.mark.parametrize(("language", "said"), [
    ("en", ("Not usable for risk: no assets: connect", "Usable for volume: 360 organic tickets in 60 days")),
    ("zh-CN", ("尚不可用于 故障风险: 没有设备", "可用于 工单量预测: 60 天内 360 张自然工单")),
])  # fmt: skip
def test_the_page_says_what_tickets_alone_are_usable_for(desk, capsys, language, said):
    assert call(desk, "validate", "--html", str(desk / "page.html"), "--language", language) == 0
    text = (desk / "page.html").read_text(encoding="utf-8")
    assert all(words in text for words in said)
    assert 'class="stop"' not in text


def test_json_is_the_documented_report_and_nothing_else_on_stdout(folder, capsys):
    assert call(folder, "validate", "--json") == 0
    data = json.loads(capsys.readouterr().out)
    documented = (Path(__file__).parents[2] / "docs" / "validate.md").read_text(encoding="utf-8")
    assert data["schema"] == 1
    for field in data:
        assert f"`{field}`" in documented or f"`{field}[]`" in documented, field
    for part in ("purposes", "tables", "findings", "final_states", "arrivals", "readiness"):
        for field in data[part][0] if data[part] else ():
            assert f"`{field}`" in documented or f"`{field}[]`" in documented, f"{part}.{field}"


@pytest.mark.parametrize(("language", "words"), [("en", "Data check"), ("zh-CN", "数据检查")])
def test_html_is_one_file_in_either_language_and_escapes(folder, capsys, language, words):
    page = folder / "report.html"
    assert call(folder, "validate", "--html", str(page), "--language", language) == 0
    text = page.read_text(encoding="utf-8")
    assert f'<html lang="{language}">' in text
    assert words in text
    assert "华东 &lt;fleet&gt;" in text
    assert "http" not in text
    assert "<script" not in text
    assert "<link" not in text


@pytest.mark.parametrize("asked", [("--html", "/proc/nowhere/r.html"), ("--sample", "2", "--out", "/proc/nowhere")])
def test_where_nothing_can_be_written_one_sentence_says_so(folder, capsys, asked):
    assert call(folder, "validate", *asked) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "/proc/nowhere/" in line
    assert line.endswith("cannot be written: No such file or directory. Name another place.")


def test_missing_folders_are_made_for_what_is_written(folder, capsys):
    assert call(folder, "validate", "--html", str(folder / "new" / "er" / "report.html")) == 0
    assert [p.name for p in (folder / "new" / "er").iterdir()] == ["report.html"]


def test_a_sample_goes_to_csv_for_review_by_hand(folder, capsys):
    assert call(folder, "validate", "--sample", "2", "--out", str(folder / "review")) == 0
    lines = (folder / "review" / "services.csv").read_text(encoding="utf-8-sig").splitlines()
    assert len(lines) == 3
    assert "service_id" in lines[0]


def test_a_sample_opens_in_a_spreadsheet_and_runs_nothing(folder, capsys):
    evil = ["=HYPERLINK(1)", "+cmd|'/c calc'!A0", "@SUM(A1)"]
    commit(folder, "tickets", system=["s"] * 3, ticket_id=list("123"), title=evil, opened_at=[START] * 3)
    assert call(folder, "validate", "--sample", "3", "--out", str(folder / "review")) == 0
    rows = csv.DictReader((folder / "review" / "tickets.csv").read_text(encoding="utf-8-sig").splitlines())
    assert sorted(row["title"] for row in rows) == sorted(f"'{cell}" for cell in evil)


def test_a_sample_on_the_terminal_shows_whole_rows(folder, capsys):
    assert call(folder, "validate", "--sample", "1") == 0
    assert "asset_model = " in capsys.readouterr().out


def test_labels_counts_by_month_and_mode(folder, capsys):
    assert call(folder, "labels", "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["version"], data["failures"]) == (2, 3)
    assert data["by_mode_and_month"] == [{"failure_mode": "pump", "month": "2024-01", "failures": 3}]
    assert data["first"][0]["event_time"] == "2024-01-01T00:00:00Z"


@pytest.mark.parametrize(("args", "gone", "come"), [
    (("--compare",), 2, 0), (("--compare", "2", "1"), 0, 2),
    (("--compare-sql", "SELECT asset_id, performed_at AS event_time, component AS failure_mode FROM services"), 0, 2),
])  # fmt: skip
def test_labels_compare_says_what_a_change_changes(folder, capsys, args, gone, come):
    assert call(folder, "labels", *args, "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["same"], data["only_old"]["count"], data["only_new"]["count"]) == (3, gone, come)
    assert call(folder, "labels", *args) == 0
    out, err = capsys.readouterr()
    assert "fan" in out
    assert "3 are the same" in err


def test_labels_speak_the_workspaces_language_and_leave_modes_as_the_company_names_them(folder, capsys):
    toml = folder / "foremend.toml"
    text = toml.read_text(encoding="utf-8").replace("[time]", 'language = "zh-CN"\n[time]')
    toml.write_text(text.replace("component AS failure_mode", "'total' AS failure_mode"), encoding="utf-8")
    assert call(folder, "labels") == 0
    out, err = capsys.readouterr()
    title, head, _, last, *_ = (line.split() for line in out.splitlines())
    assert (title, head, last) == (["规则版本", "2", "认定的故障"], ["月份", "total", "全部"], ["合计", "3", "3"])
    assert "最早的故障（共 3 次）" in out
    assert "下一步：foremend" in err
    assert call(folder, "labels", "--compare") == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[1].split() == ["故障模式", "版本", "1", "版本", "2", "变化"]
    assert "仅旧规则有（2 次）" in out
    assert err.startswith("3 次相同；2 次仅旧规则有，")


def test_comparing_a_version_that_is_not_declared_names_those_that_are(folder, capsys):
    assert call(folder, "labels", "--compare", "1", "7") == 2
    err = capsys.readouterr().err
    assert "version 7 is not declared" in err
    assert "two of the declared versions (1, 2)" in err


def test_a_comparison_of_one_version_says_that_it_takes_two(folder, capsys):
    assert call(folder, "labels", "--compare", "1") == 2
    assert "a comparison takes two versions, and 1 is named" in capsys.readouterr().err
    toml = folder / "foremend.toml"
    toml.write_text(toml.read_text(encoding="utf-8").replace(RULE.format(1, ""), ""), encoding="utf-8")
    assert call(folder, "labels", "--compare") == 2
    assert "only one version is declared: there is nothing to compare" in capsys.readouterr().err


def test_labels_say_what_cannot_be_used_and_what_to_do_where_nothing_is_found(folder, capsys):
    assert call(folder, "labels") == 0
    assert (
        "Failures whose asset is not in `assets`, so that they cannot be used: 1;" in capsys.readouterr().err
    )  # "a3 "
    toml = folder / "foremend.toml"
    toml.write_text(toml.read_text(encoding="utf-8").replace("<> 'fan'", "= 'door'"), encoding="utf-8")
    assert call(folder, "labels") == 0
    err = capsys.readouterr().err
    assert "The rule finds nothing: correct its query" in err
    assert "train" not in err


def test_validate_shows_the_first_row_of_every_reason_for_the_quarantine(tmp_path, capsys):
    (tmp_path / "foremend.toml").write_text(
        '[workspace]\nid = "x"\n[sources.s]\ntable = "assets"\nquery = "SELECT * FROM \'s.csv\'"\n', encoding="utf-8"
    )
    (tmp_path / "s.csv").write_text(f"asset_id,region\nA1,east\n,{'west' * 99}\n", encoding="utf-8")
    assert call(tmp_path, "ingest") == 0
    capsys.readouterr()
    call(tmp_path, "validate")
    out = capsys.readouterr().out
    assert "s → assets: 1 row: missing_key: a column of the key is empty\n" in out
    assert 'first: asset_id: {"asset_id":null,"region":"westwest' in out
    assert "west" * 50 not in out.replace("\n" + " " * 9, "")


def test_sql_that_fails_is_one_line_and_the_users(folder, capsys):
    assert call(folder, "labels", "--compare-sql", "SELECT asset FROM servces") == 2
    err = capsys.readouterr().err
    assert "servces does not exist" in err
    assert "Traceback" not in err
