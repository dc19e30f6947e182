"""What a model says of some rows: probabilities, failure modes and remaining life, all from one set of hazards."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml.hazard import combine
from ml.remaining import restricted_mean

__all__ = ["Answers"]

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Answers:
    """Answers for every row.

    Attributes
    ----------
    keys
        ``asset_id``, ``as_of``.
    hazards
        Calibrated, shape (rows, modes, intervals).
    modes, edges_days, horizons_days, decision_days
        As the model has them.
    """

    keys: pd.DataFrame
    hazards: Numbers
    modes: tuple[str, ...]
    edges_days: tuple[float, ...]
    horizons_days: tuple[float, ...]
    decision_days: float

    @cached_property
    def by_mode(self) -> Numbers:
        """Probability of every failure mode within every horizon: shape (rows, modes, horizons)."""
        return combine(self.hazards, self.edges_days, self.horizons_days)

    @property
    def within(self) -> Numbers:
        """Probability of any failure within every horizon: shape (rows, horizons)."""
        return np.asarray(1.0 - np.prod(1.0 - self.by_mode, axis=1))

    @cached_property
    def probabilities(self) -> pd.DataFrame:
        """``asset_id``, ``as_of``; ``p_{H}d`` and ``failure_mode_{H}d`` for every horizon, and ``failure_mode``.

        ``failure_mode_{H}d`` is the mode that is likeliest within it, ``failure_mode`` that of the decision horizon.
        """
        modes, within = np.asarray(self.modes, dtype=object), self.within
        leading = {f"{h:g}": modes[self.by_mode[:, :, j].argmax(axis=1)] for j, h in enumerate(self.horizons_days)}
        columns = {f"p_{h:g}d": within[:, j] for j, h in enumerate(self.horizons_days)}
        columns |= {f"failure_mode_{h}d": names for h, names in leading.items()}
        return self.keys.assign(**columns, failure_mode=leading[f"{self.decision_days:g}"])

    @cached_property
    def remaining(self) -> Numbers:
        """Mean of what is left, restricted to the longest horizon, whether it may be said or not: shape (rows,), days."""
        return restricted_mean(self.hazards, self.edges_days, self.horizons_days[-1])
