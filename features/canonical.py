"""From rows as a source says them to canonical rows, as one SQL statement.

Three layers, evaluated as one stream by DuckDB:

*cast*
    every column to its catalogue type (``TRY_CAST``); stamps without a zone get the source's;
    ``event_time`` from the table's clock, ``known_at`` by the rules of ``data.md``; columns that
    the catalogue does not know are kept as attributes.
*judge*
    every rule of :func:`features.rules.row_rules` and every failed cast, as reason codes.
*empty*
    values that cannot be meant become null; a row or a value that was refused carries its codes
    and the row as it came, as JSON, for the quarantine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from features.config import Config, Source
from features.errors import ConfigError, DataError, nearest
from features.rules import row_rules
from features.tables import BOOKKEEPING, TABLES, Column, Table
from features.workspace import SQL_TYPES, ident, quote

__all__ = ["Load", "canonical_columns", "canonical_sql", "long_table", "pivot_sql"]

RESERVED = frozenset({*BOOKKEEPING, "month", "deleted"})
ZONED = r"(?i)(z|utc|[+-]\d\d(:?\d\d)?)\s*$"
EPOCH = "TIMESTAMPTZ '1970-01-01 00:00:00+00'"


@dataclass(frozen=True)
class Load:
    """One read of one source.

    Attributes
    ----------
    first
        No row of this source was ever committed, or all are being replaced.
    start
        The workspace's clock when the ingest began.
    """

    name: str
    source: Source
    first: bool
    start: datetime

    @property
    def where(self) -> str:
        """Its place in ``foremend.toml``, for messages."""
        return f"foremend.toml [sources.{self.name}]"


@dataclass(frozen=True)
class _Cast:
    """A canonical column: how to read it, and when that failed.

    `bad` and `naive` are predicates, empty where they cannot be; `spoils` says that a failure
    costs the row, not only the value.
    """

    name: str
    sql: str
    bad: str = ""
    naive: str = ""
    spoils: bool = True


def long_table() -> Table:
    """``readings`` as they come in long form: one row per asset, instant and channel."""
    readings = TABLES["readings"]
    columns = (
        *readings.columns,
        Column("channel", "text", "name of the channel", required=True),
        Column("value", "number", "what it read"),
    )
    return Table("readings", "fact", readings.meaning, (*readings.key, "channel"), readings.clock, columns)


def canonical_columns(table: Table, extras: Iterable[str]) -> tuple[str, ...]:
    """Columns that hold what a row says: the catalogue's and the attributes or channels; no bookkeeping."""
    return (*(n for n in table.names if n != "event_time"), *sorted(extras))


def extra_columns(table: Table, load: Load, raw: Mapping[str, str], config: Config) -> tuple[str, ...]:
    """Columns of the source that the catalogue does not know: channels, or attributes to keep.

    Raises
    ------
    ConfigError
        A channel is not declared, or a name is reserved or cannot be stored.
    """
    mapped = {name.casefold() for name in (load.source.known_at, load.source.change_column) if name}
    extras = [n for n in raw if n.casefold() not in table.names and not (n.casefold() in mapped and _own(n, table))]
    for name in extras:
        if name.casefold() in RESERVED:
            raise ConfigError(
                f"the query returns '{name}', which ingest sets itself", where=load.where,
                todo=_reserved_advice(name.casefold(), table),
            )  # fmt: skip
        if set(name) & set(" ,;{}()\n\t="):
            raise ConfigError(
                f"a column cannot be called '{name}'", where=load.where, todo="Name it with AS in the query"
            )
        if table.wide and name not in config.channels:
            raise ConfigError(
                f"the channel '{name}' is not declared", where=load.where,
                todo=f"{nearest(name, config.channels)} Else declare [channels.{name}] with its unit and range",
            )  # fmt: skip
    return tuple(extras)


def _own(name: str, table: Table) -> bool:
    """Columns that only say when a row was known or changed are not kept: readings have no attributes."""
    return table.wide or name.casefold() in RESERVED


