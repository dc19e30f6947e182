"""From rows as a source says them to canonical rows, in SQL.

Three layers, evaluated as one stream by DuckDB:

*typed*
    every column as its catalogue type; ``event_time`` from the table's clock, ``known_at`` by the
    rules of ``data.md``; columns that the catalogue does not know, kept as attributes;
*judged*
    every rule of :func:`features.validation.rules.row_rules` and every failed cast, as reason codes;
*canonical*
    values that cannot be meant are null; a row that was refused, or lost a value, carries its
    codes and itself as it came, as JSON, for the quarantine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from features.config import Channel
from features.errors import DataError
from features.ingest.casting import Cast, attribute, cast, instant
from features.ingest.loads import Load
from features.tables import Column
from features.validation.rules import RowRule
from features.workspace import SQL_TYPES, ident, quote

__all__ = ["canonical_sql", "long_rules", "typed_columns", "typed_sql"]

FOR_EVER = "TIMESTAMPTZ '1970-01-01 00:00:00+00'"
"""When a thing without a beginning was known, on a first load."""


def typed_columns(load: Load, extras: Sequence[str]) -> tuple[Cast, ...]:
    """How every canonical column is read: the catalogue's, then the extras, then the two clocks.

    Raises
    ------
    DataError
        The stamps of a column carry no zone, and the source declares none.
    """
    try:
        casts = [_catalogued(load, column) for column in load.table.columns]
        casts += [_extra(load, name) for name in extras]
        own = load.own_clock()
    except DataError as error:
        raise DataError(error.found, expected=error.expected, where=load.where, todo=error.todo) from None
    clock = next(c.sql for c in casts if c.name == load.table.clock)
    if "event_time" not in load.table.names:
        casts.append(Cast("event_time", clock))
    return (*casts, Cast("known_at", _known_at(load, clock, own)))


def _catalogued(load: Load, column: Column) -> Cast:
    given = load.given(column.name)
    if given:
        needed = column.required or column.name in load.table.key
        return cast(column.name, column.type, given, load.raw[given], load.source.zone, required=needed)
    if column.name == "system":
        return Cast("system", quote(load.source.system or load.name))
    return Cast(column.name, f"CAST(NULL AS {SQL_TYPES[column.type]})")


def _extra(load: Load, name: str) -> Cast:
    if load.table.wide:
        return cast(name, "number", name, load.raw[name], load.source.zone, required=False)
    return attribute(name, load.raw[name], load.stored.get(name, ""), load.source.zone)


def _known_at(load: Load, clock: str, own: str) -> str:
    start = f"TIMESTAMPTZ {quote(load.start.isoformat())}"
    happened = f"({clock} + to_microseconds({round(load.source.delay_hours * 3.6e9)}))"
    planned = f"CASE WHEN {clock} IS NULL THEN {FOR_EVER} ELSE least({happened}, {start}) END"  # known already
    rule = planned if load.first else f"greatest({happened}, {start})"
    return f"coalesce({own}, {rule})" if own else rule


def _changed(load: Load) -> str:
    """The change column as a whole number: the watermark's measure. One stamp from the future must not hide others."""
    column = load.given(load.source.change_column)
    if not column:
        return "CAST(NULL AS BIGINT)"
    if not load.stamped:
        return f"try_cast({ident(column)} AS BIGINT)"
    changed = instant("changed", column, load.raw[column], load.source.zone).sql
    return f"CASE WHEN {changed} <= TIMESTAMPTZ {quote(load.start.isoformat())} THEN epoch_us({changed}) END"


def long_rules(channels: Mapping[str, Channel]) -> tuple[RowRule, ...]:
    """The ranges of the channels, for readings in long form."""
    rules = []
    for name, channel in channels.items():
        if channel.range is not None:
            low, high = channel.range
            where = f"channel = {quote(name)} AND isfinite(value) AND value NOT BETWEEN {low!r} AND {high!r}"
            rules.append(RowRule("out_of_range", where, "value", ("value",), "", "", "value"))
    return tuple(rules)


