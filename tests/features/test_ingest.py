"""What becomes of a source's rows: facts, versions, their clocks, and the rows that cannot be used."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from features.assets import build_point
from features.errors import ConfigError, DataError, ForemendError, SourceError, WorkspaceError
from features.ingest import Ingested, ingest
from features.ingest.commits import stale_since
from features.validation import validate
from features.workspace import Workspace

Company = Callable[..., Workspace]
Ask = Callable[[Workspace, str], list[tuple[Any, ...]]]


def source(table: str, query: str = "SELECT * FROM 's.csv'", more: str = 'zone = "UTC"', name: str = "s") -> str:
    return f'[sources.{name}]\ntable = "{table}"\n{more}\nquery = """{query}"""\n'


def counts(results: tuple[Ingested, ...]) -> tuple[int, int, int, int]:
    (one,) = results
    return one.read, one.written, one.quarantined, one.unchanged


CHANNELS = "[channels.temperature]\nrange = [-40, 150]\n[channels.pressure]\n"
READINGS = CHANNELS + source("readings")
ALARMS = source("alarms")
TICKETS = source("tickets", more='zone = "UTC"\nsystem = "crm"')
EVENTS = source("ticket_events", more='zone = "UTC"\nsystem = "crm"')


def test_facts_get_their_clocks_month_and_source(company: Company, ask: Ask) -> None:
    workspace = company(source("alarms", more='zone = "Asia/Shanghai"\ndelay_hours = 2'), s="""
        asset_id,event_time,code
        A1,2024-02-01 03:00:00,E7
    """)  # fmt: skip
    assert counts(ingest(workspace)) == (1, 1, 0, 0)
    assert ask(workspace, "SELECT asset_id, code, source, event_time, known_at, month FROM alarms") == [
        ("A1", "E7", "s", "2024-01-31T19:00:00+00:00", "2024-01-31T21:00:00+00:00", "2024-01")
    ]


def test_a_second_ingest_writes_nothing_and_keeps_the_version(company: Company) -> None:
    workspace = company(ALARMS, s="asset_id,event_time,code\nA1,2024-01-01,E1\nA2,2024-02-01,E2")
    (first,) = ingest(workspace)
    (second,) = ingest(workspace)
    assert (second.read, second.written, second.quarantined, second.unchanged) == (2, 0, 0, 2)
    assert first.version == second.version == 0


def test_only_new_facts_are_added_when_a_file_grows(company: Company, ask: Ask) -> None:
    workspace = company(ALARMS, s="asset_id,event_time,code\nA1,2024-01-01,E1")
    ingest(workspace)
    workspace = company(ALARMS, now="2024-07-05T00:00:00Z", s="""
        asset_id,event_time,code
        A1,2024-01-01,E1
        A1,2024-01-01,E2
        A1,2024-07-04 12:00:00,E1
    """)  # fmt: skip
    assert counts(ingest(workspace)) == (3, 2, 0, 1)
    assert ask(workspace, "SELECT event_time, code, known_at FROM alarms ORDER BY ALL") == [
        ("2024-01-01T00:00:00+00:00", "E1", "2024-01-01T00:00:00+00:00"),  # first load: known when it happened
        ("2024-01-01T00:00:00+00:00", "E2", "2024-07-05T00:00:00+00:00"),  # afterwards: known when it came
        ("2024-07-04T12:00:00+00:00", "E1", "2024-07-05T00:00:00+00:00"),
    ]


def test_stamps_mean_their_own_zone_or_the_sources(company: Company, ask: Ask) -> None:
    workspace = company(source("alarms", more='zone = "Europe/Berlin"'), s="""
        asset_id,event_time,code
        A1,2024-01-01T12:00:00Z,a
        A1,2024-01-01 12:00:00+08:00,b
        A1,2024-01-01 12:00:00,c
        A1,2024-06-01 12:00:00,d
        A1,2024-06-01,e
    """)  # fmt: skip
    ingest(workspace)
    assert ask(workspace, "SELECT code, event_time FROM alarms ORDER BY code") == [
        ("a", "2024-01-01T12:00:00+00:00"),
        ("b", "2024-01-01T04:00:00+00:00"),
        ("c", "2024-01-01T11:00:00+00:00"),
        ("d", "2024-06-01T10:00:00+00:00"),
        ("e", "2024-05-31T22:00:00+00:00"),
    ]


def test_stamps_without_a_zone_are_set_aside_where_the_source_declares_none(company: Company, ask: Ask) -> None:
    workspace = company(source("alarms", more=""), s="""
        asset_id,event_time,code
        A1,2024-01-01T12:00:00Z,a
        A1,2024-01-01 12:00:00,b
    """)  # fmt: skip
    with pytest.raises(DataError, match=r"1 of 2 stamps of 'event_time' carry no zone.*zone = \"Asia/Shanghai\""):
        ingest(workspace)
    query = (
        "SELECT asset_id, CAST(event_time AS VARCHAR) AS event_time, code FROM read_csv('s.csv', all_varchar = true)"
    )
    workspace = company(source("alarms", query, more=""))
    said: list[str] = []
    assert counts(ingest(workspace, say=said.append)) == (2, 1, 1, 0)
    assert any("event_time: 1 of 2 stamps have no zone and are set aside" in line for line in said)
    assert quarantined(workspace) == [
        ("mixed_zones", {"asset_id": "A1", "event_time": "2024-01-01 12:00:00", "code": "b"})
    ]


def test_stamps_of_mixed_zones_are_told_where_those_without_mean_the_sources(company: Company, ask: Ask) -> None:
    query = "SELECT * FROM read_csv('s.csv', all_varchar = true)"
    workspace = company(source("alarms", query, more='zone = "Asia/Shanghai"'), s="""
        asset_id,event_time,code
        A1,2024-01-01T12:00:00Z,a
        A1,2024-01-01 12:00:00,b
        A1,2024-01-01 12:00:00+01:00,c
    """)  # fmt: skip
    said: list[str] = []
    assert counts(ingest(workspace, say=said.append)) == (3, 3, 0, 0)
    assert any("event_time: 1 of 3 stamps have no zone and are read as Asia/Shanghai" in line for line in said)
    assert ask(workspace, "SELECT hour(event_time) FROM alarms ORDER BY code") == [(12,), (4,), (11,)]


def test_a_stamp_that_only_the_query_gives_a_zone_is_no_instant_where_none_is_declared(company: Company) -> None:
    query = "SELECT asset_id, CAST(event_time AS TIMESTAMPTZ) AS event_time, now() AS seen, code FROM 's.csv'"
    text = "asset_id,event_time,code\nA1,2024-01-01 12:00:00,a\nA1,2024-01-02 12:00:00,b"
    with pytest.raises(DataError, match="2 of 2 stamps of 'event_time' carry no zone"):
        ingest(company(source("alarms", query, more=""), s=text))
    zoned = text.replace(":00,", ":00Z,")
    assert counts(ingest(company(source("alarms", query, more=""), s=zoned))) == (2, 2, 0, 0)


def test_a_site_whose_zone_is_none_is_kept_without_and_the_nearest_is_named(company: Company, ask: Ask) -> None:
    said: list[str] = []
    workspace = company(source("assets"), s="asset_id,zone\nA1,Asia/Shangai\nA2,Europe/Berlin")
    assert counts(ingest(workspace, say=said.append)) == (2, 2, 1, 0)
    assert any("'Asia/Shangai' (1 rows) is no time zone. Did you mean 'Asia/Shanghai'?" in line for line in said)
    assert ask(workspace, "SELECT zone FROM assets ORDER BY asset_id") == [(None,), ("Europe/Berlin",)]


def quarantined(workspace: Workspace) -> list[tuple[str, dict[str, Any]]]:
    delta = workspace.delta("quarantine")
    rows = delta.to_pyarrow_table().to_pylist() if delta else []
    return sorted(((row["reasons"], json.loads(row["row"])) for row in rows), key=str)


def test_a_column_of_naive_stamps_stops_the_source_and_says_what_to_declare(company: Company) -> None:
    workspace = company(source("alarms", more=""), s="asset_id,event_time,code\nA1,2024-01-01 12:00:00,a")
    with pytest.raises(DataError, match=r"\[sources.s\].*'event_time' carry no zone.*zone = \"Asia/Shanghai\""):
        ingest(workspace)
    assert workspace.pin().versions == {}


def test_strings_nan_and_values_out_of_range_are_emptied_and_kept_in_quarantine(company: Company, ask: Ask) -> None:
    workspace = company(READINGS, s="""
        asset_id,event_time,temperature,pressure
        A1,2024-01-01 00:00:00,20.5,1.0
        A1,2024-01-01 01:00:00,nan,1.1
        A1,2024-01-01 02:00:00,21,inf
        A1,2024-01-01 03:00:00,999,1.3
        A1,2024-01-01 04:00:00,,1.4
        A1,2024-01-01 05:00:00,broken,1.5
    """)  # fmt: skip
    assert counts(ingest(workspace)) == (6, 6, 4, 0)
    assert ask(workspace, "SELECT temperature, pressure FROM readings ORDER BY event_time") == [
        (20.5, 1.0), (None, 1.1), (21.0, None), (None, 1.3), (None, 1.4), (None, 1.5),
    ]  # fmt: skip
    assert [reason for reason, _ in quarantined(workspace)] == [
        "bad_type", "not_finite", "not_finite", "out_of_range",
    ]  # fmt: skip
    assert counts(ingest(workspace)) == (6, 0, 0, 6)
    assert len(quarantined(workspace)) == 4


def test_an_infinite_number_from_parquet_is_kept_as_readable_json(company: Company) -> None:
    query = "SELECT 'A1' AS asset_id, TIMESTAMP '2024-01-01' AS event_time, unnest(['nan'::DOUBLE]) AS temperature"
    workspace = company(CHANNELS + source("readings", query))
    ingest(workspace)
    ((reason, row),) = quarantined(workspace)
    assert (reason, row["temperature"]) == ("not_finite", "nan")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (",2024-01-01,E1", "missing_key"),
        ("A1,,E1", "missing_key"),
        ("A1,2024-13-45,E1", "bad_type"),
        ("A1,2031-01-01,E1", "future_stamp"),
        ("A1,2024-01-01,E0", "conflicting_duplicate"),
        ("A1,2024-01-01,", "missing_key"),
    ],
)
def test_a_row_that_cannot_be_used_is_set_aside_with_its_reason(company: Company, line: str, reason: str) -> None:
    text = f"asset_id,event_time,code,severity\nA1,2024-01-01,E0,low\n{line},high"
    workspace = company(ALARMS, s=text)
    assert counts(ingest(workspace)) == (2, 1, 1, 0)
    assert [found for found, _ in quarantined(workspace)] == [reason]
    assert counts(ingest(workspace)) == (2, 0, 0, 2)


def test_the_same_row_twice_counts_once_and_is_told(company: Company, ask: Ask) -> None:
    workspace = company(ALARMS, s="asset_id,event_time,code\nA1,2024-01-01,E1\nA1,2024-01-01,E1\nA1,2024-01-01,E1")
    assert counts(ingest(workspace))[:3] == (3, 1, 1)
    assert [reason for reason, _ in quarantined(workspace)] == ["duplicate_key"]
    assert ask(workspace, "SELECT count(*) FROM alarms") == [(1,)]


def test_a_state_outside_the_vocabulary_is_set_aside(company: Company, ask: Ask) -> None:
    workspace = company(EVENTS, s="ticket_id,event_time,state\nT1,2024-01-01,opened\nT1,2024-01-02,parked")
    assert counts(ingest(workspace)) == (2, 1, 1, 0)
    assert [reason for reason, _ in quarantined(workspace)] == ["bad_state"]
    assert ask(workspace, "SELECT system, ticket_id, state FROM ticket_events") == [("crm", "T1", "opened")]


def test_a_first_load_of_which_nothing_can_be_used_stops_and_names_the_main_reason(company: Company) -> None:
    workspace = company(EVENTS, s="ticket_id,event_time,state\nT1,2024-01-01,parked\nT1,2024-01-02,waiting")
    with pytest.raises(DataError, match=r"none of 2 rows can be used.*bad_state.*CASE"):
        ingest(workspace)
    assert workspace.pin().versions == {}


def test_a_fact_with_other_values_is_a_conflict_unless_the_source_may_correct_itself(
    company: Company, ask: Ask
) -> None:
    before = "asset_id,event_time,temperature,pressure\nA1,2024-01-01,20,1\nA2,2024-01-01,20,1\nA1,2024-02-01,20,1"
    after = before.replace("A1,2024-01-01,20,1", "A1,2024-01-01,25,1")
    stored = "SELECT asset_id, strftime(event_time, '%Y-%m-%d'), temperature FROM readings ORDER BY ALL"

    ingest(company(READINGS, s=before))
    workspace = company(READINGS, s=after)
    assert counts(ingest(workspace)) == (3, 0, 1, 2)
    assert [reason for reason, _ in quarantined(workspace)] == ["conflicting_duplicate"]
    assert ask(workspace, stored)[0] == ("A1", "2024-01-01", 20.0)

    workspace = company(READINGS.replace('zone = "UTC"', 'zone = "UTC"\ncorrections = true'))
    assert counts(ingest(workspace)) == (3, 1, 0, 2)
    assert ask(workspace, stored) == [
        ("A1", "2024-01-01", 25.0),
        ("A1", "2024-02-01", 20.0),
        ("A2", "2024-01-01", 20.0),
    ]
    assert ask(workspace, "SELECT known_at FROM readings WHERE temperature = 25") == [("2024-06-30T16:00:00+00:00",)]


def test_a_correction_leaves_the_other_sources_of_the_month_alone(company: Company, ask: Ask) -> None:
    one = source("readings", more='zone = "UTC"\ncorrections = true')
    two = source("readings", "SELECT * FROM 'u.csv'", name="u")
    head = "asset_id,event_time,temperature,pressure\n"
    ingest(company(CHANNELS + one + two, s=head + "A1,2024-01-01,20,1", u=head + "A1,2024-01-01,7,7"))
    ingest(company(CHANNELS + one + two, s=head + "A1,2024-01-01,30,1"), ["s"])
    workspace = company(CHANNELS + one + two)
    assert ask(workspace, "SELECT source, temperature FROM readings ORDER BY 1") == [("s", 30.0), ("u", 7.0)]
    assert sum(r.written for r in ingest(workspace)) == 0


def test_a_channel_that_comes_later_takes_nothing_from_what_was_known(company: Company, ask: Ask) -> None:
    ingest(company(READINGS, s="asset_id,event_time,temperature\nA1,2024-01-01,20\nA1,2024-01-02,21"))
    before = ask(company(READINGS), "SELECT temperature, known_at FROM readings ORDER BY 1")
    workspace = company(READINGS, s="asset_id,event_time,temperature,pressure\nA1,2024-01-01,20,3\nA1,2024-01-02,,4")
    assert counts(ingest(workspace)) == (2, 2, 0, 0)
    told = "SELECT temperature, known_at FROM readings WHERE temperature IS NOT NULL ORDER BY 1"
    assert ask(workspace, told) == before
    assert ask(workspace, "SELECT event_time, pressure, known_at FROM readings WHERE pressure > 0 ORDER BY 1") == [
        ("2024-01-01T00:00:00+00:00", 3.0, "2024-06-30T16:00:00+00:00"),
        ("2024-01-02T00:00:00+00:00", 4.0, "2024-06-30T16:00:00+00:00"),
    ]
    assert counts(ingest(workspace)) == (2, 0, 0, 2)
    other = company(READINGS, s="asset_id,event_time,temperature,pressure\nA1,2024-01-01,20,9")
    assert counts(ingest(other)) == (1, 0, 1, 0)
    assert [f.code for f in validate(workspace.pin()).findings if f.code == "duplicate_key" and f.count] == []


LONG = CHANNELS + source("readings", more='zone = "UTC"\nform = "long"')


def test_long_readings_are_stored_wide(company: Company, ask: Ask) -> None:
    workspace = company(LONG, s="""
        asset_id,event_time,channel,value
        A1,2024-01-01 00:00:00,temperature,20
        A1,2024-01-01 00:00:00,pressure,1
        A1,2024-01-01 01:00:00,temperature,21
        A1,2024-01-01 01:00:00,temperature,22
        A1,2024-01-01 02:00:00,temperature,999
        A1,2024-01-01 03:00:00,pressure,inf
    """)  # fmt: skip
    (result,) = ingest(workspace)
    assert (result.read, result.written, result.quarantined) == (6, 2, 3)
    assert ask(workspace, "SELECT temperature, pressure FROM readings ORDER BY event_time") == [
        (20.0, 1.0),
        (21.0, None),
    ]
    assert [r for r, _ in quarantined(workspace)] == ["conflicting_duplicate", "not_finite", "out_of_range"]
    (again,) = ingest(workspace)
    assert (again.written, again.quarantined) == (0, 0)


def test_long_channels_that_became_known_apart_are_known_apart(company: Company, ask: Ask) -> None:
    toml = LONG.replace("form =", 'known_at = "seen"\nform =')
    workspace = company(toml, s="""
        asset_id,event_time,channel,value,seen
        A1,2024-01-01 00:00:00,temperature,20,2024-01-01 01:00:00
        A1,2024-01-01 00:00:00,pressure,1,2024-01-03 00:00:00
        A1,2024-01-01 00:00:00,pressure,2,2024-01-04 00:00:00
    """)  # fmt: skip
    (result,) = ingest(workspace)
    assert (result.written, result.quarantined) == (2, 1)
    assert ask(workspace, "SELECT temperature, pressure, known_at FROM readings ORDER BY known_at") == [
        (20.0, None, "2024-01-01T01:00:00+00:00"), (None, 1.0, "2024-01-03T00:00:00+00:00"),
    ]  # fmt: skip
    (again,) = ingest(workspace)
    assert (again.written, again.quarantined) == (0, 0)


@pytest.mark.parametrize(
    ("toml", "text"),
    [
        (READINGS, "asset_id,event_time,temprature\nA1,2024-01-01,20"),
        (LONG, "asset_id,event_time,channel,value\nA1,2024-01-01,temprature,20"),
    ],
)
def test_a_channel_that_is_not_declared_is_named_beside_the_nearest(company: Company, toml: str, text: str) -> None:
    with pytest.raises(
        ConfigError, match=r"'temprature' is not declared.*Did you mean 'temperature'.*channels.temprature"
    ):
        ingest(company(toml, s=text))


def test_a_new_channel_and_a_new_attribute_widen_the_table(company: Company, ask: Ask) -> None:
    ingest(
        company(
            READINGS + source("assets", "SELECT 'A1' AS asset_id", name="a"),
            s="asset_id,event_time,temperature\nA1,2024-01-01,20",
        )
    )
    toml = READINGS + "[channels.speed]\n" + source("assets", "SELECT * FROM 'a.csv'", name="b")
    workspace = company(
        toml, s="asset_id,event_time,temperature,speed\nA1,2024-01-02,20,5", a="asset_id,colour,wheels\nA2,red,4"
    )
    ingest(workspace)
    assert ask(workspace, "SELECT speed FROM readings ORDER BY event_time") == [(None,), (5.0,)]
    assert ask(workspace, "SELECT asset_id, colour, wheels FROM assets ORDER BY 1") == [
        ("A1", None, None),
        ("A2", "red", 4),
    ]


def test_an_attribute_keeps_the_type_under_which_it_was_first_stored(company: Company, ask: Ask) -> None:
    ingest(company(source("assets"), s="asset_id,grade\nA1,4"))
    workspace = company(source("assets"), s="asset_id,grade\nA1,4\nA2,4.5\nA3,five\nA4,7.0")
    assert counts(ingest(workspace)) == (4, 3, 2, 1)
    assert ask(workspace, "SELECT asset_id, grade FROM assets ORDER BY 1") == [
        ("A1", 4),
        ("A2", None),
        ("A3", None),
        ("A4", 7),
    ]
    assert [reason for reason, _ in quarantined(workspace)] == ["bad_type", "bad_type"]


def test_the_quarantine_names_the_column_also_beside_rows_of_an_earlier_version(company: Company) -> None:
    from deltalake import write_deltalake

    workspace = company(source("assets"), s="asset_id,installed_at\nA1,2024-01-01\nA2,soon")
    ingest(workspace)
    delta = workspace.delta("quarantine")
    assert delta is not None
    old = delta.to_pyarrow_table().drop_columns("places")
    write_deltalake(str(workspace.table_path("quarantine")), old, mode="overwrite", schema_mode="overwrite")
    assert [one.columns for one in validate(workspace.pin()).set_aside] == [()]
    (result,) = ingest(company(source("assets"), s="asset_id,installed_at\nA1,2024-01-01\n,later"))
    assert [(why.code, why.columns) for why in result.reasons] == [("bad_type", ("installed_at",))]
    assert [one.rows for one in validate(workspace.pin()).set_aside] == [2]


def test_a_ticket_that_changed_becomes_a_later_version_and_one_that_did_not_none(company: Company, ask: Ask) -> None:
    ingest(company(TICKETS, s="ticket_id,opened_at,priority\nT1,2024-06-01,low\nT2,2024-06-01,low"))
    workspace = company(
        TICKETS, now="2024-07-01T00:00:00Z", s="ticket_id,opened_at,priority\nT1,2024-06-01,high\nT2,2024-06-01,low"
    )
    assert counts(ingest(workspace)) == (2, 1, 0, 1)
    assert ask(workspace, "SELECT ticket_id, priority, known_at FROM tickets_rows ORDER BY ALL") == [
        ("T1", "high", "2024-07-01T00:00:00+00:00"),
        ("T1", "low", "2024-06-01T00:00:00+00:00"),
        ("T2", "low", "2024-06-01T00:00:00+00:00"),
    ]
    assert ask(workspace, "SELECT ticket_id, priority FROM tickets ORDER BY 1") == [("T1", "high"), ("T2", "low")]
    assert counts(ingest(workspace)) == (2, 0, 0, 2)


def test_a_new_version_is_later_than_the_one_before_even_when_the_clock_stands(company: Company, ask: Ask) -> None:
    for priority in ("low", "mid", "high", "low"):
        workspace = company(TICKETS, s=f"ticket_id,opened_at,priority\nT1,2024-06-01,{priority}")
        ingest(workspace)
    known = [row[0] for row in ask(workspace, "SELECT known_at FROM tickets_rows ORDER BY 1")]
    assert known == sorted(set(known))
    assert [row[0] for row in ask(workspace, "SELECT priority FROM tickets_rows ORDER BY known_at")] == [
        "low",
        "mid",
        "high",
        "low",
    ]
    assert ask(workspace, "SELECT priority FROM tickets") == [("low",)]


def test_duplicate_ids_leave_one_row_and_the_other_in_quarantine(company: Company, ask: Ask) -> None:
    text = "asset_id,installed_at,region\nA1,2020-01-01,east\nA1,2021-01-01,west\nA1,2021-01-01,west"
    workspace = company(source("assets"), s=text)
    ingest(workspace)
    assert ask(workspace, "SELECT region FROM assets_rows") == [("west",)]
    assert [reason for reason, _ in quarantined(workspace)] == ["conflicting_duplicate", "duplicate_key"]


HISTORY = source("tickets", more='zone = "UTC"\nsystem = "crm"\nknown_at = "seen_at"')


def test_a_source_with_its_own_clock_tells_a_history(company: Company, ask: Ask) -> None:
    text = """
        ticket_id,opened_at,priority,seen_at
        T1,2024-06-01,low,2024-06-01 01:00:00
        T1,2024-06-01,high,2024-06-02 01:00:00
        T1,2024-06-01,high,2024-06-02 05:00:00
        T1,2024-06-01,low,2024-06-03 01:00:00
    """
    versions = [
        ("low", "2024-06-01T01:00:00+00:00"),
        ("high", "2024-06-02T01:00:00+00:00"),
        ("low", "2024-06-03T01:00:00+00:00"),
    ]
    workspace = company(HISTORY, s=text)
    assert counts(ingest(workspace)) == (4, 3, 0, 1)
    history = "SELECT priority, known_at FROM tickets_rows ORDER BY known_at"
    assert ask(workspace, history) == versions
    assert counts(ingest(workspace)) == (4, 0, 0, 4)
    late = (
        text
        + """
        T1,2024-06-01,mid,2024-06-01 12:00:00
        T1,2024-06-01,high,2024-06-04
        T1,2024-06-01,low,2024-06-05
    """
    )
    workspace = company(HISTORY, s=late)
    assert counts(ingest(workspace)) == (7, 2, 1, 4)
    assert ask(workspace, history)[3:] == [("high", "2024-06-04T00:00:00+00:00"), ("low", "2024-06-05T00:00:00+00:00")]
    assert [reason for reason, _ in quarantined(workspace)] == ["late_version"]
    assert counts(ingest(workspace)) == (7, 0, 0, 7)


def test_things_without_a_beginning_were_known_for_ever_and_later_ones_since_they_came(
    company: Company, ask: Ask
) -> None:
    ingest(company(source("assets"), s="asset_id,region\nA1,east"))
    workspace = company(source("assets"), s="asset_id,region\nA1,east\nA2,west")
    ingest(workspace)
    assert ask(workspace, "SELECT asset_id, known_at FROM assets ORDER BY 1") == [
        ("A1", "1970-01-01T00:00:00+00:00"), ("A2", "2024-06-30T16:00:00+00:00"),
    ]  # fmt: skip


def test_what_begins_later_is_known_now(company: Company, ask: Ask) -> None:
    workspace = company(source("contracts"), s="contract_id,valid_from_at\nC1,2025-01-01\nC2,2024-01-01")
    ingest(workspace)
    assert ask(workspace, "SELECT contract_id, known_at FROM contracts ORDER BY 1") == [
        ("C1", "2024-06-30T16:00:00+00:00"), ("C2", "2024-01-01T00:00:00+00:00"),
    ]  # fmt: skip


FULL = source("assets", more="full = true")


def test_rows_gone_from_a_full_source_become_tombstones_and_may_come_back(company: Company, ask: Ask) -> None:
    both = "asset_id,region\nA1,east\nA2,west"
    ingest(company(FULL, s=both))
    workspace = company(FULL, s="asset_id,region\nA1,east")
    assert counts(ingest(workspace)) == (1, 1, 0, 1)
    assert ask(workspace, "SELECT asset_id FROM assets") == [("A1",)]
    assert ask(workspace, "SELECT count(*) FROM assets_rows") == [(3,)]
    assert counts(ingest(workspace)) == (1, 0, 0, 1)
    workspace = company(FULL, s=both)
    assert counts(ingest(workspace)) == (2, 1, 0, 1)
    assert ask(workspace, "SELECT asset_id, region FROM assets ORDER BY 1") == [("A1", "east"), ("A2", "west")]


def test_without_full_nothing_is_taken_back(company: Company, ask: Ask) -> None:
    ingest(company(source("assets"), s="asset_id\nA1\nA2"))
    workspace = company(source("assets"), s="asset_id\nA1")
    ingest(workspace)
    assert ask(workspace, "SELECT count(*) FROM assets") == [(2,)]


def test_an_empty_answer_never_empties_a_full_source(company: Company) -> None:
    ingest(company(FULL, s="asset_id\nA1"))
    workspace = company(FULL, s="asset_id")
    with pytest.raises(DataError, match="no rows"):
        ingest(workspace)
    with pytest.raises(DataError, match="no rows"):
        ingest(workspace, rebuild=["s"])


def test_an_empty_source_is_told_and_its_later_rows_are_a_first_load(company: Company, ask: Ask) -> None:
    said: list[str] = []
    workspace = company(source("complaints"), s="complaint_id,raised_at")
    assert counts(ingest(workspace, say=said.append)) == (0, 0, 0, 0)
    assert any("no rows" in line for line in said)
    workspace = company(source("complaints"), s="complaint_id,raised_at\nC1,2024-01-01")
    assert counts(ingest(workspace)) == (1, 1, 0, 0)
    assert ask(workspace, "SELECT known_at FROM complaints") == [("2024-01-01T00:00:00+00:00",)]


def test_a_single_asset_and_empty_tables_go_all_the_way_to_features(company: Company) -> None:
    toml = READINGS + source("assets", "SELECT * FROM 'a.csv'", name="a")
    toml += source("services", "SELECT * FROM 'v.csv'", name="v")
    files = {"a": "asset_id,installed_at\nA1,2024-01-01", "v": "service_id,asset_id,performed_at"}
    workspace = company(toml, **files, s="asset_id,event_time,temperature,pressure")
    assert [(one.source, one.read, one.written) for one in ingest(workspace)] == [("s", 0, 0), ("a", 1, 1), ("v", 0, 0)]
    snapshot = workspace.pin()
    (row,) = build_point(snapshot, datetime(2024, 6, 1, tzinfo=UTC)).to_pylist()
    assert (row["asset_id"], row["asset_age_days"]) == ("A1", 152.0)
    assert [f.code for f in validate(snapshot).findings if f.severity == "error" and f.count] == ["no_failure_rule"]


CHANGING = source("tickets", more='zone = "UTC"\nsystem = "crm"\nchange_column = "changed_at"')


def test_a_change_column_reads_only_what_changed_and_says_when_it_was_known(company: Company, ask: Ask) -> None:
    head = "ticket_id,opened_at,priority,changed_at\n"
    old = "".join(f"T{n},2024-06-01,low,2024-06-01 00:00:00\n" for n in range(50))
    ingest(company(CHANGING, s=head + old + "N1,2024-06-10,low,2024-06-10 08:00:00"))
    changed = head + old.replace("T7,2024-06-01,low,2024-06-01 00:00:00", "T7,2024-06-01,high,2024-06-20 09:00:00")
    workspace = company(
        CHANGING, s=changed + "N1,2024-06-10,low,2024-06-10 08:00:00\nN2,2024-06-20,low,2024-06-20 10:00:00"
    )
    assert counts(ingest(workspace)) == (3, 2, 0, 1)
    later = "SELECT ticket_id, priority, known_at FROM tickets WHERE known_at > '2024-06-11' ORDER BY 1"
    assert ask(workspace, later) == [
        ("N2", "low", "2024-06-20T10:00:00+00:00"), ("T7", "high", "2024-06-20T09:00:00+00:00"),
    ]  # fmt: skip
    assert "changed_at" not in workspace.pin().columns("tickets")
    assert counts(ingest(workspace)) == (2, 0, 0, 2)  # the hour before the watermark is asked for again


def test_a_numeric_change_column_counts_on(company: Company) -> None:
    toml = source("alarms", more='zone = "UTC"\nchange_column = "row_no"')
    head = "asset_id,event_time,code,row_no\n"
    ingest(company(toml, s=head + "A1,2024-01-01,E1,1\nA1,2024-01-02,E1,2"))
    workspace = company(toml, s=head + "A1,2024-01-01,E1,1\nA1,2024-01-02,E1,2\nA1,2024-01-03,E1,3")
    assert counts(ingest(workspace)) == (2, 1, 0, 1)


def test_a_change_stamp_from_the_future_does_not_hide_later_changes(company: Company) -> None:
    head = "ticket_id,opened_at,priority,changed_at\n"
    first = "T1,2024-06-01,low,2024-06-01\nT2,2024-06-01,low,2099-01-01\n"
    ingest(company(CHANGING, s=head + first))
    workspace = company(CHANGING, s=head + first + "T3,2024-06-05,low,2024-06-05\n")
    assert ingest(workspace)[0].written == 1


def test_the_watermark_moves_on_even_when_nothing_new_was_said(company: Company) -> None:
    head = "ticket_id,opened_at,priority,changed_at\n"
    ingest(company(CHANGING, s=head + "T1,2024-06-01,low,2024-06-01\nT2,2024-06-01,low,2024-06-01"))
    touched = company(CHANGING, s=head + "T1,2024-06-01,low,2024-06-05\nT2,2024-06-01,low,2024-06-01")
    assert counts(ingest(touched)) == (2, 0, 0, 2)
    assert counts(ingest(touched)) == (1, 0, 0, 1)


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (ALARMS, ALARMS.replace("FROM", "FROM  "), "another query"),
        (ALARMS, ALARMS.replace('"UTC"', '"Asia/Shanghai"'), "zone = 'UTC' (now 'Asia/Shanghai')"),
        (ALARMS, ALARMS.replace('zone = "UTC"', 'zone = "UTC"\ndelay_hours = 5'), "delay_hours = 0.0 (now 5.0)"),
    ],
)
def test_a_source_that_was_remapped_stops_until_it_is_rebuilt(
    company: Company, before: str, after: str, says: str
) -> None:
    ingest(company(before, s="asset_id,event_time,code\nA1,2024-01-01 12:00:00,E1"))
    workspace = company(after)
    with pytest.raises(WorkspaceError) as caught:
        ingest(workspace)
    assert says in str(caught.value)
    assert "--rebuild s" in str(caught.value)
    assert stale_since(workspace.pin()) == {}
    assert counts(ingest(workspace, rebuild=["s"])) == (1, 1, 0, 0)
    assert list(stale_since(workspace.pin())) == ["s"]
    assert counts(ingest(workspace)) == (1, 0, 0, 1)


def test_a_rebuild_replaces_the_rows_and_quarantine_of_its_source_in_one_commit(company: Company, ask: Ask) -> None:
    two = source("alarms", "SELECT * FROM 'u.csv'", name="u")
    head = "asset_id,event_time,code\n"
    ingest(
        company(
            ALARMS + two,
            s=head + "A1,2024-01-01,old\n,2024-01-01,bad",
            u=head + "A1,2024-01-01,other\n,2024-01-01,worse",
        )
    )
    workspace = company(ALARMS.replace("FROM", "FROM ") + two, s=head + "A1,2024-02-01,new")
    before = workspace.pin().versions["alarms"]
    ingest(workspace, rebuild=["s"])
    assert workspace.pin().versions["alarms"] == before + 1
    assert ask(workspace, "SELECT source, code FROM alarms ORDER BY 1") == [("s", "new"), ("u", "other")]
    assert [row["code"] for _, row in quarantined(workspace)] == ["worse"]


def test_a_source_that_moves_to_another_table_leaves_the_old_one(company: Company, ask: Ask) -> None:
    ingest(company(ALARMS, s="asset_id,event_time,code\nA1,2024-01-01,E1"))
    moved = source("services", "SELECT code AS service_id, asset_id, event_time AS performed_at FROM 's.csv'")
    workspace = company(moved)
    with pytest.raises(WorkspaceError, match=r"rows in alarms.*table = 'alarms' \(now 'services'\)"):
        ingest(workspace)
    ingest(workspace, rebuild=["s"])
    assert ask(workspace, "SELECT (SELECT count(*) FROM alarms), (SELECT count(*) FROM services)") == [(0, 1)]
    assert counts(ingest(workspace)) == (1, 0, 0, 1)


def test_a_dry_run_tells_everything_and_writes_nothing(company: Company) -> None:
    said: list[str] = []
    bad = source("alarms", "SELECT * FROM 'absent.csv'", name="b") + source("assets", "SELECT 1 AS id", name="c")
    workspace = company(ALARMS + bad, s="asset_id,event_time,code\nA1,2024-01-01,E1\n,2024-01-01,E1")
    with pytest.raises(SourceError, match="2 of 3 sources"):
        ingest(workspace, dry_run=True, say=said.append)
    assert any("absent.csv" in line for line in said)
    assert any("no column 'asset_id'" in line and "Did you mean" not in line for line in said)
    assert counts(ingest(workspace, ["s"], dry_run=True)) == (2, 1, 1, 0)
    assert workspace.pin().versions == {}


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        (source("assets", "SELECT 'A1' AS assetid"), "no column 'asset_id'.*Did you mean 'assetid'"),
        (source("assets", "SELECT 'A1' AS asset_id, now() AS known_at"), 'known_at = "known_at"'),
        (
            source("services", "SELECT 1 AS service_id, 2 AS asset_id, now() AS performed_at, now() AS event_time"),
            "performed_at",
        ),
        (source("assets", "SELECT 'A1' AS asset_id, 1 AS \"a b\""), "'a b'"),
        (source("assets", "SELECT 'A1' AS asset_id, true AS deleted"), "'deleted', which ingest sets itself"),
        (source("assets", "SELECT 'A1' AS asset_id", more='known_at = "seen"'), "no column 'seen'"),
        (
            source("assets", "SELECT 'A1' AS asset_id, 1 AS number", more='change_column = "numbr"'),
            "Did you mean 'number'",
        ),
        (source("assets", more='form = "long"'), "makes no sense for assets"),
        (source("assets", more="corrections = true"), "makes no sense for assets"),
        (source("alarms", more="full = true"), "makes no sense for alarms"),
        (source("tickets", more='reveals = { finding = "closd_at" }'), "Did you mean 'closed_at'"),
        (source("assets", more='reveals = { regoin = "known_at" }'), "reveals.*'regoin'.*Did you mean 'region'"),
        (source("assets", more='reveals = { Region = "known_at" }'), "reveals.*'Region'.*Did you mean 'region'"),
        (
            source("assets", "SELECT 'A1' AS asset_id, 1 AS batch", more='reveals = { bacth = "known_at" }'),
            "reveals.*'bacth'.*Did you mean 'batch'",
        ),
        ("", "no source is declared"),
    ],
)
def test_a_mapping_that_cannot_be_meant_is_named(company: Company, toml: str, says: str) -> None:
    with pytest.raises(ForemendError, match=says) as caught:
        ingest(company(toml, s="asset_id\nA1"))
    assert caught.value.exit_code == 2


def test_what_reveals_a_column_may_be_said_of_the_catalogues_and_of_the_querys(company: Company) -> None:
    more = 'reveals = { region = "retired_at", batch = "installed_at" }'
    ingest(company(source("assets", "SELECT 'A1' AS asset_id, 1 AS batch", more=more)))


def test_an_unknown_source_is_named_beside_the_nearest(company: Company) -> None:
    with pytest.raises(ConfigError, match=r"Known: s"):
        ingest(company(ALARMS, s="a\n1"), ["z"])


def test_a_failing_source_leaves_the_ones_before_it_committed(company: Company, ask: Ask) -> None:
    toml = ALARMS + source("assets", "SELECT * FROM 'absent.csv'", name="later")
    workspace = company(toml, s="asset_id,event_time,code\nA1,2024-01-01,E1")
    with pytest.raises(SourceError, match=r"absent.csv"):
        ingest(workspace)
    assert ask(workspace, "SELECT count(*) FROM alarms") == [(1,)]


def test_a_misspelt_column_becomes_an_attribute_and_is_pointed_at(company: Company) -> None:
    said: list[str] = []
    ingest(company(source("assets"), s="asset_id,asset_modell\nA1,X"), say=said.append)
    assert any("'asset_modell' is kept as an attribute of assets. Did you mean 'asset_model'?" in line for line in said)


def test_the_companys_own_rules_set_rows_aside(company: Company, ask: Ask) -> None:
    rules = """[[rules]]
        table = "alarms"
        code = "test_bench"
        where = "code LIKE 'TEST%'"
        advice = "Leave test benches out"
    """
    workspace = company(rules + ALARMS, s="asset_id,event_time,code\nA1,2024-01-01,E1\nA1,2024-01-01,TEST1")
    assert counts(ingest(workspace)) == (2, 1, 1, 0)
    assert [reason for reason, _ in quarantined(workspace)] == ["test_bench"]


def test_ids_are_the_same_however_a_source_types_them(company: Company, ask: Ask) -> None:
    query = "SELECT unnest([7.0::DOUBLE]) AS asset_id UNION ALL SELECT 8 UNION ALL SELECT 2.5"
    workspace = company(source("assets", query) + source("assets", "SELECT ' 9 ' AS asset_id, '' AS region", name="t"))
    ingest(workspace)
    assert ask(workspace, "SELECT asset_id, region FROM assets ORDER BY 1") == [
        ("2.5", None),
        ("7", None),
        ("8", None),
        ("9", None),
    ]


def test_a_column_that_is_always_empty_is_read_as_empty(company: Company, ask: Ask) -> None:
    workspace = company(
        source(
            "tickets", "SELECT 'T1' AS ticket_id, TIMESTAMP '2024-01-01' AS opened_at, NULL AS closed_at, NULL AS note"
        )
    )
    assert counts(ingest(workspace)) == (1, 1, 0, 0)
    assert ask(workspace, "SELECT ticket_id, closed_at FROM tickets") == [("T1", None)]


def test_facts_lie_ordered_by_asset_and_time_in_one_file_per_month(company: Company) -> None:
    import pyarrow.parquet as pq

    query = """
        SELECT 'A' || (i % 7) AS asset_id, i AS code,
               TIMESTAMP '2024-01-01' + to_hours(CAST(i * 7919 % 1400 AS INTEGER)) AS event_time
        FROM range(5000) t(i)"""
    workspace = company(source("alarms", query.replace("\n", " ")))
    ingest(workspace)
    delta = workspace.delta("alarms")
    assert delta is not None
    files = sorted(delta.file_uris())
    assert len(files) == 2
    for path in files:
        table = pq.read_table(path.removeprefix("file://"), columns=["asset_id", "event_time"])
        at = table["event_time"].cast("int64").to_pylist()
        keys = list(zip(table["asset_id"].to_pylist(), at, strict=True))
        assert keys == sorted(keys)


def test_two_commands_at_once_are_refused(company: Company) -> None:
    workspace = company(ALARMS, s="asset_id,event_time,code\nA1,2024-01-01,E1")
    with (
        workspace.writing("foremend ingest"),
        pytest.raises(WorkspaceError, match=r"another command is writing.*foremend ingest"),
    ):
        ingest(workspace)


def test_files_of_killed_commits_are_swept_and_those_of_older_versions_are_not(company: Company) -> None:
    head = "asset_id,event_time,code\n"
    workspace = company(ALARMS, s=head + "A1,2024-01-01,old\nA1,2024-01-02,")
    ingest(workspace)
    before = workspace.pin().versions
    workspace = company(ALARMS, s=head + "A1,2024-01-01,new")
    ingest(workspace, rebuild=["s"])
    folder = workspace.table_path("alarms") / "month=2024-01"
    young = folder / "part-young.parquet"
    orphans = [folder / "part-dead.parquet", workspace.table_path("quarantine") / "part-dead.parquet"]
    for path in (young, *orphans):
        path.write_bytes(b"half-writ")
    for path in orphans:
        os.utime(path, (0, 0))
    os.utime(young, (4e9, 4e9))
    ingest(workspace, dry_run=True)
    assert all(path.exists() for path in orphans)
    ingest(workspace)
    assert young.exists()
    assert not any(path.exists() for path in orphans)
    code = "SELECT code FROM alarms"
    assert workspace.pin(before).connect().execute(code).fetchall() == [("old",)]
    assert workspace.pin().connect().execute(code).fetchall() == [("new",)]
