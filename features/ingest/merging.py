"""Which rows of a batch are news: compared with each other and with what is stored, in SQL.

Facts are inserted once; the months that a batch touches are read and joined by key. Versioned
rows are appended only where they say something else than the version before. Every good row of
the batch gets a verdict:

========================= =================================================================
``new``                   to be inserted
``same``                  stored already
``part``                  a reading that adds channels to a stored one: they become a row of their own
``changed``               a fact with other values, from a source that may correct itself: its month is rewritten
``duplicate_key``         the batch says the same twice; one copy counts
``conflicting_duplicate`` the same key with other values: to quarantine
``late_version``          older than the version stored: to quarantine
========================= =================================================================

All statements read the view ``good``: canonical columns, ``_changed``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from features.tables import Table
from features.workspace import Snapshot, ident, quote

__all__ = ["NEWS", "REFUSED", "Batch", "judge_facts", "judge_versions", "months_are", "rows_to_write",
           "single_sql", "tombstones"]  # fmt: skip

NEWS = "('new', 'part', 'changed')"
REFUSED = "('duplicate_key', 'conflicting_duplicate', 'late_version')"


@dataclass(frozen=True)
class Batch:
    """The good rows of one source, and how they are to be compared.

    Attributes
    ----------
    content
        Columns that hold what a row says: the catalogue's, channels, attributes; no bookkeeping.
    corrections
        The source may correct facts.
    clocked
        The source says itself when it knew each row.
    stamped
        Its change column holds instants, not numbers.
    parted
        A key may stand in several rows, each with other channels and its own ``known_at``.
    replaces
        All stored rows of the source are being replaced, so nothing is compared with them.
    """

    table: Table
    source: str
    content: tuple[str, ...]
    corrections: bool = False
    clocked: bool = False
    stamped: bool = False
    parted: bool = False
    replaces: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """`content` and the two clocks."""
        return tuple(dict.fromkeys((*self.content, "event_time", "known_at")))

    @property
    def mine(self) -> str:
        """Predicate for the stored rows of the source."""
        return f"source = {quote(self.source)}"


def single_sql(view: str, key: Iterable[str], content: Iterable[str], order: str) -> str:
    """SQL that finds keys said more than once: all rows of `view`, ``_hash``, and ``_twin`` for the surplus ones.

    Only keys that occur twice are sorted: a large batch without duplicates costs one GROUP BY.

    Parameters
    ----------
    order
        Which of several rows counts: the first. It must not depend on the order of the rows.
    """
    keys, said = _list(key), _list(content)
    again = f"(SELECT {keys} FROM {view} GROUP BY {keys} HAVING count(*) > 1)"
    met = " AND ".join(f"a.{ident(k)} IS NOT DISTINCT FROM b.{ident(k)}" for k in key)
    ranked = (
        f"SELECT *, row_number() OVER same AS _rank, first_value(_hash) OVER same AS _first "
        f"FROM (SELECT a.*, hash({said}) AS _hash FROM {view} AS a SEMI JOIN {again} AS b ON {met}) "
        f"WINDOW same AS (PARTITION BY {keys} ORDER BY {order}, _hash)"
    )
    return (
        f"SELECT a.*, hash({said}) AS _hash, CAST(NULL AS VARCHAR) AS _twin "
        f"FROM {view} AS a ANTI JOIN {again} AS b ON {met} "
        f"UNION ALL BY NAME SELECT * EXCLUDE (_rank, _first), CASE WHEN _rank = 1 THEN NULL "
        f"WHEN _hash = _first THEN 'duplicate_key' ELSE 'conflicting_duplicate' END AS _twin FROM ({ranked})"
    )


def judge_facts(snapshot: Snapshot, batch: Batch, months: tuple[str, ...], *, in_parts: bool = False) -> str:
    """SQL that gives every fact its ``_verdict``.

    Of a ``part`` only the channels that are not stored yet remain: what was known keeps its ``known_at``. A reading
    that is ``changed`` gets its other channels from the stored one.

    Parameters
    ----------
    months
        Those that the batch touches: the only ones read.
    in_parts
        Stored readings stand in parts, to be put together first. Where they do and this is false,
        a row of the batch meets each of them: the answer has more rows than the batch.
    """
    key = batch.table.key
    values = [name for name in batch.content if name not in key]
    wide = values if batch.table.wide else []
    unlike = "<>" if wide else "IS DISTINCT FROM"
    differs = _any(f"b.{ident(v)} {unlike} s.{ident(v)}" for v in values)
    adds = _any(f"b.{ident(v)} IS NOT NULL AND s.{ident(v)} IS NULL" for v in wide)
    other = "changed" if batch.corrections else "conflicting_duplicate"
    held = "".join(f", s.{ident(v)} AS {ident(f'_held {v}')}" for v in wide)
    order = "_changed DESC NULLS LAST, known_at DESC" if batch.corrections else "known_at"
    met = " AND ".join(f"b.{ident(k)} = s.{ident(k)}" for k in key)
    stored = _stored(snapshot, batch, months)
    single = single_sql("good", (*key, "known_at") if batch.parted else key, batch.content, order)
    return (
        f"WITH stored AS ({_together(stored, batch) if in_parts else stored}), single AS ({single}), "
        f"told AS (SELECT b.* EXCLUDE (_hash, _twin), s.known_at AS _held{held}, "
        f"CASE WHEN _twin IS NOT NULL THEN _twin WHEN s.source IS NULL THEN 'new' WHEN {differs} THEN '{other}' "
        f"WHEN {adds} THEN 'part' ELSE 'same' END AS _verdict "
        f"FROM single AS b LEFT JOIN stored AS s ON _twin IS NULL AND {met}) {_completed(wide)}"
    )


def _together(stored: str, batch: Batch) -> str:
    """Stored readings, one row per key: their parts are put together."""
    values = "".join(f", max({ident(n)}) AS {ident(n)}" for n in batch.content if n not in batch.table.key)
    keys = _list(batch.table.key)
    return (
        f"SELECT {keys}, any_value(source) AS source, max(known_at) AS known_at{values} FROM ({stored}) GROUP BY {keys}"
    )


def _completed(channels: Iterable[str]) -> str:
    """SQL over ``told``: every reading with the channels that it is to be stored with."""
    cases = [("known_at", "greatest(known_at, _held)", "known_at")]
    for name in channels:
        own, held = ident(name), ident(f"_held {name}")
        cases.append((name, f"coalesce({own}, {held})", f"CASE WHEN {held} IS NULL THEN {own} END"))
    chosen = ", ".join(
        f"CASE _verdict WHEN 'changed' THEN {changed} WHEN 'part' THEN {part} ELSE {ident(name)} END AS {ident(name)}"
        for name, changed, part in cases
    )
    return (
        f"SELECT * EXCLUDE ({_list(('_held', *(f'_held {name}' for name in channels)))}) REPLACE ({chosen}) FROM told"
    )


def _stored(snapshot: Snapshot, batch: Batch, months: tuple[str, ...] | None = None) -> str:
    """The source's stored rows, with a null column for everything that the table does not hold yet."""
    held = set(snapshot.columns(batch.table.name))
    missing = "".join(f", NULL AS {ident(name)}" for name in batch.content if name not in held)
    condition = "false" if batch.replaces else batch.mine
    return f"SELECT *{missing} FROM ({snapshot.relation(batch.table.name, months)}) WHERE {condition}"


