"""The canonical tables: every column's type, unit, meaning, and the instant that reveals it.

This catalogue is the contract between a company's sources and everything behind them.
Two kinds of table exist (see ``docs/decisions``):

*facts*
    Insert-only events that happened once (``readings``, ``alarms``, ``ticket_events``,
    ``work_logs``), partitioned by month of ``event_time``, ordered by asset.
*versioned*
    Things that change (all others): a row is one version of one key, valid from its
    ``known_at`` until the next version.

Three clocks and an origin are on every stored row, and are never mapped by hand:

=============== ==============================================================================
``source``     the name of the source in ``foremend.toml`` that delivered the row
``event_time`` when it happened: the table's `clock` column
``known_at``   when we could know: the engine reads a row only where ``known_at < as_of``
``ingested_at`` when this workspace committed it
=============== ==============================================================================

All instants are UTC with microseconds. A column whose `revealed_by` names another column is
read only after that instant; one revealed by ``known_at`` is known with its row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = ["BOOKKEEPING", "TABLES", "TICKET_STATES", "Column", "Table", "Type"]

Type = Literal["text", "integer", "number", "boolean", "instant"]
Kind = Literal["fact", "versioned"]

BOOKKEEPING: tuple[str, ...] = ("source", "event_time", "known_at", "ingested_at")
"""Columns that ingest sets on every row of every table."""

TICKET_STATES: tuple[str, ...] = (
    "opened", "dispatched", "accepted", "departed", "arrived", "started", "resolved", "verified",
    "closed", "followed_up", "first_response", "on_hold", "resumed", "transferred", "escalated",
    "reopened", "cancelled",
)  # fmt: skip
"""The closed vocabulary of ``ticket_events.state``, in the order of a ticket's life."""


@dataclass(frozen=True)
class Column:
    """One column of a canonical table.

    Attributes
    ----------
    revealed_by
        The column of the same row that says when this value became known; ``known_at`` when it
        is known with the row. An instant column that reveals itself names itself.
    choices
        The closed vocabulary, empty when any value may stand.
    references
        The table whose key this column points to, or empty.
    minimum
        The smallest value that can be meant, for numbers.
    """

    name: str
    type: Type
    meaning: str
    unit: str = ""
    required: bool = False
    revealed_by: str = "known_at"
    choices: tuple[str, ...] = ()
    references: str = ""
    minimum: float | None = None


