"""The hazard of one interval: the chance to fail in it, for who reaches its start.

Boosted trees or a line over the rows at risk, or a constant rate where too few failed; then, where
it lowers the Brier score on later rows, a Platt line on its log-odds. The Platt line
rises, so no ranking within an interval changes, and survival multiplied over intervals stays
coherent over horizons after calibration too.

References
----------
Platt, *Probabilistic outputs for support vector machines* (1999).
Tutz and Schmid, *Modeling Discrete Time-to-Event Data* (2016), ch. 3 and 8.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ml import metrics
from ml.logistic import Design, Linear
from ml.stacking import Matrix
from ml.trees import Binned, TreeConfig, Trees

__all__ = [
    "ENOUGH_EVENTS", "Blend", "Constant", "Hazard", "Later", "Learner", "Lesson", "Scorer", "calibrate", "combine", "fit_hazards", "lined", "log_odds",
]  # fmt: skip

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]
Learner = Literal["logistic", "trees", "blend"]

ENOUGH_EVENTS = 20
"""Rows with an event below which a constant rate is all that an interval can teach."""

_LIMIT = 1e-9
"""Hazards stay so far from 0 and 1: log-odds must be finite."""
_ROUNDING = 1e-13
"""Relative; what sums of a hundred thousand rows differ by in their last bits."""


@dataclass(frozen=True)
class Constant:
    """Log-odds that no column moves: all that too few failures can teach."""

    log_odds: float

    def raw(self, matrix: Matrix, _threads: int = 1) -> Numbers:
        """Log-odds, shape (rows,)."""
        return np.full(len(matrix), self.log_odds)

    def contributions(self, matrix: Matrix, _threads: int = 1) -> Numbers:
        """What each column adds, which is nothing, shape (rows, columns + 1); the last column is the base."""
        parts = np.zeros((len(matrix), matrix.shape[1] + 1))
        parts[:, -1] = self.log_odds
        return parts


@dataclass(frozen=True)
class Blend:
    """The mean of a line's log-odds and those of trees: each errs where the other does not."""

    line: Linear
    trees: Trees

    def raw(self, matrix: Matrix, threads: int) -> Numbers:
        """Log-odds, shape (rows,)."""
        return (self.line.raw(matrix) + self.trees.raw(matrix, threads)) / 2

    def contributions(self, matrix: Matrix, threads: int) -> Numbers:
        """What each column adds, shape (rows, columns + 1); the last column is the base."""
        return (self.line.contributions(matrix) + self.trees.contributions(matrix, threads)) / 2


Scorer: TypeAlias = Trees | Linear | Blend | Constant
"""What gives a hazard its log-odds: ``raw`` and ``contributions``, both of a matrix and a number of threads."""


@dataclass(frozen=True)
class Hazard:
    """A fitted hazard.

    Attributes
    ----------
    slope, intercept
        The Platt line: log-odds become ``slope · log-odds + intercept``.
    """

    scorer: Scorer
    slope: float = 1.0
    intercept: float = 0.0

    def raw(self, matrix: Matrix, threads: int) -> Numbers:
        """Log-odds before calibration, shape (rows,)."""
        return self.scorer.raw(matrix, threads)

    def probability(self, matrix: Matrix, threads: int) -> Numbers:
        """Hazard per row, in (0, 1), calibrated."""
        return _sigmoid(self.slope * self.raw(matrix, threads) + self.intercept)

    def contributions(self, matrix: Matrix, threads: int) -> Numbers:
        """What each column adds to the calibrated log-odds; the last column is the base.

        Rows sum to the log-odds of :meth:`probability`.
        """
        parts = self.slope * self.scorer.contributions(matrix, threads)
        parts[:, -1] += self.intercept
        return parts


@dataclass(frozen=True)
class Lesson:
    """What teaches one interval.

    Attributes
    ----------
    rows
        Places of the rows at risk in the stacked matrix.
    event
        Whether each of them failed in the interval.
    events
        Distinct failures among them: daily rows see one failure many times.
    weight
        How many rows each stands for; None where each is one.
    """

    rows: NDArray[np.intp]
    event: Flags
    events: float
    weight: Numbers | None = None

    @property
    def log_odds(self) -> float:
        """Of the rate, by Jeffreys: never 0, never 1."""
        weight = np.ones(len(self.event)) if self.weight is None else self.weight
        rate = (weight[self.event].sum() + 0.5) / (weight.sum() + 1.0)
        return float(log_odds(rate))


def fit_hazards(
    matrix: Matrix,
    lessons: Sequence[Lesson],
    *,
    learner: Learner,
    categorical: Sequence[int],
    threads: int,
    seed: int,
    trees: TreeConfig | None = None,
) -> tuple[Hazard, ...]:
    """Fit every interval by a learner; a constant where there are too few of either outcome."""
    teacher = (
        Design.of(matrix, categorical=categorical)
        if learner == "logistic"
        else Binned(matrix, categorical=categorical, threads=threads, seed=seed, config=trees or TreeConfig())
    )

    # Of an interval that no row reached nothing else is known than of the last one before it that some did.
    standing: Iterator[Lesson] = accumulate(lessons, lambda last, one: one if len(one.event) else last)

    def taught(lesson: Lesson, instead: Lesson) -> Hazard:
        if min(lesson.event.sum(), (~lesson.event).sum()) < ENOUGH_EVENTS:
            return Hazard(Constant(instead.log_odds))
        if isinstance(teacher, Design):
            return Hazard(teacher.fit(lesson.rows, lesson.event, lesson.weight))
        return Hazard(teacher.fit(lesson.rows, lesson.event, lesson.events, lesson.weight))

    with ThreadPoolExecutor(threads if learner == "trees" else 1) as pool:  # a line's algebra has threads of its own
        return tuple(pool.map(taught, lessons, standing))


