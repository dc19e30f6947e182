"""Groups of features over assets: one contract for all, the cohort, and a company's own groups."""

from __future__ import annotations

import json
import math
import os
import random
import re
import statistics
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from features.assets import GROUPS, build, build_grid, build_point, feature_set, rebuild
from features.context import MOST_VALUES
from features.errors import ConfigError, DataError
from features.point_in_time import Feature, spelt
from features.tables import TABLES
from features.wording import row_words
from features.workspace import Workspace

DAY = timedelta(days=1)
START = datetime(2024, 1, 1, 16, tzinfo=UTC)
AS_OF = START + 60 * DAY
TOML = """
[channels.pressure]
unit = "bar"
[channels."flow_2"]
[[failures]]
version = 1
query = "SELECT asset_id, event_time, known_at, code AS failure_mode FROM alarms_rows WHERE code = 'E 2'"
"""
Made = Callable[..., Workspace]
NAME = re.compile(r"^[a-z][\w]*$")
WINDOW = re.compile(r"_(\d+d|\d+h|ever)$")


def fleet() -> dict[str, list[dict[str, Any]]]:
    """Three assets over 60 days: a bit of every table that a group reads."""
    assets = [
        {
            "asset_id": f"M{n}",
            "asset_model": "m1",
            "installed_at": START - 400 * DAY,
            "known_at": START - 400 * DAY,
            "weight": 1.5 * n,
        }
        for n in range(3)
    ]
    readings = [
        {"asset_id": f"M{n}", "event_time": START + d * DAY + timedelta(hours=3 * n), "pressure": 100.0 + d % 7 + n, "flow_2": 0.5 * d}
        for d in range(60) for n in range(3)
    ]  # fmt: skip
    alarms = [
        {"asset_id": f"M{d % 3}", "event_time": START + d * DAY + timedelta(hours=9), "code": f"E {d % 4}"}
        for d in range(0, 60, 5)
    ]
    services = [
        {
            "service_id": f"s{d}",
            "asset_id": f"M{d % 3}",
            "performed_at": START + d * DAY,
            "component": ["Pump", "阀门"][d % 2],
        }
        for d in range(0, 50, 7)
    ]
    tickets = [
        {"system": "t", "ticket_id": f"t{d}", "asset_id": f"M{d % 3}", "ticket_type": "fault", "opened_at": START + d * DAY,
         "closed_at": START + (d + 2) * DAY} for d in range(0, 60, 6)
    ]  # fmt: skip
    plans = [{"plan_id": "p", "asset_id": "M1", "component": "Pump", "planned_at": START, "due_at": AS_OF + 5 * DAY}]
    return {
        "assets": assets,
        "readings": readings,
        "alarms": alarms,
        "services": services,
        "tickets": tickets,
        "maintenance_plans": plans,
    }


@pytest.fixture
def workspace(committed: Made) -> Workspace:
    return committed(TOML, **fleet())


def test_every_group_keeps_the_contract(workspace: Workspace) -> None:
    snapshot = workspace.pin()
    everything = feature_set(snapshot)
    whole = build_point(snapshot, AS_OF)
    assert whole.column_names == ["asset_id", "as_of", *everything.names]
    checks = 0
    for group in GROUPS:
        features = feature_set(snapshot, groups=[group]).features
        alone = build_point(snapshot, AS_OF, groups=[group])
        grid = build_grid(snapshot, [AS_OF - DAY, AS_OF], groups=[group])
        assert features, f"{group} has no features on a fleet with every table"
        for f in features:
            assert NAME.match(f.name), f.name
            assert f.group == group
            assert f.source
            assert (f.window_days is not None) == bool(WINDOW.search(f.name)) or f.name.endswith("_ever"), f.name
            for table in (alone, grid):
                assert table.schema.field(f.name).type == (pa.float64() if f.kind == "number" else pa.string())
            assert alone[f.name].equals(whole[f.name]), f"{f.name} depends on the other groups"
            checks += 1
    assert checks == len(everything.features) == len(set(everything.names)) > 100


