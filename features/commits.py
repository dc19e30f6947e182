"""What a commit of ``ingest`` carries: rows, and the state of the source that delivered them.

A source's watermark, the fingerprint of its meaning and the instant of its last rebuild are
Delta application transactions of the very commit that holds its rows, so that state and rows can
never part, whenever the process dies.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
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

__all__ = ["State", "Write", "commit", "recorded", "stale_since"]

MEANING = ("table", "query", "connection", "system", "zone", "delay_hours", "known_at", "form")
"""What a fingerprint is made of; see :meth:`features.config.Source.fingerprint`."""


@dataclass(frozen=True)
class State:
    """What the last commit of a source left in a table.

    Attributes
    ----------
    fingerprint
        As a 60-bit number; 0 where the source's rows were taken out again.
    watermark
        Largest value of the change column: whole number, or microseconds since 1970.
    """

    fingerprint: int
    watermark: int | None


@dataclass(frozen=True)
class Write:
    """One commit.

    Attributes
    ----------
    predicate
        Rows that it replaces, as Delta's SQL; empty appends.
    rebuilt
        All rows of the source are being replaced: what was made from them is stale.
    """

    source: str
    watermark: int | None
    predicate: str = ""
    rebuilt: bool = False


def fingerprint(source: Source) -> int:
    """The fingerprint as Delta can keep it: its first 60 bits."""
    return int(source.fingerprint()[:15], 16)


def recorded(delta: DeltaTable | None, name: str, column: str) -> State | None:
    """What is recorded of a source in a table, or None where it never wrote."""
    mark = delta.transaction_version(f"source:{name}:fingerprint") if delta else None
    if delta is None or not mark:
        return None
    return State(mark, delta.transaction_version(f"source:{name}:watermark:{column}") if column else None)


def check_same_meaning(workspace: Workspace, name: str) -> None:
    """Stop where a source was re-mapped since its rows were committed.

    Raises
    ------
    WorkspaceError
        It names what changed.
    """
    source = workspace.config.sources[name]
    for table in TABLES:
        delta = workspace.delta(table)
        state = recorded(delta, name, "")
        if state and delta and (table != source.table or state.fingerprint != fingerprint(source)):
            raise WorkspaceError(
                f"its rows in {table} were made with {_difference(delta, name, source)}",
                where=f"foremend.toml [sources.{name}]",
                todo=f"Run `foremend ingest --rebuild {name}` to replace them; what was made from them becomes stale",
            )


def _difference(delta: DeltaTable, name: str, source: Source) -> str:
    for entry in delta.history():
        note = json.loads(entry.get("foremend") or "{}")
        if note.get("source") == name and "meaning" in note:
            before = note["meaning"]
            changed = [key for key in MEANING if before.get(key) != getattr(source, key)]
            return "another " + ", ".join(
                key if key == "query" else f"{key} ({before.get(key)!r}, now {getattr(source, key)!r})"
                for key in changed
            )
    return "other settings"


def commit(workspace: Workspace, write: Write, rows: pa.RecordBatchReader | None) -> int:
    """Commit rows and state at once; None for `rows` moves only the state. Returns the table's version."""
    from deltalake import write_deltalake

    source = workspace.config.sources[write.source]
    table = TABLES[source.table]
    path = workspace.table_path(table.name)
    properties = _properties(write, source)
    delta = workspace.delta(table.name)
    if rows is None:
        assert delta is not None  # noqa: S101 - only a committed source has a watermark to move
        parts = ["month"] if table.kind == "fact" else None
        delta.create_write_transaction([], "append", delta.schema(), parts, commit_properties=properties)
    else:
        replaced: dict[str, Any] = {"mode": "overwrite", "predicate": write.predicate} if write.predicate else {}
        write_deltalake(
            str(path), rows, partition_by=["month"] if table.kind == "fact" else None,
            schema_mode="merge", writer_properties=_writer(), commit_properties=properties,
            **(replaced if delta is not None else {}) or {"mode": "append"},
        )  # fmt: skip
    after = workspace.delta(table.name)
    return after.version() if after else 0


def _properties(write: Write, source: Source) -> CommitProperties:
    from deltalake import CommitProperties, Transaction

    name = write.source
    marks = {f"source:{name}:fingerprint": fingerprint(source)}
    if write.watermark is not None:
        marks[f"source:{name}:watermark:{source.change_column}"] = write.watermark
    if write.rebuilt:
        marks[f"source:{name}:rebuilt"] = int(datetime.now(UTC).timestamp() * 1e6)
    note = {"source": name, "meaning": {key: getattr(source, key) for key in MEANING}, "rebuilt": write.rebuilt}
    return CommitProperties(
        custom_metadata={"foremend": json.dumps(note)}, app_transactions=[Transaction(k, v) for k, v in marks.items()]
    )


def _writer() -> Any:
    from deltalake import WriterProperties

    return WriterProperties(compression="ZSTD", max_row_group_size=250_000)


def stale_since(snapshot: Snapshot, names: Iterable[str] | None = None) -> Mapping[str, datetime]:
    """When sources were rebuilt: whatever was made from their rows before that instant is stale.

    Returns
    -------
    Mapping
        Instant (UTC) by source, for sources that were ever rebuilt.
    """
    sources = snapshot.workspace.config.sources
    found = {}
    for name in names or sources:
        delta = snapshot.tables.get(sources[name].table)
        moment = delta.transaction_version(f"source:{name}:rebuilt") if delta else None
        if moment:
            found[name] = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment)
    return found


def source_is(name: str) -> str:
    """Delta predicate for the rows of a source."""
    return f"source = {quote(name)}"
