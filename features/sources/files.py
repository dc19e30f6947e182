"""Files as sources: DuckDB SQL over CSV, Parquet, JSON, globs, and Excel through calamine.

Read incrementally, a source is asked again for the hour (the day, where stamps are text) before
its watermark: a transaction may commit after a later one, and local hours repeat in autumn. Rows
that were there already are recognised by ingest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

from features.config import Source
from features.errors import DataError, SourceError
from features.sources.batches import BATCH_ROWS, OVERLAP, TEXT_OVERLAP, Since
from features.sources.messages import in_one_line, mask
from features.sources.values import arrow_table
from features.workspace import Workspace, duck, ident, quote

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

__all__ = ["read_files"]

_GUESSES = re.compile(r"csv|tsv|txt|json|timestamptz|with time zone", re.IGNORECASE)
"""Queries in which a stamp's zone may be the session's; elsewhere the file says it for the whole column."""
_EXCEL = re.compile(r"\bread_excel\s*\(\s*'((?:[^']|'')+)'\s*(?:,\s*'((?:[^']|'')+)'\s*)?\)", re.IGNORECASE)


def read_files(workspace: Workspace, query: str, source: Source, since: Since | None, where: str) -> Iterator[pa.Table]:
    """Run a query over files; see :func:`features.sources.read`."""
    with _translated(source, where), duck(workspace.root / "tmp") as con:
        con.execute(f"SET file_search_path = {quote(str(workspace.root))}")
        con.execute(f"SET TimeZone = {quote(source.zone or 'UTC')}")
        query = _excel(con, query, workspace.root, where)
        _only_a_select(con, query, where)
        if not source.zone:
            _no_zone_is_guessed(con, query, where)
        yield from _batches(con.sql(_newer(con, query, since, where) if since else query))


def _batches(result: duckdb.DuckDBPyRelation) -> Iterator[pa.Table]:
    import pyarrow as pa

    reader = result.to_arrow_reader(BATCH_ROWS)
    yield reader.schema.empty_table()
    for batch in reader:
        yield pa.Table.from_batches([batch])


def _only_a_select(con: duckdb.DuckDBPyConnection, query: str, where: str) -> None:
    """Refuse anything but one SELECT: INSTALL would download, COPY would write."""
    import duckdb

    statements = con.extract_statements(query)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        kinds = ", ".join(statement.type.name for statement in statements) or "nothing"
        raise SourceError(f"the query holds {kinds}", expected="one SELECT", where=where)


def _no_zone_is_guessed(con: duckdb.DuckDBPyConnection, query: str, where: str) -> None:
    """Refuse stamps that DuckDB read in the session's zone, because they carry none and none is declared.

    Among stamps with a zone, or cast to TIMESTAMPTZ, it takes the session's zone for the others in silence. Asked
    again 14 hours further east, those alone move.

    Raises
    ------
    DataError
        It names the column, and how many of its stamps moved.
    """
    if not _GUESSES.search(query):
        return
    described = con.execute(f"DESCRIBE {query}").fetchall()
    names = [str(row[0]) for row in described if str(row[1]) == "TIMESTAMP WITH TIME ZONE"]
    if not names:
        return
    sums = ", ".join(f"sum(epoch_us({c}) // 60000000) FILTER (isfinite({c})), count({c})" for c in map(ident, names))
    (here,) = con.execute(f"SELECT {sums} FROM ({query}\n)").fetchall()
    con.execute("SET TimeZone = 'Etc/GMT-14'")
    (east,) = con.execute(f"SELECT {sums} FROM ({query}\n)").fetchall()
    con.execute("SET TimeZone = 'UTC'")
    for name, before, after, count in zip(names, here[::2], east[::2], here[1::2], strict=True):
        moved, rest = divmod(int((before or 0) - (after or 0)), 14 * 60)
        if moved > 0 and not rest:
            raise DataError(
                f"{moved:,} of {count:,} stamps of '{name}' carry no zone", where=f"{where} query",
                expected="stamps with a zone, or `zone` declared for the source",
                todo='Declare the zone that they are meant in, e.g. zone = "Asia/Shanghai"',
            )  # fmt: skip


def _newer(con: duckdb.DuckDBPyConnection, query: str, since: Since, where: str) -> str:
    described = con.execute(f"DESCRIBE {query}").fetchall()
    types = {str(row[0]).casefold(): str(row[1]) for row in described}
    if since.column.casefold() not in types:
        raise SourceError(
            f"the query has no column '{since.column}'", where=f"{where} change_column",
            expected=f"one of {', '.join(types)}",
        )  # fmt: skip
    column = ident(since.column)
    if isinstance(since.value, int):
        condition = f"try_cast({column} AS BIGINT) >= {since.value}"
    else:
        text = types[since.column.casefold()] == "VARCHAR"
        start = since.value - (TEXT_OVERLAP if text else OVERLAP)
        condition = f"try_cast({column} AS TIMESTAMPTZ) >= TIMESTAMPTZ {quote(start.astimezone(UTC).isoformat())}"
    return f"SELECT * FROM ({query}\n) WHERE {condition} OR {column} IS NULL"


def _excel(con: duckdb.DuckDBPyConnection, query: str, root: Path, where: str) -> str:
    """Register every sheet that the query names and put the table's name in its place."""

    def register(match: re.Match[str]) -> str:
        path, sheet = (part.replace("''", "'") if part else part for part in match.groups())
        name = f"foremend_sheet_{match.start()}"
        con.register(name, _sheet(root / path, sheet, where))
        return name

    return _EXCEL.sub(register, query)


