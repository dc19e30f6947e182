"""Every gate, alone: what passes, what does not, and what cannot be judged."""

from __future__ import annotations

import inspect
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.audit import Audit, Leak
from ml.gates import GATES, PROMISED, Candidate, Judgement, Verdict, judge_all
from ml.intervals import Interval
from ml.policy import Replay
from ml.quality import AtCapacity, Quality

NAN = float("nan")
SECOND_TO_NONE = Verdict(True, "the first version")


def figures(ap=0.5, brier=0.08, ratio=1.0, failures=400, interval=None):
    at = AtCapacity(k=5, recall=0.5, events=failures, caught=0.3, min_lead_days=1, median_lead_days=3)
    sure = {} if interval is None else {"observed_over_expected": Interval(*interval)}
    return Quality(
        model="model", horizon_days=7, rows=8600, positives=7 * failures, base_rate=0.1, average_precision=ap, roc_auc=0.9,
        brier=brier, ece=0.01, observed_over_expected=ratio, at_capacity=(at,), intervals=sure,
    )  # fmt: skip


def candidate(quality=None, champion=SECOND_TO_NONE, p=((0.1, 0.2), (0.3, 0.3)), leaks=(), replay=None):
    quality = quality or figures()
    return Candidate(quality, champion, np.array(p), Audit(values=1200, instants=3, features=40, leaks=leaks), replay)


def judged(gate, **known):
    return GATES[gate].judge(candidate(**known))


def test_a_good_first_version_passes_every_gate_with_a_reason_each():
    verdict = judge_all(candidate(replay=Replay(30, 8, 2, 50.0, 100.0)))
    assert set(verdict.verdicts) == set(GATES)
    assert verdict.failed == ()
    assert verdict.reason == "the first version"
    assert all(len(one.reason) > 10 for one in verdict.verdicts.values())


def test_every_gate_says_what_it_wants():
    assert len(GATES) == 5
    for gate in GATES.values():
        assert gate.meaning
        assert inspect.getdoc(gate.judge)
        assert gate.meaning[-1] != "."


def test_all_that_failed_is_told_at_once():
    verdict = judge_all(candidate(p=((0.2, 0.1),), replay=Replay(30, 0, 1, 40.0, 10.0)))
    assert verdict.failed == ("coherent", "within_cost")
    assert "falls as the horizon grows; costs more than doing nothing" in verdict.reason


def test_verdicts_come_back_from_the_tags_of_a_run():
    verdict = judge_all(candidate(p=((0.2, 0.1),)))
    tags = {**verdict.tags(), "mlflow.user": "somebody", "verdict": verdict.reason}
    assert Judgement.of_tags(tags) == verdict
    assert Judgement.of_tags({}).verdicts == {}
    assert Judgement.of_tags({"gate.of_old": "passed: it was: fine"}).verdicts == {
        "of_old": Verdict(True, "it was: fine")
    }


# --- not worse than the champion ----------------------------------------------------------------------------------------------------


def test_the_gate_wants_both_ranking_and_distance():
    now = figures(ap=0.50, brier=0.080)
    assert judged("not_worse", quality=figures(ap=0.495, brier=0.081), champion=now).passed
    assert not judged("not_worse", quality=figures(ap=0.45, brier=0.070), champion=now).passed
    assert not judged("not_worse", quality=figures(ap=0.60, brier=0.090), champion=now).passed
    assert "0.600 against 0.500" in judged("not_worse", quality=figures(ap=0.60, brier=0.070), champion=now).reason


def test_nothing_takes_a_champions_place_unseen():
    blind = figures(ap=NAN, brier=0.01)
    verdict = judged("not_worse", quality=blind, champion=blind)
    assert (verdict.passed, "holds no failure" in verdict.reason) == (False, True)


@pytest.mark.parametrize("told", [Verdict(True, "the champion serves no more"), Verdict(False, "nothing of 30 d")])
def test_where_the_two_are_not_compared_the_reason_decides(told):
    assert judged("not_worse", champion=told) == told


@given(ap=st.floats(0.01, 1), brier=st.floats(0, 0.3), better=st.floats(0, 0.5))
def test_whoever_is_at_least_as_good_in_both_passes(ap, brier, better):
    ours = figures(ap=ap * (1 + better), brier=brier * (1 - better))
    assert judged("not_worse", quality=ours, champion=figures(ap=ap, brier=brier)).passed


