"""Forecasters by contract, and the backtest against figures worked out by hand."""

from __future__ import annotations

import logging
import math

import numpy as np
import pandas as pd
import pytest

from features.errors import ConfigError
from ml import metrics
from ml.volume import BASELINE, COLUMNS, FORECASTERS, VolumeSettings, plan, run, spread
from ml.volume_backtest import accuracy, backtest, compare

NONE = pd.DataFrame(columns=["ds", "holiday"])
H = 17


def series(values: np.ndarray | list[float], name: str = "a", start: str = "2024-01-01") -> pd.DataFrame:
    days = pd.date_range(start, periods=len(values), freq="D")
    return pd.DataFrame({"unique_id": name, "ds": days, "y": np.asarray(values, dtype=float)})


def weekly(days: int, level: float = 20.0, seed: int = 0) -> np.ndarray:
    week = np.array([1.3, 1.2, 1.1, 1.0, 1.0, 0.7, 0.7])
    return np.random.default_rng(seed).poisson(level * week[np.arange(days) % 7]).astype(float)


HARD = {
    "a busy series": weekly(120),
    "two weeks": weekly(14),
    "one day": np.array([3.0]),
    "all zero": np.zeros(90),
    "constant": np.full(90, 4.0),
    "sparse": (np.arange(200) % 37 == 0).astype(float),
    "gaps": np.where(np.arange(120) % 11 < 3, np.nan, weekly(120)),
    "nothing known": np.full(40, np.nan),
    "a missing end": np.where(np.arange(120) > 90, np.nan, weekly(120)),
    "a collapse": np.where(np.arange(150) > 100, 0, weekly(150, 200)),
    "an explosion": np.exp(np.arange(120) / 12),
}


@pytest.mark.parametrize("name", FORECASTERS)
def test_every_forecaster_keeps_the_contract_on_every_series(name: str) -> None:
    history = pd.concat([series(values, kind) for kind, values in HARD.items()], ignore_index=True)
    made = FORECASTERS[name](history, H, NONE)
    assert tuple(made.columns) == COLUMNS
    checked = 0
    for kind, part in made.groupby("unique_id"):
        last = history.loc[history["unique_id"] == kind, "ds"].max()
        assert list(part["ds"]) == list(pd.date_range(last + pd.Timedelta(days=1), periods=H))
        assert np.isfinite(part.select_dtypes("number")).all().all()
        assert (part.select_dtypes("number") >= 0).all().all()
        ordered = part[["lo95", "lo80", "yhat", "hi80", "hi95"]].to_numpy()
        assert (np.diff(ordered, axis=1) >= 0).all()
        assert (part["sum_lo80"] <= part["yhat"].cumsum()).all()
        assert (part["sum_hi80"] >= part["yhat"].cumsum()).all()
        checked += 1
    assert checked == len(HARD)


@pytest.mark.parametrize("name", FORECASTERS)
def test_the_same_history_gives_the_same_forecast_whatever_stands_beside_it(name: str) -> None:
    one, other = series(weekly(100), "a"), series(weekly(100, 50, seed=1), "b")
    np.random.seed(5)
    alone = FORECASTERS[name](one, H, NONE)
    np.random.seed(6)
    together = FORECASTERS[name](pd.concat([other, one]), H, NONE)
    pd.testing.assert_frame_equal(alone, together[together["unique_id"] == "a"].reset_index(drop=True))


def test_prophet_leaves_the_global_generator_as_it_was() -> None:
    np.random.seed(11)
    expected = np.random.random(3)
    np.random.seed(11)
    FORECASTERS["prophet"](series(weekly(60)), H, NONE)
    assert (np.random.random(3) == expected).all()


