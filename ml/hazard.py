"""The hazard of one interval: the chance to fail in it, for who reaches its start.

A gradient-boosted classifier on the rows at risk, or a constant rate where too few failed;
then, where it lowers the Brier score on later rows, a Platt line on its log-odds. The line
rises, so no ranking within an interval changes, and survival multiplied over intervals stays
coherent over horizons after calibration too.

References
----------
Platt, *Probabilistic outputs for support vector machines* (1999).
Tutz and Schmid, *Modeling Discrete Time-to-Event Data* (2016), ch. 3 and 8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ml import metrics
from ml.stacking import Matrix

if TYPE_CHECKING:
    import lightgbm

__all__ = ["ENOUGH_EVENTS", "Hazard", "Lesson", "boosting", "calibrate", "combine", "fit_hazards"]

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]

ENOUGH_EVENTS = 20
"""Rows with an event below which a constant rate is all that an interval can teach."""

_LIMIT = 1e-9
"""Hazards stay so far from 0 and 1: log-odds must be finite."""


@dataclass(frozen=True)
class Hazard:
    """A fitted hazard.

    Attributes
    ----------
    text
        The LightGBM model; empty where the hazard is the constant `rate`.
    slope, intercept
        The Platt line: log-odds become ``slope · log-odds + intercept``.
    """

    text: str
    rate: float
    slope: float = 1.0
    intercept: float = 0.0

    @cached_property
    def booster(self) -> lightgbm.Booster:
        """The model, read from its text: what serves is what is stored."""
        import lightgbm

        return lightgbm.Booster(model_str=self.text)

    def raw(self, matrix: Matrix, threads: int) -> Numbers:
        """Log-odds before calibration, shape (rows,)."""
        if not self.text:
            return np.full(len(matrix), _logit(np.array([self.rate]))[0])
        return np.asarray(self.booster.predict(matrix, raw_score=True, num_threads=threads), dtype=float)

    def probability(self, matrix: Matrix, threads: int) -> Numbers:
        """Hazard per row, in (0, 1), calibrated."""
        return _sigmoid(self.slope * self.raw(matrix, threads) + self.intercept)

    def contributions(self, matrix: Matrix, threads: int) -> Numbers:
        """What each column adds to the calibrated log-odds; the last column is the base.

        Rows sum to the log-odds of :meth:`probability` (TreeSHAP, scaled by the Platt line).
        """
        if not self.text:
            parts = np.zeros((len(matrix), matrix.shape[1] + 1))
            parts[:, -1] = self.raw(matrix, threads)
        else:
            parts = np.asarray(self.booster.predict(matrix, pred_contrib=True, num_threads=threads), dtype=float)
        parts = self.slope * parts
        parts[:, -1] += self.intercept
        return parts


def boosting(events: float, rows: int, *, seed: int) -> tuple[int, dict[str, Any]]:
    """Trees and parameters by the number of distinct failures that an interval can teach from.

    Small trees and large leaves where failures are few (``docs/decisions/0008``). Compared on the
    calibration slices only, average precision within 7 days, azure-pdm and demo fleet (one seed):

    =============================== ===== =====
    as below                        .629  .191
    150 trees at rate .05           .626  .193
    every tree sees all features    .628  .185
    100 trees at rate .1            .614  .180
    as below, 15 leaves             .616  .165
    =============================== ===== =====

    So a slow rate and small trees help; that a tree sees three features of ten makes no difference
    beyond the noise, and is for speed (by column: by row, every tree would count all features). The
    larger form from 2,000 failures on is a guess: no set here has so many. One thread per fit:
    where cores are shared, threads that wait for each other at every split cost more than they
    save (354 s with two, 80 s with one, on two cores under load).
    """
    leaves, trees = (7, 100) if events < 2_000 else (15, 200)
    return trees, {
        **BINNING, "objective": "binary", "num_leaves": leaves, "learning_rate": 0.07, "lambda_l2": 1.0,
        "min_data_in_leaf": int(min(200, max(20, rows // 50))), "cat_smooth": 10.0, "feature_fraction": 0.3,
        "seed": seed, "deterministic": True, "force_col_wise": True, "num_threads": 1,
    }  # fmt: skip


BINNING: Mapping[str, Any] = MappingProxyType({"max_bin": 255, "feature_pre_filter": False, "verbosity": -1})
"""How columns are cut into bins: once for all intervals."""


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
    """

    rows: NDArray[np.intp]
    event: Flags
    events: float


