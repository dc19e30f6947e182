"""Failures as features: at every instant what the rule said of what was known before it, and no more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from features.assets import build, build_grid, build_point, rebuild
from features.errors import ConfigError
from features.failures import failures

DAY = timedelta(days=1)
START = datetime(2024, 3, 1, 16, tzinfo=UTC)


def day(n: float) -> datetime:
    return START + n * DAY


ASSET = {"asset_id": "A", "installed_at": day(-100), "known_at": day(-100)}
SERVICE = {"service_id": "1", "asset_id": "A", "component": "pump", "reason": "corrective", "performed_at": day(1),
           "known_at": day(1)}  # fmt: skip
TICKET = {"ticket_id": "1", "asset_id": "A", "opened_at": day(1), "known_at": day(1)}
ALARM = {"asset_id": "A", "code": "E"}
REPAIRS = (
    "SELECT asset_id, performed_at AS event_time, component AS failure_mode FROM services WHERE reason = 'corrective'"
)
FOUND = "SELECT asset_id, opened_at AS event_time, finding AS failure_mode FROM tickets WHERE finding IS NOT NULL"
JOINED = (
    "SELECT s.asset_id, s.performed_at AS event_time FROM services AS s JOIN assets AS a ON a.asset_id = s.asset_id"
)
ALARMS = "SELECT asset_id, event_time, known_at, 'any' AS failure_mode FROM alarms_rows"
DATED = "SELECT asset_id, event_time, event_time + INTERVAL 4 DAY AS known_at FROM alarms"
EVERY_PAIR = "SELECT asset_id, max(event_time) AS event_time FROM alarms GROUP BY asset_id HAVING count(*) = 2"

CASES = {
    "a repeat counts until the failure that it repeats is known": (
        ALARMS, 7, {"alarms": [ALARM | {"event_time": day(1), "known_at": day(30)}, ALARM | {"event_time": day(5)}]},
        {5: (0, None), 6: (1, 1), 30: (1, 25), 31: (1, 30)},
    ),
    "a correction leaves the failure known": (
        REPAIRS, 0, {"services": [SERVICE, SERVICE | {"cost": 5.0, "known_at": day(30)}]},
        {1: (0, None), 2: (1, 1), 10: (1, 9), 31: (1, 30)},
    ),
    "a correction moves it": (
        REPAIRS, 0, {"services": [SERVICE, SERVICE | {"performed_at": day(4), "known_at": day(30)}]},
        {10: (1, 9), 30: (1, 29), 31: (1, 27)},
    ),
    "a withdrawal ends it": (
        REPAIRS, 0, {"services": [SERVICE, SERVICE | {"deleted": True, "known_at": day(30)}]},
        {10: (1, 9), 30: (1, 29), 31: (0, None)},
    ),
    "a reason that came later begins it": (
        REPAIRS, 0, {"services": [SERVICE | {"reason": "planned"}, SERVICE | {"known_at": day(30)}]},
        {10: (0, None), 30: (0, None), 31: (1, 30)},
    ),
    "a final value is not known before it": (
        FOUND, 0, {"tickets": [TICKET | {"closed_at": day(11), "finding": "pump"}]},
        {6: (0, None), 11: (0, None), 12: (1, 11)},
    ),
    "a joined row is not known before it came": (
        JOINED, 0, {"services": [SERVICE | {"known_at": day(20)}]}, {10: (0, None), 20: (0, None), 21: (1, 20)},
    ),
    "a rule may wait longer": (
        DATED, 0, {"alarms": [ALARM | {"event_time": day(1)}]}, {4: (0, None), 5: (0, None), 6: (1, 5)},
    ),
    "a group is what was known of it": (
        EVERY_PAIR, 0, {"alarms": [ALARM | {"event_time": day(n)} for n in (1, 5, 9)]},
        {5: (0, None), 6: (1, 1), 9: (1, 4), 10: (0, None)},
    ),
}  # fmt: skip
"""Rule, repeat_days, rows, and by day: failures in 90 days, and days since the last."""


@pytest.mark.parametrize("name", CASES)
def test_features_know_a_failure_when_it_could_be_known(committed, name):
    query, repeat_days, rows, expected = CASES[name]
    toml = f'[[failures]]\nversion = 1\nrepeat_days = {repeat_days}\nquery = """{query}"""\n'
    snapshot = committed(toml, assets=[ASSET], **rows).pin()
    cutoffs = [day(n) for n in expected]
    spine = pd.DataFrame({"asset_id": "A", "as_of": cutoffs})
    tables = {
        "grid": build_grid(snapshot, [day(n) for n in range(40)], groups=["failures"]).to_pandas(),
        "point": build(snapshot, spine, groups=["failures"]),
        "rebuilt": pd.concat(t.to_pandas() for t in rebuild(snapshot, cutoffs, groups=["failures"])),
    }
    for target, table in tables.items():
        rows = table.set_index("as_of")[["failure_count_90d", "failure_days_since_last"]]
        found = {n: tuple(None if v != v else v for v in rows.loc[day(n)]) for n in expected}
        assert (target, found) == (target, expected)


def test_what_is_known_today_is_the_truth_that_is_learnt(committed):
    """Labels: the failure that came to be known late is one, and its repeat is none."""
    query, _, rows, _ = CASES["a repeat counts until the failure that it repeats is known"]
    toml = f'[[failures]]\nversion = 1\nrepeat_days = 7\nquery = """{query}"""\n'
    assert list(failures(committed(toml, assets=[ASSET], **rows).pin())["event_time"]) == [day(1)]


def test_the_mode_is_told_when_it_is_found_and_the_failure_before(committed):
    query = FOUND.replace("WHERE finding IS NOT NULL", "")
    rows = [TICKET | {"closed_at": day(11), "finding": "pump"}]
    snapshot = committed(f'[[failures]]\nversion = 1\nquery = "{query}"\n', assets=[ASSET], tickets=rows).pin()
    grid = build_grid(snapshot, [day(10), day(12)], groups=["failures"]).to_pandas()
    assert grid[["failure_count_90d", "failure_count_pump_90d"]].to_numpy().tolist() == [[1, 0], [1, 1]]


def test_a_rule_that_fails_is_told_by_its_version(committed):
    snapshot = committed('[[failures]]\nversion = 3\nquery = "SELECT nothing"\n', assets=[ASSET]).pin()
    with pytest.raises(ConfigError, match=r"\[\[failures\]\] version 3"):
        build_point(snapshot, day(1))
