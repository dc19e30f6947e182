"""From a frame of features to the matrix of a stacked hazard model.

One row (asset, as_of) becomes one row per failure mode. Each carries all features, the mode
itself as a category, and the mode's *own* features under common names: what
``service_days_since_last_comp1`` is to the mode ``comp1``, ``service_days_since_last_own`` is to
every mode; and what tells of a mode, learnt (:mod:`ml.telling`), stands under common names too.
So one model learns from the failures of all modes what a worn component is, and still tells the
modes apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import ModelError, nearest
from features.point_in_time import Feature, spelt
from ml.logistic import Matrix
from ml.telling import TOGETHER, Telling, fold_of, telling

__all__ = ["MODE", "Layout", "Matrix", "about", "own_features"]

MODE = "failure_mode"
"""Name of the matrix column that holds the failure mode's number."""

Flags = NDArray[np.bool_]

_DROPPED_BITS = 7
"""Of the 24 of a number: sums differ in their last bits from run to run, and trees would tell them apart."""


@dataclass(frozen=True)
class Layout:
    """Which feature stands in which column.

    Attributes
    ----------
    numbers
        Numeric features, as they are; missing stays missing.
    categories
        Text features with their vocabularies; a value that was never trained on is missing.
    own
        Own name → failure mode → feature. A mode without such a feature has it missing.
    modes
        Failure modes; a single one is not stacked.
    telling
        The same of changes of the channel that tells of a mode, in spreads, turned over where it falls; and what
        all channels' changes together say of it.
    """

    numbers: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]
    own: Mapping[str, Mapping[str, str]]
    modes: tuple[str, ...]
    telling: Telling = field(default_factory=Telling)

    @classmethod
    def of(
        cls,
        features: pd.DataFrame,
        modes: Sequence[str],
        told: Sequence[Feature] = (),
        failing: Flags | None = None,
        weight: NDArray[np.float64] | None = None,
    ) -> Layout:
        """Lay out training features; those that are constant or all missing are left out.

        Parameters
        ----------
        told
            What the columns say of themselves; without it no mode has features of its own.
        failing
            Which rows fail soon, shape (rows, modes); without it no channel tells of a mode.
        weight
            How many rows each stands for.
        """
        names = [name for name in features.columns if name not in {"asset_id", "as_of"}]
        useful = [name for name in names if features[name].nunique(dropna=False) > 1]
        numbers = tuple(name for name in useful if pd.api.types.is_numeric_dtype(features[name]))
        words = {name: features[name].dropna().astype(str) for name in useful if name not in numbers}
        vocabularies = {name: tuple(sorted(values.unique())) for name, values in words.items()}
        if len(modes) == 1:
            return cls(numbers, vocabularies, {}, tuple(modes))
        useful_told = [f for f in told if f.name in numbers]
        tells = Telling() if failing is None else telling(features, failing, modes, useful_told, weight)
        return cls(numbers, vocabularies, own_features(useful_told, modes), tuple(modes), tells)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the matrix, in order."""
        stacked = (*self.own, *self.telling.own, MODE) if len(self.modes) > 1 else ()
        return (*self.numbers, *self.categories, *stacked)

    @property
    def categorical(self) -> list[int]:
        """Places of the columns that hold numbers of categories."""
        names = {*self.categories, MODE}
        return [place for place, name in enumerate(self.columns) if name in names]

    def source(self, column: str, mode: str) -> str:
        """The feature that a column holds for a mode; empty where the mode has none."""
        by_mode = self.own.get(column) or self.telling.own.get(column)
        return column if by_mode is None else by_mode.get(mode, "")

    def matrix(self, features: pd.DataFrame, *, learning: bool = False) -> Matrix:
        """Stack features: shape (modes · rows, columns), mode by mode.

        Parameters
        ----------
        learning
            The rows are those that the layout was made of: what was learnt from an asset is not told to its rows.

        Raises
        ------
        ModelError
            A feature that the model was trained on is missing.
        """
        self._check(features)
        base = np.empty((len(features), len(self.numbers) + len(self.categories)), dtype=np.float32)
        for place, name in enumerate(self.numbers):
            base[:, place] = features[name].to_numpy(dtype=float, na_value=np.nan)
        for place, (name, words) in enumerate(self.categories.items(), start=len(self.numbers)):
            codes = pd.Index(words, dtype=object).get_indexer(pd.Index(features[name], dtype=object))
            base[:, place] = np.where(codes < 0, np.nan, codes)
        _coarsen(base)
        if len(self.modes) == 1:
            return base
        folds = fold_of(features) if learning else None
        return np.concatenate([np.hstack([base, self._own(base, mode, folds)]) for mode in self.modes])

    def changes(self, matrix: Matrix) -> Matrix:
        """Of a matrix, the columns that :attr:`telling` reads."""
        return matrix[:, [self.numbers.index(name) for name in self.telling.read]]

    def _own(self, base: Matrix, mode: str, folds: NDArray[np.intp] | None) -> Matrix:
        places = {name: place for place, name in enumerate(self.numbers)}
        families = {**self.own, **self.telling.own}
        own = np.full((len(base), len(families) + 1), np.nan, dtype=np.float32)
        for column, (name, by_mode) in enumerate(families.items()):
            if mode not in by_mode:
                continue
            if name == TOGETHER:
                own[:, column] = self.telling.together(mode, self.changes(base), folds)
            else:
                times = self.telling.times[name][mode] if name in self.telling.times else 1.0
                own[:, column] = base[:, places[by_mode[mode]]] * np.float32(times)
        own[:, -1] = self.modes.index(mode)
        _coarsen(own)
        return own

    def _check(self, features: pd.DataFrame) -> None:
        missing = [name for name in (*self.numbers, *self.categories) if name not in features.columns]
        if missing:
            raise ModelError(
                f"{len(missing)} features that the model was trained on are missing (first: {missing[0]})",
                where="risk model",
                expected=f"all of its {len(self.numbers) + len(self.categories)} features",
                todo=_todo(missing[0], [str(c) for c in features.columns if c not in ("asset_id", "as_of")]),
            )


def _coarsen(matrix: Matrix) -> None:
    """Round to 17 significant bits, in place: the same data give the same matrix, in whatever order they were summed."""
    bits = matrix.view(np.uint32)
    bits += np.uint32(1 << (_DROPPED_BITS - 1))
    bits &= np.uint32(0xFFFFFFFF ^ ((1 << _DROPPED_BITS) - 1))


def _todo(lost: str, known: Sequence[str]) -> str:
    """What to do about a feature that is gone; another name is suggested only where one is near."""
    near = nearest(lost, known)
    return "Train again with `foremend train risk`." + (f" {near}" if near.startswith("Did you mean") else "")


def own_features(features: Sequence[Feature], modes: Sequence[str]) -> dict[str, dict[str, str]]:
    """Find the features that belong to one failure mode each: those whose component is the mode.

    A family counts only where at least two modes have it.

    Returns
    -------
    dict of str to dict of str to str
        Family (``service_days_since_last_own``) → mode → feature.
    """
    families: dict[str, list[Feature]] = {}
    for feature in features:
        if feature.component:
            families.setdefault(feature.family, []).append(feature)
    own = {
        family: {mode: found.name for mode in modes if (found := about(members, mode))}
        for family, members in families.items()
    }
    return {family: by_mode for family, by_mode in own.items() if len(by_mode) > 1}


def about(features: Sequence[Feature], mode: str) -> Feature | None:
    """The feature whose component is the mode; None where there is none.

    One that is written just so comes first, then one that names spell alike, for the failure rule may
    write ``Pump`` where the services say ``pump``.
    """
    exact = (f for f in features if f.component == mode)
    alike = (f for f in features if f.component and spelt(f.component) == spelt(mode))
    return next(exact, None) or next(alike, None)