def test_a_table_of_features_has_one_row_per_asset_and_cut_off_in_order(workspace: Workspace) -> None:
    cutoffs = [AS_OF + n * DAY for n in (3, 0, 1)]
    table = build_grid(workspace.pin(), cutoffs)
    assert table.schema.field("as_of").type == pa.timestamp("us", "UTC")
    pairs = list(zip(table["asset_id"].to_pylist(), table["as_of"].to_pylist(), strict=True))
    assert pairs == sorted((f"M{n}", c) for n in range(3) for c in cutoffs)


def test_the_fingerprint_changes_with_what_the_features_mean_and_only_then(committed: Made, tmp_path: Path) -> None:
    rows = fleet()
    first = feature_set(committed(TOML, **rows).pin()).fingerprint
    again = feature_set(Workspace.open(tmp_path / "workspace").pin()).fingerprint
    other = feature_set(committed(TOML.replace('"bar"', '"kPa"')).pin()).fingerprint
    assert first == again != other


EVERY_KIND = """
[features.hot]
entries = [
    {kind = "statistics", column = "pressure", stats = ["count", "mean", "std", "min", "max", "sum", "slope", "last"], windows = [0.25, 3]},
    {kind = "baseline", column = "pressure", days = 7, windows = [1]},
    {kind = "baseline", column = "flow_2", windows = [2], reset = "services"},
    {kind = "count", table = "services", where = {action = "replaced", component = "Pump"}, windows = [7]},
    {kind = "count", table = "tickets", at = "closed_at", by = "ticket_type", values = ["fault"], windows = [7]},
    {kind = "since", table = "work_logs", by = "activity", values = ["travel"]},
    {kind = "silence", table = "alarms"},
    {kind = "attribute", column = "batch"},
    {kind = "attribute", column = "weight", type = "number"},
    {kind = "age", column = "warranty_until_at"},
]
"""
CHINESE = re.compile(r"[\u4e00-\u9fff]")
ENGLISH = re.compile(
    r"\b(of|over|the|with|since|last|days?|hours|mean|values?|largest|smallest|deviation|trend|less|sum|first|against|"
    r"own|asset|in|is|per|ever|time|all|and|by|within|open)\b",
    re.IGNORECASE,
)


def test_every_feature_says_what_it_means_in_english_and_in_chinese(committed: Made) -> None:
    found = feature_set(committed(TOML + VISITS + EVERY_KIND, **fleet()).pin()).features
    assert {f.group for f in found} == {*GROUPS, "hot", "visits"}
    for f in found:
        assert f.meaning.en, f.name
        assert not CHINESE.search(f.meaning.en.replace("阀门", "")), f.meaning  # a component is data
        assert CHINESE.search(f.meaning.zh.replace("阀门", "")), f.meaning
        assert not ENGLISH.search(f.meaning.zh), f.meaning
    for said in ([f.meaning.en for f in found], [f.meaning.zh for f in found]):
        twice = {f"{f.group} {text}" for f, text in zip(found, said, strict=True)}
        assert len(twice) == len(found), "two features of a group mean the same"


def test_every_value_of_every_feature_reads_as_a_sentence_of_either_language(committed: Made) -> None:
    checks = 0
    for f in feature_set(committed(TOML + VISITS + EVERY_KIND, **fleet()).pin()).features:
        assert f.quantity or f.source == "sql", f.name
        for value in (None, 0.0, 1.0, 2.5, -3.0) if f.kind == "number" else (None, "M1"):
            said = f.say(value)
            assert not {"{value}", "{s}"} & {*re.findall(r"\{\w+\}", said.en + said.zh)}, said
            assert not CHINESE.search(said.en.replace("阀门", "")), said
            assert not ENGLISH.search(said.zh), said
            # A column of the company's own is called as the company calls it, in both.
            assert CHINESE.search(said.zh.replace("阀门", "")) or f.source == "assets", said
            checks += 1
    assert checks > 500


