"""Why a probability is what it is: the hazard that carries most of it, quantity by quantity.

The probability within H is made of one hazard per failure mode and interval. The one that carries
the largest part of it is explained, calibration included: what is explained is the very hazard
that stands inside the probability served, and how large its part is stands beside.

Windows and statistics of one quantity (the mean of a channel over 1 and 7 days, its deviation from
its own baseline) say nearly the same, and trees divide what it tells among them as chance has it. So
they are one reason: contributions are summed over the quantity that a feature says it is a view of,
and the sum is worded by its strongest feature. Level and spread of a channel are one quantity:
its extremes speak of both, and a technician looks at the same gauge. How many values of it arrived is
another: that speaks of the line and not of the machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.point_in_time import Feature
from ml.baseline import AGE
from ml.hazard import log_odds
from ml.risk import RiskModel
from ml.stacking import MODE
from ml.telling import TOGETHER

__all__ = ["COLUMNS", "Merged", "contributions", "explain", "merge"]

COLUMNS: tuple[str, ...] = (
    "asset_id", "as_of", "rank", "quantity", "feature", "value", "contribution", "merged", "failure_mode", "from_days",
    "to_days", "share", "base", "log_odds",
)  # fmt: skip

BASE = "base"
"""The name of what is not a feature: where the log-odds of a mode start."""

Numbers = NDArray[np.float64]
Places = NDArray[np.intp]


@dataclass(frozen=True)
class Merged:
    """Contributions to the log-odds of one hazard, by quantity.

    Attributes
    ----------
    quantities
        In the order in which the model holds them: among equals the first one stands first.
    sums
        Shape (rows, quantities).
    base
        Shape (rows,): with all sums of a row it gives the log-odds of the calibrated hazard.
    features
        Shape (rows, quantities): the feature that moves most in the direction of the sum.
    counts
        Shape (rows, quantities): features that move at all.
    """

    quantities: tuple[str, ...]
    sums: Numbers
    base: Numbers
    features: NDArray[np.object_]
    counts: Places

    @property
    def log_odds(self) -> Numbers:
        """Of the calibrated hazard, shape (rows,)."""
        return np.asarray(self.sums.sum(axis=1) + self.base)


def explain(
    model: RiskModel,
    features: pd.DataFrame,
    *,
    told: Sequence[Feature] = (),
    horizon_days: float | None = None,
    top: int = 5,
) -> pd.DataFrame:
    """The strongest reasons of every row.

    Parameters
    ----------
    told
        What the columns say of themselves; without it every feature is a quantity of its own.
    horizon_days
        H; one of the model's horizons, by default the one that decides.
    top
        Reasons per row.

    Returns
    -------
    pandas.DataFrame
        `top` rows per row of `features`, or as many as there are quantities, strongest first: ``asset_id``,
        ``as_of``, ``rank``; ``quantity`` and its ``contribution`` in log-odds; the ``feature`` that
        words it, and its ``value`` (number or text; None where missing); ``merged``, how many features
        of the quantity move anything. And the hazard that is explained: ``failure_mode``,
        ``from_days``, ``to_days``; ``share``, the part of P(H) that it carries, in (0, 1]; ``base``, which with
        all contributions gives its ``log_odds``.
        A model that is only the baseline has one reason, its clock. No rows for an asset of which nothing is
        recorded: what was observed of others has no reason in it (:mod:`ml.prior`).
    """
    if model.prior and model.hazards:
        features = features[~model.prior.applies(features)]
    if features.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    horizon = model.config.decision_days if horizon_days is None else horizon_days
    mode, interval, share = _heaviest(model, features, horizon)
    parts = []
    for m, k in sorted(set(zip(mode.tolist(), interval.tolist(), strict=True))):
        mine = (mode == m) & (interval == k)
        merged = merge(*contributions(model, features[mine], m, k), told)
        edges = {"from_days": model.config.edges_days[k], "to_days": model.config.edges_days[k + 1]}
        parts.append(
            _strongest(features[mine], merged, share[mine], top).assign(failure_mode=model.layout.modes[m], **edges)
        )
    found = pd.concat(parts, ignore_index=True).sort_values(["as_of", "asset_id", "rank"], ignore_index=True)
    return found[list(COLUMNS)]


def contributions(model: RiskModel, features: pd.DataFrame, mode: int, interval: int) -> tuple[list[str], Numbers]:
    """What every feature adds to the log-odds of one hazard, for every row.

    A feature that stands in the matrix under its own name and as the mode's *own* is one feature:
    its two parts are summed. What the mode itself adds belongs to the base: it is no reason. What the changes of all
    channels add together is divided among those that pull its way.

    Returns
    -------
    list of str, numpy.ndarray
        Features, with ``base`` last, and an array of shape (rows, features + 1); its rows sum to
        the log-odds of the calibrated hazard.
    """
    if not model.hazards:
        return _of_clock(model, features, mode, interval)
    layout = model.layout
    matrix = layout.matrix(features).reshape(len(layout.modes), len(features), -1)[mode]
    parts = model.hazards[interval].contributions(np.ascontiguousarray(matrix), model.config.threads)
    names = [*_features(model, mode), BASE]
    distinct = [*dict.fromkeys(name for name in names if name != BASE), BASE]
    summed = np.zeros((len(features), len(distinct)))
    together = layout.columns.index(TOGETHER) if layout.modes[mode] in layout.telling.lines else -1
    for place, name in enumerate(names):
        if place == together:
            divided = layout.telling.divided(layout.modes[mode], layout.changes(matrix), parts[:, place])
            for change, part in zip(layout.telling.read, divided.T, strict=True):
                summed[:, distinct.index(change)] += part
            summed[:, -1] += parts[:, place] - divided.sum(axis=1)
        else:
            summed[:, distinct.index(name)] += parts[:, place]
    return distinct, summed


def merge(names: Sequence[str], parts: Numbers, told: Sequence[Feature] = ()) -> Merged:
    """Sum contributions over the quantity that each feature is a view of.

    Parameters
    ----------
    names, parts
        As :func:`contributions` gives them.
    told
        What the features say of themselves; one that is not among them is its own quantity.
    """
    known = {feature.name: feature.quantity for feature in told}
    groups: dict[str, list[int]] = {}
    for place, name in enumerate(names[:-1]):
        groups.setdefault(known.get(name) or name, []).append(place)
    shape = (len(parts), len(groups))
    sums, first, counts = np.zeros(shape), np.zeros(shape, dtype=np.intp), np.zeros(shape, dtype=np.intp)
    for column, places in enumerate(groups.values()):
        mine = parts[:, places]
        sums[:, column] = mine.sum(axis=1)
        forward = mine * np.where(sums[:, [column]] < 0, -1.0, 1.0)
        first[:, column] = np.asarray(places)[forward.argmax(axis=1)]
        counts[:, column] = (mine != 0).sum(axis=1)
    worded = np.asarray(names, dtype=object)[first]
    return Merged(tuple(groups), sums, np.asarray(parts[:, -1]), worded, counts)


def _of_clock(model: RiskModel, features: pd.DataFrame, mode: int, interval: int) -> tuple[list[str], Numbers]:
    """Of the baseline: what the clock, or age where that is missing, adds to the hazard of a constant rate."""
    weibull, edges = model.baseline[mode], model.config.edges_days
    constant = -np.expm1(-weibull.rate * (edges[interval + 1] - edges[interval]))
    base, odds = (log_odds(p) for p in (constant, model.hazard(features)[:, mode, interval]))
    clocks = [name for name in dict.fromkeys((weibull.clock, AGE)) if name in features.columns]
    parts, left = np.zeros((len(features), len(clocks) + 1)), np.ones(len(features), dtype=bool)
    for place, name in enumerate(clocks):
        told = left & features[name].notna().to_numpy()
        parts[told, place] = odds[told] - base
        left &= ~told
    parts[:, -1] = np.where(left, odds, base)
    return [*clocks, BASE], parts


def _features(model: RiskModel, mode: int) -> list[str]:
    """The feature that each column of the matrix holds for a mode; the base where it names the mode, or holds nothing."""
    layout = model.layout
    return [BASE if c == MODE else layout.source(c, layout.modes[mode]) or BASE for c in layout.columns]


def _heaviest(model: RiskModel, features: pd.DataFrame, horizon_days: float) -> tuple[Places, Places, Numbers]:
    """Mode and interval of the hazard that carries most of P(H) in each row, and its part.

    Parts are measured in −log(1 − hazard), which adds up over modes and intervals.
    """
    spans = model.config.edges_days.index(horizon_days)
    burden = -np.log1p(-model.hazard(features)[:, :, :spans])
    flat = burden.reshape(len(features), -1)
    mode, interval = np.unravel_index(flat.argmax(axis=1), burden.shape[1:])
    return mode, interval, flat.max(axis=1) / flat.sum(axis=1)


def _strongest(features: pd.DataFrame, merged: Merged, share: Numbers, top: int) -> pd.DataFrame:
    """The `top` quantities of every row, with the feature that words each."""
    order = np.argsort(-np.abs(merged.sums), axis=1, kind="stable")[:, :top]
    rows, taken = np.arange(len(features)).repeat(order.shape[1]), order.ravel()
    chosen = merged.features[rows, taken]
    return pd.DataFrame(
        {
            "asset_id": features["asset_id"].to_numpy()[rows],
            "as_of": features["as_of"].array[rows],
            "rank": np.tile(np.arange(1, order.shape[1] + 1), len(features)),
            "quantity": np.asarray(merged.quantities, dtype=object)[taken],
            "feature": chosen,
            "value": pd.Series(_values(features, rows, chosen), dtype=object),
            "contribution": merged.sums[rows, taken],
            "merged": merged.counts[rows, taken],
            "share": share[rows],
            "base": merged.base[rows],
            "log_odds": merged.log_odds[rows],
        }
    )


def _values(features: pd.DataFrame, rows: Places, names: NDArray[np.object_]) -> list[object]:
    """The value of a feature per row of reasons; None where it is missing."""
    held = {name: features[name].astype(object).to_numpy() for name in set(names)}
    found = [held[name][row] for row, name in zip(rows, names, strict=True)]
    return [None if value is None or value != value else value for value in found]  # noqa: PLR0124 - NaN of any type
