"""How sure a figure is: bootstrap over assets, never over rows.

Rows of one asset are alike from day to day; drawn row by row they would promise a certainty that
the fleet does not give. A replicate draws as many assets as there are, with replacement, and every
row counts as often as its asset was drawn.

References
----------
Davison and Hinkley, *Bootstrap Methods and their Application* (1997), ch. 2 and 5: percentile intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

__all__ = ["FIGURES", "Interval", "difference", "explained", "intervals"]

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]

REPLICATES = 200
LEVEL = 0.95
FEWEST = 3
"""Assets below which nothing can be said of the others: drawn from one, every replicate is the same."""
CHUNK = 4_000_000
"""Weights held at once: rows × replicates."""


@dataclass(frozen=True)
class Interval:
    """The 95 % interval of a figure; NaN where no replicate defines it."""

    low: float
    high: float

    @property
    def holds_zero(self) -> bool:
        """Whether 0 lies inside: a difference that may be none."""
        return not (self.low > 0 or self.high < 0)


Figure = Callable[[Flags, Numbers, Numbers], Numbers]
"""(outcome, probability, weights of shape (replicates, rows)) → one value per replicate."""


def _average_precision(outcome: Flags, p: Numbers, weights: Numbers) -> Numbers:
    order = np.argsort(-p, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(p[order]) != 0, True))
    sorted_weights = weights[:, order]
    caught = np.cumsum(sorted_weights * outcome[order], axis=1)[:, ends]
    flagged = np.cumsum(sorted_weights, axis=1)[:, ends]
    precision = np.divide(caught, flagged, out=np.zeros_like(caught), where=flagged > 0)
    steps = np.diff(caught, axis=1, prepend=0.0)
    return _over((steps * precision).sum(axis=1), caught[:, -1])


def _roc_auc(outcome: Flags, p: Numbers, weights: Numbers) -> Numbers:
    order = np.argsort(p, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(p[order]) != 0))
    positive = np.add.reduceat(weights[:, order] * outcome[order], starts, axis=1)
    negative = np.add.reduceat(weights[:, order] * ~outcome[order], starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    return _over((positive * (below + negative / 2)).sum(axis=1), pairs)


def _brier(outcome: Flags, p: Numbers, weights: Numbers) -> Numbers:
    return _over(weights @ (p - outcome) ** 2, weights.sum(axis=1))


def _log_loss(outcome: Flags, p: Numbers, weights: Numbers) -> Numbers:
    kept = np.clip(p, 1e-12, 1 - 1e-12)
    return _over(weights @ -np.where(outcome, np.log(kept), np.log1p(-kept)), weights.sum(axis=1))


def _observed_over_expected(outcome: Flags, p: Numbers, weights: Numbers) -> Numbers:
    return _over(weights @ outcome.astype(float), weights @ p)


def _over(part: Numbers, whole: Numbers) -> Numbers:
    return np.asarray(np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0))


FIGURES: Mapping[str, Figure] = MappingProxyType(
    {
        "average_precision": _average_precision, "roc_auc": _roc_auc, "brier": _brier, "log_loss": _log_loss,
        "observed_over_expected": _observed_over_expected,
    }
)  # fmt: skip
"""Figures that have intervals, each the same as its namesake in :mod:`ml.metrics` where all weights are 1."""


def intervals(
    outcome: Flags, probability: Numbers, assets: ArrayLike, *, replicates: int = REPLICATES, seed: int = 1
) -> dict[str, Interval]:
    """The interval of every figure.

    Parameters
    ----------
    outcome, probability
        Shape (rows,).
    assets
        Whose row it is.
    """
    found: dict[str, list[Numbers]] = {name: [] for name in FIGURES}
    for weights in _weights(assets, replicates, seed):
        for name, figure in FIGURES.items():
            found[name].append(figure(outcome, probability, weights))
    return {name: _interval(values) for name, values in found.items()}


def difference(
    name: str, outcome: Flags, one: Numbers, other: Numbers, assets: ArrayLike,
    *, replicates: int = REPLICATES, seed: int = 1,
) -> Interval:  # fmt: skip
    """The interval of a figure of `one` less that of `other`, both over the same draws."""
    figure = FIGURES[name]
    return _interval(
        [
            figure(outcome, one, weights) - figure(outcome, other, weights)
            for weights in _weights(assets, replicates, seed)
        ]
    )


def explained(
    truth: Numbers, said: Numbers, assets: ArrayLike, *, replicates: int = REPLICATES, seed: int = 1
) -> Interval:
    """The interval of the share of variance that is explained: 1 - mean squared error / variance."""

    def share(weights: Numbers) -> Numbers:
        weights = weights / weights.sum(axis=1, keepdims=True)
        variance = (weights * (truth - (weights @ truth)[:, None]) ** 2).sum(axis=1)
        spread = np.where(variance > 1e-9 * max(1.0, float((truth**2).max(initial=0.0))), variance, 0.0)
        return 1 - _over(weights @ (said - truth) ** 2, spread)

    return _interval([share(weights) for weights in _weights(assets, replicates, seed)])


def _weights(assets: ArrayLike, replicates: int, seed: int) -> Iterator[Numbers]:
    """Weights of shape (replicates, rows), a few replicates at a time."""
    codes, names = pd.factorize(np.asarray(assets, dtype=object))
    rng, count = np.random.default_rng(seed), len(names)
    step = max(1, CHUNK // max(len(codes), 1))
    for start in range(0, replicates if count >= FEWEST else 0, step):
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=min(step, replicates - start))
        yield drawn[:, codes].astype(float)


def _interval(values: list[Numbers]) -> Interval:
    every = np.concatenate(values) if values else np.array([])
    known = every[~np.isnan(every)]
    if not len(known):
        return Interval(float("nan"), float("nan"))
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))
