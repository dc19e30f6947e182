"""Organic demand has the week, the year and the holidays of China."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from features.demo.volume import demand, promotions
from features.demo.workdays import Calendar, calendar, hours_between
from features.demo.world import END, REGIONS, TICKET_TYPES

CLOCK = calendar(END, 1096)
DATES = [CLOCK.first + timedelta(days=n) for n in range(CLOCK.days)]
MEAN = demand(CLOCK, 7).mean
FESTIVALS = (date(2023, 1, 22), date(2024, 2, 10), date(2025, 1, 29))
MAKEUP = (date(2023, 1, 28), date(2024, 2, 4), date(2024, 2, 18), date(2025, 1, 26), date(2025, 10, 11))
"""State Council's notices for 2023, 2024 and 2025."""


def on(day: date) -> int:
    return DATES.index(day)


def level(frm: date, days: int) -> float:
    return float(MEAN[:, :, on(frm) : on(frm) + days].sum() / days)


def workdays(frm: date, days: int) -> float:
    inside = np.arange(on(frm), on(frm) + days)
    return float(MEAN[:, :, inside[CLOCK.workday[CLOCK.history][inside]]].sum(axis=(0, 1)).mean())


@pytest.mark.parametrize("festival", FESTIVALS)
def test_spring_festival_empties_the_desk_and_fills_it_afterwards(festival: date) -> None:
    ordinary = workdays(festival + timedelta(days=30), 8)
    assert level(festival, 7) < 0.25 * ordinary
    assert level(festival - timedelta(days=3), 2) < 0.8 * ordinary
    assert workdays(festival + timedelta(days=10), 6) > 1.1 * ordinary


@pytest.mark.parametrize("day", MAKEUP)
def test_a_make_up_workday_is_a_workday(day: date) -> None:
    here = CLOCK.history
    assert day.weekday() >= 5
    assert CLOCK.workday[here][on(day)]
    assert CLOCK.makeup[here][on(day)]


def test_weekends_are_quieter_and_regions_grow_apart() -> None:
    june = [n for n, d in enumerate(DATES) if (d.year, d.month) == (2025, 5) and d.day > 5]
    weekend = MEAN[:, :, [n for n in june if DATES[n].weekday() >= 5]].mean()
    assert weekend < 0.6 * MEAN[:, :, [n for n in june if DATES[n].weekday() < 5]].mean()
    growth = MEAN[:, 0, on(date(2025, 5, 12)) :][:, :20].sum(axis=1) / MEAN[:, 0, on(date(2023, 5, 15)) :][:, :20].sum(
        axis=1
    )
    names = [r.name for r in REGIONS]
    assert growth[names.index("西南")] > 1.2 * growth[names.index("东北")]


def test_a_promotion_is_announced_before_it_and_brings_installations() -> None:
    events = promotions(CLOCK)
    assert (events["announced_at"] < events["starts_at"]).all()
    assert (events["starts_at"] < events["ends_at"]).all()
    kind = [t.name for t in TICKET_TYPES].index("installation")
    during = MEAN[0, kind, on(date(2025, 6, 16)) :][:5].mean()
    assert during > 1.3 * MEAN[0, kind, on(date(2025, 6, 30)) :][:5].mean()


def test_the_shock_has_mean_one_and_does_not_depend_on_the_fleet() -> None:
    shock = demand(CLOCK, 7).shock
    assert shock.mean() == pytest.approx(1, abs=0.01)
    np.testing.assert_array_equal(shock, demand(CLOCK, 7).shock)
    assert not np.array_equal(shock, demand(CLOCK, 8).shock)


def slow_advance(clock: Calendar, local: np.datetime64, minutes: int) -> np.datetime64:
    """Business minutes counted one by one, 08:30 to 18:00 on workdays, local time."""
    while minutes:
        day = (local.astype("datetime64[D]") - np.datetime64(clock.first, "D")).astype(int)
        clock_minute = (local - local.astype("datetime64[D]")).astype("timedelta64[m]").astype(int)
        if clock.workday[clock.history.start + day] and 510 <= clock_minute < 1080:
            minutes -= 1
        local += np.timedelta64(1, "m")
    return local


@pytest.mark.parametrize("local", ["2025-01-26T17:00", "2025-01-27T20:15", "2025-05-01T09:00", "2025-10-10T08:30"])
@pytest.mark.parametrize("minutes", [7, 200, 1300])
def test_business_hours_equal_minutes_counted_one_by_one(local: str, minutes: int) -> None:
    utc = np.datetime64(local, "us") - np.timedelta64(8, "h")
    fast = CLOCK.advance(np.array([utc]), np.array([minutes / 60]))[0] + np.timedelta64(8, "h")
    assert abs(fast - slow_advance(CLOCK, np.datetime64(local, "us"), minutes)) <= np.timedelta64(1, "s")


def test_hours_between_leaves_missing_instants_missing() -> None:
    begin = np.array(["2025-01-01T00:00", "NaT"], dtype="datetime64[us]")
    hours = hours_between(begin, np.array(["2025-01-02T06:30", "2025-01-01"], dtype="datetime64[us]"))
    assert hours[0] == 30.5
    assert np.isnan(hours[1])