def canonical_sql(load: Load, casts: Sequence[Cast], rules: Iterable[RowRule]) -> str:
    """The statement that makes canonical rows of the view ``raw``.

    Returns
    -------
    str
        SQL for: every cast's column, ``_changed`` (see :func:`_changed`), ``_refused`` and ``_spoilt``
        (reason codes, or null), ``_places`` (the codes with their columns, as ``bad_type:due_at``, or null), ``_row``
        (JSON where there are codes). A key that could not be read is called
        ``bad_type``, and not ``missing_key`` as well.
    """
    rules = [rule for rule in rules if set(rule.columns) <= {c.name for c in casts}]
    spoilt = [rule for rule in rules if rule.cost == "value"]
    emptied = {name: [r.where for r in spoilt if r.column == name] for name in {r.column for r in spoilt}}
    kept = ", ".join(_emptied(cast.name, emptied.get(cast.name, [])) for cast in casts)
    refused = _codes((_placed(r.code, r.column), r.where) for r in rules if r.cost == "row")
    return (
        f"WITH typed AS ({typed_sql(load, casts)}), "
        f"judged AS (SELECT *, coalesce({_joined('_failed')}, {_joined(refused)}) AS _refusing, "
        f"{_joined(f'list_concat(_lost, {_codes((_placed(r.code, r.column), r.where) for r in spoilt)})')} AS _spoiling "
        f"FROM typed) SELECT {kept}, _changed, {_bare('_refusing')} AS _refused, {_bare('_spoiling')} AS _spoilt, "
        f"nullif(concat_ws(',', _refusing, _spoiling), '') AS _places, "
        f"CASE WHEN _refusing IS NOT NULL OR _spoiling IS NOT NULL THEN {_json(load.raw)} END AS _row FROM judged"
    )


def typed_sql(load: Load, casts: Iterable[Cast]) -> str:
    """The first layer: canonical columns, and the codes of the casts that failed."""
    casts = list(casts)
    columns = ", ".join(f"{cast.sql} AS {ident(cast.name)}" for cast in casts)
    failed, lost = (_codes(_failures(load, (c for c in casts if c.spoils is spoils))) for spoils in (True, False))
    return f"SELECT {columns}, {_changed(load)} AS _changed, raw AS _raw, {failed} AS _failed, {lost} AS _lost FROM raw"


def _failures(load: Load, casts: Iterable[Cast]) -> list[tuple[str, str]]:
    found = []
    for one in casts:
        zoneless = "mixed_zones" if one.name in load.mixed else "naive_stamp"
        found += [(_placed("bad_type", one.name), one.bad)] if one.bad else []
        found += [(_placed(zoneless, one.name), one.naive)] if one.naive else []
    return found


def _placed(code: str, column: str) -> str:
    """A code with its column, where one is to blame."""
    return f"{code}:{column}" if column else code


def _bare(placed: str) -> str:
    """SQL: the codes alone, each once."""
    codes = f"string_split(regexp_replace({placed}, ':[^,]*', '', 'g'), ',')"
    return f"CASE WHEN {placed} IS NOT NULL THEN array_to_string(list_sort(list_distinct({codes})), ',') END"


def _emptied(name: str, predicates: list[str]) -> str:
    if not predicates:
        return ident(name)
    bad = " OR ".join(f"coalesce({predicate}, false)" for predicate in predicates)
    return f"CASE WHEN {bad} THEN NULL ELSE {ident(name)} END AS {ident(name)}"


def _codes(pairs: Iterable[tuple[str, str]]) -> str:
    """SQL for the list of codes whose predicate holds; null where it does not."""
    cases = ", ".join(f"CASE WHEN {where} THEN {quote(code)} END" for code, where in pairs)
    return f"CAST([{cases}] AS VARCHAR[])"


def _joined(codes: str) -> str:
    """SQL that joins a list of codes, each once; null where there is none."""
    return f"nullif(array_to_string(list_sort(list_distinct({codes})), ','), '')"


def _json(raw: Mapping[str, str]) -> str:
    """SQL for the row as it came, as JSON; NaN and infinity, which JSON lacks, as text."""
    fields = []
    for name, sql_type in raw.items():
        value = f"_raw.{ident(name)}"
        if sql_type in {"DOUBLE", "FLOAT"}:
            value = f"CASE WHEN isfinite({value}) THEN to_json({value}) ELSE to_json(CAST({value} AS VARCHAR)) END"
        fields.append(f"{ident(name)} := {value}")
    return f"CAST(to_json(struct_pack({', '.join(fields)})) AS VARCHAR)"
