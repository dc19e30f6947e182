"""The made-up machines fail as often as their true hazard says."""

from __future__ import annotations

from datetime import date
from functools import cache

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from features.demo import simulate
from features.demo.degradation import History, Lives, draw, fail_within, live, sojourn_hazard
from features.demo.fleet import make_block
from features.demo.workdays import calendar
from features.demo.world import BAD_BATCH, BLOCK, COMPONENTS, END, stream

CLOCK = calendar(END, 731)


@cache
def block_of(number: int, seed: int) -> tuple[History, Lives]:
    block = make_block(number, CLOCK, seed)
    return live(block.lives, draw(stream(seed, "lives", number), CLOCK.days, BLOCK), CLOCK), block.lives


def failed_within(history: History, days: int) -> np.ndarray:
    """(day, asset, component) by a plain loop over failures."""
    failed = np.zeros(history.age.shape, dtype=bool)
    for day, asset, component in history.failures[["day", "asset", "component"]].itertuples(index=False):
        failed[max(day - days + 1, 0) : day + 1, asset, component] = True
    return failed


def chance(c: int, hazard: float, state: tuple[int, int], days: int, renews: int) -> float:
    """Chance to fail by plain recursion over days and states (age, days degraded); degraded < 0 is down."""
    age, degraded = state
    if days == 0:
        return 0.0
    if renews == 0:
        return chance(c, hazard, (0, 0), days, 10**6)
    if degraded < 0:
        return chance(c, hazard, state, days - 1, renews - 1)
    kind = COMPONENTS[c]

    def weibull(scale: float, shape: float) -> float:
        return 1 - float(np.exp(-hazard * (((age + 1) / scale) ** shape - (age / scale) ** shape))) if scale else 0.0

    fails = 1 - (1 - weibull(kind.sudden_days, kind.sudden_shape)) * (1 - float(sojourn_hazard(c)[degraded]))
    onset = weibull(kind.onset_days, kind.onset_shape) if degraded == 0 else 0.0
    stays = chance(c, hazard, (age + 1, degraded + (degraded > 0)), days - 1, renews - 1)
    begins = chance(c, hazard, (age + 1, 1), days - 1, renews - 1) if onset else 0.0
    return fails + (1 - fails) * (onset * begins + (1 - onset) * stays)


@pytest.mark.parametrize("horizon", [1, 7, 14])
def test_the_true_hazard_equals_a_recursion_over_days_and_states(horizon: int) -> None:
    states = [(0, 0, 900), (400, 0, 900), (1500, 0, 5), (300, 3, 900), (300, 9, 2), (0, -1, 3), (80, 0, 1), (10, 1, 14)]
    shape = (1, len(states), len(COMPONENTS))
    age, degraded, renews = (
        np.broadcast_to(np.array(column)[:, None], shape).copy() for column in zip(*states, strict=True)
    )
    hazard = np.linspace(0.5, 3.0, len(states) * len(COMPONENTS)).reshape(shape[1:])
    forever = np.full(len(states), 10**6)
    lives = Lives(hazard, age[0], renews[0], np.zeros(len(states), dtype=int), forever)
    history = History(age, degraded, renews, np.ones(shape[:2], dtype=bool), pd.DataFrame(), pd.DataFrame())
    exact = fail_within(history, lives, horizon)[0]
    checked = 0
    for n, (start, worn, left) in enumerate(states):
        for c, component in enumerate(COMPONENTS):
            if worn > 0 and not component.sojourn_days:
                continue
            assert exact[n, c] == pytest.approx(chance(c, hazard[n, c], (start, worn), horizon, left), abs=1e-12)
            checked += 1
    assert checked == len(states) * len(COMPONENTS) - 3


