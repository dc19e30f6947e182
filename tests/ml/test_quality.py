"""Figures by horizon, component and month, against counts made one row at a time."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from features.labels import label
from ml import metrics
from ml.quality import judge, judge_modes

START, DAYS = pd.Timestamp("2024-01-20T16:00Z"), 40
MODES = ("pump", "valve")
HORIZONS = (1.0, 7.0, 14.0, 30.0)


@pytest.fixture(scope="module")
def window():
    rng = np.random.default_rng(4)
    spine = pd.DataFrame(
        {"asset_id": np.repeat([f"A{n}" for n in range(25)], DAYS),
         "as_of": np.tile(START + pd.to_timedelta(np.arange(DAYS), unit="D"), 25)}
    )  # fmt: skip
    failures = pd.DataFrame(
        {"asset_id": rng.choice([f"A{n}" for n in range(25)], 40), "failure_mode": rng.choice(MODES, 40),
         "event_time": START + pd.to_timedelta(rng.uniform(0, DAYS, 40), unit="D")}
    )  # fmt: skip
    until = datetime(2024, 2, 29, 16, tzinfo=UTC)
    labels = label(spine, failures, modes=MODES, until=until, horizons_days=HORIZONS)
    by_mode = np.sort(rng.random((len(spine), 2, 4)), axis=2) * 0.4
    anyhow = 1 - np.prod(1 - by_mode, axis=1)
    probabilities = spine.assign(**{f"p_{h:g}d": anyhow[:, j] for j, h in enumerate(HORIZONS)})
    return probabilities, by_mode, labels, failures, pd.Timestamp(until)


def by_hand(window, mode: str, days: float) -> list[tuple[int, bool]]:
    """Places of the rows whose window was seen for a mode, and whether it failed in it."""
    probabilities, _, _, failures, until = window
    found = []
    for place, (asset, at) in enumerate(probabilities[["asset_id", "as_of"]].itertuples(index=False)):
        end = at + pd.Timedelta(days=days)
        if end > until:
            continue
        mine = failures[(failures["asset_id"] == asset) & (failures["failure_mode"] == mode)]
        found.append((place, bool(((mine["event_time"] > at) & (mine["event_time"] <= end)).any())))
    return found


def test_every_component_is_judged_on_the_rows_whose_window_was_seen_for_it(window) -> None:
    probabilities, by_mode, labels, _, _ = window
    found = judge_modes("model", probabilities, by_mode, labels)
    assert [(q.component, q.horizon_days) for q in found] == [(mode, h) for mode in MODES for h in HORIZONS]
    for q in found:
        rows = by_hand(window, q.component, q.horizon_days)
        p = by_mode[[place for place, _ in rows], MODES.index(q.component), HORIZONS.index(q.horizon_days)]
        outcome = [failed for _, failed in rows]
        assert (q.rows, q.positives) == (len(rows), sum(outcome))
        np.testing.assert_allclose(q.average_precision, metrics.average_precision(outcome, p))
        np.testing.assert_allclose(q.brier, metrics.brier(outcome, p))


def test_months_add_up_to_the_window(window) -> None:
    probabilities, _, labels, failures, _ = window
    day, *_ = judge("model", probabilities, labels, failures, (1, 5))
    assert [m.month for m in day.months] == ["2024-01", "2024-02"]
    assert sum(m.rows for m in day.months) == day.rows
    assert sum(m.observed for m in day.months) == day.positives
    assert sum(m.observed for m in day.months) / sum(m.expected for m in day.months) == pytest.approx(
        day.observed_over_expected
    )
    assert day.months[0].observed_over_expected == day.months[0].observed / day.months[0].expected


def test_the_bins_of_reliability_hold_every_row_and_make_the_calibration_error(window) -> None:
    probabilities, by_mode, labels, failures, _ = window
    checked = 0
    for q in (
        *judge("model", probabilities, labels, failures, ()),
        *judge_modes("model", probabilities, by_mode, labels),
    ):
        assert len(q.reliability) == 15
        assert sum(b.rows for b in q.reliability) == q.rows
        assert max(b.rows for b in q.reliability) - min(b.rows for b in q.reliability) <= 1
        assert [b.predicted for b in q.reliability] == sorted(b.predicted for b in q.reliability)
        assert sum(b.rows * b.observed for b in q.reliability) == pytest.approx(q.positives)
        distances = [b.rows * abs(b.observed - b.predicted) for b in q.reliability]
        assert sum(distances) / q.rows == pytest.approx(q.ece)
        checked += 1
    assert checked == 12


def test_a_figure_lies_in_its_interval(window) -> None:
    probabilities, _, labels, failures, _ = window
    for q in judge("model", probabilities, labels, failures, (1,)):
        assert q.intervals["roc_auc"].low < q.roc_auc < q.intervals["roc_auc"].high
        assert q.intervals["brier"].low < q.brier < q.intervals["brier"].high


def test_flat_names_tell_components_apart(window) -> None:
    probabilities, by_mode, labels, _, _ = window
    assert "model_pump_7d_average_precision" in judge_modes("model", probabilities, by_mode, labels)[1].metrics()


def test_one_mode_is_not_judged_twice(window) -> None:
    probabilities, by_mode, _, failures, until = window
    one = label(probabilities, failures.assign(failure_mode="any"), modes=("any",), until=until, horizons_days=HORIZONS)
    assert judge_modes("model", probabilities, by_mode[:, :1], one) == ()