@dataclass(frozen=True)
class Table:
    """A canonical table.

    Attributes
    ----------
    key
        Columns that, with ``source`` for facts, identify a row (facts) or a thing (versioned).
    clock
        The column that becomes ``event_time``; null is allowed only where it is not required
        (a thing without a beginning counts as known for ever).
    entity
        The column by which rows are joined to an asset, ordered on disk, and sharded.
    extra_revealed_by
        What reveals an attribute column that the source added and did not declare.
    wide
        True only for ``readings``, whose other columns are the declared channels.
    """

    name: str
    kind: Kind
    meaning: str
    key: tuple[str, ...]
    clock: str
    columns: tuple[Column, ...]
    entity: str = "asset_id"
    extra_revealed_by: str = "known_at"
    wide: bool = False

    def column(self, name: str) -> Column:
        """Return a column by name; KeyError where the catalogue has none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"{self.name} has no column {name!r}")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the declared columns, in order."""
        return tuple(c.name for c in self.columns)

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the columns that a source must deliver."""
        return tuple(c.name for c in self.columns if c.required)


def _text(name: str, meaning: str, *, choices: tuple[str, ...] = (), to: str = "", by: str = "known_at",
          required: bool = False) -> Column:  # fmt: skip
    return Column(name, "text", meaning, choices=choices, references=to, revealed_by=by, required=required)


def _number(name: str, meaning: str, unit: str, *, by: str = "known_at", minimum: float | None = 0.0) -> Column:
    return Column(name, "number", meaning, unit=unit, revealed_by=by, minimum=minimum)


def _instant(name: str, meaning: str, *, required: bool = False, by: str = "") -> Column:
    """An instant reveals itself unless it is a plan, known with its row."""
    return Column(name, "instant", meaning, unit="UTC", required=required, revealed_by=by or name)


def _flag(name: str, meaning: str, *, by: str = "known_at") -> Column:
    return Column(name, "boolean", meaning, revealed_by=by)


_ASSET = _text("asset_id", "the asset, as in `assets`", to="assets", required=True)
_MAYBE_ASSET = _text("asset_id", "the asset, as in `assets`; empty where the record names none", to="assets")
_TICKET = _text("ticket_id", "the ticket, as in `tickets`", to="tickets", required=True)
_EVENT_TIME = _instant("event_time", "when it happened", required=True)

_ASSETS = Table(
    "assets", "versioned", "every machine that is, or was, in service", ("asset_id",), "installed_at",
    (
        _text("asset_id", "the company's own id of the machine", required=True),
        _text("asset_model", "model or type of the machine"),
        _text("asset_class", "group for which readiness, costs and models are judged; the model where empty"),
        _text("batch", "production batch or serial range"),
        _text("region", "service region"),
        _text("organisation", "branch, dealer or supplier that serves it"),
        _text("customer_id", "who runs it", to="customers"),
        _text("site", "where it stands"),
        _text("zone", "IANA time zone of the site"),
        _number("latitude", "of the site", "degrees", minimum=-90.0),
        _number("longitude", "of the site", "degrees", minimum=-180.0),
        _instant("installed_at", "start of service; empty counts as in service for ever"),
        _instant("warranty_until_at", "end of warranty", by="known_at"),
        _instant("retired_at", "end of service"),
    ),
)  # fmt: skip

_TICKETS = Table(
    "tickets", "versioned", "service tickets, one version per change", ("system", "ticket_id"), "opened_at",
    (
        _text("system", "the ticket system that issued the id", required=True),
        _text("ticket_id", "the id in that system", required=True),
        _MAYBE_ASSET,
        _text("customer_id", "who asked", to="customers"),
        _text("region", "service region"),
        _text("organisation", "branch, dealer or supplier in charge"),
        _text("ticket_type", "kind of work: fault, maintenance, installation, question ..."),
        _text("channel", "phone, web, app, WeChat, e-mail, portal, alarm"),
        _text("priority", "as it stands in the record", by="closed_at"),
        _text("origin", "organic demand, our preventive ticket, or planned work",
              choices=("organic", "preventive", "planned")),
        _text("external_ref", "our key, where we opened the ticket"),
        _text("subject", "one line as reported"),
        _text("description", "text as reported"),
        _text("engineer_id", "who was in charge in the end", to="engineers", by="closed_at"),
        _text("skill", "skill that the work needs"),
        _text("duplicate_of", "the ticket of which this is a duplicate", by="closed_at"),
        _instant("opened_at", "when the customer or the machine asked", required=True),
        _instant("appointment_at", "agreed start on site", by="closed_at"),
        _instant("first_response_at", "first human contact"),
        _instant("dispatched_at", "given to an engineer"),
        _instant("arrived_at", "engineer on site"),
        _instant("resolved_at", "work done"),
        _instant("verified_at", "solution verified"),
        _instant("closed_at", "ticket closed"),
        _instant("surveyed_at", "customer's answer to the survey"),
        _text("finding", "what the work found: a component, a cause, 'no fault found'", by="closed_at"),
        _text("component", "component repaired or replaced", by="closed_at"),
        _text("cause", "cause of a reopen or failure: skill, parts, process ...", by="closed_at"),
        _text("verified_by", "customer, signature, system check, call-back", by="verified_at"),
        _number("csat", "customer satisfaction", "points", by="surveyed_at"),
        _number("nps", "willingness to recommend, 0 to 10", "points", by="surveyed_at"),
        _number("labour_hours", "hours worked", "h", by="closed_at"),
        _number("cost", "total cost of the ticket", "currency of the workspace", by="closed_at"),
    ),
    extra_revealed_by="closed_at",
)  # fmt: skip

_TICKET_EVENTS = Table(
    "ticket_events", "fact", "what happened to a ticket, one row per change of state",
    ("system", "ticket_id", "event_time", "state"), "event_time",
    (
        _text("system", "the ticket system that issued the id", required=True),
        _TICKET,
        _EVENT_TIME,
        _text("state", "the state entered", choices=TICKET_STATES, required=True),
        _MAYBE_ASSET,
        _text("actor", "who did it"),
        _text("engineer_id", "engineer concerned", to="engineers"),
        _text("group", "group that holds the ticket from now on"),
        _text("reason", "why on hold, transferred, escalated, reopened or cancelled"),
    ),
    entity="ticket_id",
)  # fmt: skip

_ALARMS = Table(
    "alarms", "fact", "messages of the machine itself", ("asset_id", "event_time", "code"), "event_time",
    (
        _ASSET,
        _EVENT_TIME,
        _text("code", "alarm or error code", required=True),
        _text("severity", "as the machine grades it"),
        _text("text", "message text"),
    ),
)  # fmt: skip

_READINGS = Table(
    "readings", "fact", "sensor readings, one row per asset and instant, one number per channel",
    ("asset_id", "event_time"), "event_time", (_ASSET, _EVENT_TIME), wide=True,
)  # fmt: skip

_SERVICES = Table(
    "services", "versioned", "work done on a component", ("service_id",), "performed_at",
    (
        _text("service_id", "the record's id", required=True),
        _ASSET,
        _text("component", "component replaced or serviced"),
        _text("action", "what was done", choices=("replaced", "serviced", "inspected")),
        _text("reason", "planned ahead, or corrective after trouble", choices=("planned", "corrective")),
        _text("initiator", "the routine plan, or a preventive ticket of ours", choices=("routine", "ours")),
        _text("ticket_id", "the ticket under which it was done", to="tickets"),
        _instant("performed_at", "when it was done", required=True),
        _number("cost", "cost of the work", "currency of the workspace"),
    ),
)  # fmt: skip

_PLANS = Table(
    "maintenance_plans", "versioned", "routine maintenance as planned", ("plan_id",), "planned_at",
    (
        _text("plan_id", "the plan's id", required=True),
        _ASSET,
        _text("component", "component concerned; empty for the whole asset"),
        _number("interval_days", "interval by time", "d"),
        _number("interval_usage", "interval by usage", "unit of `usage_channel`"),
        _text("usage_channel", "channel of `readings` that counts usage"),
        _instant("planned_at", "when the plan was made"),
        _instant("last_done_at", "last time it was done"),
        _instant("due_at", "next time it is due", by="known_at"),
    ),
)  # fmt: skip

_CUSTOMERS = Table(
    "customers", "versioned", "who runs the assets", ("customer_id",), "customer_since_at",
    (
        _text("customer_id", "the customer's id", required=True),
        _text("name", "name for people"),
        _text("tier", "service tier, key customers apart"),
        _text("region", "region of the customer"),
        _text("organisation", "branch in charge"),
        _text("salesperson", "who sells to it"),
        _instant("customer_since_at", "first contract"),
    ),
)  # fmt: skip

_CONTRACTS = Table(
    "contracts", "versioned", "what was promised to whom", ("contract_id",), "valid_from_at",
    (
        _text("contract_id", "the contract's id", required=True),
        _text("customer_id", "with whom", to="customers"),
        _text("asset_id", "for which asset; empty for all of the customer's", to="assets"),
        _text("coverage", "what is covered: full, parts, labour, none"),
        _text("priority", "tickets for which the limits hold; empty for all"),
        _number("first_response_limit_hours", "limit of the first response", "h"),
        _number("arrival_limit_hours", "limit of the arrival on site", "h"),
        _number("completion_limit_hours", "limit of the solution", "h"),
        _text("calendar", "name of the working calendar on which the limits run"),
        _instant("valid_from_at", "first instant of validity"),
        _instant("valid_to_at", "end of validity", by="known_at"),
    ),
)  # fmt: skip

_ENGINEERS = Table(
    "engineers", "versioned", "who can be sent", ("engineer_id",), "hired_at",
    (
        _text("engineer_id", "the engineer's id", required=True),
        _text("name", "name for people"),
        _text("group", "team or crew"),
        _text("region", "region served"),
        _text("organisation", "employer"),
        _text("skills", "skills, separated by ';'"),
        _number("weekly_hours", "contracted hours", "h/week"),
        _instant("hired_at", "start"),
        _instant("left_at", "end"),
    ),
)  # fmt: skip

_WORK_LOGS = Table(
    "work_logs", "fact", "where an engineer's hours went", ("engineer_id", "event_time", "activity"), "event_time",
    (
        _text("engineer_id", "who", to="engineers", required=True),
        _EVENT_TIME,
        _text("activity", "what", choices=("travel", "work", "waiting", "training", "absence", "office"),
              required=True),
        _instant("ended_at", "end of the activity"),
        _text("ticket_id", "for which ticket", to="tickets"),
        _MAYBE_ASSET,
        _number("latitude", "position at the start", "degrees", minimum=-90.0),
        _number("longitude", "position at the start", "degrees", minimum=-180.0),
    ),
    entity="engineer_id",
)  # fmt: skip

_PARTS = Table(
    "parts", "versioned", "the parts list", ("part_id",), "introduced_at",
    (
        _text("part_id", "the part's number", required=True),
        _text("name", "name for people"),
        _text("component", "component of which it is a part"),
        _text("part_class", "stock class A, B, C"),
        _number("unit_cost", "cost of one", "currency of the workspace"),
        _number("lead_time_days", "time to replenish", "d"),
        _number("on_hand", "stock on hand", "pieces"),
        _number("weight_kg", "weight of one", "kg"),
        _instant("introduced_at", "first listed"),
    ),
)  # fmt: skip

_PART_ORDERS = Table(
    "part_orders", "versioned", "parts asked for", ("order_id",), "requested_at",
    (
        _text("order_id", "the order line's id", required=True),
        _text("part_id", "which part", to="parts", required=True),
        _text("ticket_id", "for which ticket", to="tickets"),
        _MAYBE_ASSET,
        _number("quantity", "pieces asked for", "pieces"),
        _instant("requested_at", "when it was asked for", required=True),
        _instant("promised_at", "delivery promised", by="known_at"),
        _instant("shipped_at", "left the store"),
        _instant("arrived_at", "arrived at the branch"),
        _instant("collected_at", "collected by the engineer"),
        _text("status", "as it stands in the record", by="collected_at"),
    ),
    extra_revealed_by="collected_at",
)  # fmt: skip

_CALENDAR = Table(
    "calendar_events", "versioned", "promotions, launches, outages, shutdowns", ("calendar_event_id",), "announced_at",
    (
        _text("calendar_event_id", "the event's id", required=True),
        _text("kind", "promotion, launch, outage, holiday, shutdown", required=True),
        _text("name", "name for people"),
        _text("region", "where; empty for everywhere"),
        _instant("announced_at", "when it was known"),
        _instant("starts_at", "first instant", by="known_at", required=True),
        _instant("ends_at", "end", by="known_at"),
    ),
    entity="region",
)  # fmt: skip

_COMPLAINTS = Table(
    "complaints", "versioned", "complaints of customers", ("complaint_id",), "raised_at",
    (
        _text("complaint_id", "the complaint's id", required=True),
        _text("customer_id", "by whom", to="customers"),
        _MAYBE_ASSET,
        _text("ticket_id", "about which ticket", to="tickets"),
        _text("complaint_source", "how it came"),
        _text("cause", "cause found", by="solved_at"),
        _text("status", "as it stands in the record", by="solved_at"),
        _instant("raised_at", "when it was raised", required=True),
        _instant("solved_at", "when it was solved"),
    ),
    extra_revealed_by="solved_at",
)  # fmt: skip

_APPROVALS = Table(
    "approvals", "versioned", "steps that somebody must approve", ("approval_id",), "requested_at",
    (
        _text("approval_id", "the step's id", required=True),
        _text("process", "the process it belongs to"),
        _text("organisation", "who must decide"),
        _text("ticket_id", "for which ticket", to="tickets"),
        _instant("requested_at", "when it was asked for", required=True),
        _instant("due_at", "by when", by="known_at"),
        _instant("decided_at", "when it was decided"),
        _text("decision", "approved or refused", choices=("approved", "refused"), by="decided_at"),
    ),
    entity="organisation",
    extra_revealed_by="decided_at",
)  # fmt: skip

_INSPECTIONS = Table(
    "inspections", "versioned", "quality inspections", ("inspection_id",), "inspected_at",
    (
        _text("inspection_id", "the inspection's id", required=True),
        _MAYBE_ASSET,
        _text("asset_model", "model inspected"),
        _text("batch", "batch inspected"),
        _instant("inspected_at", "when", required=True),
        _flag("passed", "passed in the end"),
        _flag("passed_first", "passed at the first attempt"),
        _text("defect", "defect found"),
    ),
)  # fmt: skip

TABLES: Mapping[str, Table] = MappingProxyType(
    {
        table.name: table
        for table in (
            _ASSETS, _TICKETS, _TICKET_EVENTS, _ALARMS, _READINGS, _SERVICES, _PLANS, _CUSTOMERS, _CONTRACTS,
            _ENGINEERS, _WORK_LOGS, _PARTS, _PART_ORDERS, _CALENDAR, _COMPLAINTS, _APPROVALS, _INSPECTIONS,
        )
    }
)  # fmt: skip
"""The catalogue, by name. ``docs/data-dictionary.md`` is generated from it."""