def _reserved_advice(name: str, table: Table) -> str:
    if name == "known_at":
        return 'Declare known_at = "known_at" for the source, or leave it out'
    return f"Return it as '{table.clock}'" if name == "event_time" else "Give it another name with AS"


def canonical_sql(table: Table, load: Load, raw: Mapping[str, str], config: Config) -> str:
    """The statement that makes canonical rows from the view ``raw``.

    Parameters
    ----------
    raw
        DuckDB type by column name of ``raw``.

    Returns
    -------
    str
        SQL for: canonical columns, ``event_time``, ``known_at``, ``_changed`` (watermark: whole
        number or microseconds), ``_refused`` and ``_spoilt`` (reason codes or null), ``_row`` (JSON
        where either is not null).

    Raises
    ------
    ConfigError, DataError
        A column that must be there is missing, a channel is not declared, a whole column cannot
        be read.
    """
    _check_required(table, load, raw)
    extras = extra_columns(table, load, raw, config)
    given = {name.casefold(): name for name in raw}
    casts = [_cast(column.name, column.type, given.get(column.name), raw, load, table) for column in table.columns]
    casts += [_cast(n, "number", n, raw, load, table) if table.wide else _attribute(n, raw[n], load) for n in extras]
    return _judged(table, load, config, casts, given, raw)


def _judged(
    table: Table, load: Load, config: Config, casts: list[_Cast], given: Mapping[str, str], raw: Mapping[str, str]
) -> str:
    columns = {cast.name: cast.sql for cast in casts}
    clock = columns[table.clock]
    columns["event_time"] = clock
    own = _own_clock(load, given, raw)
    columns["known_at"] = _known_at(load, clock, own)
    typed = ", ".join(f"{sql} AS {ident(name)}" for name, sql in columns.items())
    typed += f", {_changed(load, given, raw)} AS _changed, raw AS _raw"
    typed += f", {_codes(_failures(casts, spoils=True))} AS _failed, {_codes(_failures(casts, spoils=False))} AS _lost"

    rules = [rule for rule in row_rules(table, config, now=load.start) if set(rule.columns) <= set(columns)]
    refused = _codes([(r.code, r.where) for r in rules if r.cost == "row"])
    spoilt = [r for r in rules if r.cost == "value"]
    emptied = {
        name: " OR ".join(f"coalesce({r.where}, false)" for r in spoilt if r.column == name)
        for name in {r.column for r in spoilt}
    }
    kept = ", ".join(
        f"CASE WHEN {emptied[n]} THEN NULL ELSE {ident(n)} END AS {ident(n)}" if n in emptied else ident(n)
        for n in columns
    )
    return (
        f"WITH typed AS (SELECT {typed} FROM raw), judged AS (SELECT *, {_merged('_failed', refused)} AS _refused, "
        f"{_merged('_lost', _codes([(r.code, r.where) for r in spoilt]))} AS _spoilt FROM typed) "
        f"SELECT {kept}, _changed, _refused, _spoilt, "
        f"CASE WHEN _refused IS NOT NULL OR _spoilt IS NOT NULL THEN CAST(to_json(_raw) AS VARCHAR) END AS _row FROM judged"
    )


def _codes(pairs: Iterable[tuple[str, str]]) -> str:
    """SQL for the list of codes whose predicate holds."""
    cases = ", ".join(f"CASE WHEN {where} THEN {quote(code)} END" for code, where in pairs)
    return f"CAST([{cases}] AS VARCHAR[])"


def _merged(left: str, right: str) -> str:
    return f"nullif(array_to_string(list_sort(list_distinct(list_concat({left}, {right}))), ','), '')"


def _failures(casts: Iterable[_Cast], *, spoils: bool) -> list[tuple[str, str]]:
    chosen = [cast for cast in casts if cast.spoils == spoils]
    return [("bad_type", c.bad) for c in chosen if c.bad] + [("naive_stamp", c.naive) for c in chosen if c.naive]


