"""Where data come from: files of every kind, databases, and what is said when they cannot be read."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import ConfigError, SourceError
from features.sources import Since, read
from features.workspace import Workspace

Company = Callable[..., Workspace]


def rows(workspace: Workspace, name: str = "s", since: Since | None = None) -> list[dict[str, Any]]:
    return [row for table in read(workspace, name, since) for row in table.to_pylist()]


def source(query: str, more: str = "", connection: str = "") -> str:
    head = f'connection = "{connection}"\n' if connection else ""
    return f'[sources.s]\ntable = "alarms"\n{head}{more}\nquery = """{query}"""\n'


def test_csv_parquet_json_and_globs_are_read_relative_to_the_workspace(company: Company) -> None:
    workspace = company(source("SELECT * FROM 'a.csv'"), a="x,y\n1,one\n2,two")
    pq.write_table(pa.table({"x": [3], "y": ["three"]}), workspace.root / "p1.parquet")
    pq.write_table(pa.table({"x": [4], "y": ["four"]}), workspace.root / "p2.parquet")
    (workspace.root / "j.json").write_text(json.dumps([{"x": 5, "y": "five"}]))
    assert rows(workspace) == [{"x": 1, "y": "one"}, {"x": 2, "y": "two"}]
    assert rows(company(source("SELECT * FROM 'p*.parquet' ORDER BY x"))) == [
        {"x": 3, "y": "three"},
        {"x": 4, "y": "four"},
    ]
    assert rows(company(source("FROM 'j.json';"))) == [{"x": 5, "y": "five"}]


def test_a_sheet_of_excel_stands_in_from_with_whole_numbers_whole_and_stamps_as_stamps(company: Company) -> None:
    import xlsxwriter

    workspace = company(source("SELECT id, stamp, note FROM read_excel('book.xlsx', 'Machines') WHERE id > 1"))
    book = xlsxwriter.Workbook(str(workspace.root / "book.xlsx"))
    book.add_worksheet("Other").write_row(0, 0, ["id"])
    sheet = book.add_worksheet("Machines")
    sheet.write_row(0, 0, ["id", "stamp", "note"])
    sheet.write_row(1, 0, [1.0, "", "first"])
    sheet.write_row(2, 0, [1204.0])
    sheet.write_datetime(2, 1, datetime(2024, 3, 1, 8, 30), book.add_format({"num_format": "yyyy-mm-dd hh:mm"}))
    sheet.write_string(2, 2, "液压泵")
    book.close()
    assert rows(workspace) == [{"id": 1204, "stamp": datetime(2024, 3, 1, 8, 30), "note": "液压泵"}]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("SELECT * FROM read_excel('absent.xlsx')", "absent.xlsx"),
        ("SELECT * FROM read_excel('a.csv')", "cannot be read as Excel"),
        ("SELECT * FROM 'nothing/*.parquet'", "nothing/*.parquet"),
        ("SELECT * FROM 'broken.parquet'", "broken.parquet"),
        ("SELEC x FROM 'a.csv'", "SELEC"),
        ("SELECT z FROM 'a.csv'", '"z" not found'),
        ("INSTALL httpfs", "one SELECT"),
        ("SELECT 1; COPY (SELECT 1) TO 'out.csv'", "one SELECT"),
        ("SELECT * FROM 'https://example.invalid/x.parquet'", "s"),
    ],
)
def test_a_file_source_that_cannot_be_read_says_why_and_where(company: Company, query: str, says: str) -> None:
    workspace = company(source(query), a="x\n1")
    (workspace.root / "broken.parquet").write_bytes(b"PAR1 this is not a footer PAR1")
    with pytest.raises(SourceError) as caught:
        rows(workspace)
    assert says in str(caught.value)
    assert "[sources.s]" in str(caught.value)
    assert not (workspace.root / "out.csv").exists()


def test_a_parquet_file_cut_short_is_named(company: Company) -> None:
    workspace = company(source("SELECT * FROM 'cut.parquet'"))
    path = workspace.root / "cut.parquet"
    pq.write_table(pa.table({"x": list(range(10_000))}), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SourceError, match=r"cut\.parquet"):
        rows(workspace)


def test_a_sheet_that_is_not_in_the_book_is_named_beside_those_that_are(company: Company) -> None:
    import xlsxwriter

    workspace = company(source("SELECT * FROM read_excel('book.xlsx', 'Machine')"))
    book = xlsxwriter.Workbook(str(workspace.root / "book.xlsx"))
    book.add_worksheet("Machines")
    book.close()
    with pytest.raises(SourceError, match=r"no sheet 'Machine'.*Machines"):
        rows(workspace)


def test_variables_are_taken_from_the_environment_and_named_when_missing(
    company: Company, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere.csv").write_text("x\n7\n")
    workspace = company(source("SELECT * FROM '${PLACE}/elsewhere.csv'"))
    with pytest.raises(ConfigError, match="PLACE is not set"):
        rows(workspace)
    monkeypatch.setenv("PLACE", str(tmp_path))
    assert rows(workspace) == [{"x": 7}]


def test_the_value_of_a_variable_is_never_shown(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "s3cr3t-t0ken")
    workspace = company(source("SELECT * FROM 'data/${TOKEN}/x.parquet'"))
    with pytest.raises(SourceError) as caught:
        rows(workspace)
    assert "s3cr3t" not in str(caught.value)
    assert "${TOKEN}" in str(caught.value)


@pytest.fixture
def sqlite(company: Company) -> Callable[..., Workspace]:
    """A company whose tables lie in SQLite."""

    def connect(script: str, query: str, more: str = "") -> Workspace:
        workspace = company('[connections.db]\nurl = "sqlite:///${SQLITE_FILE}"\n' + source(query, more, "db"))
        with sqlite3.connect(workspace.root / "data.db") as con:
            con.executescript(script)
        return workspace

    return connect


@pytest.fixture(autouse=True)
def _sqlite_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQLITE_FILE", str(tmp_path / "company" / "data.db"))


def test_a_database_is_read_in_its_own_sql(sqlite: Callable[..., Workspace]) -> None:
    script = """CREATE TABLE t (id INTEGER, name TEXT, at TEXT);
        INSERT INTO t VALUES (1, 'a:b', '2024-01-01 10:00:00'), (2, NULL, NULL);"""
    workspace = sqlite(script, "SELECT id, name, at, group_concat(name) OVER () AS n, 'x:y' AS s FROM t ORDER BY id")
    assert rows(workspace) == [
        {"id": 1, "name": "a:b", "at": "2024-01-01 10:00:00", "n": "a:b", "s": "x:y"},
        {"id": 2, "name": None, "at": None, "n": "a:b", "s": "x:y"},
    ]


def test_a_column_of_mixed_kinds_is_kept_as_text(sqlite: Callable[..., Workspace]) -> None:
    workspace = sqlite("CREATE TABLE t (v); INSERT INTO t VALUES (1.5), ('n/a'), (NULL), (x'00ff');", "SELECT v FROM t")
    assert [row["v"] for row in rows(workspace)] == ["1.5", "n/a", None, "00ff"]


@pytest.mark.parametrize(
    ("watermark", "seen"),
    [(2, [2, 3, None]), (datetime(2024, 1, 5, tzinfo=UTC), []), (datetime(2024, 1, 2, tzinfo=UTC), [1, 2, 3, None])],
)
def test_only_rows_at_or_after_the_watermark_and_those_without_are_asked_for(
    sqlite: Callable[..., Workspace], watermark: int | datetime, seen: list[int | None]
) -> None:
    script = """CREATE TABLE t (n INTEGER, at TEXT); INSERT INTO t VALUES (1, '2024-01-01T00:00:00'),
        (2, '2024-01-01T09:00:00'), (3, '2024-01-01T10:00:00'), (NULL, '2024-01-01T11:00:00');"""
    workspace = sqlite(script, "SELECT * FROM t ORDER BY at")
    column = "n" if isinstance(watermark, int) else "at"
    assert [row["n"] for row in rows(workspace, since=Since(column, watermark))] == seen


def test_the_watermark_of_files_is_pushed_into_the_query_with_an_overlap(company: Company) -> None:
    files = {"a": "n,at\n1,2024-01-01 09:00:00\n2,2024-01-01 11:30:00\n3,2024-01-01 12:00:00\n4,"}
    workspace = company(source("SELECT * FROM 'a.csv'", 'zone = "UTC"'), **files)
    since = Since("at", datetime(2024, 1, 1, 12, tzinfo=UTC))
    assert [row["n"] for row in rows(workspace, since=since)] == [2, 3, 4]
    local = company(source("SELECT * FROM 'a.csv'", 'zone = "Asia/Shanghai"'))  # 12:00 there is 04:00 UTC
    since = Since("at", datetime(2024, 1, 1, 4, tzinfo=UTC))
    assert [row["n"] for row in rows(local, since=since)] == [2, 3, 4]


def test_a_watermark_column_that_the_query_lost_is_named(company: Company) -> None:
    workspace = company(source("SELECT * FROM 'a.csv'"), a="x\n1")
    with pytest.raises(SourceError, match=r"no column 'changed_at'.*x"):
        rows(workspace, since=Since("changed_at", 5))


def test_an_unreachable_database_is_named_without_its_password(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_PASSWORD", "hunter2hunter2")
    toml = '[connections.crm]\nurl = "postgresql://reader:${DB_PASSWORD}@127.0.0.1:1/crm"\n'
    with pytest.raises(SourceError) as caught:
        rows(company(toml + source("SELECT 1", connection="crm")))
    assert "cannot be reached" in str(caught.value)
    assert "[connections.crm]" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "says"),
    [("nonsense", "not a database URL"), ("orakel://x/y", "no dialect"), ("mssql+pyodbc://x/y", "not installed")],
)
def test_a_url_that_cannot_be_meant_is_a_setting_to_correct(company: Company, url: str, says: str) -> None:
    toml = f'[connections.crm]\nurl = "{url}"\n'
    with pytest.raises(ConfigError, match=says):
        rows(company(toml + source("SELECT 1", connection="crm")))


def test_an_error_of_the_database_names_the_query(sqlite: Callable[..., Workspace]) -> None:
    with pytest.raises(SourceError, match=r"\[sources.s\] query.*no such column: absent"):
        rows(sqlite("CREATE TABLE t (x);", "SELECT absent FROM t"))
