"""How one column of a source is read as one canonical type: SQL for the value, SQL for its failure.

What cannot be read becomes null; the failure says so to the quarantine. Stamps are the delicate
kind: those with a zone mean it, those without mean the source's `zone`, and where it declares
none they are an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from features.errors import DataError
from features.tables import Type
from features.workspace import SQL_TYPES, ident, quote

__all__ = ["Cast", "Family", "attribute", "cast", "family", "instant", "naive_text", "zoned_text"]

Family = Literal["text", "integer", "number", "boolean", "naive", "zoned", "nested", "null"]

_ZONED = r"(?i)\d\s*(z|utc|[+-]\d\d(:?\d\d)?)\s*$"
_DATE_ONLY = r"^\s*\d{4}-\d{1,2}-\d{1,2}\s*$"
_WHOLE_NUMBER = r"^\s*[+-]?\d+(\.0*)?\s*$"
_WHOLE = frozenset({
    "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT",
    "UHUGEINT", "BIGNUM",
})  # fmt: skip


@dataclass(frozen=True)
class Cast:
    """A canonical column, as SQL over the source's row.

    Attributes
    ----------
    bad
        Predicate: there is a value, and it cannot be read. Empty where that cannot happen.
    naive
        Predicate: the stamp carries no zone and the source declares none.
    spoils
        A failure costs the whole row, not only this value: keys, required columns, and every
        instant (an unreadable ``closed_at`` read as null would leave the ticket open for ever).
    """

    name: str
    sql: str
    bad: str = ""
    naive: str = ""
    spoils: bool = False


def family(sql_type: str) -> Family:
    """Kind of a DuckDB type, as far as reading it differs."""
    head = sql_type.upper().strip('"')
    if head.endswith("]") or head.startswith(("STRUCT", "MAP", "UNION", "JSON")):
        return "nested"
    if head.startswith("TIMESTAMP"):
        return "zoned" if "TIME ZONE" in head or head == "TIMESTAMPTZ_NS" else "naive"
    if head.startswith(("DECIMAL", "DOUBLE", "FLOAT")):
        return "number"
    if head in _WHOLE:
        return "integer"
    kinds: dict[str, Family] = {"DATE": "naive", "BOOLEAN": "boolean", "NULL": "null"}
    return kinds.get(head, "text")


def cast(name: str, wanted: Type, column: str, sql_type: str, zone: str, *, required: bool) -> Cast:
    """Read `column` of DuckDB type `sql_type` as the canonical column `name` of type `wanted`."""
    if wanted == "instant":
        return instant(name, column, sql_type, zone)
    kind = family(sql_type)
    if wanted == "text":
        return Cast(name, _text(ident(column), kind))
    if wanted == "number" and kind == "boolean":
        return Cast(name, f"CAST({ident(column)} AS DOUBLE)")
    return _tried(name, ident(column), kind, SQL_TYPES[wanted], spoils=required)


def attribute(name: str, sql_type: str, stored: str, zone: str) -> Cast:
    """Keep a column that the catalogue does not know: text, whole number, number, truth value or instant.

    Parameters
    ----------
    stored
        DuckDB type under which the table holds it already, or empty: a kept column keeps its type.
    """
    kind, column = family(sql_type), ident(name)
    if (stored and family(stored) == "zoned") or (not stored and kind in {"naive", "zoned"} and sql_type != "DATE"):
        return instant(name, name, sql_type, zone)
    if (stored or "VARCHAR") == "VARCHAR" and kind not in {"integer", "number", "boolean"}:
        return Cast(name, _text(column, kind))
    target = stored or {"integer": "BIGINT", "number": "DOUBLE", "boolean": "BOOLEAN"}[kind]
    if target == "VARCHAR":
        return Cast(name, _text(column, kind))
    return _tried(name, column, kind, target, spoils=False)


def instant(name: str, column: str, sql_type: str, zone: str) -> Cast:
    """Read a column as an instant.

    Raises
    ------
    DataError
        The whole column carries no zone, and the source declares none.
    """
    kind, value = family(sql_type), ident(column)
    if kind == "text":
        return _instant_of_text(name, value, zone)
    if kind not in {"zoned", "naive"}:
        bad = "" if kind == "null" else f"{value} IS NOT NULL"
        return Cast(name, "CAST(NULL AS TIMESTAMPTZ)", bad, spoils=True)
    if kind == "naive" and not zone:
        raise DataError(
            f"the stamps of '{column}' carry no zone", expected="stamps with a zone, or `zone` declared for the source",
            todo='Declare the zone that they are meant in, e.g. zone = "Asia/Shanghai"',
        )  # fmt: skip
    # Nanoseconds, which pandas writes, have a type of their own: both are brought to microseconds first.
    plain = f"CAST({value} AS {'TIMESTAMPTZ' if kind == 'zoned' else 'TIMESTAMP'})"
    sql = plain if kind == "zoned" else f"timezone({quote(zone)}, {plain})"
    return Cast(name, f"CASE WHEN isfinite({plain}) THEN {sql} END", f"NOT isfinite({plain})", spoils=True)


def zoned_text(value: str) -> str:
    """Predicate: the text `value` (SQL) is a stamp that names its zone or offset."""
    return f"(regexp_matches({value}, {quote(_ZONED)}) AND NOT regexp_matches({value}, {quote(_DATE_ONLY)}))"


def naive_text(value: str) -> str:
    """Predicate: the text `value` (SQL) is a stamp without a zone."""
    return f"(trim({value}) <> '' AND NOT {zoned_text(value)} AND try_cast({value} AS TIMESTAMP) IS NOT NULL)"


def _instant_of_text(name: str, value: str, zone: str) -> Cast:
    zoned = zoned_text(value)
    local = f"timezone({quote(zone)}, try_cast({value} AS TIMESTAMP))" if zone else "CAST(NULL AS TIMESTAMPTZ)"
    read = f"CASE WHEN {zoned} THEN try_cast({value} AS TIMESTAMPTZ) ELSE {local} END"
    said = f"{value} IS NOT NULL AND trim({value}) <> ''"
    naive = "" if zone else naive_text(value)
    bad = f"{said} AND coalesce(NOT isfinite({read}), true)" + (f" AND NOT coalesce({naive}, false)" if naive else "")
    return Cast(name, f"CASE WHEN isfinite({read}) THEN {read} END", bad, naive, spoils=True)


def _tried(name: str, column: str, kind: Family, target: str, *, spoils: bool) -> Cast:
    tried = f"try_cast({column} AS {target})"
    if target == "BIGINT" and kind in {"number", "text"}:  # a cast would round in silence
        whole = (
            f"{column} = round({column})" if kind == "number" else f"regexp_matches({column}, {quote(_WHOLE_NUMBER)})"
        )
        tried = f"CASE WHEN {whole} THEN {tried} END"
    blank = f" AND trim({column}) <> ''" if kind == "text" else ""
    bad = "" if kind == "null" else f"{column} IS NOT NULL{blank} AND {tried} IS NULL"
    return Cast(name, tried, bad, spoils=spoils)


def _text(column: str, kind: Family) -> str:
    """Text without blanks around it; empty is null; a whole number kept as a float loses its ``.0``."""
    if kind == "nested":
        return f"CAST(to_json({column}) AS VARCHAR)"
    if kind == "number":
        whole = f"{column} = round({column}) AND abs({column}) < 1e15"
        return f"CASE WHEN {whole} THEN CAST(CAST({column} AS BIGINT) AS VARCHAR) ELSE CAST({column} AS VARCHAR) END"
    return f"nullif(trim(CAST({column} AS VARCHAR)), '')"
