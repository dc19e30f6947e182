"""What a score rests on: the asset's own history, its model, or the fleet."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.point_in_time import Counts, Events, Feature, Since, Statistics
from features.wording import Words
from ml.basis import BASES, OWN_DAYS, basis

MODEL = Feature("asset_asset_model", "category", "", Words("m", "m"), "assets", quantity="assets.asset_model")
AGE = Feature("asset_age_days", "number", "d", Words("a", "a"), "assets", quantity="assets.installed_at")
PLAN = Feature("plan_days_until_due", "number", "d", Words("p", "p"), "maintenance_plans")
TOLD = (
    MODEL, AGE, PLAN,
    *Since(Events("service", "services")).features(),
    *Counts(Events("failure", "failures"), (None,)).features(),
    *Counts(Events("alarm", "alarms"), (7,)).features(),
    *Statistics("reading", "readings", "heat", ("mean",), (7,)).features(),
)  # fmt: skip
SEEN = {"asset_asset_model": ("M1",)}
NEW = {
    "asset_asset_model": "M1", "asset_age_days": 2.0, "plan_days_until_due": 30.0, "service_days_since_last": np.nan,
    "failure_count_ever": 0.0, "alarm_count_7d": 0.0, "reading_heat_mean_7d": np.nan,
}  # fmt: skip


def of(**changes: object) -> str:
    return basis(pd.DataFrame([NEW | changes]), TOLD, SEEN)[0]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "asset_model"),
        ({"asset_asset_model": "M9"}, "fleet"),
        ({"asset_asset_model": None}, "fleet"),
        ({"asset_age_days": float(OWN_DAYS), "alarm_count_7d": 1.0}, "asset"),
        ({"asset_age_days": OWN_DAYS - 0.1, "alarm_count_7d": 1.0}, "asset_model"),
        ({"asset_age_days": 4_000.0}, "asset_model"),  # an old machine that is new to us
        ({"service_days_since_last": 3.0}, "asset"),
        ({"service_days_since_last": 0.0}, "asset"),  # this very minute
        ({"failure_count_ever": 1.0}, "asset"),
        ({"reading_heat_mean_7d": 60.0, "alarm_count_7d": 2.0}, "asset_model"),  # two days of them are no history
        ({"asset_age_days": np.nan}, "asset_model"),
        ({"asset_age_days": np.nan, "reading_heat_mean_7d": 60.0}, "asset"),  # nobody wrote down since when it runs
        ({"asset_age_days": np.nan, "alarm_count_7d": 2.0}, "asset"),
        ({"asset_age_days": np.nan, "plan_days_until_due": -5.0}, "asset_model"),  # a plan is no history
    ],
)  # fmt: skip
def test_the_basis_is_the_closest_that_there_is(changes, expected):
    assert of(**changes) == expected


def test_without_a_column_that_names_the_model_there_is_the_asset_or_the_fleet():
    rows = pd.DataFrame([NEW, NEW | {"service_days_since_last": 400.0}]).drop(columns="asset_asset_model")
    assert basis(rows, TOLD) == ["fleet", "asset"]


def test_features_that_are_not_there_are_passed_over():
    rows = pd.DataFrame([{"asset_id": "a"}, {"asset_id": "b"}])
    assert basis(rows, TOLD, SEEN) == ["fleet", "fleet"]
    assert basis(rows.head(0), TOLD) == []


@given(st.lists(st.floats(0, 4000) | st.just(np.nan), min_size=1), st.data())
def test_more_history_never_moves_the_basis_away_from_the_asset(ages, data):
    rows = pd.DataFrame([NEW | {"asset_age_days": age} for age in ages])
    grown = rows.assign(
        asset_age_days=rows["asset_age_days"] + data.draw(st.floats(0, 100)),
        failure_count_ever=data.draw(st.integers(0, 3)),
    )
    before, after = (basis(r, TOLD, SEEN) for r in (rows, grown))
    assert all(BASES.index(b) >= BASES.index(a) for b, a in zip(before, after, strict=True))
