"""Rules about single rows: what each costs, and that real systems' harmless habits cost nothing."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from features.config import parse
from features.ingest.merging import REFUSED
from features.tables import TABLES
from features.validation.reasons import REASONS
from features.validation.rules import row_rules

NOW = datetime(2024, 6, 1, tzinfo=UTC)
CONFIG = parse(
    '[workspace]\nid = "t"\n[time]\nnow = 2024-06-01T00:00:00Z\n[channels.bar]\nrange = [0, 10]\n[channels.free]\n'
    '[[rules]]\ntable = "tickets"\ncode = "own"\nwhere = "region = \'X\'"\nadvice = "mend"\n'
)


def at(days: float) -> datetime:
    return NOW + timedelta(days=days)


def stamp(value: datetime) -> str:
    return f"TIMESTAMPTZ '{value.isoformat()}'"


@pytest.fixture(scope="module")
def con():
    from features.workspace import duck

    with duck() as connection:
        yield connection


@pytest.fixture
def broken(con):
    """Codes with their cost that one row breaks; columns not given are null."""

    def codes(table: str, **row: object) -> set[tuple[str, str, str]]:
        types = {"text": "VARCHAR", "number": "DOUBLE", "boolean": "BOOLEAN", "instant": "TIMESTAMPTZ"}
        full = {c.name: types[c.type] for c in TABLES[table].columns} | {"bar": "DOUBLE", "free": "DOUBLE"}
        full |= {"event_time": "TIMESTAMPTZ", "known_at": "TIMESTAMPTZ"}
        row = {"event_time": row.get(TABLES[table].clock, at(-9)), "known_at": at(-1), **row}
        cells = ", ".join(f'CAST({_sql(row.get(n))} AS {kind}) AS "{n}"' for n, kind in full.items())
        rules = row_rules(TABLES[table], CONFIG, now=NOW)
        tests = ", ".join(f"coalesce({rule.where}, false)" for rule in rules)
        hits = con.execute(f"SELECT {tests} FROM (SELECT {cells})").fetchall()[0]
        return {(r.code, r.column, r.cost) for r, hit in zip(rules, hits, strict=True) if hit}

    return codes


def _sql(value: object) -> str:
    if isinstance(value, datetime):
        return stamp(value)
    return "NULL" if value is None else repr(value)


TICKET = {"system": "s", "ticket_id": "1", "asset_id": "A", "opened_at": at(-9)}
EVENT = {"system": "s", "ticket_id": "1", "state": "closed", "event_time": at(-9)}
READING = {"asset_id": "A", "event_time": at(-9)}
SERVICE = {"service_id": "1", "asset_id": "A", "performed_at": at(-9)}
ASSET = {"asset_id": "A"}

HARMLESS = [
    ("tickets", TICKET | {"closed_at": at(-8), "resolved_at": at(-8)}),
    ("tickets", TICKET | {"closed_at": at(-9.4)}, "only a date: midnight of the same day"),
    ("tickets", TICKET | {"cost": -20.0}, "a credit note"),
    ("tickets", TICKET | {"origin": "organic", "nps": 10.0, "csat": 0.0}),
    ("readings", READING | {"bar": 10.0}, "on the border"),
    ("readings", READING | {"free": -1e9}, "no range declared"),
    ("readings", READING | {"event_time": NOW + timedelta(minutes=59)}, "a clock that is fast"),
    ("assets", ASSET, "in service for ever"),
    ("assets", ASSET | {"zone": "Asia/Shanghai", "installed_at": at(-900), "retired_at": at(30)}),
    ("contracts", {"contract_id": "1", "valid_from_at": at(300), "valid_to_at": at(900)}, "from next year on"),
    ("maintenance_plans", {"plan_id": "1", "asset_id": "A", "due_at": at(30)}, "due next month"),
    ("services", SERVICE | {"reason": "corrective", "action": "replaced"}),
    ("parts", {"part_id": "1", "on_hand": -3.0}, "issued before it was booked"),
]


@pytest.mark.parametrize("case", HARMLESS, ids=lambda case: f"{case[0]} {case[2:]}")
def test_harmless_habits_cost_nothing(broken, case):
    costs = {cost for _, _, cost in broken(case[0], **case[1])}
    assert costs <= {"report"}


COSTLY = [
    ("tickets", TICKET | {"ticket_id": None}, ("missing_key", "ticket_id", "row")),
    ("tickets", TICKET | {"ticket_id": "  "}, ("missing_key", "ticket_id", "row")),
    ("tickets", TICKET | {"opened_at": None}, ("missing_required", "opened_at", "row")),
    ("tickets", TICKET | {"opened_at": at(3), "event_time": at(3)}, ("future_stamp", "opened_at", "row")),
    ("tickets", TICKET | {"closed_at": at(-11)}, ("ends_before_start", "closed_at", "row")),
    ("tickets", TICKET | {"csat": -1.0}, ("below_minimum", "csat", "value")),
    ("tickets", TICKET | {"nps": 11.0}, ("out_of_range", "nps", "value")),
    ("tickets", TICKET | {"origin": "Preventive"}, ("bad_state", "origin", "value")),
    ("tickets", TICKET | {"region": "X"}, ("own", "", "row")),
    ("tickets", TICKET | {"dispatched_at": at(-7), "arrived_at": at(-8)},
     ("steps_out_of_order", "arrived_at", "report")),
    ("tickets", TICKET | {"closed_at": at(-9 - 14 / 24)}, ("steps_out_of_order", "closed_at", "report")),
    ("tickets", TICKET | {"resolved_at": at(-9 - 14 / 24)}, ("steps_out_of_order", "resolved_at", "report")),
    ("tickets", TICKET | {"cost": -20.0}, ("below_minimum", "cost", "report")),
    ("ticket_events", EVENT | {"state": "done"}, ("bad_state", "state", "row")),
    ("readings", READING | {"event_time": at(0.1)}, ("future_stamp", "event_time", "row")),
    ("readings", READING | {"bar": 10.5}, ("out_of_range", "bar", "value")),
    ("readings", READING | {"bar": "nan"}, ("not_finite", "bar", "value")),
    ("readings", READING | {"known_at": at(-10)}, ("known_before_event", "known_at", "report")),
    ("assets", ASSET | {"installed_at": at(-9), "retired_at": at(-10)},
     ("retired_before_installed", "retired_at", "value")),
    ("assets", ASSET | {"zone": "China"}, ("unknown_zone", "zone", "value")),
    ("assets", ASSET | {"latitude": 91.0}, ("out_of_range", "latitude", "value")),
    ("assets", ASSET | {"longitude": -181.0}, ("below_minimum", "longitude", "value")),
    ("assets", ASSET | {"latitude": 0.0, "longitude": 0.0}, ("zero_position", "longitude", "report")),
    ("assets", ASSET | {"installed_at": datetime(1900, 1, 1, tzinfo=UTC)}, ("ancient_stamp", "installed_at", "report")),
    ("alarms", {"asset_id": "A", "code": "e", "event_time": datetime(1970, 1, 3, tzinfo=UTC)},
     ("ancient_stamp", "event_time", "row")),
    ("services", SERVICE | {"performed_at": at(9), "event_time": at(9)}, ("future_stamp", "performed_at", "row")),
    ("work_logs", {"engineer_id": "E", "event_time": at(-3), "activity": "work", "ended_at": at(-5)},
     ("ends_before_start", "ended_at", "value")),
    ("calendar_events", {"calendar_event_id": "1", "kind": "promotion", "starts_at": at(9), "ends_at": at(2)},
     ("ends_before_start", "ends_at", "row")),
    ("inspections", {"inspection_id": "1", "inspected_at": at(-2), "passed": False, "passed_first": True},
     ("passed_first_only", "passed_first", "report")),
]  # fmt: skip


@pytest.mark.parametrize("case", COSTLY, ids=lambda case: f"{case[0]} {case[2][0]} {case[2][1]}")
def test_a_broken_rule_is_seen_and_costs_what_it_should(broken, case):
    assert case[2] in broken(case[0], **case[1])


@pytest.mark.parametrize("case", COSTLY, ids=lambda case: f"{case[0]} {case[2][0]} {case[2][1]}")
def test_nothing_else_of_the_row_is_quarantined_with_it(broken, case):
    """One fault, one reason: two codes only where one stamp breaks two rules."""
    hits = {hit for hit in broken(case[0], **case[1]) if hit[2] != "report"}
    assert len(hits) <= 1


def test_a_reading_out_of_range_never_costs_its_row():
    rules = [rule for rule in row_rules(TABLES["readings"], CONFIG) if rule.column in CONFIG.channels]
    assert {rule.cost for rule in rules} == {"value"}


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_every_rule_runs_reads_what_it_names_and_is_worded(con, table):
    from features.workspace import SQL_TYPES

    rules = row_rules(table, CONFIG, now=NOW)
    assert len(rules) >= len(table.required)
    for rule in rules:
        types = {c.name: SQL_TYPES[c.type] for c in table.columns} | {"bar": "DOUBLE", "free": "DOUBLE"}
        types |= {"event_time": "TIMESTAMPTZ", "known_at": "TIMESTAMPTZ"}
        names = rule.columns or ("region",)
        cells = ", ".join(f'NULL::{types[n]} AS "{n}"' for n in names)
        con.execute(f"SELECT ({rule.where}) FROM (SELECT {cells})").fetchall()
        assert rule.code in REASONS or rule.code == "own"
        assert rule.meaning
        assert rule.advice


def test_rules_that_cost_a_row_come_first():
    costs = [rule.cost for rule in row_rules(TABLES["tickets"], CONFIG)]
    assert costs == sorted(costs, key=["row", "value", "report"].index)


def test_every_verdict_that_costs_a_row_is_explained() -> None:
    codes = re.findall(r"\w+", REFUSED)
    assert len(codes) == 3
    assert [code for code in (*codes, "mixed_zones", "naive_stamp", "bad_type") if code not in REASONS] == []
