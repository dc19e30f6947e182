"""What the fingerprints of features see: all that decides values, and nothing beside."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from features.assets import build_point, feature_set
from features.workspace import Workspace

Made = Callable[..., Workspace]
START = datetime(2024, 3, 1, 16, tzinfo=UTC)
DAY = timedelta(days=1)
AS_OF = START + 10 * DAY
RULE = """
[[failures]]
version = 1
query = "SELECT asset_id, event_time, code AS failure_mode FROM alarms WHERE code = 'E'"
"""
ASSETS = [{"asset_id": "A", "installed_at": START - 100 * DAY}]
ALARMS = [{"asset_id": "A", "event_time": START + n * DAY, "code": code} for n, code in enumerate("EEF")]
TICKETS = [
    {"system": "s", "ticket_id": "1", "asset_id": "A", "ticket_type": "fault", "opened_at": START + DAY, "closed_at": AS_OF - DAY / 8}
]  # fmt: skip
SERVICES = [{"service_id": "s", "asset_id": "A", "performed_at": START + 2 * DAY, "component": "Pump"}]
PLANS = [{"plan_id": "p", "asset_id": "A", "component": "Pump", "planned_at": START, "due_at": START + 50 * DAY}]


def told(workspace: Workspace) -> tuple[dict[str, str], dict[str, object]]:
    """Fingerprints and values by feature."""
    snapshot = workspace.pin()
    prints = {f.name: f.fingerprint for f in feature_set(snapshot).features}
    return prints, {
        name: value for name, value in build_point(snapshot, AS_OF).to_pylist()[0].items() if name in prints
    }


@pytest.fixture
def make(committed: Made) -> Callable[[str], Workspace]:
    """The same rows, under another ``foremend.toml`` each time."""
    committed(RULE, assets=ASSETS, alarms=ALARMS, tickets=TICKETS, services=SERVICES, maintenance_plans=PLANS)
    return committed


SOURCE = '[sources.test]\ntable = "{table}"\nquery = ""\n{more}\n'


@pytest.mark.parametrize(
    ("toml", "group"),
    [
        (RULE.replace("= 'E'", "<> 'G'").replace("code AS", "'E' AS"), "failure_"),
        (RULE + "repeat_days = 2", "failure_"),
        (RULE + SOURCE.format(table="tickets", more="delay_hours = 6"), "ticket_"),
        (RULE + SOURCE.format(table="tickets", more='reveals = {ticket_type = "closed_at"}'), "ticket_"),
        (RULE + SOURCE.format(table="services", more='reveals = {performed_at = "verified_at"}'), ""),
        (RULE + SOURCE.format(table="assets", more='reveals = {asset_model = "installed_at"}\ndelay_hours = 1'), "asset_"),
    ],
    ids=["rule", "repeats", "delay", "type", "service", "model"],
)  # fmt: skip
def test_what_decides_values_is_in_the_fingerprint_of_the_features_that_it_decides(
    make: Callable[[str], Workspace], toml: str, group: str
) -> None:
    before, values = told(make(RULE))
    after, others = told(make(toml))
    assert before.keys() == after.keys()
    moved = {name for name in before if before[name] != after[name]}
    assert moved >= {name for name in values if values[name] != others[name]}, (
        "values changed under the same fingerprint"
    )
    assert moved
    if group:
        assert all(name.startswith(group) for name in moved)


def test_failures_read_through_the_sources_of_every_table_that_the_rule_names(make: Callable[[str], Workspace]) -> None:
    rule = """
[[failures]]
version = 1
query = "SELECT asset_id, performed_at AS event_time, component AS failure_mode FROM services JOIN assets USING (asset_id)"
"""
    before, _ = told(make(rule))
    for table, more in (("services", 'reveals = {component = "verified_at"}'), ("assets", "delay_hours = 3")):
        after, _ = told(make(rule + SOURCE.format(table=table, more=more)))
        assert {name for name in before if name.startswith("failure_") and before[name] == after[name]} == set()
    other, _ = told(make(rule + SOURCE.format(table="tickets", more="delay_hours = 3")))
    assert {name for name in before if before[name] != other[name]} == {n for n in before if n.startswith("ticket_")}


@pytest.mark.parametrize(
    "toml",
    [
        RULE.replace("version = 1", 'version = 4\nnote = "as agreed in May"'),
        RULE + SOURCE.format(table="tickets", more="corrections = true"),
        RULE + SOURCE.format(table="readings", more="delay_hours = 6"),
        RULE + SOURCE.format(table="tickets", more='reveals = {csat = "opened_at"}'),
    ],
    ids=["number and note", "corrections", "facts known with their row", "a column that no feature reads"],
)
def test_what_decides_no_value_is_not(make: Callable[[str], Workspace], toml: str) -> None:
    assert told(make(RULE)) == told(make(toml))


def test_what_is_added_beside_a_feature_leaves_it_what_it_was(committed: Made) -> None:
    group = """
[features.own]
entries = [
    {kind = "statistics", column = "p", stats = ["mean"], windows = [3]},
    {kind = "baseline", column = "p", windows = [1]},
    {kind = "count", table = "alarms", windows = [7]},
]
"""
    readings = [{"asset_id": "A", "event_time": START + DAY, "p": 1.0}]
    rows = {"assets": ASSETS, "alarms": ALARMS, "services": SERVICES, "maintenance_plans": PLANS, "readings": readings}
    before = feature_set(committed(RULE + group, **rows).pin()).features
    wider = group.replace('["mean"], windows = [3]', '["mean", "max"], windows = [2, 3]')
    wider = wider.replace("windows = [1]", "windows = [1, 5]").replace("windows = [7]", "windows = [7, 90]")
    more = {
        "alarms": [{"asset_id": "A", "event_time": START + DAY, "code": "B9"}],
        "services": [
            {"service_id": name, "asset_id": "A", "performed_at": START, "component": name} for name in ("Fan", "PUMP")
        ],
        "maintenance_plans": [
            {"plan_id": name, "asset_id": "A", "component": name, "planned_at": START} for name in ("Fan", "PUMP")
        ],
    }
    after = {f.name: f.fingerprint for f in feature_set(committed(RULE + wider, **more).pin()).features}
    assert {f.name: after[f.name] for f in before} == {f.name: f.fingerprint for f in before}
    assert {"own_p_max_2d", "own_count_90d", "alarm_count_b9_7d", "plan_days_until_due_fan"} <= set(after)


def test_another_window_days_or_query_of_ones_own_is_another_feature(committed: Made) -> None:
    group = '[features.own]\nentries = [{kind = "baseline", column = "p", days = 7}]\n'
    query = "[features.sql]\nsql = 'SELECT asset_id, as_of, 1 AS x FROM spine'\n"
    readings = [{"asset_id": "A", "event_time": START + DAY, "p": 1.0}]
    committed(group, assets=ASSETS, readings=readings)

    def prints(toml: str) -> dict[str, str]:
        return {f.name: f.fingerprint for f in feature_set(committed(toml).pin()).features if f.group in {"own", "sql"}}

    first = prints(group + query)
    second = prints(group.replace("days = 7", "days = 8") + query.replace("1 AS x", "2 AS x"))
    assert {name for name in first if first[name] != second[name]} == set(first) == set(second)