def judge_versions(snapshot: Snapshot, batch: Batch) -> str:
    """SQL that gives every version its ``_verdict``, and moves ``known_at`` behind the version before.

    A source without a clock of its own tells one state per key: of several rows, the one that
    happened last counts. A source with one may tell a history; what it tells again is recognised.
    """
    keys = _list(batch.table.key)
    met = " AND ".join(f"b.{ident(k)} = c.{ident(k)}" for k in batch.table.key)
    moment = "known_at" if batch.clocked else "CAST(NULL AS TIMESTAMPTZ)"
    single = single_sql("timed", (*batch.table.key, "_moment"), batch.content, "event_time DESC NULLS LAST")
    return (
        f"WITH stored AS (SELECT *, hash({_list(batch.content)}) AS _hash FROM ({_stored(snapshot, batch)})), "
        f"current AS (SELECT {keys}, max(known_at) AS _last, arg_max(_hash, known_at) AS _last_hash, "
        f"coalesce(arg_max(deleted, known_at), false) AS _gone, list(_hash) AS _hashes FROM stored GROUP BY {keys}), "
        f"timed AS (SELECT *, {moment} AS _moment FROM good), single AS ({single}), "
        f"met AS (SELECT b.*, c._last, c._last_hash, c._gone, c._hashes, "
        f"c._last IS NULL OR _moment IS NULL OR _moment > c._last AS _later, "
        f"known_at = max(known_at) OVER (PARTITION BY {_list(batch.table.key, 'b')}, _twin IS NULL) AS _newest "
        f"FROM single AS b LEFT JOIN current AS c ON {met}), "
        f"told AS (SELECT *, lag(_hash) OVER (PARTITION BY {keys}, _twin IS NULL, _later ORDER BY known_at) AS _before "
        f"FROM met), judged AS (SELECT *, {_version_verdict()} AS _verdict FROM told), counted AS ("
        f"SELECT *, row_number() OVER (PARTITION BY {keys}, _verdict ORDER BY known_at) AS _step FROM judged) "
        f"SELECT * EXCLUDE (_hash, _twin, _moment, _last, _last_hash, _gone, _hashes, _later, _newest, _before, _step) "
        f"REPLACE (CASE WHEN _verdict <> 'new' THEN known_at "
        f"ELSE greatest(known_at, _last + to_microseconds(_step)) END AS known_at) FROM counted"
    )


