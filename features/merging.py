"""Which rows of a batch are news: compared with what is stored, in SQL.

Facts are inserted once; the months that a batch touches are read and joined by key. Versioned
rows are appended only where they say something else than the version before. Every row of the
batch gets a verdict:

========================= =================================================================
``new``                   to be inserted
``same``                  stored already
``merge``                 a reading that adds channels to a stored one; the month is rewritten
``changed``               a fact with other values, from a source that may correct itself
``duplicate_key``         the batch says the same twice; one copy counts
``conflicting_duplicate`` the same key with other values; goes to quarantine
``late_version``          older than the version stored; goes to quarantine
========================= =================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from features.canonical import canonical_columns
from features.tables import Table
from features.workspace import Snapshot, ident, quote

if TYPE_CHECKING:
    import duckdb

__all__ = ["REFUSED", "Batch", "judge_facts", "judge_versions", "rows_to_write"]

REFUSED = ("duplicate_key", "conflicting_duplicate", "late_version")


@dataclass(frozen=True)
class Batch:
    """Canonical rows of one source (view ``good``), and what they are compared with.

    Attributes
    ----------
    extras
        Channels or attribute columns that the batch brings.
    corrections
        The source may correct facts.
    clocked
        The source says itself when it knew each row.
    replaces
        All stored rows of the source are being replaced, so nothing is compared.
    """

    table: Table
    source: str
    extras: tuple[str, ...]
    corrections: bool
    clocked: bool
    replaces: bool

    @property
    def content(self) -> tuple[str, ...]:
        """Columns that hold what a row says."""
        return canonical_columns(self.table, self.extras)

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that identify a row within the source."""
        return self.table.key


def judge_facts(snapshot: Snapshot, batch: Batch, months: tuple[str, ...]) -> str:
    """SQL over ``good`` that adds ``_verdict`` to every fact of the batch."""
    values = [name for name in batch.content if name not in batch.key]
    order = "_changed DESC, known_at DESC, _hash" if batch.corrections else "known_at, _hash"
    keys = _list(batch.key)
    joined = " AND ".join(f"b.{ident(k)} = s.{ident(k)}" for k in batch.key)
    differs = _either(f"b.{ident(v)} {'<>' if batch.table.wide else 'IS DISTINCT FROM'} s.{ident(v)}" for v in values)
    adds = _either(f"b.{ident(v)} IS NOT NULL AND s.{ident(v)} IS NULL" for v in values if batch.table.wide)
    other = "changed" if batch.corrections else "conflicting_duplicate"
    return (
        f"WITH stored AS ({_stored(snapshot, batch, months)}), "
        f"hashed AS (SELECT *, hash({_list(batch.content)}) AS _hash FROM good), "
        f"ranked AS (SELECT *, row_number() OVER same AS _rank, first_value(_hash) OVER same AS _first FROM hashed "
        f"WINDOW same AS (PARTITION BY {keys} ORDER BY {order})) "
        f"SELECT b.* EXCLUDE (_hash, _rank, _first), CASE "
        f"WHEN _rank > 1 THEN CASE WHEN _hash = _first THEN 'duplicate_key' ELSE 'conflicting_duplicate' END "
        f"WHEN s.source IS NULL THEN 'new' WHEN {differs} THEN '{other}' WHEN {adds} THEN 'merge' ELSE 'same' END "
        f"AS _verdict FROM ranked AS b LEFT JOIN stored AS s ON {joined}"
    )


def _stored(snapshot: Snapshot, batch: Batch, months: tuple[str, ...] | None) -> str:
    """The source's stored rows, with a null column for everything that the table does not hold yet."""
    held = set(snapshot.columns(batch.table.name))
    missing = "".join(f", NULL AS {ident(name)}" for name in batch.content if name not in held)
    condition = "false" if batch.replaces else f"source = {quote(batch.source)}"
    return f"SELECT *{missing} FROM ({snapshot.relation(batch.table.name, months)}) WHERE {condition}"


