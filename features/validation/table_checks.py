"""Checks of one table at a time: its columns, its rows, its keys, what it points to.

Every table is read once for its profile and all its row rules; rows are fetched again only for
the examples of rules that are broken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from features.config import Rule
from features.errors import ConfigError
from features.failures import first_line
from features.tables import BOOKKEEPING, TABLES, Column, Table
from features.validation.findings import Finding, Look, Severity, finding
from features.validation.rules import RowRule, row_rules
from features.workspace import SQL_TYPES, ident, quote

__all__ = [
    "ColumnProfile", "TableProfile", "before_installed", "own_rules", "plans_by_usage", "profile", "references",
    "two_sources",
]  # fmt: skip

STAND_INS = ("?", "-", "--", "n/a", "na", "#n/a", "nan", "null", "none", "nil", "unknown", "未知", "无")
"""Words that exports write where they have nothing to say."""


@dataclass(frozen=True)
class ColumnProfile:
    """How well one column is filled.

    Attributes
    ----------
    declared
        Whether the catalogue knows it; else it is an attribute or a channel of the company's own.
    filled
        Rows of the current view with a value.
    """

    name: str
    type: str
    declared: bool
    filled: int


@dataclass(frozen=True)
class TableProfile:
    """One table at a glance.

    Attributes
    ----------
    rows
        Rows of the current view; `versions` counts all stored rows.
    first_at, last_at
        Earliest and latest ``event_time``.
    """

    name: str
    kind: str
    rows: int
    versions: int
    sources: tuple[str, ...]
    first_at: datetime | None
    last_at: datetime | None
    columns: tuple[ColumnProfile, ...]


def profile(look: Look, table: Table) -> tuple[TableProfile, tuple[Finding, ...]]:
    """Profile a table and apply its row rules, in one pass over it."""
    types = {row["column_name"]: row["column_type"] for row in look.rows(f"DESCRIBE {table.name}")}
    columns = [name for name in types if name not in {*BOOKKEEPING, "month", "deleted"} or name in table.names]
    rules = [rule for rule in row_rules(table, look.snapshot.workspace.config, now=look.now) if _applies(rule, types)]
    totals = look.row(_one_pass(table, columns, rules, types))
    versions = look.row(f"SELECT count(*) AS n FROM {table.name}_rows")["n"]
    view = TableProfile(
        table.name, table.kind, totals["n"], versions, tuple(sorted(totals["sources"] or ())),
        totals["first_at"], totals["last_at"],
        tuple(ColumnProfile(c, types[c], c in table.names, totals[f"filled {c}"]) for c in columns),
    )  # fmt: skip
    found = (
        *_stored_types(table, types), *_broken(look, table, rules, totals), *_thin_columns(look, table, view, totals),
    )  # fmt: skip
    return view, found


def _applies(rule: RowRule, columns: Mapping[str, str]) -> bool:
    return bool(rule.columns) and set(rule.columns) <= set(columns)


def _one_pass(table: Table, columns: list[str], rules: list[RowRule], types: Mapping[str, str]) -> str:
    words = ", ".join(map(quote, STAND_INS))
    parts = [
        "count(*) AS n",
        "list(DISTINCT source) AS sources",
        "min(event_time) AS first_at",
        "max(event_time) AS last_at",
    ]
    parts += [f"count({ident(c)}) AS {ident(f'filled {c}')}" for c in columns]
    parts += [f"count(*) FILTER (WHERE {rule.where}) AS {ident(f'rule {i}')}" for i, rule in enumerate(rules)]
    parts += [
        f"count(*) FILTER (WHERE lower(trim({ident(c)})) IN ({words})) AS {ident(f'stand-in {c}')}"
        for c in columns if types[c] == "VARCHAR"
    ]  # fmt: skip
    return f"SELECT {', '.join(parts)} FROM {table.name}"


def _stored_types(table: Table, types: Mapping[str, str]) -> Iterator[Finding]:
    stored = {"TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE"}
    for column in table.columns:
        wanted = SQL_TYPES[column.type]
        found = types.get(column.name)
        if found is not None and found not in (wanted, stored.get(wanted)):
            detail = f"stored as {found}, expected {wanted}"
            yield finding("error", "bad_type", table.name, column.name, count=1, of=1, unit="columns", detail=detail)


def _broken(look: Look, table: Table, rules: list[RowRule], totals: Mapping[str, Any]) -> Iterator[Finding]:
    for i, rule in enumerate(rules):
        count = totals[f"rule {i}"]
        severity: Severity = "warning" if rule.cost == "report" else "error"
        examples = look.broken(table.name, rule.where, rule.columns) if count else ()
        against = rule.columns[0] if rule.cost != "row" or len(rule.columns) > 1 else ""
        yield Finding(
            severity, rule.code, table.name, rule.column, count, totals["n"], rule.meaning, rule.advice,
            examples=examples, detail=f"against {against}" if against != rule.column and against else "",
        )  # fmt: skip


def _thin_columns(look: Look, table: Table, view: TableProfile, totals: Mapping[str, Any]) -> Iterator[Finding]:
    """Columns known with their row that are mostly empty, and stand-ins for nothing."""
    for column in view.columns:
        known = column.name if column.declared else ""
        if known and 0 < column.filled < view.rows / 2 and table.column(known).revealed_by == "known_at":
            missing = view.rows - column.filled
            yield finding("note", "many_missing", table.name, known, count=missing, of=view.rows)
        words = totals.get(f"stand-in {column.name}", 0)
        if words:
            values = ", ".join(map(quote, STAND_INS))
            name = ident(column.name)
            shown = look.examples(
                f"SELECT {name}, count(*) AS rows FROM {table.name} WHERE lower(trim({name})) IN ({values}) "
                f"GROUP BY 1 ORDER BY 2 DESC"
            )
            yield finding("note", "stand_in", table.name, column.name, count=words, of=view.rows, examples=shown)


def two_sources(look: Look, table: Table, view: TableProfile) -> Iterator[Finding]:
    """Keys that more than one source delivers, and facts committed twice by one."""
    keys = ", ".join(map(ident, table.key))
    if table.kind == "fact":
        twice = (
            f"SELECT source, {keys}, {_copies(look, table)} AS copies FROM {table.name} GROUP BY ALL HAVING copies > 1"
        )
        yield _keys(look, view, "duplicate_key", twice)
    if len(view.sources) > 1:
        shared = (
            f"SELECT {keys}, count(DISTINCT source) AS sources, min(source) AS one, max(source) AS other "
            f"FROM {table.name}_rows GROUP BY {keys} HAVING count(DISTINCT source) > 1"
        )
        yield _keys(look, view, "key_in_two_sources", shared)


def _copies(look: Look, table: Table) -> str:
    """SQL: how often a key is there. A reading may stand in parts, known apart: each channel counts for itself."""
    channels = look.snapshot.channels() if table.wide else ()
    return f"greatest({', '.join(f'count({ident(c)})' for c in channels)})" if channels else "count(*)"


def _keys(look: Look, view: TableProfile, code: str, sql: str) -> Finding:
    severity: Severity = "error" if code == "duplicate_key" else "warning"
    count = look.row(f"SELECT count(*) AS n FROM ({sql})")["n"]
    examples = look.examples(sql) if count else ()
    return finding(severity, code, view.name, count=count, of=view.rows, unit="keys", examples=examples)


def references(look: Look, table: Table) -> Iterator[Finding]:
    """Ids that point to nothing: an error for assets, a warning for the rest."""
    for column in table.columns:
        if column.references and look.has(column.references):
            yield from _reference(look, table, column)


def before_installed(look: Look, table: Table) -> Iterator[Finding]:
    """Facts that are older than their asset: usually a machine whose clock was reset."""
    if table.kind != "fact" or "asset_id" not in table.names or not look.has("assets"):
        return
    early = "FROM {0} AS f JOIN assets AS a USING (asset_id) WHERE f.event_time < a.installed_at - INTERVAL 1 DAY"
    count = look.row(f"SELECT count(*) AS n {early.format(table.name)}")["n"]
    shown = f"SELECT f.source, asset_id, f.event_time, a.installed_at {early.format(table.name)}"
    examples = look.examples(shown) if count else ()
    of = look.sizes[table.name]
    yield finding("warning", "before_installed", table.name, "event_time", count=count, of=of, examples=examples)


def plans_by_usage(look: Look, table: Table) -> Iterator[Finding]:
    """Maintenance plans that no instant can be read from: when a usage will be reached is not computed."""
    stored = look.snapshot.columns(table.name)
    if table.name != "maintenance_plans" or "interval_usage" not in stored:
        return
    others = [f"{name} IS NULL" for name in ("due_at", "interval_days") if name in stored]
    where = " AND ".join(["interval_usage IS NOT NULL", *others])
    count = look.row(f"SELECT count(*) AS n FROM {table.name} WHERE {where}")["n"]
    examples = look.broken(table.name, where, ("interval_usage",)) if count else ()
    of = look.sizes[table.name]
    yield finding("note", "plan_by_usage", table.name, "due_at", count=count, of=of, unit="plans", examples=examples)


def _reference(look: Look, table: Table, column: Column) -> Iterator[Finding]:
    name, target = ident(column.name), TABLES[column.references]
    key = ident(target.key[-1])
    system = "system, " if "system" in table.names and "system" in target.names else ""
    ids = f"SELECT {system}{name} AS id, count(*) AS n FROM {table.name} WHERE {name} IS NOT NULL GROUP BY ALL"
    lost = (
        f"SELECT {system}ids.id, n FROM ({ids}) AS ids "
        f"ANTI JOIN (SELECT {system}{key} AS id FROM {target.name}) USING ({system}id)"
    )
    total = look.row(f"SELECT coalesce(sum(n), 0)::BIGINT AS n, count(*) AS ids FROM ({ids})")
    if not total["n"]:
        return
    counts = look.row(f"SELECT coalesce(sum(n), 0)::BIGINT AS n, count(*) AS ids FROM ({lost})")
    near = _alike(look, lost, f"SELECT {key} AS id FROM {target.name}") if counts["n"] else ()
    severity: Severity = "error" if column.references == "assets" else "warning"
    yield finding(
        severity, "not_quite_the_same" if near else "unknown_reference", table.name, column.name,
        count=counts["n"], of=total["n"], detail=f"{counts['ids']:,} of {total['ids']:,} ids are not in {target.name}",
        examples=near or look.examples(f"SELECT id AS {name}, n AS rows FROM ({lost}) ORDER BY n DESC"),
    )  # fmt: skip


def _alike(look: Look, lost: str, known: str) -> tuple[dict[str, str], ...]:
    """Lost ids that differ from a known one only by blanks, letter case or leading zeros."""
    plain = "ltrim(lower(trim({}.id)), '0')"
    return look.examples(
        f"SELECT l.id AS found, k.id AS meant, l.n AS rows FROM ({lost}) AS l JOIN ({known}) AS k "
        f"ON {plain.format('l')} = {plain.format('k')} ORDER BY l.n DESC"
    )


def own_rules(look: Look) -> Iterator[Finding]:
    """The company's own ``[[rules]]`` over the current views.

    Raises
    ------
    ConfigError
        A rule's SQL fails; the message names the rule.
    """
    for rule in look.snapshot.workspace.config.rules:
        yield _own_rule(look, rule)


def _own_rule(look: Look, rule: Rule) -> Finding:
    import duckdb

    try:
        totals = look.row(f"SELECT count(*) AS n, count(*) FILTER (WHERE {rule.where}) AS bad FROM {rule.table}")
    except duckdb.Error as error:
        raise ConfigError(
            f"the predicate fails: {first_line(error)}", where=f"foremend.toml [[rules]] {rule.code}",
            expected=f"SQL over the columns of {rule.table} that is true for a bad row", todo="Correct `where`",
        ) from error  # fmt: skip
    examples = look.broken(rule.table, f"({rule.where})") if totals["bad"] else ()
    meaning = f"breaks your rule: {rule.where}"
    return Finding(
        rule.severity, rule.code, rule.table, "", totals["bad"], totals["n"], meaning, rule.advice, examples=examples
    )