def test_meanings_name_the_channel_by_its_label_where_it_has_one(committed: Made) -> None:
    toml = TOML.replace('unit = "bar"', 'unit = "bar"\nlabel = {"zh-CN" = "压力"}') + EVERY_KIND
    toml = toml.replace('[channels."flow_2"]', '[channels."flow_2"]\nlabel = {en = "oil flow", "zh-CN" = "油流量"}')
    said = {f.name: f.meaning for f in feature_set(committed(toml, **fleet()).pin()).features}

    def both(name: str) -> tuple[str, str]:
        return said[name].en, said[name].zh

    assert both("reading_pressure_mean_7d") == ("mean of pressure over the last 7d", "压力 7 天均值")
    assert both("reading_flow_2_mean_7d") == ("mean of oil flow over the last 7d", "油流量 7 天均值")
    assert both("hot_pressure_max_6h") == ("largest value of pressure over the last 6h", "压力 6 小时最大值")
    z = "mean of oil flow over the last 1d against its first 14 days since the last service"
    assert both("reading_flow_2_z_1d") == (z, "油流量 1 天均值相对自身基线（上次维保后前 14 天）")
    assert both("hot_pressure_baseline_mean") == (
        "mean of pressure, first 7 days with data", "压力自身基线均值（首 7 天数据）",
    )  # fmt: skip
    assert both("alarm_count_e_1_30d") == ("alarms with code E 1 over the last 30d", "近 30 天报警次数（代码 E 1）")
    last = ("days since the last service of Pump", "距上次维保的天数（部件 Pump）")
    assert both("service_days_since_last_pump") == last
    assert both("plan_days_until_due_pump") == (
        "days to the next planned maintenance of Pump", "距下次计划维保的天数（部件 Pump）",
    )  # fmt: skip
    assert both("hot_count_7d") == (
        "services of Pump with action replaced over the last 7d", "近 7 天维保次数（部件 Pump，作业 replaced）",
    )  # fmt: skip
    assert both("asset_asset_model") == ("asset model of the asset", "设备机型")
    assert both("asset_weight") == ("weight of the asset", "设备 weight")


def test_a_row_of_every_table_has_a_name_in_both_languages() -> None:
    for table in (*TABLES, "failures"):
        assert CHINESE.search(row_words(table).zh)
        assert f"{row_words(table).en}s".replace(" ", "_") == table


def test_the_fingerprint_is_blind_to_wording_and_sees_every_definition(committed: Made) -> None:
    def fingerprint(*changes: tuple[str, str]) -> str:
        toml = TOML + VISITS + EVERY_KIND
        for old, new in changes:
            assert old in toml
            toml = toml.replace(old, new)
        return feature_set(committed(toml).pin()).fingerprint

    committed(TOML, **fleet())
    first = fingerprint()
    label = ('unit = "bar"', 'unit = "bar"\nlabel = {en = "discharge pressure", "zh-CN" = "排气压力"}')
    assert fingerprint(label) == first
    others = {
        fingerprint((old, new))
        for old, new in (
            ('action = "replaced"', 'action = "serviced"'), ('at = "closed_at"', 'at = "opened_at"'),
            ('reset = "services"', 'reset = "tickets"'), ("count(*) AS number", "count(*) + 1 AS number"),
            ("days = 7", "days = 8"),
        )
    }  # fmt: skip
    assert len(others - {first}) == 5


def test_features_say_which_component_they_are_about_and_which_are_alike(workspace: Workspace) -> None:
    found = {f.name: f for f in feature_set(workspace.pin()).features}

    def of(feature: Feature) -> tuple[str, str]:
        return feature.component, feature.family

    assert of(found["service_days_since_last_pump"]) == ("Pump", "service_days_since_last_own")
    assert of(found["service_days_since_last_阀门"]) == ("阀门", "service_days_since_last_own")
    assert of(found["service_count_pump_90d"]) == ("Pump", "service_count_own_90d")
    assert of(found["plan_days_until_due_pump"]) == ("Pump", "plan_days_until_due_own")
    assert of(found["failure_count_e_2_ever"]) == ("E 2", "failure_count_own_ever")
    for name in ("service_days_since_last", "plan_days_until_due", "failure_count_ever", "reading_pressure_mean_7d"):
        assert of(found[name]) == ("", "")


