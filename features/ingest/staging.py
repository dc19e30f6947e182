"""The staging folder of one source: what it returned, and what became of it, as Parquet and views.

========== =========================================================================
view       rows
========== =========================================================================
raw        as the source returned them
canonical  canonical columns, with reason codes where refused or spoilt
good       those that were not refused
judged     the good ones with their verdicts, see :mod:`features.ingest.merging`
========== =========================================================================

Every step streams from one file into the next, so memory is bounded by DuckDB's limit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from features.config import Config
from features.errors import ConfigError, nearest
from features.ingest.canonical import canonical_sql, long_rules, typed_columns, typed_sql
from features.ingest.casting import Cast
from features.ingest.hints import mixed_stamps, near_misses, unknown_zones
from features.ingest.loads import Load, check_columns, extra_columns
from features.ingest.merging import Batch, judge_facts, judge_versions, single_sql
from features.sources import Since, read
from features.tables import BOOKKEEPING, TABLES, Table
from features.validation.rules import RowRule, row_rules
from features.workspace import Snapshot, Workspace, ident, quote, readable

if TYPE_CHECKING:
    import duckdb

__all__ = ["Staged", "judge", "make_canonical", "stage", "whole"]

Say = Callable[[str], None]
REPORT_EVERY = 1_000_000
"""Rows between two lines of progress."""


@dataclass(frozen=True)
class Staged:
    """What a source returned: how many rows, and all its columns."""

    folder: Path
    count: int
    columns: tuple[str, ...]


def stage(workspace: Workspace, name: str, since: Since | None, folder: Path, say: Say) -> Staged:
    """Copy the source's rows to Parquet, one file per batch."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir()
    count, told, columns = 0, 0, dict[str, None]()
    for number, rows in enumerate(read(workspace, name, since)):
        columns |= dict.fromkeys(rows.column_names)
        filled = rows.select([f.name for f in rows.schema if not pa.types.is_null(f.type)])
        if filled.num_columns and (rows.num_rows or number == 0):
            pq.write_table(filled, folder / f"raw-{number:06d}.parquet", compression="snappy")
        count += rows.num_rows
        if count - told >= REPORT_EVERY:
            told = count
            say(f"  {name}: {count:,} rows read")
    return Staged(folder, count, tuple(columns))


def open_raw(con: duckdb.DuckDBPyConnection, staged: Staged) -> dict[str, str]:
    """Make the view ``raw``; returns DuckDB's type by column. A column without any value has the type ``NULL``."""
    files = f"read_parquet({quote(str(staged.folder / 'raw-*.parquet'))}, union_by_name = true)"
    found = {}
    if any(staged.folder.glob("raw-*.parquet")):
        found = {str(row[0]): str(row[1]) for row in con.execute(f"DESCRIBE FROM {files}").fetchall()}
    types = {name: found.get(name, "NULL") for name in staged.columns}
    chosen = ", ".join(ident(n) if n in found else f"CAST(NULL AS VARCHAR) AS {ident(n)}" for n in types)
    con.execute(f"CREATE VIEW raw AS SELECT {chosen} FROM {files if found else '(SELECT 1 WHERE false)'}")
    return types


def make_canonical(
    con: duckdb.DuckDBPyConnection, config: Config, load: Load, staged: Staged, *, replaces: bool, say: Say
) -> Batch:
    """Make the views ``canonical`` and ``good``.

    Raises
    ------
    ConfigError, DataError
        Columns are missing, unknown or cannot be read.
    """
    import duckdb

    check_columns(load)
    load = replace(load, mixed=mixed_stamps(con, load, say))
    extras = extra_columns(load, config.channels)
    casts = typed_columns(load, extras)
    rules = _applicable(con, load, casts, row_rules(load.table, config, now=load.start), say)
    try:
        _view(con, staged, "canonical", canonical_sql(load, casts, (*rules, *_long(load, config))))
    except duckdb.Error:
        _blame(con, load, casts, rules)
        raise
    if load.source.form == "long":
        extras = _pivot(con, load, config, staged)
    else:
        near_misses(load, extras, say)
    unknown_zones(con, load, say)
    table = TABLES[load.source.table]
    silent = _silent_channels(table, load, extras)
    nulls = "".join(f", CAST(NULL AS DOUBLE) AS {ident(name)}" for name in silent)
    con.execute(f"CREATE VIEW good AS SELECT *{nulls} FROM canonical WHERE _refused IS NULL")
    content = (*table.names, *extras, *silent)
    return Batch(
        table, load.name, content, load.source.corrections, load.clocked, load.stamped, _parted(load), replaces
    )  # fmt: skip


def _parted(load: Load) -> bool:
    """Channels of one instant that became known apart are stored apart; a correction rewrites them all."""
    return load.source.form == "long" and not load.source.corrections


def _long(load: Load, config: Config) -> tuple[RowRule, ...]:
    return long_rules(config.channels) if load.source.form == "long" else ()


