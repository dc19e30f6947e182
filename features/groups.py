"""Feature groups over assets, and the tables made from them.

To add a group: one function that takes a :class:`Context` and returns entries, and its name in
:data:`GROUPS`; the battery of tests then holds it to the reference. A company adds its own in
``foremend.toml`` (see :mod:`features.custom`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from features import sentences
from features.context import Context
from features.lattice import DAY
from features.point_in_time import (
    AS_OF,
    OWN,
    Baseline,
    Counts,
    CountSince,
    Entry,
    Events,
    Feature,
    Level,
    Moment,
    Silence,
    Since,
    State,
    Statistics,
    alike,
    spelt,
)  # fmt: skip
from features.wording import Words, attribute_words, noun_words, told_words
from features.workspace import ident, quoted

__all__ = ["GROUPS"]

ALARMS = Events("alarm", "alarms", by="code")
SERVICES = Events("service", "services", by="component")
TICKETS = Events("ticket", "tickets", at="opened_at", by="ticket_type", words=Words("ticket", "工单创建"))
CLOSED = Events("ticket_closed", "tickets", at="closed_at", words=Words("closed ticket", "工单关闭"))
REPEATS = Events("ticket_repeat", "tickets", at="opened_at", repeat_days=30, words=Words("repeated ticket", "重复工单"))
FAILURES = Events("failure", "failures", by="failure_mode")

TAKEN = frozenset({"id", "age_days", "warranty_days"})
"""Attributes after which ``asset_NAME`` is the key of the table, or a feature of the house."""


def profile(context: Context) -> tuple[Entry, ...]:
    """What the asset is, and how old."""
    found: list[Entry] = []
    for name, kind in context.attributes:
        sql = f"CAST({ident(name)} AS DOUBLE)" if kind == "number" else f"CAST({ident(name)} AS VARCHAR)"
        stem = "asset_own" if name.lower() in TAKEN else "asset"
        feature = Feature(
            f"{stem}_{name}", kind, "", attribute_words(name), "assets",
            quantity=f"assets.{name}", sentence=sentences.attribute(name),
        )  # fmt: skip
        found.append(State(feature, "assets", sql, (name,)))
    old = Words("days since the start of service", "投用天数")
    warranty = Words("days of warranty left, below 0 after its end", "剩余保修天数（过保后为负）")
    age = Feature(
        "asset_age_days", "number", "d", old, "assets", quantity="assets.installed_at", sentence=sentences.IN_SERVICE
    )
    left = Feature(
        "asset_warranty_days", "number", "d", warranty, "assets",
        quantity="assets.warranty_until_at", sentence=sentences.WARRANTY,
    )  # fmt: skip
    found.append(State(age, "assets", f"({AS_OF} - epoch_us(installed_at)) / {DAY}e0", ("installed_at",)))
    found.append(State(left, "assets", f"(epoch_us(warranty_until_at) - {AS_OF}) / {DAY}e0", ("warranty_until_at",)))
    return tuple(found)


def tickets(context: Context) -> tuple[Entry, ...]:
    """What was asked for it before: opened, closed, open now, repeated."""
    if "tickets" not in context.tables:
        return ()
    return (
        Counts(TICKETS, (30, 90, 365), context.values["ticket_type"]),
        Since(TICKETS),
        Counts(CLOSED, (90,)),
        Since(CLOSED),
        Counts(REPEATS, (90, 365)),
        Level("ticket_open", TICKETS, CLOSED),
    )


def alarms(context: Context) -> tuple[Entry, ...]:
    """What the machine itself reported."""
    if "alarms" not in context.tables:
        return ()
    codes = context.values["code"]
    found: tuple[Entry, ...] = (Counts(ALARMS, (1, 7, 30), codes), Since(ALARMS, codes))
    return (*found, CountSince(ALARMS, SERVICES)) if "services" in context.tables else found


def services(context: Context) -> tuple[Entry, ...]:
    """Service clocks per component, and what is planned."""
    found: list[Entry] = []
    if "services" in context.tables:
        components = context.values["component"]
        found += [Since(SERVICES, components), Counts(SERVICES, (90, 365), components)]
    if "maintenance_plans" in context.tables:
        found += [_due(components) for components in ((), *alike(context.values["planned_component"]))]
    return tuple(found)


def _due(components: tuple[str, ...]) -> State:
    """Days to the next planned maintenance, of a component in all its spellings or of any; below 0 when it is overdue."""
    due = "coalesce(epoch_us(due_at), epoch_us(last_done_at) + CAST(interval_days * 86400e6 AS BIGINT))"
    only = f"CASE WHEN component IN ({quoted(components)}) THEN {AS_OF} END" if components else AS_OF
    name, called = "plan_days_until_due", components[0] if components else ""
    told = told_words([("component", called)] if called else ())
    feature = Feature(
        f"{name}_{spelt(called)}" if called else name, "number", "d",
        Words(f"days to the next planned maintenance{told.en}", f"距下次计划维保的天数{told.zh}"), "maintenance_plans",
        component=called, family=f"{name}_{OWN}" if called else "",
        quantity=".".join(["maintenance_plans", *([f"component={spelt(called)}"] if called else [])]),
        sentence=sentences.due(noun_words(Words("planned maintenance", "计划维保"), "component" * bool(called), called)),
    )  # fmt: skip
    columns = ("due_at", "last_done_at", "interval_days", "component")
    return State(feature, "maintenance_plans", f"({due} - {only}) / {DAY}e0", columns, "min")


def failures(context: Context) -> tuple[Entry, ...]:
    """Past failures per mode, as the failure rule sees them."""
    if "failures" not in context.tables:
        return ()
    modes = context.values["failure_mode"]
    return (Counts(FAILURES, (90, 365, None), modes), Since(FAILURES, modes))


def sensors(context: Context) -> tuple[Entry, ...]:
    """Level, spread, extremes and trend of every channel, and each against its own healthy start."""
    reset = SERVICES if "services" in context.tables else None
    found: list[Entry] = []
    long = ("mean", "std", "min", "max", "slope", "last_minus_mean")
    for name, unit, label in context.channels:
        found += [
            Statistics("reading", "readings", name, ("mean", "std", "min", "max", "last"), (1,), unit, label=label),
            Statistics("reading", "readings", name, long, (7, 30), unit, label=label),
            Statistics("reading", "readings", name, ("count",), (7,), unit, label=label),
            Statistics("reading", "readings", name, ("day_minus_mean",), (7, 30), unit, label=label),
            Baseline("reading", "readings", name, 14, (1, 7), reset, unit, label=label),
        ]
    return tuple(found)


def silence(context: Context) -> tuple[Entry, ...]:
    """Whether readings still arrive."""
    return (Silence("reading", "readings"),) if "readings" in context.tables else ()


def calendar(context: Context) -> tuple[Entry, ...]:
    """Where in the week and the year ``as_of`` lies."""
    return (Moment("weekday", context.zone), Moment("month", context.zone), Moment("day_of_year", context.zone))


Group = Callable[[Context], tuple[Entry, ...]]

GROUPS: Mapping[str, Group] = MappingProxyType(
    {
        "profile": profile,
        "tickets": tickets,
        "alarms": alarms,
        "services": services,
        "failures": failures,
        "sensors": sensors,
        "silence": silence,
        "calendar": calendar,
    }
)
"""The groups of the house, in the order of their columns."""
