"""A linear log-odds over the same matrix as the trees: the simpler model that a forest must beat.

Numbers are standardised, cut at :data:`FARTHEST` deviations and 0 where missing, with a flag of
their own where some are missing and some are not; categories become one flag each.

References
----------
Hosmer, Lemeshow and Sturdivant, *Applied Logistic Regression* (2013), ch. 1 to 4; the ridge
penalty: le Cessie and van Houwelingen, *Ridge estimators in logistic regression* (1992).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Design", "Linear", "Matrix"]

Matrix = NDArray[np.float32]
Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]

FARTHEST = 5.0
"""Deviations from the mean beyond which a value tells no more: one wild reading must not decide alone."""
PENALTY = 0.1
"""C of scikit-learn: the inverse of the ridge; features are many and alike, failures are few."""
MOST_QUIET = 20_000
"""Rows without an event that one line is fitted on: more would move it by less than its failures leave open."""
LEAST_SHARE = 0.01
"""A flag that is up, or down, on a smaller share of the rows is left out."""


@dataclass(frozen=True)
class Linear:
    """Log-odds as a sum over columns.

    Attributes
    ----------
    intercept
        Log-odds where every standardised number and flag is 0.
    means, spreads
        Of each column; the spread of a column of categories is 0: it has flags only.
    slopes
        Per deviation of each column.
    flags
        (column, value, weight): what is added where a column has this value; None stands for missing.
    """

    intercept: float
    means: tuple[float, ...]
    spreads: tuple[float, ...]
    slopes: tuple[float, ...]
    flags: tuple[tuple[int, float | None, float], ...]

    def raw(self, matrix: Matrix, _threads: int = 1) -> Numbers:
        """Log-odds, shape (rows,)."""
        odds = self.intercept + _standardised(matrix, np.array(self.means), np.array(self.spreads)) @ np.array(
            self.slopes
        )
        for column, value, weight in self.flags:
            odds += weight * _is(matrix[:, column], value)
        return np.asarray(odds)

    def contributions(self, matrix: Matrix, _threads: int = 1) -> Numbers:
        """What each column adds, shape (rows, columns + 1); the last column is the intercept."""
        parts = np.empty((len(matrix), matrix.shape[1] + 1))
        parts[:, :-1] = _standardised(matrix, np.array(self.means), np.array(self.spreads)) * np.array(self.slopes)
        parts[:, -1] = self.intercept
        for column, value, weight in self.flags:
            parts[:, column] += weight * _is(matrix[:, column], value)
        return parts


@dataclass(frozen=True)
class Design:
    """A matrix standardised once, for the lines of all intervals.

    Attributes
    ----------
    values
        Shape (rows, columns + flags).
    flags
        (column, value) of each flag.
    """

    values: Numbers
    means: Numbers
    spreads: Numbers
    flags: tuple[tuple[int, float | None], ...]

    @classmethod
    def of(cls, matrix: Matrix, *, categorical: Sequence[int]) -> Design:
        """Standardise a matrix; `categorical` are the places of columns that hold numbers of categories."""
        numeric = np.ones(matrix.shape[1], dtype=bool)
        numeric[list(categorical)] = False
        count = np.maximum((~np.isnan(matrix)).sum(axis=0), 1)
        means = np.where(numeric, np.nansum(matrix, axis=0, dtype=float) / count, 0.0)
        squares = np.nansum((matrix - means) ** 2, axis=0, dtype=float) / count
        spreads = np.where(numeric, np.sqrt(squares), 0.0)
        flags = _flags(matrix, numeric)
        raised = [_is(matrix[:, c], value)[:, None].astype(float) for c, value in flags]
        return cls(np.hstack([_standardised(matrix, means, spreads), *raised]), means, spreads, tuple(flags))

    def fit(
        self, rows: NDArray[np.intp], event: Flags, weight: Numbers | None = None, *, penalty: float = PENALTY
    ) -> Linear:
        """Fit by penalised maximum likelihood; both outcomes must occur, each row stands for `weight`.

        Of more than :data:`MOST_QUIET` rows without an event every n-th is taken, and counts n times: the
        rate stays what it is.
        """
        from sklearn.linear_model import LogisticRegression

        quiet = np.flatnonzero(~event)
        every = -(-len(quiet) // MOST_QUIET)
        taken = np.sort(np.concatenate([np.flatnonzero(event), quiet[::every]]))
        counts = np.where(event[taken], 1.0, len(quiet) / len(quiet[::every]))
        counts *= 1.0 if weight is None else weight[taken]
        line = LogisticRegression(C=penalty, tol=1e-3, max_iter=300)
        line.fit(self.values[rows[taken]], event[taken], sample_weight=counts)
        slopes, weights = np.split(line.coef_[0], [len(self.means)])
        return Linear(
            float(line.intercept_[0]), tuple(self.means.tolist()), tuple(self.spreads.tolist()), tuple(slopes.tolist()),
            tuple((c, v, float(weight)) for (c, v), weight in zip(self.flags, weights, strict=True)),
        )  # fmt: skip


def _flags(matrix: Matrix, numeric: Flags) -> list[tuple[int, float | None]]:
    """Columns and values that get a flag: every category, and what is missing now and then."""
    found: list[tuple[int, float | None]] = []
    for column in range(matrix.shape[1]):
        values, counts = np.unique(matrix[:, column], return_counts=True, equal_nan=True)
        wanted = np.isnan(values) if numeric[column] else np.ones(len(values), dtype=bool)
        share = counts / len(matrix)
        often = wanted & (share >= LEAST_SHARE) & (share <= 1 - LEAST_SHARE)
        found += [(column, None if np.isnan(value) else float(value)) for value in values[often]]
    return found


def _standardised(matrix: Matrix, means: Numbers, spreads: Numbers) -> Numbers:
    scale = np.divide(1.0, spreads, out=np.zeros_like(spreads), where=spreads > 0)
    values: Numbers = matrix - means  # the largest arrays of a training: changed in place
    values *= scale
    np.clip(values, -FARTHEST, FARTHEST, out=values)
    values[np.isnan(values)] = 0.0
    return values


def _is(values: NDArray[np.float32], value: float | None) -> Flags:
    return np.isnan(values) if value is None else values == np.float32(value)
