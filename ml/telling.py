"""Which channel tells of which failure mode, learnt from the training rows.

Nobody declares that worn bearings show in the vibration and worn seals in the pressure, and trees that must find it
for every mode anew need many failures for it. So it is found once: for every mode the channel whose changes rank the
rows before its failures highest, or lowest. What ``reading_vibration_z_1d`` is to the bearing and the fallen
``reading_pressure_z_1d`` to the seal, ``reading_own_z_1d`` is to every mode: see :mod:`ml.stacking`.

References
----------
Mann and Whitney, *On a test of whether one of two random variables is stochastically larger than the other* (1947).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.point_in_time import Feature

__all__ = ["CLEAR", "FEWEST", "Telling", "telling"]

Flags = NDArray[np.bool_]
Numbers = NDArray[np.float64]

FEWEST = 20
"""Rows before a failure of a mode, below which nothing is said of it."""
CLEAR = 5.0
"""Standard deviations of the rank sum beyond which a channel is taken to tell: hundreds of features are asked."""


@dataclass(frozen=True)
class Telling:
    """What was found.

    Attributes
    ----------
    own
        Own name (``reading_own_z_1d``) → failure mode → feature of the channel that tells of it.
    times
        The same → what the feature is multiplied by: units become spreads of the training rows, so that channels can
        be compared, and a channel that falls before failures is turned over.
    """

    own: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    times: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def telling(features: pd.DataFrame, failing: Flags, modes: Sequence[str], told: Sequence[Feature]) -> Telling:
    """Find the channel of every mode.

    Parameters
    ----------
    features
        Training rows.
    failing
        Whether a row fails soon, shape (rows, modes).
    told
        What the columns say of themselves: only changes of a channel, which have a :attr:`Feature.change`, are asked.
    """
    changes = [f for f in told if f.change]
    if not changes:
        return Telling()
    ranks = features[[f.name for f in changes]].rank().to_numpy()
    own: dict[str, dict[str, str]] = {}
    times: dict[str, dict[str, float]] = {}
    for place, mode in enumerate(modes):
        scores = _rank_sums(ranks, failing[:, place])
        best = int(np.abs(scores).argmax())
        if abs(scores[best]) <= CLEAR:
            continue
        for feature in (f for f in changes if f.quantity == changes[best].quantity):
            own.setdefault(feature.change, {})[mode] = feature.name
            times.setdefault(feature.change, {})[mode] = float(np.sign(scores[best])) / _spread(features[feature.name])
    shared = [name for name, by_mode in own.items() if len(by_mode) > 1]
    return Telling({name: own[name] for name in shared}, {name: times[name] for name in shared})


def _spread(values: pd.Series[float]) -> float:
    """Half of what holds the middle two thirds: what fails, and what is wild, is outside. 1 where nothing moves."""
    low, high = values.quantile([1 / 6, 5 / 6])
    return next((float(spread) for spread in ((high - low) / 2, values.std()) if spread > 0), 1.0)


def _rank_sums(ranks: Numbers, failing: Flags) -> Numbers:
    """Rank sum of the failing rows in standard deviations, one per column; 0 where too few of them have a value."""
    there = ~np.isnan(ranks)
    ones, all_ = there[failing].sum(axis=0), there.sum(axis=0)
    sums = np.nansum(ranks[failing], axis=0) - ones * (all_ + 1) / 2
    spread = np.sqrt(ones * (all_ - ones) * (all_ + 1) / 12)
    scores: Numbers = np.divide(sums, spread, out=np.zeros(len(sums)), where=(ones >= FEWEST) & (spread > 0))
    return scores