def judge_versions(snapshot: Snapshot, batch: Batch) -> str:
    """SQL over ``good`` that adds ``_verdict`` to every version, and moves ``known_at`` behind the one before.

    A source without a clock of its own tells one state per key: of several rows the one that
    happened last counts. A source with one may tell a history.
    """
    keys = _list(batch.key)
    moment = "known_at" if batch.clocked else "NULL::TIMESTAMPTZ"
    current = (
        f"SELECT {keys}, max(known_at) AS last_known, arg_max(_hash, known_at) AS last_hash, "
        f"arg_max(deleted, known_at) AS gone, list(_hash) AS hashes FROM stored GROUP BY {keys}"
    )
    joined = " AND ".join(f"b.{ident(k)} = c.{ident(k)}" for k in batch.key)
    return (
        f"WITH stored AS (SELECT *, hash({_list(batch.content)}) AS _hash FROM ({_stored(snapshot, batch, None)})), "
        f"current AS ({current}), hashed AS (SELECT *, hash({_list(batch.content)}) AS _hash, {moment} AS _moment FROM good), "
        f"ranked AS (SELECT *, row_number() OVER same AS _rank, first_value(_hash) OVER same AS _first FROM hashed "
        f"WINDOW same AS (PARTITION BY {keys}, _moment ORDER BY event_time DESC NULLS LAST, _hash)), "
        f"single AS (SELECT *, lag(_hash) OVER (PARTITION BY {keys}, _rank > 1 ORDER BY known_at) AS _before FROM ranked), "
        f"met AS (SELECT b.*, last_known, CASE "
        f"WHEN _rank > 1 THEN CASE WHEN _hash = _first THEN 'duplicate_key' ELSE 'conflicting_duplicate' END "
        f"WHEN _before = _hash THEN 'same' WHEN last_known IS NULL THEN 'new' "
        f"WHEN _hash = last_hash AND NOT coalesce(gone, false) THEN 'same' "
        f"WHEN _moment < last_known AND list_contains(hashes, _hash) THEN 'same' "
        f"WHEN _moment < last_known THEN 'late_version' ELSE 'new' END AS _verdict "
        f"FROM single AS b LEFT JOIN current AS c ON {joined}), "
        f"counted AS (SELECT *, row_number() OVER (PARTITION BY {keys}, _verdict ORDER BY known_at) AS _step FROM met) "
        f"SELECT * EXCLUDE (_hash, _moment, _rank, _first, _before, last_known, _step) REPLACE ("
        f"greatest(known_at, last_known + to_microseconds(_step)) AS known_at) FROM counted"
    )


def rows_to_write(batch: Batch, committed: str) -> str:
    """SQL over ``judged``: the new rows of the batch with their bookkeeping, at the instant `committed`."""
    last = "strftime(event_time, '%Y-%m') AS month" if batch.table.kind == "fact" else "false AS deleted"
    columns = dict.fromkeys((*batch.content, "event_time", "known_at"))
    return (
        f"SELECT {_list(columns)}, {quote(batch.source)} AS source, {committed} AS ingested_at, {last} "
        f"FROM judged WHERE _verdict IN ('new', 'merge', 'changed')"
    )


def tombstones(snapshot: Snapshot, batch: Batch, committed: str, start: str) -> str:
    """SQL: a last version, marked deleted, of every stored key that a full read no longer holds."""
    keys = _list(batch.key)
    return (
        f"SELECT * REPLACE (true AS deleted, greatest({start}, known_at + to_microseconds(1)) AS known_at, "
        f"{committed} AS ingested_at) FROM (SELECT * FROM ({_stored(snapshot, batch, None)}) "
        f"QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY known_at DESC) = 1) AS s "
        f"WHERE NOT coalesce(deleted, false) AND NOT EXISTS (SELECT 1 FROM canonical AS c WHERE "
        + " AND ".join(f"c.{ident(k)} = s.{ident(k)}" for k in batch.key)
        + ")"
    )


def _list(names: Sequence[str] | dict[str, None]) -> str:
    return ", ".join(ident(name) for name in names)


def _either(predicates: object) -> str:
    return " OR ".join(predicates) or "false"  # type: ignore[call-overload]


def months_of(con: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    """The months that the view ``good`` touches, sorted."""
    rows = con.execute("SELECT DISTINCT strftime(event_time, '%Y-%m') FROM good ORDER BY 1").fetchall()
    return tuple(row[0] for row in rows)
