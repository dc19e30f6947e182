"""Holidays, make-up workdays and the distance to Spring Festival, day by day.

Dates come from the ``holidays`` library, which carries the official notices of the past and
silently guesses the years to come. Every day therefore says whether it is ``official`` or
``provisional``, and every table says from which version of the library it was made.

In China a statutory holiday is joined to a weekend by working on another weekend day (调休): such
a make-up workday is a workday on a Saturday or Sunday, and counts as one here.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING

from features.errors import ConfigError, nearest

if TYPE_CHECKING:
    import pandas as pd
    from holidays import HolidayBase

__all__ = ["FESTIVAL_STAGES", "FESTIVAL_WINDOW", "calendar", "calendar_version", "holiday_effects", "spring_festival"]

FESTIVAL_WINDOW = (-30, 35)
"""Days before and after Spring Festival within which demand differs (measured)."""

FESTIVAL_STAGES = ((-14, -8), (-7, -1), (0, 7), (8, 15))
"""Days around Spring Festival that share an effect: a history shows each day once a year, a stage seven times."""

YEARLY_NOTICE: frozenset[str] = frozenset({"CN", "TW", "VN"})
"""Countries whose days off and make-up workdays are announced year by year: no notice, no official year."""

FESTIVAL_COUNTRIES: frozenset[str] = frozenset({"CN", "HK", "MO", "TW"})
"""Countries whose demand follows Spring Festival."""

WEEKEND: frozenset[int] = frozenset({5, 6})
"""Saturday and Sunday, where no country says otherwise."""


def calendar(
    country: str, first: date, last: date, *, subdivision: str = "", known_on: date | None = None
) -> pd.DataFrame:
    """Describe every day from `first` to `last`, both included.

    Parameters
    ----------
    country
        ISO 3166 code (``CN``, ``US``); empty for a calendar of weekends only.
    subdivision
        State or province as the ``holidays`` library names it.
    known_on
        The day on which we stand. A year counts as settled from December of the year before, where
        a notice is needed and the library carries it. Default: today.

    Returns
    -------
    pandas.DataFrame
        One row per day, in order:

        ================= ==========================================================================
        ``ds``            the day, without a zone
        ``holiday``       name of the holiday, in English where the library has it, or empty
        ``is_workday``    neither weekend nor holiday, or a make-up workday
        ``is_makeup``     a workday on a weekend
        ``next_workday``  days until the next workday, 0 on a workday (d)
        ``festival``      signed days from the nearest Spring Festival within `FESTIVAL_WINDOW` (d);
                          null elsewhere, and in countries that do not keep it
        ``status``        ``official`` or ``provisional``
        ``version``       what the table was made from
        ================= ==========================================================================

    Raises
    ------
    ConfigError
        The country or subdivision is unknown.
    """
    import pandas as pd

    # One month more than asked, so that the last days know their next workday.
    days = pd.date_range(first, pd.Timestamp(last) + pd.Timedelta(days=31), freq="D")
    table = _library(country, subdivision, _years(days)) if country else None
    weekend, makeups = (table.weekend, table.weekend_workdays) if table is not None else (WEEKEND, frozenset())
    names = [table.get(day.date(), "") if table is not None else "" for day in days]
    frame = pd.DataFrame({"ds": days, "holiday": pd.Series(names, dtype="str")})
    frame["is_makeup"] = [day.date() in makeups for day in days]
    frame["is_workday"] = frame["is_makeup"] | (~days.day_of_week.isin(weekend) & (frame["holiday"] == ""))
    frame["next_workday"] = (frame["ds"].where(frame["is_workday"]).bfill() - frame["ds"]).dt.days
    frame["festival"] = _festival_distance(days) if country in FESTIVAL_COUNTRIES else float("nan")
    official = days.year <= _official_until(country, known_on or date.today())
    frame["status"] = pd.Series(official).map({True: "official", False: "provisional"})
    frame["version"] = calendar_version()
    columns = ["ds", "holiday", "is_workday", "is_makeup", "next_workday", "festival", "status", "version"]
    return frame.loc[frame["ds"] <= pd.Timestamp(last), columns].reset_index(drop=True)


def holiday_effects(table: pd.DataFrame) -> pd.DataFrame:
    """Reduce a :func:`calendar` to the effects that a model learns, as Prophet takes ``holidays``.

    One name is one effect, learned from all its days: substituted days off share one, make-up
    workdays another, and so do the days of each of the `FESTIVAL_STAGES`.

    Returns
    -------
    pandas.DataFrame
        One row per day with an effect: ``ds``, ``holiday``.
    """
    names = table["holiday"].str.replace(r"\s*\((observed|substituted|estimated)[^)]*\)", "", regex=True)
    names = names.where(~table["is_makeup"], "make-up workday")
    for first, last in FESTIVAL_STAGES:
        names = names.where(~table["festival"].between(first, last), f"Spring Festival {first:+d} to {last:+d}")
    return table.assign(holiday=names).loc[names != "", ["ds", "holiday"]].reset_index(drop=True)


@cache
def spring_festival(year: int) -> date:
    """First day of the Chinese year that begins in `year` (1950 to 2099)."""
    days = _library("CN", "", [year])
    return min(day for day, name in days.items() if "Spring Festival" in name and day.year == year)


def calendar_version() -> str:
    """What the dates were made from: ``holidays 0.109``."""
    return f"holidays {metadata.version('holidays')}"


def _library(country: str, subdivision: str, years: Iterable[int]) -> HolidayBase:
    """The library's table of one country, in English where it can."""
    import holidays

    known = holidays.list_supported_countries(include_aliases=False)
    where = "foremend.toml [forecast]"
    if country not in known:
        raise ConfigError(
            f"the country '{country}' is not known", where=f"{where} country", todo=nearest(country, known),
            expected="an ISO 3166 code such as CN",
        )  # fmt: skip
    if subdivision and subdivision not in known[country]:
        raise ConfigError(
            f"'{subdivision}' is no subdivision of {country}", where=f"{where} subdivision",
            todo=nearest(subdivision, known[country]),
        )  # fmt: skip
    languages = holidays.list_localized_countries(include_aliases=False).get(country, [])
    language = "en_US" if "en_US" in languages else None
    return holidays.country_holidays(country, subdiv=subdivision or None, years=years, language=language)


