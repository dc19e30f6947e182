"""What a commit of ``ingest`` carries: rows, and the state of the source that delivered them.

A source's watermark, the fingerprint of its meaning and the instant of its last rebuild are
Delta application transactions of the very commit that holds its rows, so that state and rows can
never part, whenever the process dies.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from features.config import Source
from features.errors import WorkspaceError
from features.tables import TABLES
from features.workspace import Snapshot, Workspace, quote

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import CommitProperties, DeltaTable

__all__ = [
    "State",
    "Write",
    "check_same_meaning",
    "commit",
    "homes",
    "recorded",
    "recorded_watermark",
    "stale_since",
    "withdraw",
]

MEANING = ("table", "query", "connection", "system", "zone", "delay_hours", "known_at", "form")
"""What a fingerprint is made of; see :meth:`features.config.Source.fingerprint`."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class State:
    """What the last commit of a source left in a table.

    Attributes
    ----------
    fingerprint
        As a 60-bit number.
    watermark
        Largest value of the change column that was read.
    """

    fingerprint: int
    watermark: datetime | int | None


@dataclass(frozen=True)
class Write:
    """One commit of one source.

    Attributes
    ----------
    predicate
        Stored rows that it replaces, as Delta's SQL; empty appends.
    rebuilt
        All rows of the source are replaced: what was made from them is stale.
    """

    source: str
    watermark: datetime | int | None
    predicate: str = ""
    rebuilt: bool = False


def fingerprint(source: Source) -> int:
    """The fingerprint as Delta can keep it: its first 60 bits."""
    return int(source.fingerprint()[:15], 16)


def recorded(snapshot: Snapshot, name: str) -> State | None:
    """What is recorded of a source in the table that it fills, or None where it never wrote."""
    source = snapshot.workspace.config.sources[name]
    delta = snapshot.tables.get(source.table)
    mark = delta.transaction_version(f"source:{name}:fingerprint") if delta else None
    if delta is None or not mark:
        return None
    marks = {stamped: delta.transaction_version(_watermark_mark(name, source, stamped)) for stamped in (True, False)}
    stamped = marks[True] is not None
    return State(mark, recorded_watermark(marks[stamped], stamped=stamped))


def recorded_watermark(value: int | None, *, stamped: bool) -> datetime | int | None:
    """A change column's value as it is meant: microseconds since 1970 where it is `stamped`, else the number."""
    return value if value is None or not stamped else EPOCH + timedelta(microseconds=value)


def _watermark_mark(name: str, source: Source, stamped: bool) -> str:
    """Named by column and kind, so that another change column starts from the beginning."""
    return f"source:{name}:watermark:{source.change_column}:{'instant' if stamped else 'number'}"


def homes(snapshot: Snapshot, name: str) -> tuple[str, ...]:
    """The tables that hold rows of a source: more than its own where it was re-mapped to another."""
    mark = f"source:{name}:fingerprint"
    return tuple(table for table in TABLES if (d := snapshot.tables.get(table)) and d.transaction_version(mark))


def check_same_meaning(snapshot: Snapshot, name: str) -> None:
    """Stop where a source was re-mapped since its rows were committed.

    Raises
    ------
    WorkspaceError
        It names what changed.
    """
    source = snapshot.workspace.config.sources[name]
    for table in homes(snapshot, name):
        delta = snapshot.tables[table]
        if table != source.table or delta.transaction_version(f"source:{name}:fingerprint") != fingerprint(source):
            raise WorkspaceError(
                f"its rows in {table} were read with {_difference(delta, name, source)}",
                where=f"foremend.toml [sources.{name}]",
                todo=f"Run `foremend ingest --rebuild {name}` to replace them (features, labels and models made from "
                "them become stale), or take the change back",
            )


def _difference(delta: DeltaTable, name: str, source: Source) -> str:
    for entry in delta.history():
        note = json.loads(entry.get("foremend") or "{}")
        if note.get("source") == name and "meaning" in note:
            before = note["meaning"]
            changed = [key for key in MEANING if before.get(key) != getattr(source, key)]
            values = [k if k == "query" else f"{k} = {before.get(k)!r} (now {getattr(source, k)!r})" for k in changed]
            return f"another {', '.join(values)}" if values else "other settings"
    return "other settings"


def commit(workspace: Workspace, write: Write, rows: pa.RecordBatchReader | None) -> int:
    """Commit rows and state at once; returns the table's version.

    Parameters
    ----------
    rows
        None moves only the state of a source that has written before.
    """
    from deltalake import WriterProperties, write_deltalake

    source = workspace.config.sources[write.source]
    delta, parts = workspace.delta(source.table), ["month"] if TABLES[source.table].kind == "fact" else None
    properties = _properties(write, source)
    if rows is None:
        if delta is not None:
            delta.create_write_transaction([], "append", delta.schema(), parts, commit_properties=properties)
    else:
        how: dict[str, Any] = {"mode": "append"}
        if write.predicate and delta is not None:
            how = {"mode": "overwrite", "predicate": write.predicate}
        write_deltalake(
            str(workspace.table_path(source.table)), rows, partition_by=parts, schema_mode="merge",
            writer_properties=WriterProperties(compression="ZSTD", max_row_group_size=250_000),
            commit_properties=properties, **how,
        )  # fmt: skip
    after = workspace.delta(source.table)
    return after.version() if after else 0


def withdraw(workspace: Workspace, table: str, name: str) -> None:
    """Take the rows of a source out of a table that it no longer fills, with its state."""
    from deltalake import CommitProperties, Transaction

    delta = workspace.delta(table)
    if delta is not None:
        properties = CommitProperties(app_transactions=[Transaction(f"source:{name}:fingerprint", 0)])
        delta.delete(source_is(name), commit_properties=properties)


def _properties(write: Write, source: Source) -> CommitProperties:
    from deltalake import CommitProperties, Transaction

    name = write.source
    marks = {f"source:{name}:fingerprint": fingerprint(source)}
    if write.watermark is not None:
        stamped = isinstance(write.watermark, datetime)
        marks[_watermark_mark(name, source, stamped)] = _microseconds(write.watermark)
    if write.rebuilt:
        marks[f"source:{name}:rebuilt"] = _microseconds(datetime.now(UTC))
    note = {"source": name, "meaning": {key: getattr(source, key) for key in MEANING}, "rebuilt": write.rebuilt}
    transactions = [Transaction(mark, value) for mark, value in marks.items()]
    return CommitProperties(custom_metadata={"foremend": json.dumps(note)}, app_transactions=transactions)


def _microseconds(value: datetime | int) -> int:
    return value if isinstance(value, int) else (value - EPOCH) // timedelta(microseconds=1)


def stale_since(snapshot: Snapshot) -> Mapping[str, datetime]:
    """When sources were rebuilt: whatever was made from their rows before that instant is stale.

    Returns
    -------
    Mapping
        Instant (UTC, real time) by source, for sources that were ever rebuilt.
    """
    found = {}
    for name, source in snapshot.workspace.config.sources.items():
        delta = snapshot.tables.get(source.table)
        moment = delta.transaction_version(f"source:{name}:rebuilt") if delta else None
        if moment:
            found[name] = EPOCH + timedelta(microseconds=moment)
    return found


def source_is(name: str) -> str:
    """Delta predicate for the rows of a source."""
    return f"source = {quote(name)}"
