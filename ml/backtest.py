"""A backtest of the risk recipe: fit on the past, judge once on the last window, count what it is worth.

The protocol stands in the result: by time or by asset (:mod:`ml.protocol`). ``train`` registers the very
model that its backtest judged; ``backtest`` judges and registers nothing. The form of
:meth:`Backtest.as_data` is described in ``docs/backtest.md``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

import pandas as pd

from ml.answers import Answers
from ml.economics import Economics, Nights, compare
from ml.intervals import Interval, difference
from ml.material import Material
from ml.policy import PolicyConfig
from ml.protocol import Protocol, SliceName, Split
from ml.quality import Quality, judge, judge_modes
from ml.remaining import LifeQuality, Rul, days_left, judge_life
from ml.risk import RiskModel

__all__ = ["SCHEMA", "Backtest", "as_data", "backtest", "without_nan"]

LARGE, FLEET_SHARES = 1_000, (0.001, 0.01, 0.05)
"""Assets from which a handful of visits says nothing of the ranking, and the shares of the fleet that do."""
SCHEMA = 1
"""Version of the form of :func:`as_data`; a field is never renamed without a new one."""


@dataclass(frozen=True)
class Backtest:
    """What was judged, and how good it was.

    Attributes
    ----------
    rows
        Rows (asset, cut-off) per slice.
    failures
        Failures inside the training slice.
    kind
        What the model is: ``blend``, ``trees``, ``logistic`` or ``baseline``.
    qualities
        ``model``, then what was fitted beside it and does not serve (``logistic``, ``trees``, ``blend``), then ``baseline``
        (age only), each at every horizon of the test window.
    components
        The model at every horizon, each failure mode alone; empty where there is but one.
    advantage
        Average precision of the model less that of the age-only baseline at the decision horizon, with
        what 95 % of fleets like this one would show.
    economics
        Every rule for visits at every capacity, over the test window; none by asset, where no calendar is shared.
    life
        Remaining life, restricted to the longest horizon: the model's, then the baseline's.
    rul
        Whether the model may say it, as the calibration slice showed.
    """

    protocol: Protocol
    split: Split
    modes: tuple[str, ...]
    rows: Mapping[str, int]
    failures: int
    decision_days: float
    kind: str
    qualities: tuple[Quality, ...]
    components: tuple[Quality, ...]
    advantage: Interval
    economics: tuple[Economics, ...]
    life: tuple[LifeQuality, ...]
    rul: Rul

    def quality(self, model: str, horizon_days: float) -> Quality:
        """Figures of a model, by its name in the report, at a horizon; KeyError where there are none."""
        for quality in self.qualities:
            if quality.model == model and quality.horizon_days == horizon_days:
                return quality
        raise KeyError((model, horizon_days))


def backtest(
    model: RiskModel, material: Material, policy: PolicyConfig, beside: Mapping[str, RiskModel] = MappingProxyType({}),
    said: Answers | None = None,
) -> Backtest:  # fmt: skip
    """Judge a fitted model on the test window of its material.

    Parameters
    ----------
    beside
        Models that do not serve and are published with it, by name.
    said
        What the model says of the test rows, where that is known already.
    """
    rows, labels, capacities = material.rows["test"], material.labels["test"], _capacities(material)
    ours, age = said or model.answers(rows), model.baseline_answers(rows)
    answers = {"model": ours.probabilities}
    answers |= {name: other.probabilities(rows) for name, other in beside.items()}
    answers["baseline"] = age.probabilities
    return Backtest(
        protocol=material.split.protocol, split=material.split, modes=material.modes,
        rows={name: len(part) for name, part in material.rows.items()}, failures=material.taught(),
        decision_days=material.config.decision_days, kind=model.kind,
        qualities=tuple(
            quality for name, answer in answers.items()
            for quality in judge(name, answer, labels, material.failures, capacities)
        ),
        components=judge_modes("model", ours.probabilities, ours.by_mode, labels),
        advantage=_advantage(ours.probabilities, age.probabilities, material),
        economics=_economics(model, ours.probabilities, material, policy), life=_life(ours, age, material), rul=model.rul,
    )  # fmt: skip


def _capacities(material: Material) -> tuple[int, ...]:
    """K of ``[risk]``; in a large fleet also .1, 1 and 5 % of its assets."""
    fleet = material.rows["test"].groupby("as_of").size().median()
    shares = [math.ceil(fleet * share) for share in FLEET_SHARES] if fleet >= LARGE else []
    return tuple(sorted({*material.config.capacities, *shares}))


def _life(ours: Answers, age: Answers, material: Material) -> tuple[LifeQuality, ...]:
    """Remaining life on the test rows whose longest window was seen."""
    limit, seen = material.config.horizons_days[-1], material.labels["test"].known[:, -1]
    rows = material.rows["test"][seen]
    left, assets = days_left(rows, material.failures, limit), rows["asset_id"].tolist()
    both = (("model", ours), ("baseline", age))
    return tuple(judge_life(name, each.remaining[seen], left, assets, limit) for name, each in both)


def _economics(
    model: RiskModel, tested: pd.DataFrame, material: Material, policy: PolicyConfig
) -> tuple[Economics, ...]:
    if material.split.protocol == "by_asset":
        return ()
    capacities = tuple(sorted({*material.config.capacities, policy.capacity_per_run} - {0}))
    tuning = model.probabilities(material.rows["calibrate"])
    return compare(_nights(tuning, material, "calibrate"), _nights(tested, material, "test"), policy, capacities)


def _advantage(ours: pd.DataFrame, theirs: pd.DataFrame, material: Material) -> Interval:
    labels, days = material.labels["test"], material.config.decision_days
    place = labels.horizons_days.index(days)
    known = labels.known[:, place]
    column = f"p_{days:g}d"
    return difference(
        "average_precision", labels.failed[known, place], ours.loc[known, column].to_numpy(),
        theirs.loc[known, column].to_numpy(), ours.loc[known, "asset_id"],
    )  # fmt: skip


def _nights(probabilities: pd.DataFrame, material: Material, name: SliceName) -> Nights:
    """The nights of a slice, and the failures inside it."""
    first, end = material.split.ends(name)
    inside = (material.failures["event_time"] > first) & (material.failures["event_time"] <= end)
    horizons = material.config.horizons_days
    pair = (horizons[0], horizons[min(1, len(horizons) - 1)])
    return Nights(probabilities, material.failures[inside], pair)


def as_data(tested: Backtest) -> dict[str, Any]:
    """A backtest as plain data; instants in ISO 8601, a figure that is not defined is null."""
    data = asdict(tested) | {"schema": SCHEMA, "split": tested.split.as_dict()}
    data["economics"] = [
        one | {"relative": kept.replayed.relative}
        for one, kept in zip(data["economics"], tested.economics, strict=True)
    ]
    plain: dict[str, Any] = without_nan(data)
    return plain


def without_nan(data: Any) -> Any:
    """The same data with every NaN as None, for which JSON has a word, and instants as text."""
    if isinstance(data, dict):
        return {key: without_nan(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [without_nan(value) for value in data]
    if isinstance(data, datetime):
        return data.isoformat()
    return None if isinstance(data, float) and math.isnan(data) else data
