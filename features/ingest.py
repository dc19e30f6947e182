"""``ingest``: the only writer of the canonical tables.

For every source: read → stage as Parquet → canonical rows → verdicts against what is stored →
bad rows to quarantine → one Delta commit with the rows and the source's state. The quarantine is
written first and knows a row by its hash, so a process killed at any instant loses nothing and,
run again, doubles nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from features.canonical import Load, canonical_sql, extra_columns, long_table, pivot_sql
from features.commits import State, Write, check_same_meaning, commit, recorded, source_is
from features.errors import ConfigError, DataError, nearest
from features.merging import REFUSED, Batch, judge_facts, judge_versions, months_of, rows_to_write, tombstones
from features.quarantine import set_aside, whole
from features.sources import Since, read
from features.tables import TABLES
from features.workspace import Snapshot, Workspace, duck, ident, quote

if TYPE_CHECKING:
    import duckdb

__all__ = ["Ingested", "ingest"]

Say = Callable[[str], None]


@dataclass(frozen=True)
class Ingested:
    """What one source brought.

    Attributes
    ----------
    read
        Rows that the source returned.
    written
        Rows committed to `table`: new facts or versions.
    quarantined
        Rows set aside now; a row with an unusable value counts here and in `written`.
    unchanged
        Rows that were here already, quarantined ones included.
    version
        The table's Delta version afterwards; None where it does not exist.
    """

    source: str
    table: str
    read: int
    written: int
    quarantined: int
    unchanged: int
    version: int | None
    seconds: float


def ingest(
    workspace: Workspace, names: Sequence[str] | None = None, *, rebuild: Iterable[str] = (),
    say: Say = lambda _: None,
) -> tuple[Ingested, ...]:  # fmt: skip
    """Read sources into the canonical tables.

    Parameters
    ----------
    names
        Sources to read; default all, in the order of ``foremend.toml``.
    rebuild
        Sources whose stored rows are replaced, in one commit each.
    say
        Receives one line per source.

    Raises
    ------
    ConfigError, SourceError, DataError, WorkspaceError
        The first trouble; sources before it are committed, the one concerned is untouched.
    """
    again = frozenset(rebuild)
    chosen = _chosen(workspace, names, again)
    start = workspace.now()
    results = []
    with workspace.writing("foremend ingest") as staging:
        for name in chosen:
            say(f"{name} → {workspace.config.sources[name].table} …")
            results.append(_ingest_source(workspace, name, staging / name, start, name in again))
    return tuple(results)


def _chosen(workspace: Workspace, names: Sequence[str] | None, rebuild: frozenset[str]) -> list[str]:
    known = workspace.config.sources
    for name in (*(names or ()), *sorted(rebuild)):
        if name not in known:
            raise ConfigError(f"no source '{name}'", where="foremend.toml [sources]", todo=nearest(name, known))
    if not known:
        raise ConfigError(
            "no source is declared", where="foremend.toml [sources]", expected="at least one [sources.NAME]",
            todo="`foremend init` writes examples into the file",
        )  # fmt: skip
    return [name for name in known if name in (names or rebuild or known)]


def _ingest_source(workspace: Workspace, name: str, staging: Path, start: datetime, rebuild: bool) -> Ingested:
    begun = time.monotonic()
    source = workspace.config.sources[name]
    delta = workspace.delta(source.table)
    state = None if rebuild else recorded(delta, name, source.change_column)
    if not rebuild:
        check_same_meaning(workspace, name)
    load = Load(name, source, state is None, start)
    staging.mkdir()
    count = _stage(workspace, load, state, staging)
    with duck(staging / "spill") as con:
        batch = _canonical(con, workspace, load, staging, rebuild)
        snapshot = workspace.pin()
        _judge(con, snapshot, batch, staging)
        aside = set_aside(con, workspace, batch, rebuild)
        written, version = _commit(con, snapshot, load, batch, state)
    unchanged = max(count - written - aside, 0)
    return Ingested(name, source.table, count, written, aside, unchanged, version, time.monotonic() - begun)


def _stage(workspace: Workspace, load: Load, state: State | None, staging: Path) -> int:
    """Copy the source's rows to Parquet, one file per batch; returns how many there are."""
    import pyarrow.parquet as pq

    count = 0
    for number, rows in enumerate(read(workspace, load.name, _since(load, state))):
        pq.write_table(rows, staging / f"raw-{number:06d}.parquet", compression="snappy")
        count += rows.num_rows
    return count


def _since(load: Load, state: State | None) -> Since | None:
    if state is None or state.watermark is None or load.source.full:
        return None
    return Since(load.source.change_column, state.watermark)


def _canonical(con: duckdb.DuckDBPyConnection, workspace: Workspace, load: Load, staging: Path, rebuild: bool) -> Batch:
    """Make the views ``canonical`` (all rows, with their reason codes) and ``good`` (those without)."""
    config, source = workspace.config, load.source
    con.execute(
        f"CREATE VIEW raw AS SELECT * FROM read_parquet({quote(str(staging / 'raw-*.parquet'))}, union_by_name = true)"
    )
    raw = {row[0]: row[1] for row in con.execute("DESCRIBE raw").fetchall()}
    table = TABLES[source.table]
    extras = extra_columns(table, load, raw, config)
    rows = staging / "canonical.parquet"
    con.execute(f"COPY ({canonical_sql(table, load, raw, config)}) TO {quote(str(rows))} (FORMAT parquet)")
    con.execute(f"CREATE VIEW canonical AS SELECT * FROM read_parquet({quote(str(rows))})")
    con.execute("CREATE VIEW good AS SELECT * FROM canonical WHERE _refused IS NULL")
    clocked = bool(source.known_at or source.change_column)
    return Batch(table, load.name, extras, source.corrections, clocked, rebuild)


def _judge(con: duckdb.DuckDBPyConnection, snapshot: Snapshot, batch: Batch, staging: Path) -> None:
    """Make the view ``judged``: every good row with its verdict."""
    if batch.table.kind == "fact":
        sql = judge_facts(snapshot, batch, months_of(con))
    else:
        sql = judge_versions(snapshot, batch)
    rows = staging / "judged.parquet"
    con.execute(f"COPY ({sql}) TO {quote(str(rows))} (FORMAT parquet)")
    con.execute(f"CREATE VIEW judged AS SELECT * FROM read_parquet({quote(str(rows))})")


def _commit(
    con: duckdb.DuckDBPyConnection, snapshot: Snapshot, load: Load, batch: Batch, state: State | None
) -> tuple[int, int | None]:
    """Commit the new rows with the source's state; returns how many and the table's version."""
    workspace = snapshot.workspace
    news = whole(con, "SELECT count(*) FROM judged WHERE _verdict IN ('new', 'merge', 'changed')") or 0
    delta = workspace.delta(batch.table.name)
    if not news:
        return 0, delta.version() if delta else None
    committed = f"TIMESTAMPTZ {quote(datetime.now(UTC).isoformat())}"
    order = f"month, {ident(batch.table.entity)}, event_time" if batch.table.kind == "fact" else "event_time"
    marked = whole(con, "SELECT max(_changed) FROM canonical")
    rows = con.sql(f"SELECT * FROM ({rows_to_write(batch, committed)}) ORDER BY {order}").to_arrow_reader(100_000)
    write = Write(load.name, marked, source_is(load.name) if batch.replaces else "", batch.replaces)
    return news, commit(workspace, write, rows)