@dataclass(frozen=True)
class Later:
    """Rows of one interval in a slice after the training.

    Attributes
    ----------
    raw, event
        Log-odds before calibration, and whether the row failed in the interval.
    early
        Which of them lie in the first half of the slice.
    """

    raw: Numbers
    event: Flags
    early: Flags

    @property
    def enough(self) -> bool:
        """Whether both halves have failures to fit a line on."""
        return bool(min((self.event & self.early).sum(), (self.event & ~self.early).sum()) >= ENOUGH_EVENTS)


def calibrate(hazards: Sequence[Hazard], later: Sequence[Later]) -> tuple[Hazard, ...]:
    """Give every hazard the Platt line that lowers the Brier score on later rows most, where one does.

    A line is fitted on each half of the slice and judged on the other: one of the interval's own rows, and one of
    the rows of all intervals, for many an interval has too few failures for a line of its own. The one that holds
    is fitted on all.
    """
    lineable = [rows for hazard, rows in zip(hazards, later, strict=True) if not isinstance(hazard.scorer, Constant)]
    if not lineable:
        return tuple(hazards)
    every = Later(*(np.concatenate([getattr(rows, name) for rows in lineable]) for name in ("raw", "event", "early")))
    return tuple(_lined(hazard, rows, every) for hazard, rows in zip(hazards, later, strict=True))


def _lined(hazard: Hazard, own: Later, every: Later) -> Hazard:
    if isinstance(hazard.scorer, Constant):
        return hazard
    found, lowest = hazard, metrics.brier(own.event, _sigmoid(own.raw))
    for source in (own, every):
        if source.enough and (error := _crossed(source, own)) < lowest:
            slope, intercept = _platt(source.raw, source.event)
            if slope > 0:
                found, lowest = replace(hazard, slope=slope, intercept=intercept), error
    return found


def _crossed(source: Later, own: Later) -> float:
    """Brier score of lines that were fitted on one half of a source and judged on the other half of the own rows."""
    p = np.empty(len(own.raw))
    for half in (True, False):
        slope, intercept = _platt(source.raw[source.early == half], source.event[source.early == half])
        judged = own.early != half
        p[judged] = _sigmoid(slope * own.raw[judged] + intercept)
    return metrics.brier(own.event, p)


def combine(hazards: Numbers, edges_days: Sequence[float], horizons_days: Sequence[float]) -> Numbers:
    """Probability of each mode within each horizon: 1 − the product of (1 − hazard) up to it.

    Parameters
    ----------
    hazards
        Shape (rows, modes, intervals).

    Returns
    -------
    numpy.ndarray
        Shape (rows, modes, horizons); never falls along the horizons.
    """
    survival = np.cumprod(1.0 - hazards, axis=2)
    ends = [list(edges_days).index(h) - 1 for h in horizons_days]
    return np.asarray(1.0 - survival[:, :, ends])


def log_odds(probability: Numbers | float) -> Numbers:
    """Of probabilities in (0, 1)."""
    return np.asarray(np.log(probability) - np.log1p(-probability))


def lined(probability: Numbers, event: Flags) -> Numbers:
    """Probabilities with their log-odds on the Platt line that fits best; they keep their order, or are all one.

    Where all rows failed or none did no line is better than another: each is as certain as any.
    """
    if event.all() or not event.any():
        return np.full(len(event), float(event.any()))
    p = np.clip(probability, _LIMIT, 1 - _LIMIT)
    raw = log_odds(p)
    slope, intercept = _platt(raw, event)
    return _sigmoid(slope * raw + intercept) if slope > 0 else np.full(len(raw), event.mean())


def _platt(raw: Numbers, event: Flags) -> tuple[float, float]:
    """Slope and intercept by maximum likelihood, with Platt's smoothed targets.

    Newton's step, halved while it raises the loss by more than a rounding: the loss is convex, so it converges.
    """
    positives, negatives = event.sum(), (~event).sum()
    target = np.where(event, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    design = np.column_stack([raw, np.ones_like(raw)])
    rate = target.mean()
    line = np.array([0.0, log_odds(rate)])
    loss = _loss(design @ line, target)
    for _ in range(100):
        p = _sigmoid(design @ line)
        weight = np.maximum(p * (1 - p), 1e-12)
        step = np.linalg.solve(design.T @ (design * weight[:, None]) + 1e-6 * np.eye(2), design.T @ (p - target))
        while (tried := _loss(design @ (line - step), target)) > loss * (1 + _ROUNDING) and np.abs(step).max() > 1e-9:
            step = step / 2
        line, loss = line - step, min(tried, loss)
        if np.abs(step).max() < 1e-9:
            break
    return float(line[0]), float(line[1])


def _loss(odds: Numbers, target: Numbers) -> float:
    """Negative log-likelihood of targets in [0, 1]."""
    return float((np.logaddexp(0.0, odds) - target * odds).sum())


def _sigmoid(x: Numbers) -> Numbers:
    return np.clip(1.0 / (1.0 + np.exp(-np.clip(x, -60.0, 60.0))), _LIMIT, 1.0 - _LIMIT)
