"""The workspace: its clock, its lock, and snapshots that stay as they were pinned."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from features.assets import build_for, build_grid, build_point, feature_set
from features.errors import ConfigError, Fault, WorkspaceError
from features.ingest import ingest
from features.point_in_time import Events, Since
from features.tables import TABLES
from features.workspace import Workspace, duck, ident, new_workspace_id, quote

Company = Callable[..., Workspace]
Ask = Callable[[Workspace, str], list[tuple[Any, ...]]]
ALARMS = "[sources.s]\ntable = 'alarms'\nzone = 'UTC'\nquery = \"SELECT * FROM 's.csv'\"\n"
ASSETS = "[sources.a]\ntable = 'assets'\nquery = \"SELECT * FROM 'a.csv'\"\n"


def test_a_folder_without_settings_is_no_workspace(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="foremend init DIR"):
        Workspace.open(tmp_path)


def test_the_frozen_clock_stands_and_the_last_cut_off_is_not_after_it(company: Company) -> None:
    workspace = company("", now="2024-03-10T15:59:59Z")
    assert workspace.now() == datetime(2024, 3, 10, 15, 59, 59, tzinfo=UTC)
    assert workspace.last_cutoff() == datetime(2024, 3, 9, 16, tzinfo=UTC)
    assert workspace.last_cutoff(datetime(2024, 3, 10, 16, tzinfo=UTC)) == datetime(2024, 3, 10, 16, tzinfo=UTC)
    shanghai = company("", now="2024-03-11T00:30:00+08:00")
    assert shanghai.now() == datetime(2024, 3, 10, 16, 30, tzinfo=UTC)
    assert shanghai.now().utcoffset() == timedelta(0)


def test_every_table_can_be_queried_before_anything_was_ingested(company: Company) -> None:
    con = company("").pin().connect()
    checked = 0
    for name, table in TABLES.items():
        columns = [row[0] for row in con.execute(f"DESCRIBE {name}").fetchall()]
        assert set(table.names) | {"source", "event_time", "known_at", "ingested_at"} <= set(columns)
        assert con.execute(f"SELECT count(*) FROM {name}_rows").fetchall() == [(0,)]
        checked += 1
    assert checked == len(TABLES) == 17


def test_empty_and_filled_tables_have_the_same_types(company: Company) -> None:
    query = "SELECT 'T' AS ticket_id, TIMESTAMPTZ '2024-01-01 00:00+00' AS opened_at"
    toml = f'{ALARMS}[sources.t]\ntable = "tickets"\nquery = "{query}"\n'
    workspace = company(toml, s="asset_id,event_time,code\nA1,2024-01-01,E1")
    empty, tables = workspace.pin(), ("alarms", "tickets")
    types = {n: dict(_types(empty, n)) for n in tables}
    ingest(workspace)
    filled = workspace.pin()
    assert {n: dict(_types(filled, n)) for n in tables} == types


def _types(snapshot: Any, name: str) -> list[tuple[str, str]]:
    return [(row[0], row[1]) for row in snapshot.connect().execute(f"DESCRIBE {name}_rows").fetchall()]


def test_a_snapshot_stays_as_it_was_pinned_while_others_write(company: Company) -> None:
    workspace = company(ALARMS, s="asset_id,event_time,code\nA1,2024-01-01,E1")
    ingest(workspace)
    before = workspace.pin()
    ingest(company(ALARMS, s="asset_id,event_time,code\nA1,2024-01-01,E1\nA1,2024-02-01,E1"))
    after = workspace.pin()
    count = "SELECT count(*) FROM alarms"
    assert before.connect().execute(count).fetchall() == [(1,)]
    assert after.connect().execute(count).fetchall() == [(2,)]
    assert workspace.pin(before.versions).connect().execute(count).fetchall() == [(1,)]
    assert (before.months("alarms"), after.months("alarms")) == (("2024-01",), ("2024-01", "2024-02"))
    assert after.versions["alarms"] == before.versions["alarms"] + 1


def test_months_prune_what_is_read(company: Company) -> None:
    workspace = company(ALARMS, s="asset_id,event_time,code\nA1,2024-01-31 23:59:59,E1\nA1,2024-02-01,E2")
    ingest(workspace)
    snapshot = workspace.pin()
    con = duck()
    assert con.execute(f"SELECT code FROM ({snapshot.relation('alarms', ('2024-02',))})").fetchall() == [("E2",)]
    assert con.execute(f"SELECT code FROM ({snapshot.relation('alarms', ('2023-02',))})").fetchall() == []


def test_channels_are_what_readings_hold(company: Company) -> None:
    toml = "[channels.t]\n[channels.p]\n[channels.never]\n" + ALARMS.replace("alarms", "readings")
    workspace = company(toml, s="asset_id,event_time,t,p\nA1,2024-01-01,1,2")
    assert workspace.pin().channels() == ()
    ingest(workspace)
    assert workspace.pin().channels() == ("p", "t")


def test_the_lock_names_its_holder_and_ends_with_the_process(company: Company) -> None:
    workspace = company("")
    script = (
        "import sys, time; from features.workspace import Workspace\n"
        f"with Workspace.open({str(workspace.root)!r}).writing('foremend ingest'):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        (workspace.root / "tmp" / "half.parquet").write_text("half-written")
        with (
            pytest.raises(WorkspaceError, match=rf"`foremend ingest`, process {holder.pid}"),
            workspace.writing("other"),
        ):
            pass
        assert (workspace.root / "tmp" / "half.parquet").exists()
    finally:
        holder.kill()
        holder.wait()
    with workspace.writing("other") as staging:
        assert list(staging.iterdir()) == []  # what the dead one left is gone


def test_a_damaged_log_is_a_fault_that_names_the_table(company: Company) -> None:
    workspace = company(ALARMS, s="asset_id,event_time,code\nA1,2024-01-01,E1")
    ingest(workspace)
    (workspace.root / "tables/alarms/_delta_log/00000000000000000000.json").write_text("{ not json")
    with pytest.raises(Fault, match=r"alarms.*backup") as caught:
        workspace.pin()
    assert caught.value.exit_code == 1


def test_no_extension_is_ever_downloaded(tmp_path: Path) -> None:
    con = duck(tmp_path / "spill")
    known = "name IN ('autoinstall_known_extensions', 'autoload_known_extensions')"
    settings = con.execute(f"SELECT DISTINCT value FROM duckdb_settings() WHERE {known}").fetchall()
    assert settings == [("false",)]
    with pytest.raises(Exception, match="httpfs"):
        con.execute("FROM 'https://localhost:1/x.parquet'")


def test_a_reader_never_spills_into_the_writers_staging_folder(company: Company, places: list[str]) -> None:
    workspace = company(ALARMS + ASSETS, s="asset_id,event_time,code\nA1,2024-01-01,E1", a="asset_id\nA1")
    ingest(workspace)
    staged = {Path(place).relative_to(workspace.root / "tmp") for place in places}  # all of them below it
    assert len(staged) > 1
    places.clear()
    snapshot, at = workspace.pin(), datetime(2024, 2, 1, 16, tzinfo=UTC)
    read = {
        "views": snapshot.connect,
        "list": lambda: feature_set(snapshot),
        "point": lambda: build_point(snapshot, at),
        "grid": lambda: build_grid(snapshot, [at, at + timedelta(days=1)]),
        "other entity": lambda: build_for(snapshot, [Since(Events("alarm", "alarms"))], [("A1", at)], "asset_id"),
    }
    for name, reads in read.items():
        reads()
        assert places, name
        assert {Path(place) for place in places} == {workspace.root / "spill"}, name
        places.clear()


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where the connections that are opened during the test would spill."""
    found: list[str] = []
    connect = duckdb.connect

    def noted(*args: Any, config: dict[str, str], **options: Any) -> duckdb.DuckDBPyConnection:
        found.append(config["temp_directory"])
        return connect(*args, config=config, **options)

    monkeypatch.setattr(duckdb, "connect", noted)
    return found


@pytest.mark.parametrize("text", ["plain", "it's", "''", 'a"b', "液压; DROP TABLE x"])
def test_names_and_words_pass_through_sql_unharmed(text: str) -> None:
    assert duck().sql(f"SELECT {quote(text)} AS {ident(text)}").to_arrow_table().to_pylist() == [{text: text}]


def test_ids_of_workspaces_do_not_repeat() -> None:
    assert len({new_workspace_id() for _ in range(1000)}) == 1000


def test_the_state_of_two_sources_of_one_table_does_not_mix(company: Company, ask: Ask) -> None:
    two = ALARMS.replace("sources.s", "sources.u").replace("s.csv", "u.csv")
    head = "asset_id,event_time,code\n"
    workspace = company(ALARMS + two, s=head + "A1,2024-01-01,E1", u=head + "A1,2024-01-01,E1")
    assert [result.written for result in ingest(workspace)] == [1, 1]
    assert [result.unchanged for result in ingest(workspace)] == [1, 1]
    assert ask(workspace, "SELECT source FROM alarms ORDER BY 1") == [("s",), ("u",)]
