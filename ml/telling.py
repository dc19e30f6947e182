"""Which channel tells of which failure mode, learnt from the training rows.

Nobody declares that worn bearings show in the vibration and worn seals in the pressure, and trees that must find it
for every mode anew need many failures for it. So it is found once: for every mode the channel whose changes rank the
rows before its failures highest, or lowest. What ``reading_vibration_z_1d`` is to the bearing and the fallen
``reading_pressure_z_1d`` to the seal, ``reading_own_z_1d`` is to every mode: see :mod:`ml.stacking`.

Heavy load moves all channels, wear moves its own. A tree, which asks of one channel at a time, hardly tells the two
apart; a line over the changes of all channels does, by what it subtracts. So each such mode has a line too, and
what it says is ``changes_own``.

References
----------
Mann and Whitney, *On a test of whether one of two random variables is stochastically larger than the other* (1947);
the line: :mod:`ml.logistic`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.point_in_time import Feature
from ml.logistic import Design, Linear

__all__ = ["CLEAR", "FEWEST", "TOGETHER", "Telling", "telling"]

Flags = NDArray[np.bool_]
Numbers = NDArray[np.float64]

FEWEST = 20
"""Rows before a failure of a mode, below which nothing is said of it."""
CLEAR = 5.0
"""Standard deviations of the rank sum beyond which a channel is taken to tell: hundreds of features are asked."""

TOGETHER = "changes_own"
"""Own name of what the changes of all channels together say of a mode."""
PENALTY = 0.003
"""Of the lines, as of :data:`ml.logistic.PENALTY`: what one channel says in several windows is to share its weight."""


@dataclass(frozen=True)
class Telling:
    """What was found.

    Attributes
    ----------
    own
        Own name (``reading_own_z_1d``) → failure mode → feature of the channel that tells of it. Of what all channels
        together say (:data:`TOGETHER`) it is the change that tells most: its gauge is the one to look at.
    times
        The same → what the feature is multiplied by: units become spreads of the training rows, so that channels can
        be compared, and a channel that falls before failures is turned over.
    read, lines
        The changes of all channels, and the line over them of every mode.
    """

    own: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    times: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    read: tuple[str, ...] = ()
    lines: Mapping[str, Linear] = field(default_factory=dict)


def telling(features: pd.DataFrame, failing: Flags, modes: Sequence[str], told: Sequence[Feature]) -> Telling:
    """Find the channel of every mode, and the line over all channels.

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
    read = [f.name for f in changes]
    ranks = features[read].rank().to_numpy()
    own: dict[str, dict[str, str]] = {}
    times: dict[str, dict[str, float]] = {}
    for place, mode in enumerate(modes):
        scores = _rank_sums(ranks, failing[:, place])
        best = int(np.abs(scores).argmax())
        if abs(scores[best]) <= CLEAR:
            continue
        own.setdefault(TOGETHER, {})[mode] = read[best]
        for feature in (f for f in changes if f.quantity == changes[best].quantity):
            own.setdefault(feature.change, {})[mode] = feature.name
            times.setdefault(feature.change, {})[mode] = float(np.sign(scores[best])) / _spread(features[feature.name])
    shared = {name: by_mode for name, by_mode in own.items() if len(by_mode) > 1}
    lines = _lines(features[read], {mode: failing[:, modes.index(mode)] for mode in shared.get(TOGETHER, ())})
    spreads = {name: times[name] for name in shared if name != TOGETHER}
    return Telling(shared, spreads, tuple(read) if lines else (), lines)


def _lines(changes: pd.DataFrame, failing: Mapping[str, Flags]) -> dict[str, Linear]:
    """By mode, what the changes together say of whether a row fails soon."""
    if not failing:
        return {}
    design = Design.of(changes.to_numpy(dtype=np.float32), categorical=())
    every = np.arange(len(changes))
    return {mode: design.fit(every, fails, penalty=PENALTY) for mode, fails in failing.items()}


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