def fit_hazards(
    matrix: Matrix, lessons: Sequence[Lesson], *, categorical: Sequence[int], threads: int, seed: int
) -> tuple[Hazard, ...]:
    """Fit every interval, `threads` of them side by side."""
    import lightgbm

    settings = {**BINNING, "num_threads": threads}
    binned = lightgbm.Dataset(matrix, np.zeros(len(matrix)), categorical_feature=list(categorical), params=settings)
    binned.construct()

    def fit(lesson: Lesson) -> Hazard:
        event = lesson.event
        rate = float((event.sum() + 0.5) / (len(event) + 1.0))  # Jeffreys: never 0, never 1
        if min(event.sum(), (~event).sum()) < ENOUGH_EVENTS:
            return Hazard("", rate)
        trees, parameters = boosting(lesson.events, len(event), seed=seed)
        data = binned.subset(lesson.rows.tolist(), params=parameters).construct()
        data.set_label(event.astype(np.float32))
        text: str = lightgbm.train(parameters, data, trees).model_to_string()
        return Hazard(text, rate)

    with ThreadPoolExecutor(threads) as pool:
        return tuple(pool.map(fit, lessons))


def calibrate(hazard: Hazard, matrix: Matrix, event: Flags, *, threads: int) -> Hazard:
    """Add a Platt line where it lowers the Brier score on rows later than those that it was fitted on.

    Parameters
    ----------
    matrix, event
        Rows of a slice after the training, in order of time: the line is fitted on the first half
        and judged on the second; if it holds, it is fitted on all.
    """
    half = len(event) // 2
    if not hazard.text or min(event[:half].sum(), event[half:].sum()) < ENOUGH_EVENTS:
        return hazard
    raw = hazard.raw(matrix, threads)
    slope, intercept = _platt(raw[:half], event[:half])
    before = metrics.brier(event[half:], _sigmoid(raw[half:]))
    after = metrics.brier(event[half:], _sigmoid(slope * raw[half:] + intercept))
    if slope <= 0 or after >= before:
        return hazard
    slope, intercept = _platt(raw, event)
    return replace(hazard, slope=slope, intercept=intercept) if slope > 0 else hazard


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


def _platt(raw: Numbers, event: Flags) -> tuple[float, float]:
    """Slope and intercept by maximum likelihood (Newton), with Platt's smoothed targets."""
    positives, negatives = event.sum(), (~event).sum()
    target = np.where(event, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    design = np.column_stack([raw, np.ones_like(raw)])
    line = np.array([1.0, 0.0])
    for _ in range(50):
        p = _sigmoid(design @ line)
        gradient = design.T @ (p - target)
        weight = np.maximum(p * (1 - p), 1e-12)
        step = np.linalg.solve(design.T @ (design * weight[:, None]) + 1e-6 * np.eye(2), gradient)
        line = line - np.clip(step, -2.0, 2.0)
        if np.abs(step).max() < 1e-9:
            break
    return float(line[0]), float(line[1])


def _sigmoid(x: Numbers) -> Numbers:
    return np.clip(1.0 / (1.0 + np.exp(-np.clip(x, -60.0, 60.0))), _LIMIT, 1.0 - _LIMIT)


def _logit(p: Numbers) -> Numbers:
    return np.log(p) - np.log1p(-p)