# --- calibrated -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ratio", "interval", "failures", "passed", "words"),
    [
        (1.02, (0.9, 1.15), 400, True, "promises what happens"),
        (1.60, (1.3, 1.9), 400, True, "promises what happens"),  # it may be 1.3
        (2.00, (1.7, 2.3), 400, False, "promises too little"),
        (0.40, (0.3, 0.5), 400, False, "promises too much"),
        (0.10, (0.08, 0.12), 5, False, "promises too much"),  # even five failures tell a tenth
        (2.20, (2.1, 2.3), 5, True, "promises what happens"),  # the bootstrap is too sure: five may be two
        (1.00, (0.95, 1.05), 5, True, "too few failures to judge"),
        (1.00, (0.3, 4.0), 400, True, "too few failures to judge"),  # of a single asset, say
        (0.00, (0.0, 0.0), 0, True, "too few failures to judge"),
        (NAN, (NAN, NAN), 0, True, "too few failures to judge"),
    ],
)  # fmt: skip
def test_calibration_is_judged_as_far_as_the_failures_tell(ratio, interval, failures, passed, words):
    verdict = judged("calibrated", quality=figures(ratio=ratio, interval=interval, failures=failures))
    assert (verdict.passed, words in verdict.reason) == (passed, True), verdict.reason


def test_the_uncertainty_of_a_count_is_garwoods():
    """Ten events: 4.80 to 18.39, as published tables of exact Poisson limits have it."""
    verdict = judged("calibrated", quality=figures(ratio=1.0, failures=10, interval=(0.9, 1.1)))
    assert "95 % 0.48 to 1.84 on 10 failures" in verdict.reason


def test_twenty_five_failures_can_be_judged_and_twenty_cannot():
    assert "too few" in judged("calibrated", quality=figures(failures=20)).reason
    assert "too few" not in judged("calibrated", quality=figures(failures=25)).reason


def test_without_capacities_the_rows_are_counted():
    counted = replace(figures(failures=400), at_capacity=())
    assert "on 2,800 failures" in judged("calibrated", quality=counted).reason


@given(ratio=st.floats(*PROMISED), failures=st.integers(0, 10_000), width=st.floats(0, 1))
def test_a_figure_within_the_bounds_never_fails(ratio, failures, width):
    quality = figures(ratio=ratio, failures=failures, interval=(ratio * (1 - width), ratio * (1 + width)))
    assert judged("calibrated", quality=quality).passed


@given(ratio=st.floats(3.1, 50), failures=st.integers(20, 10_000))
def test_a_figure_far_outside_on_many_failures_never_passes(ratio, failures):
    for wrong in (ratio, 1 / ratio):
        assert not judged("calibrated", quality=figures(ratio=wrong, failures=failures)).passed


# --- coherent -------------------------------------------------------------------------------------------------------------


@given(st.lists(st.lists(st.floats(0, 1), min_size=4, max_size=4), min_size=1, max_size=20))
def test_rows_that_rise_pass_and_the_others_are_counted(rows):
    assert judged("coherent", p=[sorted(row) for row in rows]).passed
    falling = sum(any(b < a for a, b in pairwise(row)) for row in rows)
    verdict = judged("coherent", p=rows)
    assert verdict.passed == (falling == 0)
    assert falling == 0 or verdict.reason.startswith(f"{falling:,} of {len(rows)} test rows")


@pytest.mark.parametrize("wrong", [-0.01, 1.01, NAN, math.inf])
def test_what_is_no_probability_does_not_pass(wrong):
    verdict = judged("coherent", p=[[0.1, 0.2], [0.1, wrong]])
    assert (verdict.passed, verdict.reason) == (False, "1 of 2 test rows have a probability that is none")


def test_a_single_horizon_is_coherent():
    assert judged("coherent", p=[[0.3], [0.1]]).passed


# --- no leak, within cost -------------------------------------------------------------------------------------------------


def test_a_leak_is_named():
    leak = Leak("rebuild", "own_gap", 3, 100, "m1", None, "own_gap of m1 has seen the future")
    verdict = judged("no_leak", leaks=(leak,))
    assert (verdict.passed, "own_gap of m1" in verdict.reason) == (False, True)
    assert "1,200 values of 40 features" in judged("no_leak").reason


@given(cost=st.floats(0, 1e9), nothing=st.floats(0.01, 1e9))
def test_visits_may_cost_as_much_as_doing_nothing_and_no_more(cost, nothing):
    assert judged("within_cost", replay=Replay(7, 3, 2, cost, nothing)).passed == (cost <= nothing)


def test_what_no_failure_can_tell_passes_with_a_note():
    assert "no failure" in judged("within_cost", replay=Replay(7, 0, 0, 7.0, 0.0)).reason
    assert judged("within_cost", replay=Replay(7, 0, 0, 7.0, 0.0)).passed
    assert (
        "4,257,600 with 7 visits against 6.5 without"
        in judged("within_cost", replay=Replay(7, 0, 2, 4257600.0, 6.5)).reason
    )
    assert "no visits to count" in judged("within_cost", replay=None).reason
