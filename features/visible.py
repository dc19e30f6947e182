"""What could be seen, and when: stored rows as SQL relations with the instants of their visibility.

Everything behind this module works on rows that carry ``k`` and ``u``, microseconds since 1970: a
row is seen at ``as_of`` where ``k < as_of`` and (``u`` is null or ``as_of <= u``). Beside columns that
a source named, they and all other columns of the engine begin with ``__``, as no column of a source
does (ingest sees to it): a channel may be called ``k``. Three rules make them:

* a fact is seen from its ``known_at`` on;
* a version is seen from its ``known_at`` until the next version of its key is seen; a tombstone
  ends it;
* a column is null until the instant that reveals it (the catalogue's, or the source's own
  ``reveals``), plus the source's delay: a version is split into phases at those instants.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from features.errors import ConfigError
from features.lattice import DAY
from features.point_in_time import Events
from features.tables import BOOKKEEPING, TABLES, Table
from features.workspace import Snapshot, ident, quote

__all__ = ["LONG_AGO", "events", "facts", "revealing", "versions"]

LONG_AGO = -146_000 * DAY
"""When things without a beginning became known: the year 1570, before every cut-off."""


def facts(
    snapshot: Snapshot,
    name: str,
    columns: Iterable[str],
    *,
    entity: str = "asset_id",
    months: tuple[str, ...] | None = None,
    more: Iterable[tuple[str, str]] = (),
) -> str:
    """SQL of a fact table: ``__e, __t, __k`` and the columns.

    Parameters
    ----------
    more
        Further columns, as name and SQL over a stored row, any of whose columns it may read.

    Raises
    ------
    ConfigError
        A source reveals one of the columns later than its row: statistics cannot wait for it.
    """
    columns, more = tuple(columns), tuple(more)
    _known_with_row(snapshot, TABLES[name], snapshot.columns(name) if more else columns)
    picked = "".join(
        f", {sql} AS {ident(c)}" for c, sql in (*((c, _stored(snapshot, name, c)) for c in columns), *more)
    )
    return (
        f"SELECT {ident(entity)} AS __e, epoch_us(event_time) AS __t, epoch_us(known_at) AS __k{picked} "
        f"FROM ({snapshot.relation(name, months)}) WHERE event_time IS NOT NULL AND known_at IS NOT NULL"
    )


def versions(snapshot: Snapshot, name: str, columns: Iterable[str], *, as_recorded: bool = False) -> str:
    """SQL of a versioned table: its key, the columns as they were known, and ``__k, __u``.

    One row per version and phase of revealing; versions never seen, and tombstones, are left out.

    Parameters
    ----------
    as_recorded
        Give the columns as they stand in the version, revealed or not: for questions such as
        'is it in service', where a date to come says no.
    """
    table = TABLES[name]
    columns = tuple(c for c in dict.fromkeys(columns) if c not in table.key)
    keys = ", ".join(ident(c) for c in table.key)
    instants = {} if as_recorded else {c: sql for c in columns if (sql := revealing(snapshot, table, c))}
    moments = list(dict.fromkeys(instants.values()))
    stored = ", ".join([keys, *(f"{_stored(snapshot, name, c)} AS {ident(c)}" for c in columns)])
    reveals = "".join(f", {sql} AS __r{n}" for n, sql in enumerate(moments))
    phases = " ".join(
        f"UNION SELECT *, __r{n} AS __b FROM dated WHERE __r{n} > __k AND (__u IS NULL OR __r{n} < __u)"
        for n in range(len(moments))
    )
    seen = ", ".join(
        f"CASE WHEN __r{moments.index(instants[c])} <= __b THEN {ident(c)} END AS {ident(c)}"
        if c in instants
        else ident(c)
        for c in (*table.key, *columns)
    )
    return f"""
        WITH stored AS (
            SELECT *, coalesce(epoch_us(known_at), {LONG_AGO}) AS __k FROM ({snapshot.relation(name)})
            WHERE known_at IS NOT NULL OR event_time IS NULL
        ), dated AS (
            SELECT {stored}, __k, deleted AS __deleted, ingested_at AS __at{reveals},
                   lead(__k) OVER (PARTITION BY {keys} ORDER BY __k, ingested_at) AS __u FROM stored
        ), phased AS (SELECT *, __k AS __b FROM dated {phases}), ended AS (
            SELECT {seen}, __deleted, __b AS __k,
                   lead(__b) OVER (PARTITION BY {keys} ORDER BY __b, __k, __at) AS __u FROM phased
        )
        SELECT * EXCLUDE (__deleted) FROM ended WHERE NOT coalesce(__deleted, false) AND (__u IS NULL OR __u > __k)
    """


def events(snapshot: Snapshot, spec: Events) -> str:
    """SQL of dated events: ``e, t, k, u, v``, one row per event and spell in which it was seen alike."""
    if spec.table == "failures":
        return "SELECT e, t, k, u, v FROM failure_spells"
    table = TABLES[spec.table]
    at = spec.at or ("event_time" if table.kind == "fact" else table.clock)
    wanted = tuple(dict.fromkeys(c for c in (spec.entity, at, spec.by, *(c for c, _ in spec.where)) if c))
    value = f"CAST({ident(spec.by)} AS VARCHAR)" if spec.by else "CAST(NULL AS VARCHAR)"
    only = "".join(f" AND {ident(c)} = {quote(v)}" for c, v in spec.where)
    if table.kind == "fact":
        _known_with_row(snapshot, table, wanted)
        rows = (
            f"SELECT *, epoch_us(known_at) AS __k, CAST(NULL AS BIGINT) AS __u FROM ({snapshot.relation(table.name)})"
        )
    else:
        rows = versions(snapshot, spec.table, wanted)
    dated = (
        f"SELECT *, {ident(spec.entity)} AS __e, epoch_us({ident(at)}) AS __t, {value} AS __v FROM ({rows}) "
        f"WHERE __e IS NOT NULL AND __t IS NOT NULL AND __k IS NOT NULL{only}"
    )
    keys = "" if table.kind == "fact" else "".join(f"{ident(c)}, " for c in table.key)
    found = f"SELECT {keys}__e AS e, __t AS t, __k AS k, __u AS u, __v AS v FROM ({dated})"
    found = found if table.kind == "fact" else _spells(found, table)
    return _repeats(found, spec.repeat_days) if spec.repeat_days else found


def _spells(rows: str, table: Table) -> str:
    """Join successive versions that say the same about an event, so that only corrections end it."""
    keys = ", ".join(ident(c) for c in table.key)
    same = " AND ".join(f"lag({c}) OVER w IS NOT DISTINCT FROM {c}" for c in ("e", "t", "v"))
    return f"""
        SELECT e, t, min(k) AS k, CASE WHEN count(u) = count(*) THEN max(u) END AS u, v FROM (
            SELECT *, sum(fresh) OVER (PARTITION BY {keys} ORDER BY k ROWS UNBOUNDED PRECEDING) AS spell FROM (
                SELECT *, CASE WHEN lag(u) OVER w = k AND {same} THEN 0 ELSE 1 END AS fresh
                FROM ({rows}) WINDOW w AS (PARTITION BY {keys} ORDER BY k)
            )
        ) GROUP BY {keys}, spell, e, t, v
    """


def _repeats(rows: str, days: float) -> str:
    """Events that follow an earlier one of the same entity, while both are seen: overlapping spells are joined."""
    last = "coalesce({0}.u, 9223372036854775807)"
    return f"""
        WITH numbered AS (SELECT *, row_number() OVER (ORDER BY e, t, k) AS number FROM ({rows})), pairs AS (
            SELECT DISTINCT later.number, later.e, later.t, later.v, greatest(later.k, earlier.k) AS k,
                   least({last.format("later")}, {last.format("earlier")}) AS u
            FROM numbered AS later JOIN numbered AS earlier
              ON earlier.e = later.e AND earlier.t < later.t AND earlier.t >= later.t - {round(days * DAY)}
        ), started AS (
            SELECT *, CASE WHEN k <= max(u) OVER (PARTITION BY number ORDER BY k, u ROWS BETWEEN UNBOUNDED PRECEDING
                      AND 1 PRECEDING) THEN 0 ELSE 1 END AS fresh FROM pairs WHERE u > k
        ), spells AS (
            SELECT *, sum(fresh) OVER (PARTITION BY number ORDER BY k, u ROWS UNBOUNDED PRECEDING) AS spell FROM started
        )
        SELECT e, t, min(k) AS k, nullif(max(u), 9223372036854775807) AS u, v FROM spells GROUP BY number, spell, e, t, v
    """


def _known_with_row(snapshot: Snapshot, table: Table, columns: Iterable[str]) -> None:
    late = [c for c in columns if revealing(snapshot, table, c)]
    if late:
        raise ConfigError(
            f"{table.name}.{late[0]} is revealed later than its row", where="foremend.toml [sources] reveals",
            expected="columns of facts that are known with their row", todo="Deliver it with its own known_at",
        )  # fmt: skip


def _stored(snapshot: Snapshot, name: str, column: str) -> str:
    """The column as stored; null where the table has none of this name."""
    return ident(column) if column in snapshot.columns(name) else "CAST(NULL AS VARCHAR)"


def revealing(snapshot: Snapshot, table: Table, column: str) -> str:
    """SQL of the instant that reveals a column, in microseconds, over stored rows with ``__k``; empty where its row does."""
    if column in {*table.key, table.entity, *BOOKKEEPING, "deleted", "month"}:
        return ""
    default = table.column(column).revealed_by if column in table.names else table.extra_revealed_by
    sources = {n: s for n, s in snapshot.workspace.config.sources.items() if s.table == table.name}
    chosen = {n: s.reveals.get(column, default) for n, s in sources.items()}
    if set(chosen.values()) <= {"known_at"} and default == "known_at":
        return ""
    delays = {n: round(s.delay_hours * DAY / 24) for n, s in sources.items()}
    cases = {n: _instant(snapshot, table, by, delays[n]) for n, by in chosen.items()}
    return _by_source(cases, _instant(snapshot, table, default, 0))


def _instant(snapshot: Snapshot, table: Table, column: str, delay: int) -> str:
    if column == "known_at":
        return "__k"
    if column not in snapshot.columns(table.name):
        return "CAST(NULL AS BIGINT)"
    return f"(epoch_us({ident(column)}) + {delay})"


def _by_source(cases: Mapping[str, str], default: str) -> str:
    if all(sql == default for sql in cases.values()):
        return default
    whens = " ".join(f"WHEN {quote(name)} THEN {sql}" for name, sql in cases.items())
    return f"(CASE source {whens} ELSE {default} END)"
