"""Remaining life: the area under survival, what was left, and when it may be said."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ml.remaining import LEAST_EXPLAINED, days_left, judge_life, learnable, restricted_mean

EDGES = (0, 1, 3, 7, 14, 30)


def test_a_constant_rate_has_the_mean_of_an_exponential_cut_at_the_limit() -> None:
    rate = 0.05
    hazards = np.array([[[1 - np.exp(-rate * (b - a)) for a, b in pairwise(EDGES)]]])
    expected = (1 - np.exp(-rate * 30)) / rate
    assert restricted_mean(hazards, EDGES, 30)[0] == pytest.approx(expected, rel=1e-12)
    assert restricted_mean(hazards, EDGES, 7)[0] == pytest.approx((1 - np.exp(-rate * 7)) / rate, rel=1e-12)


@given(arrays(float, (4, 2, 5), elements=st.floats(1e-9, 1 - 1e-9)))
def test_it_lies_within_the_limit_grows_with_it_and_falls_with_any_hazard(hazards) -> None:
    means = [restricted_mean(hazards, EDGES, limit) for limit in (1, 7, 30)]
    assert all((mean > 0).all() and (mean <= limit + 1e-9).all() for mean, limit in zip(means, (1, 7, 30), strict=True))
    assert all((later >= earlier).all() for earlier, later in pairwise(means))
    worse = hazards.copy()
    worse[:, 1, 2] = (worse[:, 1, 2] + 1) / 2
    assert (restricted_mean(worse, EDGES, 30) <= means[2] + 1e-9).all()


def test_what_is_left_is_counted_to_the_next_failure_after_the_row_and_cut_at_the_limit() -> None:
    day = pd.Timestamp("2025-01-01", tz="UTC")
    rows = pd.DataFrame(
        {"asset_id": ["b", "a", "a", "a", "c"], "as_of": [day + pd.Timedelta(days=d) for d in (0, 5, 0, 10, 0)]}
    )
    failures = pd.DataFrame(
        {"asset_id": ["a", "b", "a"], "event_time": [day + pd.Timedelta(days=d) for d in (5, 400, 9.5)]}
    )
    assert days_left(rows, failures, 30).tolist() == [30, 4.5, 5, 30, 30]


def fleet(noise: float, seed: int = 3):
    rng = np.random.default_rng(seed)
    left = np.minimum(rng.uniform(1, 60, 3_000), 30)
    said = np.clip(left + noise * rng.normal(size=len(left)), 0, 30)
    return said, left, [f"m{i % 100}" for i in range(len(left))]


def test_long_lead_that_is_seen_may_be_said() -> None:
    said, left, assets = fleet(noise=3)
    found = learnable(said, left, assets, limit_days=30, beyond_days=7)
    assert found.estimable
    assert (found.reason, found.limit_days) == ("", 30)


def test_what_only_knows_the_next_days_is_not_estimable_and_says_how_little_it_explains() -> None:
    _said, left, assets = fleet(noise=0)
    blind = np.where(left <= 7, left, 25.0)
    found = learnable(blind, left, assets, limit_days=30, beyond_days=7)
    assert not found.estimable
    assert f"less than {LEAST_EXPLAINED:.0%}" in found.reason


def test_without_a_late_failure_nothing_can_be_judged() -> None:
    found = learnable(np.full(5, 20.0), np.full(5, 30.0), list("abcde"), limit_days=30, beyond_days=7)
    assert not found.estimable
    assert "no failure between 7 and 30 days" in found.reason


def test_the_score_of_nasa_punishes_late_more_than_early() -> None:
    early, late = (judge_life("m", np.array([30.0 + d]), np.array([30.0]), ["a"], 125) for d in (-10, 10))
    assert early.rmse == late.rmse == 10
    assert early.nasa_score == pytest.approx(np.exp(10 / 13) - 1)
    assert late.nasa_score == pytest.approx(np.e - 1)


def test_a_cap_that_nearly_all_reach_gives_no_wild_interval() -> None:
    left = np.full(100, 30.0)
    left[:2] = (12.0, 20.0)
    found = judge_life("m", left + 0.5, left, [f"m{i}" for i in range(100)], 30).explained
    assert found.low > -50
