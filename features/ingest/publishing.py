"""The last step of an ingest: what was set aside to the quarantine, then one commit with rows and state."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from features.ingest.commits import State, Write, commit, homes, recorded_watermark, withdraw
from features.ingest.merging import NEWS, Batch, months_are, rows_kept, rows_to_write, tombstones
from features.ingest.quarantine import Why, set_aside
from features.ingest.staging import whole
from features.workspace import Snapshot, ident, quote

if TYPE_CHECKING:
    import duckdb

__all__ = ["Judged", "Published", "publish"]


@dataclass(frozen=True)
class Judged:
    """A source's batch whose every row has its verdict (views ``canonical`` and ``judged`` of `con`).

    Attributes
    ----------
    snapshot
        What it was compared with.
    state
        What the source left the last time; None on a first load and on a rebuild.
    start
        The workspace's clock when the ingest began.
    """

    con: duckdb.DuckDBPyConnection
    snapshot: Snapshot
    batch: Batch
    state: State | None
    start: datetime

    @property
    def name(self) -> str:
        """The source."""
        return self.batch.source

    def count(self, verdicts: str) -> int:
        """How many rows have one of the verdicts (SQL list)."""
        return whole(self.con, f"SELECT count(*) FROM judged WHERE _verdict IN {verdicts}") or 0

    def version(self) -> int | None:
        """The table's version that the batch was compared with."""
        delta = self.snapshot.tables.get(self.batch.table.name)
        return delta.version() if delta else None


@dataclass(frozen=True)
class Published:
    """What became of a batch; see :class:`features.ingest.Ingested`."""

    written: int
    quarantined: int
    unchanged: int
    version: int | None
    reasons: tuple[Why, ...]


def publish(judged: Judged, *, dry_run: bool) -> Published:
    """Write the quarantine, then commit the news with the source's state.

    Parameters
    ----------
    dry_run
        Count what would be written.
    """
    committed = _instant(datetime.now(UTC))
    aside = set_aside(judged.con, judged.snapshot.workspace, judged.batch, committed, dry_run=dry_run)
    news = _news(judged, committed)
    written = whole(judged.con, f"SELECT count(*) FROM ({news})") or 0
    same = judged.count("('same')") + aside.known
    version = judged.version() if dry_run else _commit(judged, news if written else "")
    return Published(written, aside.new, same, version, aside.reasons)


def _instant(at: datetime) -> str:
    return f"TIMESTAMPTZ {quote(at.isoformat())}"


def _news(judged: Judged, committed: str) -> str:
    """SQL of the rows to add: facts, versions, tombstones."""
    sql = rows_to_write(judged.batch, committed)
    if judged.snapshot.workspace.config.sources[judged.name].full and judged.state is not None:
        gone = tombstones(judged.snapshot, judged.batch, committed, _instant(judged.start))
        sql += f" UNION ALL BY NAME {gone}"
    return sql


def _commit(judged: Judged, news: str) -> int | None:
    """Commit, where there is something to; returns the table's version."""
    workspace, batch, state = judged.snapshot.workspace, judged.batch, judged.state
    mark = recorded_watermark(whole(judged.con, "SELECT max(_changed) FROM canonical"), stamped=batch.stamped)
    version = judged.version()
    write = Write(batch.source, mark, batch.mine if batch.replaces else "", rebuilt=batch.replaces)
    if news:
        version = _commit_rows(judged, write, news)
    elif state is not None and mark is not None and mark != state.watermark:
        version = commit(workspace, write, None)
    for table in homes(workspace.pin(), batch.source) if batch.replaces else ():
        if table != batch.table.name:
            withdraw(workspace, table, batch.source)
    return version


def _commit_rows(judged: Judged, write: Write, news: str) -> int:
    batch = judged.batch
    months = _rewritten(judged)
    if months:
        news += f" UNION ALL BY NAME {rows_kept(judged.snapshot, batch, months)}"
        write = replace(write, predicate=months_are(months))
    order = f"month, {ident(batch.table.entity)}, event_time" if batch.table.kind == "fact" else "event_time"
    rows = judged.con.sql(f"SELECT * FROM ({news}) ORDER BY {order}")
    return commit(judged.snapshot.workspace, write, rows.to_arrow_reader(100_000))


def _rewritten(judged: Judged) -> tuple[str, ...]:
    """All months of the news, where one of them replaces a stored row; else none, and the news are appended."""
    if judged.batch.table.kind != "fact" or not judged.count("('changed')"):
        return ()
    months = f"SELECT DISTINCT strftime(event_time, '%Y-%m') FROM judged WHERE _verdict IN {NEWS} ORDER BY 1"
    return tuple(str(row[0]) for row in judged.con.execute(months).fetchall())