def test_prophet_is_quiet(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        FORECASTERS["prophet"](series(weekly(60)), H, NONE)
    out, err = capfd.readouterr()
    assert out + err + caplog.text == ""


def test_the_seasonal_naive_repeats_the_last_known_week() -> None:
    values = weekly(70)
    values[-3] = math.nan
    made = FORECASTERS[BASELINE](series(values), 14, NONE)["yhat"].to_numpy()
    expected = values[-7:].copy()
    expected[-3] = values[-10]
    assert list(made) == [*expected, *expected]


def test_ranges_of_the_seasonal_naive_widen_week_by_week() -> None:
    made = FORECASTERS[BASELINE](series(weekly(300, 100)), 28, NONE)
    width = (made["hi80"] - made["lo80"]).to_numpy().reshape(4, 7).mean(axis=1)
    # Errors add up week by week, so widths grow with the square root: 1, 1.41, 1.73, 2.
    assert width / width[0] == pytest.approx(np.sqrt([1, 2, 3, 4]), rel=0.12)


def test_ranges_hold_what_they_promise_on_a_series_without_surprises() -> None:
    history = pd.concat([series(weekly(400, 30, seed=k), f"s{k:02}") for k in range(8)])
    table = compare(accuracy(backtest(history, NONE, VolumeSettings(), h=28, origins=3, step=28))).set_index("model")
    # 8 × 3 × 28 = 672 days: three standard errors of a share of .80 are .046, of .95 .025.
    assert table.loc["prophet", "coverage80"] == pytest.approx(0.80, abs=0.046)
    assert table.loc["prophet", "coverage95"] == pytest.approx(0.95, abs=0.025)
    assert table.loc["prophet", "mase"] < table.loc[BASELINE, "mase"]


def test_prophet_learns_a_holiday_that_the_naive_cannot_know() -> None:
    values = weekly(120, 100)
    days = pd.date_range("2024-01-01", periods=150)
    off = days[[20, 50, 80, 110, 130]]
    values[[20, 50, 80, 110]] = 5
    holidays = pd.DataFrame({"ds": off, "holiday": "founder's day"})
    made = FORECASTERS["prophet"](series(values), 28, holidays).set_index("ds")["yhat"]
    assert made[days[130]] < 30
    assert made[days[137]] > 60


def test_a_series_too_short_for_prophet_gets_the_naive_and_says_why() -> None:
    made = FORECASTERS["prophet"](series(weekly(20)), H, NONE)
    assert set(made["model"]) == {BASELINE}
    assert made["fallback"].str.contains("20 days of history").all()
    pd.testing.assert_series_equal(made["yhat"], FORECASTERS[BASELINE](series(weekly(20)), H, NONE)["yhat"])


def test_a_fallback_and_the_naive_beside_it_are_one_forecast() -> None:
    history = pd.concat([series(weekly(20), "short"), series(weekly(80), "long", "2023-11-02")])
    made = run(plan(history, H, NONE, VolumeSettings()))
    assert made.groupby(["unique_id", "model"]).size().to_dict() == {
        ("long", "prophet"): H, ("long", BASELINE): H, ("short", BASELINE): H,
    }  # fmt: skip
    assert (made.loc[made["unique_id"] == "short", "fallback"] != "").all()


def test_prophet_runs_on_the_largest_series_only() -> None:
    history = pd.concat([series(weekly(60, level), f"level {level}") for level in (5, 80, 40)])
    jobs = plan(history, H, NONE, VolumeSettings(prophet_nodes=2), size=1)
    assert {job.history["unique_id"].iloc[0] for job in jobs if job.model == "prophet"} == {"level 40", "level 80"}
    assert sum(job.model == BASELINE for job in jobs) == 3


@pytest.mark.proof  # two fresh processes import Prophet
def test_processes_give_what_one_process_gives() -> None:
    history = pd.concat([series(weekly(60, seed=k), f"s{k}") for k in range(4)])
    jobs = plan(history, H, NONE, VolumeSettings(), size=2)
    with spread(2) as mapper:
        apart = run(jobs, mapper)
    pd.testing.assert_frame_equal(apart, run(jobs))


def test_a_model_that_does_not_exist_is_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="'prophet'"):
        VolumeSettings(models=("profet",))


