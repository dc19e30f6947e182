"""Organic demand: tickets that no failure causes, by region, type and local day, with known intensity.

The mean is a product: installed base × trend × kind of day × year × Spring Festival × promotions.
Beside it stands a shock per region, type and day (gamma, mean 1): the days are more uneven than Poisson.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.demo.workdays import DAY, FAR, Calendar
from features.demo.world import REGIONS, TICKET_TYPES, TicketType, stream

__all__ = ["Demand", "demand", "promotions"]

SHOCK_VARIANCE = 0.015
PROMOTIONS = (("春季节能促销", 3, 20, 12), ("618促销", 6, 10, 11), ("国庆换新", 9, 20, 10), ("双11促销", 11, 4, 10))
"""Name, month, day and length in days of the yearly promotions."""
ANNOUNCED_DAYS = 30


@dataclass(frozen=True)
class Demand:
    """Tickets per asset in service and day; arrays are (region, type, day).

    Attributes
    ----------
    mean
        The smooth intensity.
    shock
        What chance made of the day: a factor with mean 1.
    """

    mean: NDArray[np.float64]
    shock: NDArray[np.float64]


def demand(days: Calendar, seed: int) -> Demand:
    """The intensities of the whole history."""
    date_of_day = pd.DatetimeIndex(np.datetime64(days.first, "D") + np.arange(days.days))
    elapsed = np.arange(days.days) / 365.25
    running = promotions(days)
    mean = np.empty((len(REGIONS), len(TICKET_TYPES), days.days))
    for r, region in enumerate(REGIONS):
        promoted = _promoted(running, region.name, days)
        for t, kind in enumerate(TICKET_TYPES):
            year = 1 + kind.summer * np.cos(2 * np.pi * (date_of_day.day_of_year.to_numpy() - kind.peak) / 365.25)
            trend = np.exp(region.growth * elapsed)
            mean[r, t] = kind.per_day * trend * year * _kind_of_day(kind, days) * (1 + kind.promotion * promoted)
    shape = 1 / SHOCK_VARIANCE
    return Demand(mean, stream(seed, "shock").gamma(shape, 1 / shape, mean.shape))


def promotions(days: Calendar) -> pd.DataFrame:
    """Promotions and launches, one row per event, in the columns of ``calendar_events``."""
    rows: list[tuple[str, str, str, str | None, date, int]] = []
    for year in range(days.first.year, days.first.year + days.days // 365 + 2):
        for n, (name, month, day, length) in enumerate(PROMOTIONS):
            rows.append((f"{year}-P{n}", "promotion", name, None, date(year, month, day), length))
        region = REGIONS[year % len(REGIONS)].name
        rows.append((f"{year}-L0", "launch", f"{region}新品发布", region, date(year, 4, 15), 14))
    frame = pd.DataFrame(rows, columns=["calendar_event_id", "kind", "name", "region", "first", "length"])
    start = (
        days.start
        + (frame["first"].to_numpy().astype("datetime64[D]") - np.datetime64(days.first, "D")).astype("int64") * DAY
    )
    frame = frame.assign(
        announced_at=start - ANNOUNCED_DAYS * DAY, starts_at=start, ends_at=start + frame["length"].to_numpy() * DAY
    )
    known = (frame["announced_at"] < days.now) & (frame["ends_at"] > days.start)
    return frame[known].drop(columns=["first", "length"])


def _promoted(events: pd.DataFrame, region: str, days: Calendar) -> NDArray[np.float64]:
    """1 where an event runs in the region, a tenth of it fading in the week after."""
    instants = days.start + np.arange(days.days) * DAY
    promoted = np.zeros(days.days)
    here = events[events["region"].isna() | (events["region"] == region)]
    for starts, ends in zip(here["starts_at"].to_numpy(), here["ends_at"].to_numpy(), strict=True):
        after = (instants - ends) / DAY
        promoted = np.maximum(promoted, (instants >= starts) & (instants < ends))
        promoted = np.maximum(promoted, np.where((after >= 0) & (after < 7), 0.3, 0))
    return promoted


def _kind_of_day(kind: TicketType, days: Calendar) -> NDArray[np.float64]:
    """Workdays and make-up workdays full, weekends lower, holidays lower still, Spring Festival by signed distance."""
    here = days.history
    level = np.where(days.workday[here], 1.0, kind.weekend)
    level = np.where(days.makeup[here], 0.95, np.where(days.holiday[here], kind.weekend * 0.8, level))
    distance = days.festival[here].astype(float)
    before = np.where((distance < 0) & (distance >= -30), 1 - kind.festival * np.exp(distance / 4), 1.0)
    during = np.where((distance >= 0) & (distance <= 6), 1 - kind.festival, 1.0)
    slow = np.where((distance > 6) & (distance < 10), 1 - kind.festival * 0.3, 1.0)
    rebound = np.where((distance >= 10) & (distance < 40), 1 + 0.3 * np.exp(-(distance - 10) / 6), 1.0)
    return np.where(distance == FAR, level, level * before * during * slow * rebound)