def _years(days: pd.DatetimeIndex) -> range:
    """Years of the days and their neighbours: a holiday of January can give a day off in December."""
    return range(int(days[0].year) - 1, int(days[-1].year) + 2)


def _official_until(country: str, known_on: date) -> int:
    """The last year whose days are official to somebody who stands on `known_on`.

    Notices come in October and November (those of 2023 to 2025 in China). Where days off are
    announced year by year, the library's last make-up workday or substituted day off tells the
    last notice that it carries.
    """
    settled = known_on.year + (known_on.month == 12)
    if country not in YEARLY_NOTICE:
        return settled
    table = _library(country, "", range(settled - 10, settled + 1))
    noticed = {day.year for day in table.weekend_workdays}
    noticed |= {day.year for day, name in table.items() if "substituted" in name}
    return min(settled, max(noticed, default=settled - 1))


def _festival_distance(days: pd.DatetimeIndex) -> pd.Series:
    """Signed days from the nearest Spring Festival, null outside `FESTIVAL_WINDOW`."""
    import numpy as np
    import pandas as pd

    festivals = np.array([spring_festival(year) for year in _years(days)], dtype="datetime64[D]")
    distances = (days.to_numpy().astype("datetime64[D]")[:, None] - festivals[None, :]).astype(int)
    closest = distances[np.arange(len(days)), np.abs(distances).argmin(axis=1)]
    inside = (closest >= FESTIVAL_WINDOW[0]) & (closest <= FESTIVAL_WINDOW[1])
    return pd.Series(np.where(inside, closest, np.nan), dtype="float64")