def test_a_workspace_with_assets_alone_has_features(committed: Made) -> None:
    snapshot = committed("", assets=fleet()["assets"][:1]).pin()
    table = build_point(snapshot, AS_OF).to_pylist()
    assert len(table) == 1
    assert table[0]["asset_age_days"] == 460.0
    assert table[0]["asset_asset_model"] == "m1"
    assert build_grid(snapshot, [AS_OF, AS_OF + DAY]).num_rows == 2


def test_a_workspace_without_assets_says_so(committed: Made) -> None:
    with pytest.raises(DataError, match="no assets"):
        build_point(committed("").pin(), AS_OF)


def test_only_assets_in_service_have_rows(committed: Made) -> None:
    known = START - 9 * DAY
    assets = [
        {"asset_id": "installed on the cut-off", "installed_at": AS_OF, "known_at": known},
        {"asset_id": "installed before", "installed_at": AS_OF - DAY, "known_at": known},
        {"asset_id": "retired on the cut-off", "installed_at": START, "retired_at": AS_OF, "known_at": known},
        {
            "asset_id": "retired before",
            "installed_at": START,
            "retired_at": AS_OF - timedelta(microseconds=1),
            "known_at": known,
        },
        {"asset_id": "known on the cut-off", "installed_at": START, "known_at": AS_OF},
        {"asset_id": "without a date", "known_at": known},
        {"asset_id": "withdrawn", "known_at": known},
        {"asset_id": "withdrawn", "known_at": known + DAY, "deleted": True},
    ]
    snapshot = committed("", assets=assets).pin()
    expected = ["installed before", "retired on the cut-off", "without a date"]
    assert build_point(snapshot, AS_OF)["asset_id"].to_pylist() == expected
    grid = build_grid(snapshot, [AS_OF - DAY, AS_OF]).to_pylist()
    assert [r["asset_id"] for r in grid if r["as_of"] == AS_OF] == expected


def test_a_column_is_null_until_the_instant_that_reveals_it_and_its_delay(committed: Made) -> None:
    toml = '[sources.test]\ntable = "assets"\nquery = ""\ndelay_hours = 2\nreveals = {batch = "tested_at"}\n'
    tested = AS_OF - DAY
    asset = {"asset_id": "A", "known_at": START, "batch": "b1", "tested_at": tested, "asset_model": "m1"}
    workspace = committed(toml, assets=[asset])
    revealed = tested + timedelta(hours=2)
    for instant, batch in (
        (tested, None),
        (revealed, None),
        (revealed + timedelta(microseconds=1), "b1"),
        (AS_OF, "b1"),
    ):
        row = build_point(workspace.pin(), instant).to_pylist()[0]
        assert (row["asset_batch"], row["asset_asset_model"]) == (batch, "m1")
    grid = build_grid(workspace.pin(), [AS_OF - DAY, AS_OF]).to_pylist()
    assert [r["asset_batch"] for r in grid] == [None, "b1"]


def test_a_repeat_of_two_tickets_at_one_instant_is_one_repeat(committed: Made) -> None:
    dice, days = random.Random(5), range(0, 300, 15)
    opened = [(m, day) for m in range(40) for day in dice.sample(days, 12) for _ in range(dice.choice([1, 1, 2]))]
    tickets = [{"system": "desk", "ticket_id": f"T{n}", "asset_id": f"A{m:02}", "opened_at": START + day * DAY}
               for n, (m, day) in enumerate(opened)]  # fmt: skip
    snapshot = committed("", assets=[{"asset_id": f"A{m:02}"} for m in range(40)], tickets=tickets).pin()
    table = build_point(snapshot, START + 300 * DAY, groups=["tickets"])
    expected = [
        sum(any(a == m and 0 < day - d <= 30 for a, d in opened) for n, day in opened if n == m) for m in range(40)
    ]
    assert table["ticket_repeat_count_365d"].to_pylist() == expected


def test_a_stuck_sensor_after_an_outlier_has_no_spread(committed: Made) -> None:
    readings = [
        {"asset_id": "A", "event_time": START + n * DAY / 4, "pressure": 1e12 if n == 3 else 7.25} for n in range(200)
    ]
    snapshot = committed("[channels.pressure]", assets=[{"asset_id": "A"}], readings=readings).pin()
    row = build_grid(snapshot, [START + 49 * DAY, START + 50 * DAY], groups=["sensors"]).to_pylist()[-1]
    assert row["reading_pressure_std_30d"] == 0.0
    assert row["reading_pressure_mean_7d"] == 7.25
    assert row["reading_pressure_slope_30d"] == 0.0


