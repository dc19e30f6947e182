"""Daily volumes against counts made by hand: what is zero, what is missing, what is not ours to count."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from features.errors import ConfigError, DataError
from features.volumes import ShortHistoryWarning, StaleSourceWarning, VolumeWarning, complete_days, daily
from features.workspace import Workspace

Committed = Callable[..., Workspace]
START = datetime(2024, 1, 1, tzinfo=UTC)
DAYS = 80
AS_OF = START + timedelta(days=DAYS)


def ticket(
    number: int, at: datetime, region: str | None = "north", kind: str | None = "fault", **more: Any
) -> dict[str, Any]:
    return {"ticket_id": f"T{number}", "opened_at": at, "region": region, "ticket_type": kind, **more}


def stream(days: Iterable[int], per_day: int = 6, **more: Any) -> list[dict[str, Any]]:
    """Tickets spread evenly over each of the days, at 02:00, 06:00 ... 22:00 for six a day."""
    gap = timedelta(hours=24 / per_day)
    instants = [START + timedelta(days=day) + gap * (k + 0.5) for day in days for k in range(per_day)]
    offset = more.pop("offset", 0)
    return [ticket(offset + k, at, **more) for k, at in enumerate(instants)]


def series(workspace: Workspace, unique_id: str = "total", as_of: datetime = AS_OF) -> pd.Series:
    frame = daily(workspace.pin(), as_of)
    return frame[frame["unique_id"] == unique_id].set_index("ds")["y"]


def test_counts_equal_a_slow_count_in_each_sites_own_zone(committed: Committed) -> None:
    rng = np.random.default_rng(7)
    zones = {"A1": "America/New_York", "A2": "Asia/Shanghai", "A3": None}
    rows = [
        ticket(k, START + timedelta(minutes=float(m)), region=str(rng.choice(["north", "south"])),
               kind=str(rng.choice(["fault", "question"])), asset_id=str(rng.choice([*zones, "unheard-of"])))
        for k, m in enumerate(rng.uniform(0, DAYS * 1440, 3000))
    ]  # fmt: skip
    assets = [{"asset_id": name, "zone": zone} for name, zone in zones.items()]
    workspace = committed('[time]\nzone = "Europe/Berlin"', tickets=rows, assets=assets)

    found = daily(workspace.pin(), AS_OF)

    expected: Counter[tuple[str, str]] = Counter()
    for row in rows:
        zone = ZoneInfo(zones.get(row["asset_id"]) or "Europe/Berlin")
        day = f"{row['opened_at'].astimezone(zone):%Y-%m-%d}"
        for node in ("total", f"{row['region']}/*", f"*/{row['ticket_type']}", f"{row['region']}/{row['ticket_type']}"):
            expected[node, day] += 1
    checked = 0
    for row in found.itertuples():
        assert row.y == expected[row.unique_id, f"{row.ds:%Y-%m-%d}"]
        checked += 1
    assert found["unique_id"].nunique() == 1 + 2 + 2 + 4
    assert checked >= 9 * (DAYS - 4)


def test_levels_add_up_on_every_day(committed: Committed) -> None:
    rows = stream(range(DAYS)) + stream(range(30, DAYS), 2, region=None, kind="question", offset=10_000)
    frame = daily(committed(tickets=rows).pin(), AS_OF)
    by = {node: part.set_index("ds")["y"] for node, part in frame.groupby("unique_id")}
    total = by["total"]
    for nodes in (["north/*", "unknown/*"], ["*/fault", "*/question"], ["north/fault", "unknown/question"]):
        together = sum(by[node].reindex(total.index, fill_value=0) for node in nodes)
        assert (together == total).all()
    tags = frame.drop_duplicates("unique_id").set_index("unique_id")[["region", "ticket_type"]]
    assert tags.loc["total"].isna().all()
    assert list(tags.loc["unknown/question"]) == ["unknown", "question"]
    assert tags.loc["*/fault", "ticket_type"] == "fault"
    assert pd.isna(tags.loc["*/fault", "region"])


def test_every_name_is_a_node_of_its_own(committed: Committed) -> None:
    names = ["A/B", "A|B", "*", r"\*", r"A\|B", r"A\/B", "A", "total", "*/B"]
    rows = [
        row for n, name in enumerate(names)
        for row in stream(range(DAYS), n + 1, region=name, kind=names[-1 - n], offset=10_000 * n)
    ]  # fmt: skip
    frame = daily(committed(tickets=rows).pin(), AS_OF)
    assert not frame.duplicated(["unique_id", "ds"]).any()
    last = frame[frame["ds"] == frame["ds"].max()]
    assert last.loc[last["unique_id"] == "total", "y"].item() == sum(range(1, len(names) + 1))
    for column in ("region", "ticket_type"):
        other = {"region": "ticket_type", "ticket_type": "region"}[column]
        alone = last[last[other].isna() & last[column].notna()].set_index(column)["y"]
        counts = range(1, len(names) + 1) if column == "region" else range(len(names), 0, -1)
        assert alone.to_dict() == dict(zip(names, counts, strict=True))
    assert {"A|B/*", r"A\|B/*", r"\*/*"} <= {*last["unique_id"]}


def test_preventive_and_planned_tickets_stand_apart(committed: Committed) -> None:
    ours = [ticket(9000 + k, START + timedelta(days=40, minutes=k), origin=kind)
            for k, kind in enumerate(["preventive", "planned", "organic", None])]  # fmt: skip
    found = series(committed(tickets=stream(range(DAYS)) + ours))
    assert found[pd.Timestamp(START.replace(tzinfo=None)) + pd.Timedelta(days=40)] == 6 + 2


def test_the_latest_version_known_before_as_of_is_counted_once(committed: Committed) -> None:
    rows = stream(range(DAYS))
    moved = {**rows[100], "region": "south", "known_at": AS_OF - timedelta(days=1)}
    later = {**rows[101], "region": "south", "known_at": AS_OF}
    gone = {**rows[102], "deleted": True, "known_at": AS_OF - timedelta(days=1)}
    workspace = committed(tickets=[*rows, moved, later, gone])
    assert series(workspace, "south/*").sum() == 1
    assert series(workspace).sum() == 6 * (DAYS - 1) - 1


def test_rows_known_at_or_after_as_of_change_nothing(committed: Committed) -> None:
    rows = stream(range(DAYS + 20))
    cut = AS_OF - timedelta(days=10)
    late = [ticket(9000 + k, START + timedelta(days=5, minutes=k), known_at=cut + timedelta(days=k)) for k in range(3)]
    seen = [row for row in rows if row["opened_at"] < cut]
    before = daily(committed(tickets=seen).pin(), cut)
    after = daily(committed(tickets=[row for row in rows if row["opened_at"] >= cut] + late).pin(), cut)
    pd.testing.assert_frame_equal(before, after)


def test_a_quiet_day_is_zero_and_an_outage_is_missing(committed: Committed) -> None:
    # One empty day of 6 expected tickets is chance enough; three of them (18) are not.
    rows = stream([day for day in range(DAYS) if day not in {20, 40, 41, 42}])
    found = series(committed(tickets=rows))
    first = pd.Timestamp(START.replace(tzinfo=None))
    assert found[first + pd.Timedelta(days=20)] == 0
    assert found[first + pd.Timedelta(days=40) : first + pd.Timedelta(days=42)].isna().all()
    assert found.isna().sum() == 3


def test_days_on_which_a_desk_never_works_are_zero(committed: Committed) -> None:
    rows = stream([day for day in range(DAYS) if (START + timedelta(days=day)).weekday() < 5], 20)
    found = series(committed(tickets=rows))
    assert (found[found.index.day_of_week >= 5] == 0).all()
    assert found.notna().all()


def test_an_outage_of_one_system_leaves_the_others_nodes_alone(committed: Committed) -> None:
    north = stream([day for day in range(DAYS) if day not in range(30, 40)], system="a")
    south = stream(range(DAYS), region="south", system="b", offset=10_000)
    workspace = committed(tickets=north + south)
    assert series(workspace, "north/*").isna().sum() == 10
    assert series(workspace, "south/*").isna().sum() == 0
    assert series(workspace).isna().sum() == 10


def test_a_node_begins_with_its_first_ticket_and_ends_with_all(committed: Committed) -> None:
    rows = [*stream(range(DAYS)), ticket(9000, START + timedelta(days=33, hours=5), kind="launch")]
    found = series(committed(tickets=rows), "*/launch")
    assert found.index[0] == pd.Timestamp("2024-02-03")
    assert found.index[-1] == series(committed()).index[-1]
    assert list(found.iloc[:2]) == [1, 0]


def test_the_first_day_and_a_day_that_was_not_over_are_dropped(committed: Committed) -> None:
    found = series(committed(tickets=stream(range(DAYS + 5))), as_of=AS_OF + timedelta(hours=13))
    assert found.index[0] == pd.Timestamp("2024-01-02")
    assert found.index[-1] == pd.Timestamp((AS_OF - timedelta(days=1)).replace(tzinfo=None))


def test_a_day_on_which_the_export_was_cut_is_dropped(committed: Committed) -> None:
    rows = [row for row in stream(range(DAYS)) if row["opened_at"] < AS_OF - timedelta(hours=13)]
    assert series(committed(tickets=rows)).index[-1] == pd.Timestamp((AS_OF - timedelta(days=2)).replace(tzinfo=None))


def test_a_sources_delay_keeps_its_unfinished_days_out(committed: Committed) -> None:
    rows = [{**row, "known_at": row["opened_at"] + timedelta(hours=30)} for row in stream(range(DAYS))]
    toml = '[sources.test]\ntable = "tickets"\nquery = "SELECT 1"\ndelay_hours = 30'
    found = series(committed(toml, tickets=rows))
    assert found.index[-1] == pd.Timestamp((AS_OF - timedelta(days=3)).replace(tzinfo=None))
    assert (found == 6).all()


def test_a_type_that_is_revealed_on_closing_is_unknown_until_then(committed: Committed) -> None:
    rows = stream(range(DAYS))
    rows = [{**row, "closed_at": row["opened_at"] + timedelta(days=10)} for row in rows]
    toml = '[sources.test]\ntable = "tickets"\nquery = "SELECT 1"\nreveals = { ticket_type = "closed_at" }'
    workspace = committed(toml, tickets=rows)
    assert series(workspace, "*/unknown").sum() == 60
    assert series(workspace, "*/fault").sum() == 6 * (DAYS - 1) - 60


def test_hours_repeated_and_skipped_by_summer_time_stay_in_their_day(committed: Committed) -> None:
    toml = '[time]\nzone = "America/New_York"'
    spring, autumn = datetime(2024, 3, 10), datetime(2024, 11, 3)
    start = datetime(2024, 2, 1, tzinfo=UTC)
    rows = [ticket(k, start + timedelta(hours=k)) for k in range(24 * 320)]
    found = series(committed(toml, tickets=rows), as_of=start + timedelta(days=320))
    assert found[spring] == 23
    assert found[autumn] == 25
    assert (found.drop([spring, autumn]) == 24).all()


def test_a_region_that_the_ticket_does_not_name_is_the_assets(committed: Committed) -> None:
    rows = stream(range(DAYS), region=None, asset_id="A1")
    workspace = committed(tickets=rows, assets=[{"asset_id": "A1", "region": "华东"}])
    assert set(daily(workspace.pin(), AS_OF)["region"].dropna()) == {"华东"}


def test_a_zone_that_does_not_exist_is_said_and_the_workspaces_used(committed: Committed) -> None:
    rows = stream(range(DAYS), asset_id="A1")
    workspace = committed(tickets=rows, assets=[{"asset_id": "A1", "zone": "Mars/Olympus"}])
    with pytest.warns(VolumeWarning, match="Mars/Olympus"):
        assert series(workspace).sum() == 6 * (DAYS - 1)


def test_a_workspace_zone_that_does_not_exist_is_an_error_with_the_nearest(committed: Committed) -> None:
    with pytest.raises(ConfigError, match="Asia/Shanghai"):
        committed('[time]\nzone = "Asia/Shangai"', tickets=stream(range(DAYS)))


def test_no_tickets_at_all_say_what_to_do(committed: Committed) -> None:
    with pytest.raises(DataError, match="foremend ingest"):
        daily(committed().pin(), AS_OF)


def test_only_tickets_of_ours_are_no_demand(committed: Committed) -> None:
    with pytest.raises(DataError, match="no organic ticket"):
        daily(committed(tickets=stream(range(DAYS), origin="preventive")).pin(), AS_OF)


def test_a_few_days_are_too_few(committed: Committed) -> None:
    with pytest.raises(DataError, match="9 complete days"):
        daily(committed(tickets=stream(range(10))).pin(), START + timedelta(days=10))


def test_complete_days_are_those_of_the_total_and_none_without_demand(committed: Committed) -> None:
    assert complete_days(committed().pin(), AS_OF) == 0
    kept = [row for row in stream(range(DAYS)) if not 30 <= (row["opened_at"] - START).days < 41]
    other = stream(range(20, 60), system="desk", offset=10_000)
    ours = stream(range(-20, DAYS), origin="preventive", system="plans", offset=20_000)
    workspace = committed(tickets=[*kept, *other, *ours])
    total = series(workspace)
    assert 14 < total.notna().sum() < len(total)
    assert complete_days(workspace.pin(), AS_OF) == total.notna().sum()


def test_a_few_weeks_are_said_to_be_short(committed: Committed) -> None:
    with pytest.warns(ShortHistoryWarning, match="29 complete days"):
        daily(committed(tickets=stream(range(30))).pin(), START + timedelta(days=30))


def test_old_tickets_are_said_to_be_old(committed: Committed) -> None:
    with pytest.warns(StaleSourceWarning, match="2024-03-20"):
        found = series(committed(tickets=stream(range(DAYS))), as_of=AS_OF + timedelta(days=40))
    assert found.index[-1] == pd.Timestamp("2024-03-20")


def test_a_good_history_warns_of_nothing(committed: Committed) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        daily(committed(tickets=stream(range(DAYS))).pin(), AS_OF)


def test_a_handful_of_tickets_is_said_to_mean_little(committed: Committed) -> None:
    workspace = committed(tickets=stream(range(0, DAYS, 2), per_day=1))
    with pytest.warns(ShortHistoryWarning, match=r"only 40 are known, fewer than 50.*mean of the days seen"):
        daily(workspace.pin(), AS_OF)
