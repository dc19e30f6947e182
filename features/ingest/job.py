"""``ingest``: the only writer of the canonical tables.

For every source: read → stage as Parquet → canonical rows → verdicts against what is stored →
bad rows to quarantine → one Delta commit with the rows and the source's state. Killed at any
instant it loses nothing that was committed, and run again it doubles nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import ConfigError, DataError, SourceError, UserError, WorkspaceError, nearest
from features.ingest.commits import State, check_same_meaning, recorded
from features.ingest.loads import Load, check_options
from features.ingest.publishing import Judged, publish
from features.ingest.quarantine import Why
from features.ingest.staging import Staged, judge, make_canonical, open_raw, stage, stored_types, whole
from features.ingest.sweeping import sweep
from features.sources import Since
from features.validation.reasons import reason
from features.wording import AsIs
from features.workspace import Snapshot, Workspace, duck

if TYPE_CHECKING:
    import duckdb

__all__ = ["Ingested", "ingest"]

Say = Callable[[str], None]
MEMORY_LIMIT = "2GiB"
"""What a step may hold; sorts and joins beyond it go through the staging folder."""


@dataclass(frozen=True)
class Ingested:
    """What one source brought.

    Attributes
    ----------
    read
        Rows that the source returned.
    written
        Rows committed to `table`: facts, versions, tombstones.
    quarantined
        Rows set aside now; one that lost only a value counts here and in `written`.
    unchanged
        Rows that were known already, quarantined ones included.
    version
        The table's Delta version afterwards; None where it does not exist.
    reasons
        Why rows were set aside now, the most frequent first.
    rebuilt
        All stored rows of the source were replaced, or would have to be.
    """

    source: str
    table: str
    read: int
    written: int
    quarantined: int
    unchanged: int
    version: int | None
    seconds: float
    reasons: tuple[Why, ...] = ()
    rebuilt: bool = False


@dataclass(frozen=True)
class _Task:
    """One source in this run."""

    workspace: Workspace
    name: str
    folder: Path
    start: datetime
    rebuild: bool
    dry_run: bool
    say: Say

    @property
    def where(self) -> str:
        return f"foremend.toml [sources.{self.name}]"


def ingest(
    workspace: Workspace, names: Sequence[str] | None = None, *, rebuild: Iterable[str] = (), dry_run: bool = False,
    say: Say = lambda _: None, done: Callable[[Ingested], None] = lambda _: None,
) -> tuple[Ingested, ...]:  # fmt: skip
    """Read sources into the canonical tables.

    Parameters
    ----------
    names
        Sources to read; default all, in the order of ``foremend.toml``, or those of `rebuild`.
    rebuild
        Sources whose stored rows are replaced, in one commit each.
    dry_run
        Read and judge everything, write nothing; troubles are said, all of them, before the first is raised.
    say
        Receives lines of progress.
    done
        Receives every source's result at once: what was committed before a trouble, too.

    Raises
    ------
    ConfigError, SourceError, DataError, WorkspaceError
        The first trouble. Sources before it are committed, the one concerned is as it was.
    """
    again = frozenset(rebuild)
    chosen = _chosen(workspace, names, again)
    start = workspace.now()
    with workspace.writing("foremend ingest") as staging:
        tasks = [_Task(workspace, n, staging / n, start, n in again, dry_run, say) for n in chosen]
        return tuple(_told(_tried(tasks) if dry_run else _committed(tasks), done))


def _chosen(workspace: Workspace, names: Sequence[str] | None, rebuild: frozenset[str]) -> list[str]:
    known = workspace.config.sources
    for name in (*(names or ()), *sorted(rebuild)):
        if name not in known:
            raise ConfigError(f"no source '{name}'", where="foremend.toml [sources]", todo=nearest(name, known))
    if not known:
        raise ConfigError(
            "no source is declared", where="foremend.toml [sources]", expected="at least one [sources.NAME]",
            todo="Say where the tables come from; `foremend init` writes examples",
        )  # fmt: skip
    wanted = {*(names or ()), *rebuild} or set(known)
    return [name for name in known if name in wanted]


def _told(results: Iterator[Ingested], done: Callable[[Ingested], None]) -> Iterator[Ingested]:
    for result in results:
        done(result)
        yield result


def _committed(tasks: Sequence[_Task]) -> Iterator[Ingested]:
    """Run every task until one stops; those behind it are named."""
    for at, task in enumerate(tasks, start=1):
        try:
            result = _run(task)
        except Exception:
            if tasks[at:]:
                task.say(f"Not tried: {', '.join(t.name for t in tasks[at:])}")
            raise
        yield result


def _tried(tasks: Sequence[_Task]) -> Iterator[Ingested]:
    """Run every task; troubles are said, and counted at the end."""
    troubles = 0
    for task in tasks:
        try:
            yield _run(task)
        except UserError as error:
            troubles += 1
            task.say(AsIs(f"  {task.name}: {error}"))
    if troubles:
        raise SourceError(f"{troubles} of {len(tasks)} sources cannot be ingested as they are", todo="See above")


def _run(task: _Task) -> Ingested:
    begun, began = time.monotonic(), datetime.now(UTC)
    workspace, source = task.workspace, task.workspace.config.sources[task.name]
    task.say(f"{task.name} …")
    check_options(task.name, source)
    snapshot = workspace.pin()
    task = replace(task, rebuild=task.rebuild or _remapped(task, snapshot))
    state = None if task.rebuild else recorded(snapshot, task.name)
    staged = stage(workspace, task.name, _since(task, state), task.folder, task.say)
    with duck(task.folder / "spill") as con:
        con.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
        load = Load(
            task.name,
            source,
            state is None,
            task.start,
            open_raw(con, staged),
            stored_types(con, snapshot, source.table),
        )
        batch = make_canonical(con, workspace.config, load, staged, replaces=task.rebuild, say=task.say)
        _check_usable(con, task, staged, state)
        judge(con, snapshot, batch, staged)
        told = publish(Judged(con, snapshot, batch, state, task.start), dry_run=task.dry_run)
    for table in () if task.dry_run else (source.table, "quarantine"):
        sweep(workspace, table, began)
    seconds = time.monotonic() - begun
    return Ingested(
        task.name, source.table, staged.count, told.written, told.quarantined, told.unchanged, told.version, seconds,
        told.reasons, task.rebuild,
    )  # fmt: skip


def _remapped(task: _Task, snapshot: Snapshot) -> bool:
    """Whether a dry run judges the source as a rebuild would, because its stored rows mean something else.

    Raises
    ------
    WorkspaceError
        They do, and this is no dry run.
    """
    try:
        check_same_meaning(snapshot, task.name)
    except WorkspaceError as error:
        if not task.dry_run:
            raise
        task.say(f"  {task.name}: {error.found}: judged as a rebuild. {error.todo}")
        return True
    return False


def _since(task: _Task, state: State | None) -> Since | None:
    source = task.workspace.config.sources[task.name]
    if state is None or state.watermark is None or source.full:
        return None
    return Since(source.change_column, state.watermark)


def _check_usable(con: duckdb.DuckDBPyConnection, task: _Task, staged: Staged, state: State | None) -> None:
    """Stop before an empty answer empties a table, or a first load that no row survives.

    Raises
    ------
    DataError
        It names the reason that most rows share.
    """
    source = task.workspace.config.sources[task.name]
    if not staged.count and (task.rebuild or (source.full and state is not None)):
        raise DataError(
            "the query returns no rows, so every stored row of the source would go", where=f"{task.where} query",
            expected="at least one row", todo="Check the query; nothing was changed",
        )  # fmt: skip
    if not staged.count and state is None:
        task.say(f"  {task.name}: the query returns no rows: {source.table} gets none. Check its path and its WHERE")
    if staged.count and state is None and not whole(con, "SELECT count(*) FROM good"):
        raise _all_refused(con, task, staged)


def _all_refused(con: duckdb.DuckDBPyConnection, task: _Task, staged: Staged) -> DataError:
    ((codes, count, example),) = con.execute(
        "SELECT _refused, count(*), min(_row) FROM canonical GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1"
    ).fetchall()
    why = reason(str(codes).split(",", maxsplit=1)[0])
    return DataError(
        f"none of {staged.count:,} rows can be used; {count:,}: {why.meaning} ({codes}), e.g. {str(example)[:300]}",
        where=task.where, todo=why.advice,
    )  # fmt: skip
