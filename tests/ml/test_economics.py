"""Rules for visits over the same nights: each does what its name says, and tuning never looks at the test window."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ml.economics import RULES, Nights, compare, tune
from ml.policy import PolicyConfig, replay

START = pd.Timestamp("2024-06-01T16:00Z")


def nights(days: int = 40, assets: int = 10, seed: int = 0) -> Nights:
    """A past in which the probabilities are true: a failure tomorrow happens as often as they say."""
    rng = np.random.default_rng(seed)
    short = rng.random((days, assets)) ** 6
    later = short + (1 - short) * rng.random((days, assets)) ** 3
    day, asset = np.indices(short.shape)
    failed = rng.random(short.shape) < short
    instants = START + pd.to_timedelta(day.ravel(), unit="D")
    probabilities = pd.DataFrame(
        {"asset_id": [f"A{n}" for n in asset.ravel()], "as_of": instants, "p_1d": short.ravel(), "p_7d": later.ravel()}
    )
    happened = probabilities.loc[failed.ravel(), ["asset_id", "as_of"]]
    return Nights(probabilities, happened.assign(event_time=happened.pop("as_of") + pd.Timedelta(hours=9)))


def test_every_rule_is_compared_at_every_capacity_and_doing_nothing_costs_one() -> None:
    found = compare(nights(), nights(seed=1), PolicyConfig(), (1, 3))
    assert [(e.capacity, e.rule) for e in found] == [(k, name) for k in (1, 3) for name in RULES]
    idle = [e.replayed for e in found if e.rule == "run_to_failure"]
    assert [(one.visits, one.relative) for one in idle] == [(0, 1.0), (0, 1.0)]
    assert {e.rule for e in found if e.parameter is None} == {"run_to_failure", "top_k", "saving"}


def test_the_index_rule_is_the_ticket_policys_at_the_tuned_weight() -> None:
    past = nights()
    policy = PolicyConfig(later_weight=0.25, capacity_per_run=2)
    index = next(e for e in compare(past, past, policy, (2,)) if e.rule == "index")
    weight = tune("index", past, policy)
    assert index.parameter == weight
    assert index.replayed == replay(past.probabilities, past.failures, replace(policy, later_weight=weight))


def test_with_true_probabilities_the_index_saves_and_beats_rules_that_ask_no_model() -> None:
    cost = {e.rule: e.replayed.relative for e in compare(nights(60, 60), nights(60, 60, 1), PolicyConfig(), (2,))}
    assert cost["index"] < 0.9 * cost["periodic"]
    assert cost["index"] <= cost["top_k"]
    assert cost["index"] < 1


def test_a_parameter_is_the_one_that_would_have_cost_least_and_the_first_of_several() -> None:
    past = nights()
    policy = PolicyConfig(capacity_per_run=1)
    costs = [
        replay(past.probabilities, past.failures, replace(policy, later_weight=w)).cost for w in RULES["index"].choices
    ]
    assert tune("index", past, policy) == RULES["index"].choices[int(np.argmin(costs))]
    assert tune("top_k", past, policy) == 0.0


def test_what_happens_in_the_test_window_does_not_move_a_parameter() -> None:
    quiet = Nights(nights(seed=1).probabilities, nights(seed=1).failures.head(0))
    loud, still = (compare(nights(), test, PolicyConfig(), (2,)) for test in (nights(seed=1), quiet))
    assert [e.parameter for e in loud] == [e.parameter for e in still]


def test_periodic_visits_ask_no_model() -> None:
    past = nights()
    shuffled = past.probabilities.assign(p_1d=0.1, p_7d=past.probabilities["p_7d"].to_numpy()[::-1].clip(0.1))
    values = [RULES["periodic"].value(one, PolicyConfig(), 14.0) for one in (past, Nights(shuffled, past.failures))]
    np.testing.assert_array_equal(*values)
    days = past.probabilities[values[0] > 0].groupby("asset_id")["as_of"].diff().dropna()
    assert set(days) == {pd.Timedelta(days=14)}


@pytest.mark.parametrize(("step", "every"), [(2, 10), (3, 30), (6, 7)])
def test_periodic_visits_reach_every_asset_where_nights_are_not_daily(step: int, every: int) -> None:
    past = nights(120, 7)
    rows = past.probabilities[(past.probabilities["as_of"] - START) // pd.Timedelta(days=1) % step == 0]
    due = RULES["periodic"].value(Nights(rows, past.failures), PolicyConfig(), float(every)) > 0
    visits = rows[due].groupby("asset_id").size()
    assert len(visits) == 7
    assert visits.between(120 // max(every, step) - 1, 120 // max(every, step) + 1).all()


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule.blind])
def test_a_blind_rule_does_the_same_whatever_the_model_says(name: str) -> None:
    past = nights()
    flat = Nights(past.probabilities.assign(p_1d=0.0, p_7d=0.0), past.failures)
    seen, blind = (
        next(e for e in compare(one, one, PolicyConfig(), (1,)) if e.rule == name).replayed for one in (past, flat)
    )
    assert seen == blind
