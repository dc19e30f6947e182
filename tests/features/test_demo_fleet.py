"""The made-up fleet is what its description says, and looks like a company's export."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

import duckdb
import pandas as pd
import pytest

import features.demo
from features.config import Config, load
from features.demo import FleetSummary, make_fleet
from features.demo.world import REGIONS, TICKET_TYPES
from features.errors import UserError
from features.tables import TABLES, TICKET_STATES

ASSETS, DAYS = 120, 500


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> FleetSummary:
    return make_fleet(tmp_path_factory.mktemp("fleet"), assets=ASSETS, days=DAYS, readings_per_day=2, seed=5)


@pytest.fixture(scope="module")
def config(fleet: FleetSummary) -> Config:
    return load(fleet.folder / "foremend.toml")


@pytest.fixture(scope="module")
def sql(fleet: FleetSummary, config: Config) -> Iterator[duckdb.DuckDBPyConnection]:
    """One table per source, read by its own query; ``truth_NAME`` beside."""
    con = duckdb.connect()
    con.execute(f"SET TimeZone = 'UTC'; SET file_search_path = '{fleet.folder}'")
    for source in config.sources.values():
        con.execute(f"CREATE TABLE {source.table} AS {source.query}")
    for name in ("hazard", "failures", "tickets", "demand", "defects", "fleet"):
        con.execute(f"CREATE TABLE truth_{name} AS FROM 'truth/{name}.parquet'")
    con.execute("ALTER TABLE services ADD COLUMN known_at TIMESTAMPTZ; UPDATE services SET known_at = performed_at")
    yield con
    con.close()


def value(con: duckdb.DuckDBPyConnection, query: str) -> object:
    row = con.execute(query).fetchone()
    assert row is not None
    return row[0]


def test_every_canonical_table_is_delivered_with_its_required_columns(
    config: Config, sql: duckdb.DuckDBPyConnection
) -> None:
    assert {source.table for source in config.sources.values()} == set(TABLES)
    for name, table in TABLES.items():
        delivered = set(sql.table(name).columns)
        assert set(table.required) <= delivered, name
        assert value(sql, f"SELECT count(*) FROM {name}"), name
        assert (
            value(sql, f"SELECT count(*) - count(DISTINCT ({', '.join(table.key)})) FROM {name}") == 0
            or name == "maintenance_plans"
        )


def test_closed_vocabularies_hold(sql: duckdb.DuckDBPyConnection) -> None:
    checked = 0
    for name, table in TABLES.items():
        for column in table.columns:
            if column.choices and column.name in sql.table(name).columns:
                said = {row[0] for row in sql.execute(f'SELECT DISTINCT "{column.name}" FROM {name}').fetchall()} - {
                    None
                }
                assert said <= set(column.choices), (name, column.name)
                checked += 1
    assert checked == 7
    assert {row[0] for row in sql.execute("SELECT DISTINCT state FROM ticket_events").fetchall()} == set(TICKET_STATES)


def test_references_point_to_things_that_exist(sql: duckdb.DuckDBPyConnection) -> None:
    checked = 0
    for name, table in TABLES.items():
        for column in table.columns:
            if column.references and column.name in sql.table(name).columns:
                key = TABLES[column.references].key[-1]
                lost = f"SELECT count(*) FROM {name} WHERE {column.name} NOT IN (SELECT {key} FROM {column.references})"
                assert value(sql, lost) == 0, (name, column.name)
                checked += 1
    assert checked >= 20


def test_the_failure_rule_counts_every_repaired_failure_once(config: Config, sql: duckdb.DuckDBPyConnection) -> None:
    now = config.time.now.astimezone(UTC).isoformat()
    sql.execute(f"CREATE OR REPLACE VIEW ruled AS {config.failure_rule.query}")
    sql.execute(f"CREATE OR REPLACE VIEW repaired AS FROM truth_failures WHERE repaired_at < '{now}'")
    pairs = value(
        sql,
        """
        SELECT count(*) FROM ruled JOIN repaired
        ON ruled.asset_id = repaired.asset_id AND failure_mode = component
        AND event_time >= failed_at AND event_time < failed_at + INTERVAL 6 HOUR AND event_time <= repaired_at""",
    )
    assert value(sql, "SELECT count(*) FROM ruled") == value(sql, "SELECT count(*) FROM repaired") == pairs
    assert int(str(pairs)) > 150


def test_nothing_is_told_that_happened_after_the_end(config: Config, sql: duckdb.DuckDBPyConnection) -> None:
    now = config.time.now.astimezone(UTC).isoformat()
    checked = 0
    for name, table in TABLES.items():
        for column in table.columns:
            tells = column.type == "instant" and column.revealed_by == column.name
            if tells and column.name in sql.table(name).columns:
                assert value(sql, f"SELECT count(*) FROM {name} WHERE {column.name} >= '{now}'") == 0, (
                    name,
                    column.name,
                )
                checked += 1
    assert checked >= 25


def test_a_life_runs_in_order(sql: duckdb.DuckDBPyConnection) -> None:
    order = ("opened_at", "dispatched_at", "arrived_at", "resolved_at", "verified_at")
    for before, after in itertools.pairwise(order):
        assert value(sql, f"SELECT count(*) FROM tickets WHERE {after} < {before}") == 0, after
    assert value(sql, "SELECT count(*) FROM tickets WHERE closed_at < resolved_at OR closed_at < verified_at") == 0
    first = "SELECT state FROM ticket_events QUALIFY row_number() OVER (PARTITION BY ticket_id ORDER BY event_time) = 1"
    assert value(sql, f"SELECT count(*) FROM ({first}) WHERE state <> 'opened'") == 0
    assert value(sql, "SELECT count(*) FROM tickets ANTI JOIN ticket_events USING (ticket_id)") == 0
    after_end = """
        SELECT count(*) FROM ticket_events JOIN tickets USING (ticket_id)
        WHERE event_time > closed_at AND state <> 'followed_up'"""
    assert value(sql, after_end) == 0
    assert value(sql, "SELECT count(*) FROM ticket_events WHERE state = 'reopened'") > 20


def test_final_values_stand_only_on_closed_tickets(sql: duckdb.DuckDBPyConnection) -> None:
    names = [c.name for c in TABLES["tickets"].columns if c.revealed_by == "closed_at" and c.name != "closed_at"]
    said = " OR ".join(f"{name} IS NOT NULL" for name in names if name not in {"appointment_at"})
    assert value(sql, "SELECT count(*) FROM tickets WHERE closed_at IS NULL") > 0
    assert value(sql, f"SELECT count(*) FROM tickets WHERE closed_at IS NULL AND ({said})") == 0


def test_readings_stay_in_range_and_stop_while_a_machine_is_down(
    config: Config, sql: duckdb.DuckDBPyConnection
) -> None:
    for name, channel in config.channels.items():
        low, high = channel.range or (0.0, 0.0)
        assert value(sql, f"SELECT count(*) FROM readings WHERE {name} NOT BETWEEN {low} AND {high}") == 0, name
    down = (
        "FROM readings JOIN truth_failures USING (asset_id) WHERE event_time > failed_at AND event_time < repaired_at"
    )
    assert value(sql, f"SELECT count(*) {down}") == 0
    window = "PARTITION BY asset_id ORDER BY event_time"
    steps = f"SELECT running_hours - lag(running_hours) OVER ({window}) AS step FROM readings"
    assert value(sql, f"SELECT count(*) FROM ({steps}) WHERE step < 0") == 0


def test_a_bearing_with_a_precursor_is_heard_before_it_fails(sql: duckdb.DuckDBPyConnection) -> None:
    heard = """
        WITH usual AS (
            SELECT asset_id, median(vibration) AS level, stddev(vibration) AS spread FROM readings GROUP BY ALL)
        SELECT avg((vibration - level) / spread)
        FROM truth_failures JOIN readings USING (asset_id) JOIN usual USING (asset_id)
        WHERE component = 'bearing' AND precursor = {}
        AND event_time BETWEEN failed_at - INTERVAL 1 DAY AND failed_at"""
    assert float(str(value(sql, heard.format("true")))) > 1.2
    assert abs(float(str(value(sql, heard.format("false"))))) < 0.7


def test_alarms_partly_precede_failures_and_partly_mean_nothing(sql: duckdb.DuckDBPyConnection) -> None:
    preceding = value(
        sql,
        """
        SELECT avg(CAST(EXISTS (FROM truth_failures f WHERE f.asset_id = alarms.asset_id
            AND failed_at BETWEEN event_time AND event_time + INTERVAL 14 DAY) AS INT))
        FROM alarms WHERE code IN ('A101', 'A202', 'A303')""",
    )
    assert 0.15 < float(str(preceding)) < 0.6


def test_organic_tickets_follow_their_intensity(sql: duckdb.DuckDBPyConnection) -> None:
    """Per type and per region: the count lies within four standard deviations of the sum of intensities."""
    checked = 0
    for column, names in (("ticket_type", [t.name for t in TICKET_TYPES]), ("region", [r.name for r in REGIONS])):
        for name in names:
            seen = int(
                str(
                    value(
                        sql,
                        f"""
                SELECT count(*) FROM tickets JOIN truth_tickets USING (ticket_id)
                WHERE kind = 'organic' AND {column} = '{name}'""",
                    )
                )
            )
            meant = float(str(value(sql, f"SELECT sum(intensity * shock) FROM truth_demand WHERE {column} = '{name}'")))
            assert abs(seen - meant) < 4 * meant**0.5, (name, seen, meant)
            checked += 1
    assert checked == 13


def test_duplicates_repeats_and_false_closures_are_known(sql: duckdb.DuckDBPyConnection) -> None:
    kinds = dict(sql.execute("SELECT kind, count(*) FROM truth_tickets GROUP BY ALL").fetchall())
    assert set(kinds) == {"failure", "organic", "planned", "duplicate", "repeat"}
    told = """
        SELECT count(*) FROM tickets JOIN truth_tickets USING (ticket_id)
        WHERE kind = 'duplicate' AND closed_at IS NOT NULL"""
    assert (
        value(sql, f"{told} AND duplicate_of = cause_id")
        == value(sql, told)
        == value(sql, "SELECT count(duplicate_of) FROM tickets")
    )
    repeated = """
        SELECT count(*) FROM truth_tickets t JOIN tickets x USING (ticket_id)
        JOIN truth_tickets u ON t.cause_id = u.ticket_id JOIN tickets y ON y.ticket_id = u.ticket_id
        WHERE t.kind = 'repeat' AND u.false_closure AND x.opened_at > y.closed_at
        AND x.opened_at <= y.closed_at + INTERVAL 30 DAY AND u.asset_id IS NOT DISTINCT FROM t.asset_id"""
    assert value(sql, repeated) == kinds["repeat"] > 20


def test_the_dissatisfied_answer_more_often_and_many_do_not_answer(sql: duckdb.DuckDBPyConnection) -> None:
    rate = "SELECT avg(CAST(csat IS NOT NULL AS INT)) FROM tickets WHERE closed_at - resolved_at < INTERVAL 30 DAY AND "
    slow = float(str(value(sql, rate + "resolved_at - opened_at > INTERVAL 48 HOUR AND origin = 'organic'")))
    fast = float(str(value(sql, rate + "resolved_at - opened_at < INTERVAL 6 HOUR AND origin = 'organic'")))
    assert fast + 0.04 < slow < 0.6
    assert float(str(value(sql, "SELECT corr(csat, epoch(resolved_at - opened_at)) FROM tickets"))) < -0.2


def test_texts_are_chinese_and_english_and_places_are_chinese(sql: duckdb.DuckDBPyConnection) -> None:
    texts = pd.Series([row[0] for row in sql.execute("SELECT description FROM tickets").fetchall()])
    chinese = texts.str.contains(re.compile("[一-鿿]"))
    assert texts.notna().all()
    assert 0.75 < chinese.mean() < 0.97
    assert {row[0] for row in sql.execute("SELECT DISTINCT region FROM assets").fetchall()} == {
        "华东",
        "华北",
        "东北",
        "中南",
        "西北",
        "西南",
    }
    kinds = {row[0][-3:] for row in sql.execute("SELECT DISTINCT organisation FROM assets").fetchall()}
    assert kinds == {"代表处", "经销商", "供应商"}
    assert value(sql, "SELECT count(DISTINCT asset_model) FROM assets") == 4


def test_the_summary_says_what_was_written(fleet: FleetSummary, sql: duckdb.DuckDBPyConnection) -> None:
    for name in TABLES:
        assert fleet.rows[name] == value(sql, f"SELECT count(*) FROM {name}"), name
    assert fleet.failures == value(sql, "SELECT count(*) FROM truth_failures")
    assert value(sql, "SELECT count(*) FROM truth_hazard") > 0.85 * ASSETS * DAYS
    assert value(sql, "SELECT count(*) FROM truth_defects") == 0
    assert len(list((fleet.folder / "data").glob("readings-*.parquet"))) >= 6


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_fleet(tmp_path / name, assets=15, days=60, seed=9, defects=("late_rows", "leak"))
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.*") if p.is_file())
    assert len(files) > 20
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file


def test_a_machine_does_not_depend_on_the_size_of_the_fleet(tmp_path: Path) -> None:
    for assets in (15, 130):
        make_fleet(tmp_path / str(assets), assets=assets, days=60, seed=9, readings_per_day=1)
    con, compared = duckdb.connect(), 0
    for name, key in (
        ("readings-*", "machine_no"),
        ("alarms", "machine_no"),
        ("tickets", "asset_id"),
        ("services", "asset_id"),
    ):
        few, many = (f"SELECT * FROM '{tmp_path}/{n}/data/{name}.parquet' WHERE {key} < 'AC-000015'" for n in (15, 130))
        assert value(con, f"SELECT count(*) FROM (({few}) EXCEPT ({many}))") == 0, name
        assert value(con, f"SELECT count(*) FROM ({few})") == value(con, f"SELECT count(*) FROM ({many})") > 0, name
        compared += 1
    assert compared == 4


def test_it_shares_no_code_with_the_features() -> None:
    known = {"features.errors", "numpy", "pandas", "pyarrow", "holidays"}
    folder, seen = Path(features.demo.__file__).parent, 0
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [a.name for a in getattr(node, "names", [])]
            )
            for name in names if isinstance(node, ast.Import | ast.ImportFrom) else []:
                ours = name.startswith("features.demo") or name in known or name.split(".")[0] in {*known, *_STANDARD}
                assert ours, (path.name, name)
                seen += 1
    assert seen > 100


_STANDARD = {
    "__future__",
    "collections",
    "dataclasses",
    "datetime",
    "functools",
    "math",
    "pathlib",
    "types",
    "typing",
    "zlib",
}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"assets": 0}, "assets = 0"),
        ({"days": 3}, "days = 3"),
        ({"defects": ("late_row",)}, "Did you mean 'late_rows'"),
    ],
)
def test_what_cannot_be_made_is_refused_before_anything_is_written(
    tmp_path: Path, wrong: dict[str, object], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        make_fleet(tmp_path / "x", **({"assets": 5, "days": 60} | wrong))  # type: ignore[arg-type]
    assert not (tmp_path / "x").exists()