def test_a_channel_that_begins_later_keeps_its_digits(committed: Made) -> None:
    rng = random.Random(1)
    values = [1e6 + rng.gauss(0, 0.1) for _ in range(24)]
    readings: list[dict[str, Any]] = [
        {"asset_id": "A", "event_time": START + n * DAY, "pressure": 1.0, "flow_2": math.nan} for n in range(3)
    ]
    readings += [
        {"asset_id": "A", "event_time": START + 40 * DAY + n * DAY / 24, "pressure": 1.0, "flow_2": x}
        for n, x in enumerate(values)
    ]
    toml = '[channels.pressure]\n[channels."flow_2"]'
    workspace = committed(toml, assets=[{"asset_id": "A"}], readings=readings[:3])
    build_point(workspace.pin(), START + 2 * DAY)  # keeps what it learns of the levels
    snapshot = committed(toml, readings=readings[3:]).pin()
    for table in (
        build_point(snapshot, START + 42 * DAY), build_grid(snapshot, [START + 41 * DAY, START + 42 * DAY])
    ):  # fmt: skip
        assert table.to_pylist()[-1]["reading_flow_2_std_7d"] == pytest.approx(statistics.stdev(values), rel=1e-6)


def test_what_was_known_once_decides_no_level_for_ever(committed: Made) -> None:
    readings = [{"asset_id": "A", "event_time": START + n * DAY / 24, "pressure": 1e7 + n % 7 / 10} for n in range(480)]
    workspace = committed("[channels.pressure]", assets=[{"asset_id": "A"}], readings=readings)
    snapshot = workspace.pin()
    (_,) = rebuild(snapshot, [START - DAY], groups=["sensors"])
    assert not workspace.derived.exists()
    row = build_point(snapshot, START + 15 * DAY, groups=["sensors"]).to_pylist()[0]
    seen = [r["pressure"] for r in readings if START + 8 * DAY <= r["event_time"] < START + 15 * DAY]
    assert row["reading_pressure_std_7d"] == pytest.approx(statistics.stdev(seen), rel=1e-6)


# ── what a company calls its things ─────────────────────────────────────────────────────────────

MARKS = ("Pump {1}", "{as_of}", "{as_of.__class__}", "it's", 'the "seal"', """:'"as_of"':""", "100 %", "a;b--")


@pytest.mark.parametrize("name", MARKS)
def test_names_and_values_may_hold_any_mark(committed: Made, name: str) -> None:
    plan = {"plan_id": "p", "asset_id": "A", "component": name, "planned_at": START, "due_at": AS_OF + 5 * DAY}
    service = {"service_id": "s", "asset_id": "A", "performed_at": AS_OF - 5 * DAY, "component": name}
    own = f'[features.own]\nentries = [{{kind = "attribute", column = {json.dumps(name)}, type = "number"}}]'
    snapshot = committed(own, assets=[{"asset_id": "A", name: 2.0}], maintenance_plans=[plan], services=[service]).pin()
    told = {
        f"asset_{name}": 2.0, f"own_{name}": 2.0, f"plan_days_until_due_{spelt(name)}": 5.0,
        f"service_days_since_last_{spelt(name)}": 5.0,
    }  # fmt: skip
    for table in (build_point(snapshot, AS_OF), build_grid(snapshot, [AS_OF, AS_OF + DAY])):
        row = table.to_pylist()[0]
        assert row | told == row