def _view(con: duckdb.DuckDBPyConnection, staged: Staged, name: str, sql: str) -> None:
    """Evaluate `sql` into a file and make it a view."""
    path = quote(str(staged.folder / f"{name}.parquet"))
    con.execute(f"COPY ({sql}) TO {path} (FORMAT parquet, COMPRESSION snappy)")
    con.execute(f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM read_parquet({path})")


def _applicable(
    con: duckdb.DuckDBPyConnection, load: Load, casts: tuple[Cast, ...], rules: tuple[RowRule, ...], say: Say
) -> list[RowRule]:
    """All rules but the company's own that read a column which this source does not deliver."""
    import duckdb

    chosen = []
    for rule in rules:
        try:
            if not rule.columns:
                con.execute(f"DESCRIBE SELECT 1 FROM ({typed_sql(load, casts)}) WHERE {rule.where}").fetchall()
            chosen.append(rule)
        except duckdb.BinderException as error:
            say(f"  {load.name}: the rule '{rule.code}' is not applied: {str(error).splitlines()[0]}")
        except duckdb.Error as error:
            raise ConfigError(
                str(error).partition("\n")[0], where=f"foremend.toml [[rules]] {rule.code}", todo="Correct `where`"
            ) from error
    return chosen


def _blame(con: duckdb.DuckDBPyConnection, load: Load, casts: tuple[Cast, ...], rules: list[RowRule]) -> None:
    """Stop at the company's own rule that fails on some row, where it was one.

    Raises
    ------
    ConfigError
        It names the rule.
    """
    import duckdb

    for rule in (rule for rule in rules if not rule.columns):
        try:
            whole(con, f"SELECT count(*) FROM ({typed_sql(load, casts)}) WHERE {rule.where}")
        except duckdb.Error as error:
            raise ConfigError(
                str(error).partition("\n")[0], where=f"foremend.toml [[rules]] {rule.code}",
                expected="a predicate that can be asked of every row", todo="Correct `where`, e.g. with TRY_CAST",
            ) from error  # fmt: skip


def _silent_channels(table: Table, load: Load, extras: tuple[str, ...]) -> tuple[str, ...]:
    """Channels that the table holds and this batch does not say: a row that it completes keeps them."""
    known = {*table.names, *BOOKKEEPING, "month", *extras}
    return tuple(name for name in load.stored if name not in known) if table.wide else ()


def _pivot(con: duckdb.DuckDBPyConnection, load: Load, config: Config, staged: Staged) -> tuple[str, ...]:
    """Replace long canonical rows by wide ones; rows that were refused or spoilt stay as they came.

    Raises
    ------
    ConfigError
        A channel is not declared.
    """
    con.execute("CREATE VIEW long_good AS SELECT * FROM canonical WHERE _row IS NULL")
    found = [str(row[0]) for row in con.execute("SELECT DISTINCT channel FROM long_good ORDER BY 1").fetchall()]
    unknown = [name for name in found if name not in config.channels]
    if unknown:
        raise ConfigError(
            f"the channel '{unknown[0]}' is not declared", where=load.where,
            todo=f"{nearest(unknown[0], config.channels)} Else declare [channels.{unknown[0]}]",
        )  # fmt: skip
    key = ("asset_id", "event_time", "channel")
    _view(con, staged, "long", single_sql("long_good", key, (*key, "value"), "known_at"))
    _view(con, staged, "wide", _wide_sql(found, "known_at" if _parted(load) else "max(known_at)"))
    con.execute("CREATE OR REPLACE VIEW canonical AS SELECT * FROM wide")
    return tuple(found)


def _wide_sql(channels: list[str], known_at: str) -> str:
    """SQL: long readings as one row per asset, instant and time of knowing; after them those that were refused, as they came."""
    columns = "".join(f"max(value) FILTER (channel = {quote(c)}) AS {ident(c)}, " for c in channels)
    twin = "asset_id := asset_id, event_time := event_time, channel := channel, value := value"
    return (
        f"SELECT asset_id, event_time, {columns}{known_at} AS known_at, max(_changed) AS _changed, "
        f"CAST(NULL AS VARCHAR) AS _refused, CAST(NULL AS VARCHAR) AS _spoilt, CAST(NULL AS VARCHAR) AS _row "
        f"FROM long WHERE _twin IS NULL GROUP BY ALL "
        f"UNION ALL BY NAME "
        f"SELECT asset_id, event_time, _changed, concat_ws(',', _refused, _spoilt) AS _refused, _places, _row "
        f"FROM canonical WHERE _row IS NOT NULL "
        f"UNION ALL BY NAME "
        f"SELECT asset_id, event_time, _changed, _twin AS _refused, "
        f"CAST(to_json(struct_pack({twin})) AS VARCHAR) AS _row FROM long WHERE _twin IS NOT NULL"
    )


def judge(con: duckdb.DuckDBPyConnection, snapshot: Snapshot, batch: Batch, staged: Staged) -> None:
    """Make the view ``judged``: every good row with its verdict."""
    if batch.table.kind == "fact":
        months = con.execute("SELECT DISTINCT strftime(event_time, '%Y-%m') FROM good ORDER BY 1").fetchall()
        chosen = tuple(str(row[0]) for row in months)
        _view(con, staged, "judged", judge_facts(snapshot, batch, chosen))
        if batch.table.wide and whole(con, "SELECT (FROM (SELECT count(*) FROM judged)) - count(*) FROM good"):
            _view(con, staged, "judged", judge_facts(snapshot, batch, chosen, in_parts=True))  # costs a GROUP BY
    else:
        _view(con, staged, "judged", judge_versions(snapshot, batch))


def whole(con: duckdb.DuckDBPyConnection, sql: str) -> int | None:
    """The one whole number that a query returns; DuckDB wants every result fetched to its end."""
    ((value,),) = con.execute(sql).fetchall()
    return None if value is None else int(value)


def stored_types(con: duckdb.DuckDBPyConnection, snapshot: Snapshot, table: str) -> Mapping[str, str]:
    """DuckDB type by column of what a table holds; empty where it does not exist."""
    if table not in snapshot.tables:
        return {}
    with readable(snapshot.workspace.table_path(table)):
        rows = con.execute(f"DESCRIBE {snapshot.relation(table)}").fetchall()
    return {str(row[0]): str(row[1]) for row in rows}
