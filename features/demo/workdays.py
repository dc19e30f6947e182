"""The calendar of the made-up world: Chinese holidays, make-up workdays, and business hours.

Dates come from the package `holidays`; make-up workdays (调休) from its ``weekend_workdays``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import holidays
import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["DAY", "HOUR", "Calendar", "Instants", "calendar", "hours_between"]

Instants = NDArray[np.datetime64]
HOUR = np.timedelta64(3_600_000_000, "us")
DAY = 24 * HOUR
ZONE = 8 * HOUR
"""China is one zone, UTC+8, without summer time since 1991."""
OPENS, OPEN_HOURS = 8.5, 9.5
"""Business hours: 08:30 to 18:00 local."""
MARGIN = 120
"""Days kept on either side of the history: tickets opened late end after it."""
FAR = 999


@dataclass(frozen=True)
class Calendar:
    """Days of the history and a margin on either side; every array has one entry per local day.

    Attributes
    ----------
    first
        Local date of day 0; the arrays begin `MARGIN` days before it.
    start
        Its first instant, UTC.
    days
        Length of the history.
    workday, makeup, holiday
        What the day is; a make-up workday is a workday at a weekend.
    festival
        Signed days to the nearest Spring Festival's first day, negative before it; 999 when more than 45 away.
    """

    first: date
    start: np.datetime64
    days: int
    workday: NDArray[np.bool_]
    makeup: NDArray[np.bool_]
    holiday: NDArray[np.bool_]
    festival: NDArray[np.int64]

    @property
    def now(self) -> np.datetime64:
        """The end of the history, UTC."""
        return self.start + self.days * DAY

    @property
    def history(self) -> slice:
        """Where the history lies in the arrays."""
        return slice(MARGIN, MARGIN + self.days)

    def instant(self, day: NDArray[np.float64]) -> Instants:
        """The UTC instant of a fractional local day counted from day 0."""
        return self.start + np.round(np.asarray(day) * 86_400e6).astype("timedelta64[us]")

    def advance(self, instants: Instants, hours: NDArray[np.float64]) -> Instants:
        """Move on by so many business hours."""
        elapsed = (instants - self.start) / DAY + MARGIN
        day = np.clip(elapsed.astype("int64"), 0, len(self.workday) - 1)
        today = np.clip((elapsed - day) * 24 - OPENS, 0, OPEN_HOURS) * self.workday[day]
        before = np.concatenate([[0.0], np.cumsum(self.workday * OPEN_HOURS)])
        goal = np.minimum(before[day] + today + hours, before[-1] - 1e-6)
        arrived = np.searchsorted(before, goal, side="right") - 1
        return self.instant(arrived - MARGIN + (OPENS + goal - before[arrived]) / 24)

    def next_workday(self, day: NDArray[np.int64]) -> NDArray[np.int64]:
        """The first workday not before each day (counted from day 0); days beyond the margin stay."""
        last = len(self.workday) - 1
        ordinal = np.where(self.workday, np.arange(last + 1), last)
        following = np.minimum.accumulate(ordinal[::-1])[::-1]
        inside = (day >= -MARGIN) & (day < self.days + MARGIN)
        return np.where(inside, following[np.clip(day + MARGIN, 0, last)] - MARGIN, day)


def calendar(end: date, days: int) -> Calendar:
    """The calendar of a history of `days` days that ends where the local date `end` begins."""
    first = end - timedelta(days=days)
    dates = [first + timedelta(days=n) for n in range(-MARGIN, days + MARGIN)]
    official = holidays.country_holidays("CN", years=range(dates[0].year - 1, dates[-1].year + 2))
    made_up = set(official.weekend_workdays)
    holiday = np.array([d in official and d not in made_up for d in dates])
    makeup = np.array([d in made_up for d in dates])
    weekend = np.array([d.weekday() >= 5 for d in dates])
    festivals = np.array(sorted(_festivals(official)), dtype="datetime64[D]")
    distance = np.array(dates, dtype="datetime64[D]")[:, None] - festivals[None, :]
    nearest = distance[np.arange(len(dates)), np.abs(distance).argmin(axis=1)].astype("int64")
    return Calendar(
        first, np.datetime64(first, "us") - ZONE, days, (~weekend & ~holiday) | makeup, makeup, holiday,
        np.where(np.abs(nearest) <= 45, nearest, FAR),
    )  # fmt: skip


def hours_between(begin: ArrayLike, end: ArrayLike) -> NDArray[np.float64]:
    """Hours from one instant to another; NaN where either is missing."""
    spell = np.asarray(end, dtype="datetime64[us]") - np.asarray(begin, dtype="datetime64[us]")
    return np.asarray(np.where(np.isnat(spell), np.nan, spell.astype("int64") / 3.6e9))


def _festivals(official: holidays.HolidayBase) -> list[date]:
    """First day of Spring Festival per year: the year's first date of that name."""
    named = [
        day
        for day, name in sorted(official.items())
        if name.startswith("Chinese New Year (") and "observed" not in name
    ]
    return list({day.year: day for day in reversed(named)}.values())
