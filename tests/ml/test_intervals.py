"""Bootstrap over assets against figures computed one replicate at a time by another library."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from ml import metrics
from ml.intervals import FIGURES, difference, intervals


def rows(assets: int = 12, each: int = 20, seed: int = 3):
    rng = np.random.default_rng(seed)
    asset = np.repeat([f"A{n}" for n in range(assets)], each)
    frail = np.repeat(rng.random(assets), each)
    p = np.round(np.clip(frail * 0.5 + rng.random(len(asset)) * 0.4, 0.01, 0.99), 2)  # rounded: many ties
    return rng.random(len(asset)) < p, p, asset


@pytest.mark.parametrize("name", FIGURES)
def test_with_equal_weights_a_figure_is_its_namesake(name: str) -> None:
    outcome, p, _ = rows()
    (found,) = FIGURES[name](outcome, p, np.ones((1, len(p))))
    assert found == pytest.approx(getattr(metrics, name)(outcome, p), abs=1e-12)


def test_a_replicate_counts_every_row_as_often_as_its_asset_was_drawn() -> None:
    outcome, p, _ = rows()
    rng, checked = np.random.default_rng(5), 0
    oracle = {
        "average_precision": average_precision_score,
        "roc_auc": roc_auc_score,
        "brier": brier_score_loss,
        "log_loss": log_loss,
        "observed_over_expected": lambda y, q: y.sum() / q.sum(),
    }
    for _ in range(20):
        weight = np.repeat(rng.multinomial(12, np.full(12, 1 / 12)), 20)
        again = np.repeat(np.arange(len(p)), weight)
        for name, figure in FIGURES.items():
            (found,) = figure(outcome, p, weight[None, :].astype(float))
            assert found == pytest.approx(oracle[name](outcome[again], p[again]), abs=1e-12)
            checked += 1
    assert checked == 100


def test_rows_of_one_asset_do_not_make_a_figure_surer() -> None:
    outcome, p, asset = rows(assets=30, each=40)
    by_asset = intervals(outcome, p, asset)["average_precision"]
    by_row = intervals(outcome, p, np.arange(len(p)).astype(str))["average_precision"]
    assert by_asset.high - by_asset.low > by_row.high - by_row.low
    assert by_asset.low < metrics.average_precision(outcome, p) < by_asset.high


def test_a_difference_uses_the_same_draws_and_knows_when_there_is_none() -> None:
    outcome, p, asset = rows(assets=30, each=40)
    noise = np.random.default_rng(1).random(len(p))
    assert not difference("average_precision", outcome, p, noise, asset).holds_zero
    same = difference("brier", outcome, p, p, asset)
    assert (same.low, same.high) == (0.0, 0.0)
    assert same.holds_zero


def test_no_rows_and_one_class_have_no_interval() -> None:
    empty = intervals(np.array([], dtype=bool), np.array([]), [])
    assert all(np.isnan(one.low) for one in empty.values())
    quiet = intervals(np.zeros(4, dtype=bool), np.full(4, 0.1), ["a", "b", "c", "d"])
    assert np.isnan(quiet["average_precision"].low)
    assert quiet["observed_over_expected"].high == 0.0


def test_one_asset_gives_no_certainty_about_others() -> None:
    outcome, p = np.array([True, False, False]), np.array([0.9, 0.1, 0.2])
    found = difference("log_loss", outcome, p / 2, p, ["a", "a", "a"])
    assert np.isnan(found.low)
    assert np.isnan(found.high)