def _version_verdict() -> str:
    """The decision for one version: later than all that is stored, or told again."""
    return (
        "CASE WHEN _twin IS NOT NULL THEN _twin "
        "WHEN _later AND coalesce(_before, CASE WHEN NOT _gone THEN _last_hash END) = _hash THEN 'same' "
        "WHEN _later THEN 'new' "
        "WHEN _gone AND _newest THEN 'new' "
        "WHEN list_contains(_hashes, _hash) THEN 'same' "
        "WHEN _moment = _last THEN 'new' "
        "ELSE 'late_version' END"
    )


def months_are(months: Iterable[str]) -> str:
    """Delta predicate for the months that one commit replaces."""
    return f"month IN ({', '.join(quote(month) for month in months)})"


def rows_to_write(batch: Batch, committed: str) -> str:
    """SQL over ``judged``: the batch's news with their bookkeeping, committed at the instant `committed` (SQL)."""
    last = "strftime(event_time, '%Y-%m') AS month" if batch.table.kind == "fact" else "false AS deleted"
    return (
        f"SELECT {_list(batch.columns)}, {quote(batch.source)} AS source, {committed} AS ingested_at, {last} "
        f"FROM judged WHERE _verdict IN {NEWS}"
    )


def rows_kept(snapshot: Snapshot, batch: Batch, months: tuple[str, ...]) -> str:
    """SQL: the stored rows of months being rewritten, of all sources, but for those that the batch replaces."""
    met = " AND ".join(f"j.{ident(k)} = s.{ident(k)}" for k in batch.table.key)
    return (
        f"SELECT s.* FROM ({snapshot.relation(batch.table.name, months)}) AS s ANTI JOIN "
        f"(SELECT * FROM judged WHERE _verdict = 'changed') AS j ON s.{batch.mine} AND {met}"
    )


def tombstones(snapshot: Snapshot, batch: Batch, committed: str, start: str) -> str:
    """SQL: a last version, marked deleted, of every stored key that a full read no longer holds.

    A key whose row was refused is still there: it is no tombstone.
    """
    keys = _list(batch.table.key)
    met = " AND ".join(f"c.{ident(k)} = s.{ident(k)}" for k in batch.table.key)
    return (
        f"SELECT s.* REPLACE (true AS deleted, greatest({start}, known_at + to_microseconds(1)) AS known_at, "
        f"{committed} AS ingested_at) FROM (SELECT * FROM ({_stored(snapshot, batch)}) "
        f"QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY known_at DESC) = 1) AS s "
        f"ANTI JOIN canonical AS c ON {met} WHERE NOT coalesce(s.deleted, false)"
    )


def _list(names: Iterable[str], of: str = "") -> str:
    return ", ".join(f"{of}.{ident(name)}" if of else ident(name) for name in names)


def _any(predicates: Iterable[str]) -> str:
    return " OR ".join(f"({predicate})" for predicate in predicates) or "false"
