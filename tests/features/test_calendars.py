"""Calendars against published notices: the State Council's for 2024, and dates of the Chinese year."""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd
import pytest

from features.calendars import calendar, holiday_effects, spring_festival
from features.errors import ConfigError

# State Council notice of 2023-10-25 for 2024: the weekend days that are worked.
MAKE_UP_2024 = {"2024-02-04", "2024-02-18", "2024-04-07", "2024-04-28", "2024-05-11", "2024-09-14", "2024-09-29",
                "2024-10-12"}  # fmt: skip
# First days of the Chinese year (Hong Kong Observatory, Gregorian-Lunar conversion table).
NEW_YEARS = {2008: "2008-02-07", 2019: "2019-02-05", 2020: "2020-01-25", 2024: "2024-02-10", 2025: "2025-01-29",
             2033: "2033-01-31"}  # fmt: skip


@pytest.fixture(scope="module")
def china_2024() -> pd.DataFrame:
    return calendar("CN", date(2024, 1, 1), date(2024, 12, 31), known_on=date(2024, 6, 1)).set_index("ds")


def test_every_day_is_there_once(china_2024: pd.DataFrame) -> None:
    assert list(china_2024.index) == list(pd.date_range("2024-01-01", "2024-12-31"))


def test_make_up_workdays_of_2024_are_those_of_the_notice(china_2024: pd.DataFrame) -> None:
    assert {f"{day:%Y-%m-%d}" for day in china_2024.index[china_2024["is_makeup"]]} == MAKE_UP_2024
    assert china_2024.loc[china_2024["is_makeup"], "is_workday"].all()


def test_spring_festival_of_2024_was_eight_days_without_work(china_2024: pd.DataFrame) -> None:
    off = china_2024.loc["2024-02-10":"2024-02-17", "is_workday"]
    assert not off.any()
    assert len(off) == 8
    assert china_2024.loc["2024-02-09", "is_workday"]
    assert china_2024.loc["2024-02-18", "is_workday"]


def test_a_year_of_china_has_as_many_workdays_as_the_state_says(china_2024: pd.DataFrame) -> None:
    # 366 days - 104 weekend days - 11 statutory holidays; holidays are moved, never added.
    assert china_2024["is_workday"].sum() == 366 - 104 - 11


@pytest.mark.parametrize(("year", "day"), NEW_YEARS.items())
def test_the_chinese_year_begins_on_the_published_day(year: int, day: str) -> None:
    assert spring_festival(year) == date.fromisoformat(day)


def test_distance_from_the_festival_is_signed_and_ends_with_its_window(china_2024: pd.DataFrame) -> None:
    festival = date(2024, 2, 10)
    for offset, expected in [(-31, None), (-30, -30), (-1, -1), (0, 0), (35, 35), (36, None)]:
        found = china_2024.loc[pd.Timestamp(festival + timedelta(days=offset)), "festival"]
        assert pd.isna(found) if expected is None else found == expected


def test_the_next_workday_is_counted_in_days(china_2024: pd.DataFrame) -> None:
    assert china_2024.loc["2024-02-10", "next_workday"] == 8
    assert china_2024.loc["2024-02-18", "next_workday"] == 0
    last = calendar("US", date(2024, 11, 28), date(2024, 12, 1)).set_index("ds")
    assert list(last["next_workday"]) == [1, 0, 2, 1]


@pytest.mark.parametrize(("known_on", "status"), [(date(2025, 11, 30), "provisional"), (date(2025, 12, 1), "official")])
@pytest.mark.parametrize("country", ["US", "CN"])
def test_the_next_year_is_provisional_until_december(country: str, known_on: date, status: str) -> None:
    days = calendar(country, date(2025, 12, 31), date(2026, 1, 1), known_on=known_on)
    assert list(days["status"]) == ["official", status]


def test_a_year_without_an_official_notice_is_provisional_even_when_it_has_begun() -> None:
    days = calendar("CN", date(2095, 3, 1), date(2095, 3, 1), known_on=date(2095, 3, 1))
    assert list(days["status"]) == ["provisional"]


def test_without_a_country_only_weekends_are_free() -> None:
    days = calendar("", date(2024, 1, 1), date(2024, 12, 29))
    assert (days["is_workday"] == (days["ds"].dt.day_of_week < 5)).all()
    assert days["festival"].isna().all()


def test_every_effect_is_learned_from_all_its_days() -> None:
    effects = holiday_effects(calendar("CN", date(2023, 1, 1), date(2024, 12, 31)))
    counts = effects["holiday"].value_counts()
    assert counts["Spring Festival -14 to -8"] == 2 * 7
    assert counts["Spring Festival +0 to +7"] == 2 * 8
    assert counts["National Day"] >= 6
    assert counts["make-up workday"] >= 10
    assert not effects["ds"].duplicated().any()


def test_an_observed_holiday_shares_the_effect_of_its_holiday() -> None:
    effects = holiday_effects(calendar("US", date(2016, 12, 1), date(2016, 12, 31)))
    assert set(effects["holiday"]) == {"Christmas Day"}
    assert len(effects) == 2


@pytest.mark.parametrize(("country", "subdivision", "advice"), [("CNN", "", "'CN'"), ("US", "PAA", "'PA'")])
def test_an_unknown_place_is_named_with_the_nearest_right_one(country: str, subdivision: str, advice: str) -> None:
    with pytest.raises(ConfigError, match=advice):
        calendar(country, date(2024, 1, 1), date(2024, 1, 2), subdivision=subdivision)
