"""The linear model: additive to the digit, right about known odds, unmoved by wild and missing values."""

from __future__ import annotations

import numpy as np
import pytest

from ml.logistic import MOST_QUIET, Design, Linear


def fit_linear(matrix, event, categorical=()) -> Linear:
    return Design.of(matrix, categorical=categorical).fit(np.arange(len(matrix)), event)


def sample(rows: int = 20_000, seed: int = 1):
    """Log-odds −2 + 1.2 x, + 1 where the category is 2, + 0.8 where y is missing."""
    rng = np.random.default_rng(seed)
    x, kind = rng.normal(10, 3, rows), rng.integers(0, 3, rows)
    y = np.where(rng.random(rows) < 0.3, np.nan, rng.normal(size=rows))
    odds = -2 + 1.2 * (x - 10) / 3 + (kind == 2) + 0.8 * np.isnan(y)
    event = rng.random(rows) < 1 / (1 + np.exp(-odds))
    return np.column_stack([x, y, kind]).astype(np.float32), event, odds


def test_known_odds_are_found_again() -> None:
    matrix, event, odds = sample()
    fitted = fit_linear(matrix, event, categorical=[2])
    np.testing.assert_allclose(fitted.raw(matrix), odds, atol=0.3)
    assert abs(fitted.slopes[0] - 1.2) < 0.1
    assert abs(fitted.slopes[1]) < 0.1


def test_contributions_add_up_to_the_log_odds() -> None:
    matrix, event, _ = sample(2_000)
    fitted = fit_linear(matrix, event, categorical=[2])
    parts = fitted.contributions(matrix)
    assert parts.shape == (2_000, 4)
    np.testing.assert_allclose(parts.sum(axis=1), fitted.raw(matrix), atol=1e-12)
    assert (parts[:, -1] == fitted.intercept).all()


def test_what_was_never_seen_adds_nothing_and_a_wild_value_is_cut() -> None:
    matrix, event, _ = sample(2_000)
    fitted = fit_linear(matrix, event, categorical=[2])
    wild = np.array([[1e9, 0.0, 7.0], [10.0, np.nan, np.nan]], dtype=np.float32)
    parts = fitted.contributions(wild)
    assert np.isfinite(parts).all()
    assert parts[0, 0] == pytest.approx(5 * fitted.slopes[0])
    assert parts[0, 2] == parts[1, 2] == 0.0


def test_a_constant_and_an_empty_column_do_no_harm() -> None:
    matrix, event, _ = sample(2_000)
    wider = np.hstack([matrix, np.full((2_000, 1), 3.0), np.full((2_000, 1), np.nan)]).astype(np.float32)
    fitted = fit_linear(wider, event, categorical=[2])
    assert fitted.slopes[3] == fitted.slopes[4] == 0.0
    np.testing.assert_allclose(fitted.raw(wider), fit_linear(matrix, event, categorical=[2]).raw(matrix), atol=1e-6)


def test_the_same_rows_give_the_same_model() -> None:
    matrix, event, _ = sample(3_000)
    one, other = (fit_linear(matrix, event, categorical=[2]) for _ in range(2))
    assert isinstance(one, Linear)
    assert one == other


def test_of_many_quiet_rows_some_stand_for_all_and_the_rate_stays() -> None:
    matrix, _, odds = sample(120_000)
    event = np.random.default_rng(2).random(len(odds)) < 1 / (1 + np.exp(-(odds - 2)))
    assert (~event).sum() > 5 * MOST_QUIET
    fitted = fit_linear(matrix, event, categorical=[2])
    expected = 1 / (1 + np.exp(-fitted.raw(matrix)))
    assert expected.sum() == pytest.approx(event.sum(), rel=0.03)