def test_a_machine_that_retires_within_the_horizon_has_only_the_days_left() -> None:
    history, lives = block_of(0, 5)
    asset = int(np.flatnonzero((lives.ends < CLOCK.days) & (lives.starts == 0))[0])
    last = int(lives.ends[asset]) - 1
    week, one = (fail_within(history, lives, days)[last, asset] for days in (7, 1))
    np.testing.assert_allclose(week, one)
    assert np.isnan(fail_within(history, lives, 7)[last + 1, asset]).all()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_true_hazard_ranks_failures_neither_blindly_nor_like_an_oracle(seed: int) -> None:
    probability, outcome, silent = [], [], []
    for number in range(3):
        history, lives = block_of(number, seed)
        inside = history.in_service[:-6]
        week = fail_within(history, lives, 7)[:-6][inside]
        probability.append(1 - np.prod(1 - week, axis=1))
        outcome.append(failed_within(history, 7)[:-6].any(axis=2)[inside])
        silent.append((history.failures["degraded"] == 0).to_numpy())
    assert 0.75 <= roc_auc_score(np.concatenate(outcome), np.concatenate(probability)) <= 0.85
    assert 0.30 <= np.concatenate(silent).mean() <= 0.42


def test_as_many_components_fail_as_the_true_hazard_expects() -> None:
    expected, observed, daily, failures = 0.0, 0, 0.0, 0
    for seed in (1, 2, 3):
        for number in range(3):
            history, lives = block_of(number, seed)
            week = fail_within(history, lives, 7)[:-6]
            expected += float(np.nansum(week))
            observed += int(failed_within(history, 7)[:-6].sum())
            daily += float(np.nansum(fail_within(history, lives, 1)))
            failures += len(history.failures)
    assert failures > 3000
    assert failures / daily == pytest.approx(1, abs=0.05)
    assert observed / expected == pytest.approx(1, abs=0.05)


def test_one_batch_is_three_times_as_bad_in_one_component() -> None:
    blocks = [make_block(number, CLOCK, 11) for number in range(12)]
    assets = pd.concat([block.assets for block in blocks])
    hazard = np.concatenate([block.lives.hazard for block in blocks])
    same_model = (assets["asset_model"] == BAD_BATCH[0]).to_numpy()
    bad = same_model & (assets["batch"] == BAD_BATCH[1]).to_numpy()
    ratio = hazard[bad].mean(axis=0) / hazard[same_model & ~bad].mean(axis=0)
    worst = [c.name for c in COMPONENTS].index(BAD_BATCH[2])
    assert ratio[worst] == pytest.approx(BAD_BATCH[3], rel=0.2)
    assert np.delete(ratio, worst) == pytest.approx(1.0, rel=0.2)


def test_a_visit_removes_the_failure_it_precedes_and_changes_nothing_before_it_or_elsewhere() -> None:
    sizes = {"assets": 60, "days": 400, "seed": 4}
    plain = simulate(**sizes)
    prevented = plain[plain["precursor"]].iloc[5]
    start = CLOCK.now - np.timedelta64(400, "D")
    day = int((prevented["failed_at"].to_datetime64() - start) / np.timedelta64(1, "D"))
    visit = pd.DataFrame({"asset_id": [prevented["asset_id"]], "component": [prevented["component"]], "day": [day - 1]})
    visited = simulate(**sizes, visits=visit)
    theirs = (plain["asset_id"] == prevented["asset_id"]) & (plain["component"] == prevented["component"])
    ours = (visited["asset_id"] == prevented["asset_id"]) & (visited["component"] == prevented["component"])
    pd.testing.assert_frame_equal(plain[~theirs].reset_index(drop=True), visited[~ours].reset_index(drop=True))
    earlier = plain[theirs & (plain["failed_at"] < prevented["failed_at"])]
    kept = visited[ours & (visited["failed_at"] <= prevented["failed_at"])]
    assert earlier["failed_at"].tolist() == kept["failed_at"].tolist()


def test_a_visit_on_the_day_of_the_failure_comes_too_late() -> None:
    sizes = {"assets": 30, "days": 300, "seed": 4, "end": date(2025, 7, 1)}
    plain = simulate(**sizes)
    one = plain.iloc[3]
    start = calendar(date(2025, 7, 1), 300).start
    day = int((one["failed_at"].to_datetime64() - start) / np.timedelta64(1, "D"))
    visit = pd.DataFrame({"asset_id": [one["asset_id"]], "component": [one["component"]], "day": [day]})
    pd.testing.assert_frame_equal(plain, simulate(**sizes, visits=visit))
