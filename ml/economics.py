"""What a risk model is worth: rules for preventive visits, each replayed over the same past nights.

Every rule puts a value on a visit to each asset each night; the crews then visit the most valuable
ones above zero (:func:`ml.policy.walk`). So rules differ in nothing but their value. A rule with a
parameter is tuned on the calibration slice and counted once, on the test window.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml.policy import Past, PolicyConfig, Replay, walk

__all__ = ["RULES", "Economics", "Nights", "Rule", "compare", "tune"]

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Nights:
    """Past nights, and what happened in them and after.

    Attributes
    ----------
    probabilities
        One row per asset and night: ``asset_id, as_of`` and ``p_{h}d`` of both `horizons`.
    failures
        ``asset_id, event_time``, from the first night on to the end that is judged.
    horizons
        The shortest horizon and the next one, in days.
    """

    probabilities: pd.DataFrame
    failures: pd.DataFrame
    horizons: tuple[float, float] = (1, 7)

    @cached_property
    def past(self) -> Past:
        """The nights as numbers, read once for all rules."""
        return Past.of(self.probabilities, self.failures)

    def short(self) -> Numbers:
        """Probability within the shortest horizon."""
        return self.probabilities[f"p_{self.horizons[0]:g}d"].to_numpy(dtype=float)

    def later(self) -> Numbers:
        """Probability within the next horizon."""
        return self.probabilities[f"p_{self.horizons[1]:g}d"].to_numpy(dtype=float)


@dataclass(frozen=True)
class Rule:
    """A rule for visits.

    Attributes
    ----------
    value
        (nights, policy, parameter) → value of a visit, one per row of the nights.
    choices
        Values of the parameter among which the calibration slice decides; one where there is nothing to tune.
    blind
        It asks no model, so that ties go by id and not to the likelier asset.
    """

    meaning: str
    value: Callable[[Nights, PolicyConfig, float], Numbers]
    choices: tuple[float, ...] = (0.0,)
    blind: bool = False


def _never(nights: Nights, _policy: PolicyConfig, _parameter: float) -> Numbers:
    return np.full(len(nights.probabilities), -1.0)


def _periodic(nights: Nights, _policy: PolicyConfig, days: float) -> Numbers:
    """Each asset on the first night after every so many days, their turns spread evenly; who is left out goes round."""
    asset = pd.factorize(nights.probabilities["asset_id"], sort=True)[0]
    at = ((nights.probabilities["as_of"] - nights.probabilities["as_of"].min()) // pd.Timedelta(days=1)).to_numpy()
    every = np.unique(at)
    before = np.append(-1, every[:-1])[np.searchsorted(every, at)]
    due = (at + asset) // int(days) > (before + asset) // int(days)
    return np.where(due, 1.0 + (asset * 7919 + at) % 1009 / 1009, -1.0)


def _threshold(nights: Nights, _policy: PolicyConfig, least: float) -> Numbers:
    return nights.later() - least


def _top(nights: Nights, _policy: PolicyConfig, _parameter: float) -> Numbers:
    return nights.later()


def _saving(nights: Nights, policy: PolicyConfig, _parameter: float) -> Numbers:
    return _index(nights, policy, 0.0)


def _index(nights: Nights, policy: PolicyConfig, weight: float) -> Numbers:
    short, later = nights.short(), nights.later()
    return policy.failure_cost * (short + weight * (later - short)) - policy.visit_cost


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "run_to_failure": Rule("no visits", _never, blind=True),
        "periodic": Rule("every asset every n days", _periodic, (7, 10, 14, 20, 30, 40, 50, 60, 75, 90, 180), blind=True),
        "threshold": Rule("likelier than t within the next horizon", _threshold, (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)),
        "top_k": Rule("the likeliest within the next horizon, always as many as the crews can", _top),
        "saving": Rule("expected saving within the shortest horizon", _saving),
        "index": Rule("saving tonight, and w of what a later visit could save", _index, tuple(n / 20 for n in range(11))),
    }
)  # fmt: skip
"""Every rule, by name; ``index`` is the ticket policy's, with the weight that `later_weight` names there."""


@dataclass(frozen=True)
class Economics:
    """One rule at one capacity.

    Attributes
    ----------
    capacity
        K: visits a night.
    parameter
        As tuned on the calibration slice; None where the rule has none.
    replayed
        What it would have done, cost and saved over the test window.
    """

    rule: str
    capacity: int
    parameter: float | None
    replayed: Replay


def compare(
    calibration: Nights, test: Nights, policy: PolicyConfig, capacities: Sequence[int]
) -> tuple[Economics, ...]:
    """Every rule at every capacity: tuned on one slice, counted on the next."""
    return tuple(
        _counted(name, calibration, test, replace(policy, capacity_per_run=k)) for k in capacities for name in RULES
    )


def tune(name: str, nights: Nights, policy: PolicyConfig) -> float:
    """The parameter of a rule with which these nights would have cost least; the first of several."""
    choices = RULES[name].choices
    return min(choices, key=lambda parameter: _replayed(name, nights, policy, parameter).cost)


def _counted(name: str, calibration: Nights, test: Nights, policy: PolicyConfig) -> Economics:
    parameter = tune(name, calibration, policy)
    tuned = parameter if len(RULES[name].choices) > 1 else None
    return Economics(name, policy.capacity_per_run, tuned, _replayed(name, test, policy, parameter))


def _replayed(name: str, nights: Nights, policy: PolicyConfig, parameter: float) -> Replay:
    rule = RULES[name]
    value, later = rule.value(nights, policy, parameter), nights.later()
    return walk(nights.past, value, np.zeros_like(later) if rule.blind else later, policy)
