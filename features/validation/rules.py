"""What a single row must keep to, as SQL: asked by ``ingest`` before it commits, and by ``validate`` after.

Real systems break many rules harmlessly, so a rule says what breaking it costs:

``row``
    The row cannot be used: ingest puts it into quarantine.
``value``
    One value cannot be meant: ingest stores the row with that value empty, and a copy of the
    row as it came in quarantine. A reading out of range does not take its neighbours along.
``report``
    Odd, and usable: the row stays as it is; ``validate`` counts it.

The rules of a table follow from the catalogue (keys, required columns, vocabularies, minima),
from the order of its instants, from the declared channels, and from the company's own
``[[rules]]``.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from features.config import Config
from features.tables import Column, Table
from features.validation.reasons import reason
from features.workspace import ident, quote

__all__ = ["Cost", "RowRule", "row_rules"]

Cost = Literal["row", "value", "report"]

CLOCK_TOLERANCE = "INTERVAL 1 HOUR"
"""Clocks of gateways and desks drift by minutes; a wrong zone shifts by whole hours."""

DAY_TOLERANCE = "INTERVAL 1 DAY"
"""Columns that hold only a date are up to a day before a stamp of the same day."""

MINUTE_TOLERANCE = "INTERVAL 1 MINUTE"
"""Stamps cut to the minute stand beside stamps with seconds."""

MAY_BE_NEGATIVE = frozenset({"cost", "unit_cost", "on_hand", "quantity"})
"""Credit notes, returns and stock that was issued before it was booked are real."""

HAPPENED = frozenset({"tickets", "services", "part_orders", "complaints", "approvals", "inspections"})
"""Versioned tables whose clock says that something happened; elsewhere it may be a plan (`valid_from_at`)."""

STEPS: dict[str, tuple[tuple[str, str, Cost], ...]] = {
    "assets": (("installed_at", "warranty_until_at", "report"),),
    "tickets": (
        ("opened_at", "first_response_at", "report"), ("opened_at", "dispatched_at", "report"),
        ("opened_at", "arrived_at", "report"), ("dispatched_at", "arrived_at", "report"),
        ("arrived_at", "resolved_at", "report"), ("resolved_at", "verified_at", "report"),
        ("resolved_at", "closed_at", "report"), ("opened_at", "surveyed_at", "report"),
        ("opened_at", "resolved_at", "report"), ("opened_at", "closed_at", "report"),  # within the day's tolerance
        ("opened_at", "resolved_at", "row"), ("opened_at", "closed_at", "row"),
    ),
    "work_logs": (("event_time", "ended_at", "value"),),
    "maintenance_plans": (("last_done_at", "due_at", "report"),),
    "contracts": (("valid_from_at", "valid_to_at", "report"),),
    "engineers": (("hired_at", "left_at", "report"),),
    "part_orders": (("requested_at", "shipped_at", "report"), ("shipped_at", "arrived_at", "report"),
                    ("arrived_at", "collected_at", "report")),
    "calendar_events": (("starts_at", "ends_at", "row"),),
    "complaints": (("raised_at", "solved_at", "report"),),
    "approvals": (("requested_at", "decided_at", "report"),),
}  # fmt: skip
"""Instants in their order, by table: (earlier, later, cost of the wrong order)."""


@dataclass(frozen=True)
class RowRule:
    """One rule about single rows of one table.

    Attributes
    ----------
    code
        A code of :data:`features.validation.reasons.REASONS`, or the company's own.
    where
        SQL predicate over the table's canonical columns and its clocks (``event_time``,
        ``known_at``), true for a bad row, never an error, and null where it cannot be said.
    column
        The column to blame, and to empty where `cost` is ``value``.
    columns
        The columns that `where` reads: apply the rule only where the relation has them all.
        Empty for the company's own rules, which may read any.
    cost
        What breaking it costs: see the module.
    """

    code: str
    where: str
    column: str
    columns: tuple[str, ...]
    meaning: str
    advice: str
    cost: Cost


def row_rules(table: Table, config: Config, *, now: datetime | None = None) -> tuple[RowRule, ...]:
    """The rules for single rows of `table`, those that cost a row first.

    Parameters
    ----------
    now
        The workspace's clock, for stamps in the future; default ``[time] now``, else real time.

    Returns
    -------
    tuple of RowRule
        Several may hold for one row; the quarantine names all of them.
    """
    clock = (now or config.time.now or datetime.now(UTC)).astimezone(UTC)
    rules = [*_required(table), *_columns(table), *_instants(table, clock), *_steps(table), *_special(table)]
    rules += _channels(config) if table.wide else ()
    rules += _own(table, config)
    return tuple(sorted(rules, key=lambda rule: ("row", "value", "report").index(rule.cost)))


def _rule(code: str, where: str, columns: Iterable[str], cost: Cost, blame: str = "") -> RowRule:
    read = tuple(dict.fromkeys(columns))
    why = reason(code)
    return RowRule(code, where, blame or read[-1], read, why.meaning, why.advice, cost)


def _required(table: Table) -> Iterator[RowRule]:
    for name in dict.fromkeys((*table.key, *table.required)):
        column = table.column(name)
        empty = f"{ident(name)} IS NULL" + (f" OR trim({ident(name)}) = ''" if column.type == "text" else "")
        yield _rule("missing_key" if name in table.key else "missing_required", empty, (name,), "row")


def _columns(table: Table) -> Iterator[RowRule]:
    for column in table.columns:
        name = ident(column.name)
        if column.choices:
            words = ", ".join(quote(word) for word in column.choices)
            cost: Cost = "row" if column.required else "value"
            yield _rule("bad_state", f"{name} NOT IN ({words})", (column.name,), cost)
        if column.type == "number":
            yield _rule("not_finite", f"NOT isfinite({name})", (column.name,), "value")
        if column.minimum is not None:
            yield _minimum(column)


def _minimum(column: Column) -> RowRule:
    cost: Cost = "report" if column.name in MAY_BE_NEGATIVE else "value"
    return _rule("below_minimum", f"{ident(column.name)} < {column.minimum!r}", (column.name,), cost)


def _instants(table: Table, now: datetime) -> Iterator[RowRule]:
    limit = f"TIMESTAMPTZ {quote(now.isoformat())} + {CLOCK_TOLERANCE}"
    happened = table.kind == "fact" or table.name in HAPPENED
    if happened:
        yield _rule("future_stamp", f"event_time > {limit}", ("event_time",), "row", blame=table.clock)
        yield _rule(
            "known_before_event", f"known_at < event_time - {CLOCK_TOLERANCE}", ("event_time", "known_at"), "report"
        )
    for column in table.columns:
        if column.type != "instant":
            continue
        name = ident(column.name)
        ancient: Cost = "row" if table.kind == "fact" and column.name == "event_time" else "report"
        yield _rule("ancient_stamp", f"{name} < TIMESTAMPTZ '1980-01-01 00:00:00+00'", (column.name,), ancient)
        if happened and column.name not in ("event_time", table.clock) and column.revealed_by == column.name:
            yield _rule("future_stamp", f"{name} > {limit}", (column.name,), "report")


def _steps(table: Table) -> Iterator[RowRule]:
    for earlier, later, cost in STEPS.get(table.name, ()):
        code = "steps_out_of_order" if cost == "report" else "ends_before_start"
        slack = MINUTE_TOLERANCE if cost == "report" else DAY_TOLERANCE
        yield _rule(code, f"{ident(later)} < {ident(earlier)} - {slack}", (earlier, later), cost)


def _special(table: Table) -> Iterator[RowRule]:
    """Rules that no declaration of the catalogue can carry."""
    if table.name == "assets":
        zones = ", ".join(quote(zone) for zone in sorted(zoneinfo.available_timezones()))
        yield _rule("unknown_zone", f"zone NOT IN ({zones})", ("zone",), "value")
        yield _rule("retired_before_installed", "retired_at < installed_at", ("installed_at", "retired_at"), "value")
    if "latitude" in table.names:
        yield _rule("out_of_range", "latitude > 90", ("latitude",), "value")
        yield _rule("out_of_range", "longitude > 180", ("longitude",), "value")
        yield _rule("zero_position", "latitude = 0 AND longitude = 0", ("latitude", "longitude"), "report")
    if table.name == "tickets":
        yield _rule("out_of_range", "nps > 10", ("nps",), "value")
    if table.name == "inspections":
        yield _rule("passed_first_only", "passed_first AND NOT passed", ("passed", "passed_first"), "report")


def _channels(config: Config) -> Iterator[RowRule]:
    for name, channel in config.channels.items():
        yield _rule("not_finite", f"NOT isfinite({ident(name)})", (name,), "value")
        if channel.range is not None:
            low, high = channel.range
            yield _rule(
                "out_of_range",
                f"isfinite({ident(name)}) AND {ident(name)} NOT BETWEEN {low!r} AND {high!r}",
                (name,),
                "value",
            )


def _own(table: Table, config: Config) -> Iterator[RowRule]:
    for rule in config.rules:
        if rule.table == table.name:
            cost: Cost = "row" if rule.severity == "error" else "report"
            yield RowRule(rule.code, rule.where, "", (), rule.code.replace("_", " "), rule.advice, cost)