def _check_required(table: Table, load: Load, raw: Mapping[str, str]) -> None:
    if "system" in table.names and "system" not in (n.casefold() for n in raw):
        raw = {**raw, "system": "VARCHAR"}
    given = {name.casefold() for name in raw}
    missing = [name for name in table.required if name not in given]
    if missing:
        spare = [n for n in raw if n.casefold() not in table.names]
        raise DataError(
            f"the query returns no column '{missing[0]}'", where=f"{load.where} → {table.name}",
            expected=f"{', '.join(table.required)}",
            todo=f"Name it with AS in the query. {nearest(missing[0], spare) if spare else ''}".strip(),
        )  # fmt: skip
    for role in ("known_at", "change_column"):
        name = getattr(load.source, role)
        if name and name.casefold() not in given:
            raise ConfigError(
                f"the query returns no column '{name}'", where=f"{load.where} {role}", todo=nearest(name, raw)
            )


def _family(sql_type: str) -> str:
    """Kind of a DuckDB type, as far as reading it differs."""
    head = sql_type.upper()
    if head.endswith("]") or head.startswith(("STRUCT", "MAP", "UNION", "JSON")):
        return "nested"
    if head.startswith("TIMESTAMP"):
        return "zoned" if "TIME ZONE" in head else "naive"
    if head.startswith(("DECIMAL", "DOUBLE", "FLOAT")):
        return "number"
    if head in {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT",
                "UHUGEINT", "BIGNUM"}:  # fmt: skip
        return "integer"
    return {"DATE": "naive", "BOOLEAN": "boolean"}.get(head, "null" if "NULL" in head else "text")


def _cast(name: str, wanted: str, given: str | None, raw: Mapping[str, str], load: Load, table: Table) -> _Cast:
    if given is None:
        fill = quote(load.source.system or load.name) if name == "system" else f"CAST(NULL AS {SQL_TYPES[wanted]})"  # type: ignore[index]
        return _Cast(name, fill)
    column, family = ident(given), _family(raw[given])
    if wanted == "instant":
        return _instant(name, given, raw[given], load)
    if wanted == "text":
        return _Cast(name, _text(column, family))
    if wanted == "number" and family == "boolean":
        return _Cast(name, f"CAST({column} AS DOUBLE)")
    sql = f"try_cast({column} AS {SQL_TYPES[wanted]})"  # type: ignore[index]
    blank = f"trim({column}) <> ''" if family == "text" else "true"
    bad = "" if family in {wanted, "null"} else f"{column} IS NOT NULL AND {blank} AND {sql} IS NULL"
    return _Cast(name, sql, bad, spoils=name in table.required)


def _text(column: str, family: str) -> str:
    """Text without blanks around it; empty is null; a whole number kept as a float loses its ``.0``."""
    if family == "nested":
        return f"CAST(to_json({column}) AS VARCHAR)"
    if family == "number":
        whole = f"{column} = round({column}) AND abs({column}) < 1e15"
        return f"CASE WHEN {whole} THEN CAST(CAST({column} AS BIGINT) AS VARCHAR) ELSE CAST({column} AS VARCHAR) END"
    return f"nullif(trim(CAST({column} AS VARCHAR)), '')"


def _instant(name: str, given: str, sql_type: str, load: Load) -> _Cast:
    column, family, zone = ident(given), _family(sql_type), load.source.zone
    finite = "CASE WHEN isfinite({0}) THEN {0} END"
    if family == "zoned":
        return _Cast(name, finite.format(column), f"NOT isfinite({column})")
    if family == "null":
        return _Cast(name, "CAST(NULL AS TIMESTAMPTZ)")
    if family == "naive":
        if not zone:
            raise DataError(
                f"the stamps of '{given}' carry no zone", where=load.where, expected="a zone",
                todo='Declare the zone that they are meant in, e.g. zone = "Asia/Shanghai"',
            )  # fmt: skip
        local = finite.format(f"CAST({column} AS TIMESTAMP)")
        return _Cast(name, f"timezone({quote(zone)}, {local})", f"NOT isfinite({column})")
    if family != "text":
        raise ConfigError(
            f"'{given}' is {sql_type}, not an instant", where=load.where,
            todo=f"Convert it in the query, e.g. to_timestamp({given}) for seconds since 1970",
        )  # fmt: skip
    return _instant_of_text(name, column, zone)