def test_the_backtest_sees_nothing_behind_its_cutoff() -> None:
    values = weekly(100)
    changed = np.concatenate([values[:72], values[72:] * 50])
    first = backtest(series(values), NONE, VolumeSettings(), h=28)
    other = backtest(series(changed), NONE, VolumeSettings(), h=28)
    pd.testing.assert_frame_equal(first.drop(columns="y"), other.drop(columns="y"))
    assert list(first["y"].head(28)) == list(values[72:])


def test_origins_step_back_from_the_last_day() -> None:
    held = backtest(series(weekly(120)), NONE, VolumeSettings(models=(BASELINE,)), h=14, origins=3, step=10)
    last = pd.Timestamp("2024-01-01") + pd.Timedelta(days=119)
    assert sorted(held["cutoff"].unique()) == [last - pd.Timedelta(days=14 + back) for back in (20, 10, 0)]
    assert held.groupby("cutoff")["ds"].max().iloc[-1] == last
    assert (held["ds"] > held["cutoff"]).all()


def test_accuracy_of_a_naive_forecast_worked_out_by_hand() -> None:
    # Three weeks at 10, 12 and 15 a day, then one at 18: the naive forecasts 15 and misses by 3.
    held = backtest(series(np.repeat([10.0, 12, 15, 18], 7)), NONE, VolumeSettings(models=(BASELINE,)), h=7)
    judged = accuracy(held).iloc[0]
    assert judged["mase"] == pytest.approx(3 / 2.5)
    assert judged["wape"] == pytest.approx(3 / 18)
    assert judged["days"] == 7


def test_days_that_are_missing_are_not_judged() -> None:
    values = weekly(80)
    values[-4:] = math.nan
    judged = accuracy(backtest(series(values), NONE, VolumeSettings(models=(BASELINE,)), h=14)).iloc[0]
    assert judged["days"] == 10


def test_models_are_compared_on_the_series_that_all_forecast() -> None:
    rows = [("a", "m1", 1.0), ("b", "m1", 3.0), ("a", "m2", 2.0)]
    judged = pd.DataFrame(rows, columns=["unique_id", "model", "mase"])
    judged = judged.assign(days=28, daily=5.0, wape=0.1, pinball=1.0, coverage80=0.8, coverage95=0.95)
    table = compare(judged)
    assert list(table["model"]) == ["m1", "m2"]
    assert list(table["series"]) == [1, 1]
    assert list(table["mase"]) == [1.0, 2.0]


def test_a_history_too_short_to_judge_gives_an_empty_table() -> None:
    assert compare(accuracy(backtest(series(weekly(20)), NONE, VolumeSettings(), h=14))).empty


def test_metrics_of_volume_worked_out_by_hand() -> None:
    y, yhat = [1.0, 2.0, np.nan, 4.0], [2.0, 2.0, 9.0, 1.0]
    assert metrics.mase(y, yhat, 2.0) == pytest.approx((1 + 0 + 3) / 3 / 2)
    assert metrics.wape(y, yhat) == pytest.approx(4 / 7)
    assert metrics.pinball([10.0], [8.0], 0.9) == pytest.approx(1.8)
    assert metrics.pinball([8.0], [10.0], 0.9) == pytest.approx(0.2)
    assert metrics.coverage(y, [1, 3, 0, 4], [1, 4, 0, 4]) == pytest.approx(2 / 3)
    assert metrics.seasonal_scale([1, 2, 4, 8], 2) == pytest.approx((3 + 6) / 2)


def test_metrics_that_are_not_defined_are_missing() -> None:
    assert math.isnan(metrics.seasonal_scale([5.0] * 30))
    assert math.isnan(metrics.seasonal_scale([1.0, 2.0]))
    assert math.isnan(metrics.wape([0.0], [1.0]))
    assert math.isnan(metrics.coverage([np.nan], [0.0], [1.0]))
