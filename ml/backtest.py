"""A backtest of the risk recipe: fit on the past, judge once on the last window, count what it is worth.

One protocol, declared in the result: ``by_time`` (:mod:`ml.protocol`). ``train`` registers the very
model that its backtest judged; ``backtest`` judges and registers nothing. The form of
:meth:`Backtest.as_data` is described in ``docs/backtest.md``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

import pandas as pd

from ml.economics import Economics, Nights, compare
from ml.intervals import Interval, difference
from ml.material import Material
from ml.policy import PolicyConfig
from ml.protocol import SliceName, Split
from ml.quality import Quality, judge, judge_modes
from ml.risk import RiskModel

__all__ = ["SCHEMA", "Backtest", "as_data", "backtest", "without_nan"]

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
    qualities
        ``model``, then ``baseline`` (age only), at every horizon of the test window.
    components
        The model at every horizon, each failure mode alone; empty where there is but one.
    advantage
        Average precision of the model less that of the age-only baseline at the decision horizon, with
        what 95 % of fleets like this one would show.
    economics
        Every rule for visits at every capacity, over the test window.
    """

    protocol: Literal["by_time"]
    split: Split
    modes: tuple[str, ...]
    rows: Mapping[str, int]
    failures: int
    decision_days: float
    qualities: tuple[Quality, ...]
    components: tuple[Quality, ...]
    advantage: Interval
    economics: tuple[Economics, ...]

    def quality(self, model: str, horizon_days: float) -> Quality:
        """Figures of ``model`` (``model`` or ``baseline``) at a horizon; KeyError where there are none."""
        for quality in self.qualities:
            if quality.model == model and quality.horizon_days == horizon_days:
                return quality
        raise KeyError((model, horizon_days))


def backtest(model: RiskModel, material: Material, policy: PolicyConfig) -> Backtest:
    """Judge a fitted model on the test window of its material."""
    rows, labels = material.rows["test"], material.labels["test"]
    ours, theirs = model.probabilities(rows), model.baseline_probabilities(rows)
    capacities = tuple(sorted({*material.config.capacities, policy.capacity_per_run} - {0}))
    return Backtest(
        protocol="by_time", split=material.split, modes=material.modes,
        rows={name: len(part) for name, part in material.rows.items()}, failures=material.taught(),
        decision_days=material.config.decision_days,
        qualities=(*judge("model", ours, labels, material.failures, material.config.capacities),
                   *judge("baseline", theirs, labels, material.failures, material.config.capacities)),
        components=judge_modes("model", ours, model.by_mode(rows), labels),
        advantage=_advantage(ours, theirs, material),
        economics=compare(_nights(model.probabilities(material.rows["calibrate"]), material, "calibrate"),
                          _nights(ours, material, "test"), policy, capacities),
    )  # fmt: skip


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
    data = asdict(tested) | {"schema": SCHEMA}
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