def test_values_that_are_spelt_alike_are_one_thing(committed: Made) -> None:
    at = AS_OF - 5 * DAY
    services = [
        {"service_id": str(n), "asset_id": "A", "performed_at": at - n * DAY, "component": c}
        for n, c in enumerate(["pump", "Pump", "Pump", "Main Seal"])
    ]
    alarms = [
        {"asset_id": "A", "event_time": at - n * DAY, "code": c} for n, c in enumerate(["E 1", "E-1", "E-1", "E2"])
    ]
    plans = [
        {"plan_id": str(n), "asset_id": "A", "component": c, "planned_at": START, "due_at": AS_OF + n * DAY}
        for n, c in ((9, "Pump"), (3, "pump"), (1, "Main Seal"))
    ]
    snapshot = committed(
        "", assets=[{"asset_id": "A"}], services=services, alarms=alarms, maintenance_plans=plans
    ).pin()  # fmt: skip
    told = {
        "service_count_pump_90d": 3.0, "service_days_since_last_pump": 5.0, "alarm_count_e_1_30d": 3.0,
        "alarm_days_since_last_e_1": 5.0, "alarm_count_e2_30d": 1.0, "plan_days_until_due_pump": 3.0,
        "plan_days_until_due_main_seal": 1.0,
    }  # fmt: skip
    names = feature_set(snapshot).names
    assert len(names) == len(set(names))
    for table in (build_point(snapshot, AS_OF), build_grid(snapshot, [AS_OF, AS_OF + DAY])):
        assert table.column_names == ["asset_id", "as_of", *names]
        row = table.to_pylist()[0]
        assert row | told == row


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("""[features.own]
        entries = [{kind = "count", table = "alarms", windows = [7]}, {kind = "count", table = "tickets", windows = [7]}]""",
         "two features are called 'own_count_7d': alarms over the last 7d; tickets over the last 7d"),
        ("""[features.alarm]
        entries = [{kind = "count", table = "alarms", windows = [7]}]""", "feature groups alarms, alarm"),
        ("""[features.asset]
        entries = [{kind = "attribute", column = "weight"}]""", "two features are called 'asset_weight'"),
    ],
)  # fmt: skip
def test_two_features_of_one_name_are_an_error_that_names_both(committed: Made, toml: str, says: str) -> None:
    snapshot = committed(TOML + toml, **fleet()).pin()
    for make in (lambda: build_point(snapshot, AS_OF), lambda: feature_set(snapshot)):
        with pytest.raises(ConfigError, match=re.escape(says)):
            make()


def test_a_code_that_grew_rare_keeps_its_features_for_a_model_that_reads_them(committed: Made) -> None:
    def alarms(*codes: str) -> list[dict[str, Any]]:
        gap = timedelta(minutes=10)
        return [{"asset_id": "A", "event_time": AS_OF - n * gap, "code": c} for n, c in enumerate(codes, 1)]

    first = [f"E-{n}" for n in range(MOST_VALUES)]
    snapshot = committed("", assets=[{"asset_id": "A"}], alarms=alarms(*first * 2, "E 0")).pin()
    trained = feature_set(snapshot).names
    assert {"alarm_count_e_0_7d", "alarm_count_e_39_7d"} <= set(trained)
    snapshot = committed("", alarms=alarms(*["late"] * 9, *first[:-1])).pin()
    now = feature_set(snapshot)
    assert [n for n in trained if n not in now.names] == [n for n in trained if "_e_39" in n] != []
    kept = feature_set(snapshot, keep=trained)
    assert set(kept.names) == {*trained, *now.names}
    assert feature_set(snapshot, keep=["not there", "asset_age_days"]) == now
    point = build_point(snapshot, AS_OF, keep=trained)
    assert point.column_names == ["asset_id", "as_of", *kept.names]
    told = {"alarm_count_e_39_7d": 2.0, "alarm_count_e_0_7d": 4.0, "alarm_count_late_7d": 9.0}
    row = point.to_pylist()[0]
    assert row | told == row