def _sheet(path: Path, sheet: str | None, where: str) -> pa.Table:
    """One sheet as Arrow; its first row that is not empty names the columns.

    Excel keeps every number as a float, so whole ones are read as integers: an id stays ``1204``.
    """
    import python_calamine

    try:
        book = python_calamine.CalamineWorkbook.from_path(str(path))
        found = book.get_sheet_by_name(sheet) if sheet else book.get_sheet_by_index(0)
    except python_calamine.WorksheetNotFound:
        raise SourceError(
            f"no sheet '{sheet}'", where=f"{where} {path.name}", expected=f"one of {', '.join(book.sheet_names)}"
        ) from None
    except FileNotFoundError:
        raise SourceError(f"no such file: {path}", where=where) from None
    except (python_calamine.CalamineError, OSError) as error:
        raise SourceError(f"{path.name} cannot be read as Excel: {error}", where=where) from error
    rows = found.to_python(skip_empty_area=True)
    if not rows:
        raise SourceError("the sheet is empty", where=f"{where} {path.name}", expected="a row of column names")
    return arrow_table([str(cell).strip() for cell in rows[0]], [_cells(row) for row in rows[1:]])


def _cells(row: Sequence[object]) -> list[object]:
    return [
        None if cell == "" else int(cell) if isinstance(cell, float) and cell.is_integer() else cell for cell in row
    ]


@contextmanager
def _translated(source: Source, where: str) -> Iterator[None]:
    """Turn DuckDB's errors into ours."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        if "No space left on device" in str(error):
            raise
        text = mask(in_one_line(error), source.query)
        raise SourceError(text, where=f"{where} query", todo=_advice(error, text)) from error


def _advice(error: Exception, text: str) -> str:
    import duckdb

    if "No files found" in text:
        return "Check the path and the variables in it; it is relative to the workspace's folder"
    if "not utf-8" in text:
        return "Save the file as UTF-8, e.g. iconv -f GB18030 -t UTF-8 old.csv > new.csv"
    if isinstance(error, duckdb.ConversionException):
        return "Mend the value, or read it with TRY_CAST, which gives NULL"
    if isinstance(error, duckdb.ParserException | duckdb.BinderException | duckdb.CatalogException):
        return "Correct the query"
    return "Check that the file is whole and of the kind that its name says"
