"""What could be seen and when, whatever a company calls its columns, and in a snapshot that is rewound."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from features.assets import build_grid, build_point, rebuild
from features.errors import ConfigError
from features.ingest import ingest
from features.rewind import rewind

DAY = timedelta(days=1)
START = datetime(2024, 3, 1, tzinfo=UTC)
AT = START + 10 * DAY
CHANNELS = ("e", "i", "k", "K_", "m", "n0", "r", "t", "x0")
NAMES = (
    *CHANNELS,
    "b", "c", "calendar", "entity", "id", "j", "number", "phased", "r0", "r1", "s", "stored", "t0", "u", "v", "versions", "x",
    "age_days",
)  # fmt: skip
ASSET = {"asset_id": "A", "installed_at": START - 100 * DAY, "known_at": START - 100 * DAY}
OWN = """
[features.own]
entries = [
    {kind = "count", table = "alarms", by = "t", values = ["no"], where = {e = "x", k = "y"}, windows = [30]},
    {kind = "since", table = "services", by = "u", values = ["no"], where = {k = "y"}},
    {kind = "attribute", column = "u", type = "number"},
]
"""


def test_a_column_may_have_any_name_that_the_engine_uses_within(committed):
    """Every channel and attribute by its own number; the numbers would tell which was taken for which."""
    numbers = {name: float(n) for n, name in enumerate(NAMES, 1)}
    more = {"t": "no", "e": "x", "k": "y", "u": "no", "v": "no", "r": 1.0, "i": 2.0}
    hours = [START + n * timedelta(hours=6) for n in range(40)]
    snapshot = committed(
        OWN, assets=[{**ASSET, **numbers}],
        readings=[{"asset_id": "A", "event_time": at, **{c: numbers[c] for c in CHANNELS}} for at in hours],
        alarms=[{"asset_id": "A", "event_time": START + n * DAY, "code": "E", **more} for n in range(3)],
        services=[{"service_id": "1", "asset_id": "A", "performed_at": START, "component": "pump", **more}],
    ).pin()  # fmt: skip
    groups = ["profile", "sensors", "own"]
    (again,) = rebuild(snapshot, [AT], groups=groups)
    grid = build_grid(snapshot, [AT - 3 * DAY, AT], groups=groups)
    for table in (build_point(snapshot, AT, groups=groups), grid.slice(1), again):
        (row,) = table.to_pylist()
        assert (row["asset_id"], row["as_of"]) == ("A", AT)
        for name, number in numbers.items():
            stem = "asset_own" if name in {"id", "age_days"} else "asset"
            assert (name, row[f"{stem}_{name}"]) == (name, number)
        for name in CHANNELS:
            found = [row[f"reading_{name}_{what}"] for what in ("mean_7d", "last_1d", "baseline_mean")]
            assert (name, found) == (name, [numbers[name]] * 3)
        assert (row["own_count_no_30d"], row["own_days_since_last_no"], row["own_u"]) == (3, 10, numbers["u"])


def test_what_begins_as_the_engines_own_columns_do_is_refused(company):
    toml = '[sources.gear]\ntable = "assets"\nquery = "SELECT serial AS asset_id, 5 AS __k FROM \'gear.csv\'"\n'
    with pytest.raises(ConfigError, match=r"\[sources.gear\].*cannot be called '__k'"):
        ingest(company(toml, gear="serial\nA"))


TICKET = {"ticket_id": "1", "asset_id": "A", "opened_at": START, "known_at": START}
GONE = TICKET | {"known_at": START + 2 * DAY, "deleted": True}


def test_a_ticket_that_was_withdrawn_while_open_stays_withdrawn_in_the_past(committed):
    snapshot = committed("", assets=[ASSET], tickets=[TICKET, GONE]).pin()
    for days, open_then in ((1, 1), (2, 1), (3, 0), (9, 0)):
        at = START + days * DAY
        (again,) = rebuild(snapshot, [at], groups=["tickets"])
        both = build_point(snapshot, at, groups=["tickets"]), again
        assert [table["ticket_open"].to_pylist() for table in both] == [[open_then]] * 2


def test_what_ingest_sets_is_known_with_its_row(committed):
    snapshot = committed("", tickets=[TICKET, GONE]).pin()
    with rewind(snapshot, AT).connect() as con:
        rows = con.sql("SELECT source, ingested_at, deleted FROM tickets_rows ORDER BY known_at").to_arrow_table()
    assert [tuple(row.values()) for row in rows.to_pylist()] == [
        ("test", START, False),
        ("test", START + 2 * DAY, True),
    ]
