"""Every metric on an example worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from ml import metrics

Y = [0, 1, 0, 1]
P = [0.1, 0.4, 0.6, 0.8]


def test_average_precision_is_the_stepwise_sum():
    # ranked .8 (hit), .6, .4 (hit), .1: precision 1/1 at the first hit, 2/3 at the second
    assert metrics.average_precision(Y, P) == pytest.approx((1 + 2 / 3) / 2)


def test_roc_auc_is_the_share_of_pairs_in_order():
    # pairs (positive over negative): .4 > .1, .4 < .6, .8 > .1, .8 > .6
    assert metrics.roc_auc(Y, P) == pytest.approx(3 / 4)


def test_roc_auc_counts_a_tie_as_half():
    assert metrics.roc_auc([0, 1], [0.5, 0.5]) == pytest.approx(0.5)


def test_brier_is_the_mean_squared_distance():
    assert metrics.brier(Y, P) == pytest.approx((0.01 + 0.36 + 0.36 + 0.04) / 4)


def test_log_loss_is_finite_where_a_certain_forecast_is_wrong():
    assert metrics.log_loss([1], [0.5]) == pytest.approx(math.log(2))
    assert metrics.log_loss([1], [0.0]) == pytest.approx(-math.log(1e-12))


def test_ece_weighs_the_gap_of_each_equal_mass_bin_by_its_rows():
    # two bins of two rows: |.5 - .25| and |.5 - .7|
    assert metrics.ece(Y, P, bins=2) == pytest.approx((0.25 + 0.2) / 2)
    # three bins of 2, 1 and 1 rows: |.5 - .25| · 2, |0 - .6|, |1 - .8|
    assert metrics.ece(Y, P, bins=3) == pytest.approx((2 * 0.25 + 0.6 + 0.2) / 4)


def test_observed_over_expected_is_a_ratio_of_sums():
    assert metrics.observed_over_expected(Y, P) == pytest.approx(2 / 1.9)


def test_rank_within_restarts_every_day_and_breaks_ties_by_position():
    day = ["mon", "tue", "mon", "tue", "mon"]
    assert metrics.rank_within(day, [0.2, 0.9, 0.7, 0.9, 0.2]).tolist() == [2, 1, 1, 2, 3]


def test_recall_at_k_counts_positives_among_the_first_k_of_their_day():
    day, y, p = [1, 1, 1, 2, 2, 2], [1, 0, 1, 0, 0, 1], [0.9, 0.8, 0.1, 0.2, 0.3, 0.25]
    assert metrics.recall_at_k(y, p, day, 1) == pytest.approx(1 / 3)
    assert metrics.recall_at_k(y, p, day, 2) == pytest.approx(2 / 3)
    assert metrics.recall_at_k(y, p, day, 3) == pytest.approx(1.0)


def _days(*numbers: float) -> pd.DatetimeIndex:
    return pd.DatetimeIndex([pd.Timestamp("2024-01-01", tz="UTC") + pd.Timedelta(days=n) for n in numbers])


def test_events_caught_counts_failures_once_and_wants_the_lead():
    # asset a fails on day 6 twice (one event), b on day 2.5, c on day 30 (no row could see it)
    asset, day = ["a", "a", "a", "b", "b", "c"], _days(0, 3, 5, 0, 2, 0)
    caught = [False, True, True, False, True, True]
    who, when = ["a", "a", "b", "c"], _days(6, 6, 2.5, 30)
    found = metrics.events_caught(asset, day, caught, who, when, horizon_days=7)
    assert (found.events, found.share, found.median_lead_days) == (2, 1.0, pytest.approx((3 + 0.5) / 2))
    early = metrics.events_caught(asset, day, caught, who, when, horizon_days=7, min_lead_days=1)
    assert (early.events, early.share, early.median_lead_days) == (2, 0.5, pytest.approx(3))


def test_events_caught_of_nothing_is_not_a_number():
    found = metrics.events_caught(["a"], _days(0), [True], ["b"], _days(1), horizon_days=7)
    assert found.events == 0
    assert math.isnan(found.share)
    assert math.isnan(found.median_lead_days)


@pytest.mark.parametrize(
    "metric",
    [
        metrics.average_precision,
        metrics.roc_auc,
        metrics.brier,
        metrics.ece,
        metrics.log_loss,
        metrics.observed_over_expected,
    ],
)
def test_no_rows_give_nan_and_no_error(metric):
    assert math.isnan(metric([], []))


def test_one_class_has_no_ranking_but_has_a_distance():
    assert math.isnan(metrics.average_precision([0, 0], [0.1, 0.2]))
    assert math.isnan(metrics.roc_auc([1, 1], [0.1, 0.2]))
    assert math.isnan(metrics.recall_at_k([0, 0], [0.1, 0.2], [1, 1], 1))
    assert metrics.brier([0, 0], [0.1, 0.2]) == pytest.approx(0.025)


@pytest.mark.parametrize(
    ("y", "p", "complaint"),
    [
        ([0, 1], [0.5], "two equal rows"),
        ([0, 2], [0.5, 0.5], "other than 0 and 1"),
        ([0, 1], [0.5, 1.5], "outside"),
        ([0, 1], [0.5, np.nan], "missing"),
    ],
)
def test_what_is_no_probability_is_refused(y, p, complaint):
    with pytest.raises(ValueError, match=complaint):
        metrics.brier(y, p)