def test_shards_of_assets_give_the_same_table(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = workspace.pin()
    cutoffs = [AS_OF - n * DAY for n in range(10)]
    whole = build_grid(snapshot, cutoffs).to_pandas()
    monkeypatch.setattr("features.assets.CELLS_A_SHARD", 10)
    told: list[str] = []
    pd.testing.assert_frame_equal(build_grid(snapshot, cutoffs, say=told.append).to_pandas(), whole, rtol=1e-12)
    assert told == ["assets M0 … M0 (1 of 3)", "assets M1 … M1 (2 of 3)", "assets M2 … M2 (3 of 3)"]


# ── spines ──────────────────────────────────────────────────────────────────────────────────────


def test_a_spine_gives_one_row_per_row_in_its_order(workspace: Workspace) -> None:
    noon = AS_OF - timedelta(hours=4)
    spine = pd.DataFrame({"asset_id": ["M2", "M0", "nobody", "M2"], "as_of": [noon, AS_OF, AS_OF, AS_OF - 30 * DAY]})
    found = build(workspace, spine)
    assert found["asset_id"].tolist() == spine["asset_id"].tolist()
    assert found["as_of"].tolist() == spine["as_of"].tolist()
    for n in (0, 1, 3):
        point = build(workspace, spine["as_of"][n].to_pydatetime()).set_index("asset_id").loc[spine["asset_id"][n]]
        pd.testing.assert_series_equal(found.set_index("asset_id").iloc[n], point, rtol=1e-12)
    assert found.iloc[2, 2:].isna().all()


def test_many_instants_whole_days_apart_equal_one_run_each(workspace: Workspace) -> None:
    instants = [AS_OF - n * DAY for n in range(25)]
    spine = pd.DataFrame({"asset_id": ["M1"] * 25, "as_of": instants})
    found = build(workspace, spine)
    point = build(workspace, instants[20]).query("asset_id == 'M1'").reset_index(drop=True)
    pd.testing.assert_frame_equal(found.iloc[[20]].reset_index(drop=True), point, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("spine", "found"),
    [
        (pd.DataFrame({"asset": ["M0"], "as_of": [AS_OF]}), "no column 'asset_id'"),
        (pd.DataFrame({"asset_id": ["M0"], "as_of": [AS_OF.replace(tzinfo=None)]}), "carries no zone"),
        (pd.DataFrame({"asset_id": ["M0", None], "as_of": [AS_OF, AS_OF]}), "1 of 2 rows lack"),
        (pd.DataFrame({"asset_id": [], "as_of": []}), "no rows"),
    ],
)
def test_a_spine_that_cannot_be_meant_is_refused(workspace: Workspace, spine: pd.DataFrame, found: str) -> None:
    with pytest.raises(DataError, match=found):
        build(workspace, spine)


# ── a company's own groups ──────────────────────────────────────────────────────────────────────

VISITS = """
[features.visits]
sql = '''
SELECT s.asset_id, s.as_of, count(*) AS number, max(a.code) AS latest
FROM spine AS s JOIN alarms AS a ON a.asset_id = s.asset_id AND a.known_at < s.as_of AND a.event_time < s.as_of
GROUP BY ALL
'''
"""


def test_a_group_in_sql_joins_by_asset_and_instant(committed: Made) -> None:
    rows = fleet()
    snapshot = committed(TOML + VISITS, **rows).pin()
    names = feature_set(snapshot, groups=["visits"]).features
    assert [(f.name, f.kind) for f in names] == [("visits_number", "number"), ("visits_latest", "category")]
    cutoffs = [START + 3 * DAY, AS_OF]
    for table in (build_grid(snapshot, cutoffs), build_grid(snapshot, cutoffs, groups=["visits"])):
        for row in table.to_pylist():
            expected = [
                a for a in rows["alarms"] if a["asset_id"] == row["asset_id"] and a["event_time"] < row["as_of"]
            ]
            assert row["visits_number"] == (len(expected) or None)
    assert build_point(snapshot, AS_OF)["visits_number"].to_pylist() == [4.0, 4.0, 4.0]


@pytest.mark.parametrize(
    ("toml", "found"),
    [
        ("[features.x]", "neither entries nor sql"),
        ("[features.x]\nentries = [{column = 'pressure'}]", "the key 'kind' is missing"),
        ("[features.x]\nentries = [{kind = 'statistic'}]", "Did you mean 'statistics'"),
        ("[features.x]\nentries = [{kind = 'count', tabel = 'alarms', windows = [7]}]", "Did you mean 'table'"),
        ("[features.x]\nentries = [{kind = 'count', table = 'alarm', windows = [7]}]", "Did you mean 'alarms'"),
        ("[features.x]\nentries = [{kind = 'count', table = 'alarms', by = 'cod', windows = [7]}]", "Did you mean 'code'"),
        ("[features.x]\nentries = [{kind = 'statistics', column = 'presure', stats = ['mean'], windows = [7]}]", "Did you mean 'pressure'"),
        ("[features.x]\nentries = [{kind = 'statistics', column = 'pressure', stats = ['avg'], windows = [7]}]", "statistic 'avg' is not known"),
        ("[features.x]\nentries = [{kind = 'statistics', column = 'pressure', stats = ['mean'], windows = [1.5]}]", "whole days"),
        ("[features.x]\nentries = [{kind = 'silence', table = 'tickets'}]", "not a table of facts"),
        ("[features.x]\nentries = [{kind = 'baseline', column = 'pressure', reset = 'servces'}]", "Did you mean 'services'"),
        ("[features.sensors]\nsql = 'SELECT 1'", "a group of the house"),
        ("[features.x]\nsql = 'SELEC 1'", "features.x"),
        ("[features.x]\nsql = 'SELECT asset_id, 1 AS a FROM spine'", "Expected asset_id, as_of and features"),
        ("[features.x]\nsql = 'SELECT asset_id, as_of, 1 AS a FROM spine UNION ALL SELECT asset_id, as_of, 2 FROM spine'", "rows repeat"),
    ],
)  # fmt: skip
def test_a_wrong_group_is_named_with_the_nearest_right_word(committed: Made, toml: str, found: str) -> None:
    snapshot = committed(TOML + toml, **fleet()).pin()
    with pytest.raises(ConfigError, match=re.escape(found)):
        build_point(snapshot, AS_OF)


def test_a_group_that_nobody_knows_is_refused(workspace: Workspace) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'sensors'"):
        feature_set(workspace.pin(), groups=["sensor"])


def test_a_column_revealed_later_than_its_fact_is_refused(committed: Made) -> None:
    toml = '[sources.test]\ntable = "alarms"\nquery = ""\nreveals = {severity = "ended_at"}\n'
    toml += '[features.x]\nentries = [{kind = "count", table = "alarms", by = "severity", values = ["high"], windows = [7]}]'
    with pytest.raises(ConfigError, match=r"alarms\.severity is revealed later than its row"):
        build_point(committed(TOML + toml, **fleet()).pin(), AS_OF)


# ── real tables ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.proof
def test_on_azure_pdm_both_targets_agree_and_daily_means_wait_thirty_hours(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from features.ingest import ingest

    monkeypatch.setitem(os.environ, "FOREMEND_DATA", str(data))
    example = Path(__file__).parents[2] / "docs" / "examples" / "azure-pdm" / "foremend.toml"
    (tmp_path / "foremend.toml").write_text(example.read_text(encoding="utf-8"), encoding="utf-8")
    workspace = Workspace.open(tmp_path)
    ingest(workspace)
    snapshot = workspace.pin()
    cutoffs = [datetime(2015, 1, 8, tzinfo=UTC) + n * DAY for n in range(120)]
    grid = build_grid(snapshot, cutoffs).to_pandas()
    assert grid.shape[0] == 100 * len(cutoffs)
    for as_of in (cutoffs[0], cutoffs[50], cutoffs[-1]):
        point = build_point(snapshot, as_of).to_pandas()
        at = grid[grid["as_of"] == as_of].reset_index(drop=True)
        pd.testing.assert_frame_equal(at, point, rtol=1e-6, atol=1e-6)
    means = pd.read_parquet(data / "azure-pdm" / "PdM_telemetry_daily_means.parquet")
    means["known_at"] = pd.to_datetime(means["date"]).dt.tz_localize("UTC") + timedelta(hours=30)
    seen = means[means["known_at"] < cutoffs[50]].sort_values("known_at").groupby("machineID")["volt"].last()
    at = grid[grid["as_of"] == cutoffs[50]].set_index("asset_id")["reading_volt_last_1d"]
    assert at.index.astype(str).tolist() == sorted(at.index)
    by_asset = {str(k): v for k, v in seen.items()}
    assert all(abs(at[a] - by_asset[a]) < 1e-9 for a in at.index)
