"""Which channel tells of which failure mode, learnt from the training rows.

Nobody declares that worn bearings show in the vibration and worn seals in the pressure, and trees that must find it
for every mode anew need many failures for it. So it is found once: for every mode the channel whose changes rank the
rows before its failures highest, or lowest. What ``reading_vibration_z_1d`` is to the bearing and the fallen
``reading_pressure_z_1d`` to the seal, ``reading_own_z_1d`` is to every mode: see :mod:`ml.stacking`.

Heavy load moves all channels, wear moves its own. A tree, which asks of one channel at a time, hardly tells the two
apart; a line over the changes of all channels does, by what it subtracts. So each such mode has lines too, and
what they say is ``changes_own``. Each is fitted without a part of the assets, and a row that is learnt from is told what the
line says that has not seen its asset: of many channels and few failures a line remembers more than it knows, and trees
would take its word.

References
----------
Mann and Whitney, *On a test of whether one of two random variables is stochastically larger than the other* (1947);
the line: :mod:`ml.logistic`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from zlib import crc32

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.point_in_time import Feature
from ml.logistic import Design, Linear, Matrix

__all__ = ["CLEAR", "FEWEST", "FOLDS", "TOGETHER", "Telling", "fold_of", "telling"]

Flags = NDArray[np.bool_]
Numbers = NDArray[np.float64]
Places = NDArray[np.intp]

FEWEST = 20
"""Rows before a failure of a mode, below which nothing is said of it."""
CLEAR = 5.0
"""Standard deviations of the rank sum beyond which a channel is taken to tell: hundreds of features are asked."""

TOGETHER = "changes_own"
"""Own name of what the changes of all channels together say of a mode."""
PENALTY = 0.003
"""Of the lines, as of :data:`ml.logistic.PENALTY`: what one channel says in several windows is to share its weight."""
FOLDS = 3
"""Parts of the assets, one left out of each line."""


@dataclass(frozen=True)
class Telling:
    """What was found.

    Attributes
    ----------
    own
        Own name (``reading_own_z_1d``) → failure mode → feature of the channel that tells of it; for what all channels
        together say (:data:`TOGETHER`) the change that tells most.
    times
        The same → what the feature is multiplied by: units become spreads of the training rows, so that channels can
        be compared, and a channel that falls before failures is turned over.
    read, lines
        The changes of all channels, and the lines over them of every mode, one per fold that it has not seen.
    """

    own: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    times: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    read: tuple[str, ...] = ()
    lines: Mapping[str, tuple[Linear, ...]] = field(default_factory=dict)

    def together(self, mode: str, changes: Matrix, folds: Places | None = None) -> Numbers:
        """What the changes together say of a mode, log-odds, shape (rows,); NaN where none is there.

        Parameters
        ----------
        changes
            The columns `read`.
        folds
            Of rows that are learnt from, by :func:`fold_of`; other rows are told the mean of all lines.
        """
        lines = np.stack([line.raw(changes) for line in self.lines[mode]])
        said = lines.mean(axis=0) if folds is None else lines[folds, np.arange(len(changes))]
        return np.where(np.isnan(changes).all(axis=1), np.nan, said)

    def divided(self, mode: str, changes: Matrix, amounts: Numbers) -> Numbers:
        """Divide amounts, one per row, among the changes that pull their way, shape (rows, changes); all 0 where none does."""
        parts = np.mean([line.contributions(changes)[:, :-1] for line in self.lines[mode]], axis=0)
        forward = np.maximum(parts * np.sign(amounts)[:, None], 0.0)
        total = forward.sum(axis=1, keepdims=True)
        shares = np.divide(forward, total, out=np.zeros_like(forward), where=total > 0)
        return np.asarray(shares * amounts[:, None])


def fold_of(features: pd.DataFrame) -> Places:
    """The part of the assets that each row's asset is in: the same on every machine and in every order."""
    codes, assets = pd.factorize(features["asset_id"])
    return np.array([crc32(str(asset).encode()) % FOLDS for asset in assets], dtype=np.intp)[codes]


def telling(
    features: pd.DataFrame, failing: Flags, modes: Sequence[str], told: Sequence[Feature], weight: Numbers | None = None
) -> Telling:
    """Find the channel of every mode, and the lines over all channels.

    Parameters
    ----------
    features
        Training rows, with their ``asset_id``.
    failing
        Whether a row fails soon, shape (rows, modes).
    told
        What the columns say of themselves: only changes of a channel, which have a :attr:`Feature.change`, are asked.
    weight
        How many rows each stands for: the lines heed it, ranks of rows that were thinned evenly need not.
    """
    changes = [f for f in told if f.change]
    if not changes:
        return Telling()
    read = [f.name for f in changes]
    ranks = features[read].rank().to_numpy()
    own: dict[str, dict[str, str]] = {}
    times: dict[str, dict[str, float]] = {}
    lines: dict[str, tuple[Linear, ...]] = {}
    design, folds = Design.of(features[read].to_numpy(dtype=np.float32), categorical=()), fold_of(features)
    for place, mode in enumerate(modes):
        scores = _rank_sums(ranks, failing[:, place])
        best = int(np.abs(scores).argmax())
        if abs(scores[best]) <= CLEAR:
            continue
        if fitted := _lines(design, failing[:, place], folds, weight):
            own.setdefault(TOGETHER, {})[mode] = read[best]
            lines[mode] = fitted
        for feature in (f for f in changes if f.quantity == changes[best].quantity):
            own.setdefault(feature.change, {})[mode] = feature.name
            times.setdefault(feature.change, {})[mode] = float(np.sign(scores[best])) / _spread(features[feature.name])
    shared = {name: by_mode for name, by_mode in own.items() if len(by_mode) > 1}
    spreads = {name: times[name] for name in shared if name != TOGETHER}
    heard = {mode: lines[mode] for mode in shared.get(TOGETHER, ())}
    return Telling(shared, spreads, tuple(read) if heard else (), heard)


def _lines(design: Design, failing: Flags, folds: Places, weight: Numbers | None) -> tuple[Linear, ...]:
    """What the changes together say of whether a row fails soon, without one fold each; none where a fold holds all that fail."""
    others = [np.flatnonzero(folds != fold) for fold in range(FOLDS)]
    if any(failing[rows].all() or not failing[rows].any() for rows in others):
        return ()
    return tuple(
        design.fit(rows, failing[rows], weight if weight is None else weight[rows], penalty=PENALTY) for rows in others
    )


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