def _instant_of_text(name: str, column: str, zone: str) -> _Cast:
    """Stamps as text: those that carry a zone mean it, the others mean the source's."""
    zoned = (
        f"regexp_matches({column}, {quote(ZONED)}) AND NOT regexp_matches({column}, '^\\s*\\d{{4}}-\\d\\d-\\d\\d\\s*$')"
    )
    local = f"timezone({quote(zone)}, try_cast({column} AS TIMESTAMP))" if zone else "CAST(NULL AS TIMESTAMPTZ)"
    sql = f"CASE WHEN {zoned} THEN try_cast({column} AS TIMESTAMPTZ) ELSE {local} END"
    said = f"{column} IS NOT NULL AND trim({column}) <> ''"
    naive = "" if zone else f"{said} AND NOT ({zoned}) AND try_cast({column} AS TIMESTAMP) IS NOT NULL"
    bad = f"{said} AND ({sql}) IS NULL" + (f" AND NOT ({naive})" if naive else "")
    return _Cast(name, f"CASE WHEN isfinite({sql}) THEN {sql} END", bad, naive)


def _attribute(name: str, sql_type: str, load: Load) -> _Cast:
    """A column of the company's own: text, whole number, number, truth value or instant."""
    family = _family(sql_type)
    if family == "naive" and sql_type.upper() == "DATE":
        return _Cast(name, f"CAST({ident(name)} AS VARCHAR)")
    if family in {"naive", "zoned"}:
        return _instant(name, name, sql_type, load)
    if family == "integer":
        return _Cast(name, f"try_cast({ident(name)} AS BIGINT)")
    if family == "number":
        return _Cast(name, f"CAST({ident(name)} AS DOUBLE)")
    return _Cast(name, ident(name) if family == "boolean" else _text(ident(name), family))


def _own_clock(load: Load, given: Mapping[str, str], raw: Mapping[str, str]) -> str:
    """SQL of the instant at which the source says that it knew the row, or empty."""
    name = load.source.known_at or ("" if load.first else load.source.change_column)
    column = given.get(name.casefold(), "") if name else ""
    if not column or (not load.source.known_at and _family(raw[column]) in {"integer", "number"}):
        return ""
    return _instant("known_at", column, raw[column], load).sql


def _known_at(load: Load, clock: str, own: str) -> str:
    start = f"TIMESTAMPTZ {quote(load.start.isoformat())}"
    happened = f"({clock} + to_microseconds({round(load.source.delay_hours * 3.6e9)}))"
    if load.first:  # a plan for later is known already
        rule = f"coalesce(least({happened}, {start}), {EPOCH})"
    else:
        rule = f"greatest({happened}, {start})"
    return f"coalesce({own}, {rule})" if own else rule


def _changed(load: Load, given: Mapping[str, str], raw: Mapping[str, str]) -> str:
    """The watermark column as a whole number."""
    if not load.source.change_column:
        return "CAST(NULL AS BIGINT)"
    column = given[load.source.change_column.casefold()]
    if _family(raw[column]) in {"integer", "number"}:
        return f"try_cast({ident(column)} AS BIGINT)"
    return f"epoch_us({_instant('changed', column, raw[column], load).sql})"


def pivot_sql(channels: Iterable[str]) -> str:
    """Long canonical rows (view ``long``) as wide ones: one row per asset and instant, one column per channel."""
    wide = ", ".join(f"max(value) FILTER (channel = {quote(c)}) AS {ident(c)}" for c in sorted(channels))
    return (
        f"SELECT asset_id, event_time, {wide}, max(known_at) AS known_at, max(_changed) AS _changed "
        f"FROM long GROUP BY asset_id, event_time"
    )
