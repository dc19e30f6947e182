"""The catalogue keeps its own promises, and its page is current."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from features.tables import BOOKKEEPING, TABLES, TICKET_STATES

ROOT = Path(__file__).parents[2]
EVERY = pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))

ISSUE = [
    "assets", "tickets", "ticket_events", "alarms", "readings", "services", "maintenance_plans", "customers",
    "contracts", "engineers", "work_logs", "parts", "part_orders", "calendar_events", "complaints", "approvals",
    "inspections",
]  # fmt: skip
"""The tables that the product's owner named."""


def test_the_catalogue_holds_the_tables_that_were_asked_for():
    assert sorted(TABLES) == sorted(ISSUE)


@EVERY
def test_key_clock_and_reveals_name_columns_of_the_table(table):
    named = {*table.key, table.clock, *(c.revealed_by for c in table.columns), table.extra_revealed_by} - {"known_at"}
    assert named <= set(table.names)


@EVERY
def test_every_column_says_what_it_means_and_no_name_repeats(table):
    assert all(c.meaning.strip() for c in table.columns)
    assert all(c.unit for c in table.columns if c.type in {"number", "instant"})
    assert len(set(table.names)) == len(table.names)
    assert not {*table.names} & ({*BOOKKEEPING, "month", "deleted"} - {"event_time"})


@EVERY
def test_what_reveals_a_value_is_an_instant(table):
    for column in table.columns:
        if column.revealed_by != "known_at":
            assert table.column(column.revealed_by).type == "instant", column.name


@EVERY
def test_references_point_to_the_key_of_another_table(table):
    for column in table.columns:
        if column.references:
            assert TABLES[column.references].column(TABLES[column.references].key[-1]).type == column.type == "text"


@EVERY
def test_facts_are_timed_and_end_their_names_well(table):
    if table.kind == "fact":
        assert table.clock == "event_time"
        assert table.column("event_time").required
    for column in table.columns:
        if column.type == "instant":
            assert column.name.endswith(("_at", "event_time")), column.name


def test_only_assets_need_an_asset_and_nothing_else_is_compulsory_for_them():
    assert TABLES["assets"].required == ("asset_id",)


def test_the_states_are_those_of_a_tickets_life():
    life = "opened dispatched accepted departed arrived started resolved verified closed followed_up".split()  # noqa: SIM905
    assert list(TICKET_STATES[: len(life)]) == life
    assert set(TICKET_STATES[len(life) :]) == {
        "first_response", "on_hold", "resumed", "transferred", "escalated", "reopened", "cancelled"
    }  # fmt: skip
    assert TABLES["ticket_events"].column("state").choices == TICKET_STATES


def test_an_unknown_column_is_a_key_error():
    with pytest.raises(KeyError, match="assets has no column 'colour'"):
        TABLES["assets"].column("colour")


def test_the_data_dictionary_is_current():
    found = subprocess.run(
        [sys.executable, "scripts/data_dictionary.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
