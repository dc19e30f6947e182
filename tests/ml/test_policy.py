"""The ticket policy against a slow reading of its rule, and at its edges."""

from __future__ import annotations

import math
import random

import pandas as pd
import pytest

from features.config import parse
from features.errors import ConfigError
from ml.policy import PROPOSED, WHY_NOT, PolicyConfig, propose, replay


def frame(*rows: tuple[str, float, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["asset_id", "p_1d", "p_7d"])


def by_hand(
    rows: list[tuple[str, float, float]], policy: PolicyConfig, held: dict[str, str], capacity: int
) -> dict[str, str]:
    """The rule as :mod:`ml.policy` states it, one asset at a time."""
    answer: dict[str, str] = {}
    wanting: list[tuple[float, str]] = []
    for asset, short, later in rows:
        value = policy.failure_cost * (short + policy.later_weight * (later - short)) - policy.visit_cost
        if asset in held:
            answer[asset] = held[asset]
        elif value <= 0:
            answer[asset] = "no_saving"
        else:
            wanting.append((-value, asset))
    for place, (_, asset) in enumerate(sorted(wanting)):
        answer[asset] = PROPOSED if place < capacity else "no_capacity"
    return answer


def test_decisions_equal_the_rule_worked_by_hand_on_random_fleets() -> None:
    dice = random.Random(7)
    checked, seen = 0, set()
    for _ in range(200):
        rows = []
        for number in range(dice.randint(1, 30)):
            later = dice.random() ** 3
            rows.append((f"A{number:02}", later * dice.random(), later))
        policy = PolicyConfig(failure_cost=dice.uniform(1, 30), later_weight=dice.random())
        reasons = ["open_episode", "cooling_down", "later_night"]
        held = {row[0]: dice.choice(reasons) for row in rows if dice.random() < 0.2}
        capacity = dice.randint(0, 8)
        decided = propose(frame(*rows), policy, held=held, capacity=capacity)
        assert dict(zip(decided.asset_id, decided.decision, strict=True)) == by_hand(rows, policy, held, capacity)
        checked += len(decided)
        seen |= set(decided.decision)
    assert checked > 2000
    assert seen == {PROPOSED, *WHY_NOT}


def test_a_failure_tomorrow_outweighs_a_likelier_one_next_week() -> None:
    decided = propose(frame(("late", 0.0, 0.9), ("soon", 0.5, 0.5)), PolicyConfig(later_weight=0.25), capacity=1)
    assert decided.set_index("asset_id").decision.to_dict() == {"late": "no_capacity", "soon": PROPOSED}


def test_value_is_the_expected_saving_less_the_visit() -> None:
    policy = PolicyConfig(failure_cost=1000, visit_cost=100, later_weight=0.5)
    row = propose(frame(("a", 0.2, 0.6)), policy).iloc[0]
    assert math.isclose(row.value, 1000 * (0.2 + 0.5 * 0.4) - 100)
    assert (row.horizon_days, row.probability, row["rank"]) == (1, 0.2, 1)


def test_the_horizon_named_is_the_one_that_carries_the_value() -> None:
    decided = propose(frame(("soon", 0.3, 0.4), ("late", 0.01, 0.8)), PolicyConfig())
    assert decided.horizon_days.tolist() == [1, 7]
    assert decided.probability.tolist() == [0.3, 0.8]


def test_a_visit_that_saves_nothing_is_never_made_even_with_idle_crews() -> None:
    decided = propose(frame(("a", 0.0, 0.1), ("b", 0.1, 0.1)), PolicyConfig(), capacity=99)
    assert set(decided.decision) == {"no_saving"}


def test_equal_assets_are_decided_the_same_in_any_order() -> None:
    rows = [(name, 0.4, 0.6) for name in "edcab"]
    first = propose(frame(*rows), PolicyConfig(), capacity=2)
    second = propose(frame(*reversed(rows)), PolicyConfig(), capacity=2)
    assert set(first[first.decision == PROPOSED].asset_id) == {"a", "b"}
    assert set(second[second.decision == PROPOSED].asset_id) == {"a", "b"}


def test_ranks_count_the_proposals_from_the_most_valuable() -> None:
    decided = propose(frame(("a", 0.2, 0.2), ("b", 0.9, 0.9), ("c", 0.5, 0.5)), PolicyConfig(), capacity=2)
    assert decided.set_index("asset_id")["rank"].to_dict() == {"a": 0, "b": 1, "c": 2}


def test_an_index_that_repeats_is_no_trouble() -> None:
    rows = frame(("a", 0.5, 0.5), ("b", 0.6, 0.6))
    rows.index = pd.Index([0, 0])
    decided = propose(rows, PolicyConfig(), capacity=1)
    assert decided.set_index("asset_id").decision.to_dict() == {"a": "no_capacity", "b": PROPOSED}


def test_no_assets_and_no_crews_give_no_proposals() -> None:
    assert propose(frame(), PolicyConfig()).empty
    decided = propose(frame(("a", 0.9, 0.9)), PolicyConfig(), capacity=0)
    assert decided.decision.tolist() == ["no_capacity"]
    assert propose(frame(("a", 0.9, 0.9)), PolicyConfig(), capacity=-3).decision.tolist() == ["no_capacity"]


@pytest.mark.parametrize(
    "row", [("a", math.nan, 0.5), ("a", 0.5, math.nan), ("a", 0.6, 0.5), ("a", -0.1, 0.5), ("a", 0.5, 1.1)]
)
def test_probabilities_that_cannot_be_meant_are_refused(row) -> None:
    with pytest.raises(ValueError, match="first: a"):
        propose(frame(row), PolicyConfig())


def test_the_policy_section_is_read_and_a_misspelt_key_is_named() -> None:
    head = '[workspace]\nid = "w"\n[policy]\n'
    assert parse(head + "capacity_per_run = 2").section("policy", PolicyConfig).capacity_per_run == 2
    with pytest.raises(ConfigError, match="Did you mean 'capacity_per_run'"):
        parse(head + "capacity_per_rum = 2").section("policy", PolicyConfig)
    with pytest.raises(ConfigError, match="failure_cost"):
        parse(head + "failure_cost = 0").section("policy", PolicyConfig)


Rows = list[tuple[str, float, float]]


def walked_by_hand(
    nights: dict[int, Rows], failures: list[tuple[str, float]], policy: PolicyConfig
) -> tuple[int, int, int, float]:
    """The count of :func:`ml.policy.replay`, one night and one failure at a time."""
    visits: list[tuple[str, float]] = []
    for day in sorted(nights):
        busy = {asset for asset, at in visits if day < at + policy.protects_days}
        rows = [row for row in nights[day] if row[0] not in busy]
        answer = by_hand(rows, policy, {}, policy.capacity_per_run)
        visits += [(asset, day) for asset, decision in answer.items() if decision == PROPOSED]
    spared = {
        (asset, day) for asset, day in failures
        if any(asset == a and at < day <= at + policy.protects_days for a, at in visits)
    }  # fmt: skip
    left = set(failures) - spared
    return len(visits), len(spared), len(left), policy.visit_cost * len(visits) + policy.failure_cost * len(left)


def test_a_replay_equals_the_walk_by_hand_on_random_pasts() -> None:
    dice, start = random.Random(11), pd.Timestamp("2024-06-01T16:00Z")
    prevented = 0
    for _ in range(40):
        nights = {
            day: [(f"A{n}", dice.random() * 0.3, 0.3 + dice.random() * 0.3) for n in range(6)] for day in range(12)
        }
        # Twice at one instant is one failure.
        failures = [(f"A{dice.randrange(6)}", dice.randrange(48) / 4 + 0.25) for _ in range(10)] * 2
        policy = PolicyConfig(capacity_per_run=dice.randint(0, 2), protects_days=dice.randint(1, 5), later_weight=0.3)
        scored = pd.concat([frame(*rows).assign(as_of=start + pd.Timedelta(days=day)) for day, rows in nights.items()])
        happened = pd.DataFrame(
            {
                "asset_id": [a for a, _ in failures],
                "event_time": [start + pd.Timedelta(days=day) for _, day in failures],
            }
        )
        found = replay(scored.sample(frac=1, random_state=1), happened, policy)
        expected = walked_by_hand(nights, failures, policy)
        assert (found.visits, found.prevented, found.failures) == expected[:3]
        assert found.cost == pytest.approx(expected[3])
        assert found.run_to_failure == policy.failure_cost * len(set(failures))
        prevented += found.prevented
    assert prevented > 50


def test_doing_nothing_costs_what_run_to_failure_costs() -> None:
    night = frame(("a", 0.9, 0.9)).assign(as_of=pd.Timestamp("2024-06-01T16:00Z"))
    failed = pd.DataFrame({"asset_id": ["a"], "event_time": [pd.Timestamp("2024-06-02T03:00Z")]})
    idle = replay(night, failed, PolicyConfig(capacity_per_run=0))
    assert (idle.visits, idle.failures, idle.relative) == (0, 1, 1.0)
    busy = replay(night, failed, PolicyConfig())
    assert (busy.prevented, busy.relative) == (1, 0.1)
    assert replay(night, failed.head(0), PolicyConfig(capacity_per_run=0)).relative == 1.0
