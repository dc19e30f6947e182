"""Assets of which nothing is recorded: the observed hazard of their model, drawn towards the fleet's.

Hazards learn what a quiet record means from assets that have one. An old machine that is new to us has
none: its counts are 0 and its clocks missing, which reads as a machine that never failed, and is far too
good (a sixth to a half of the truth on the demo fleet, ``docs/decisions/0010``). Where training met no such rows, nothing was
learnt of them either, and what is known of the asset's model is the better answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.point_in_time import Feature
from ml.baseline import AGE
from ml.basis import OWN_DAYS, Own, model_column

__all__ = ["ENOUGH_ROWS", "Prior"]

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]
Table = tuple[tuple[float, ...], ...]

ENOUGH_ROWS = 200
"""Rows without a record from which on the hazards have learnt what that means: some leaves of a tree."""

STRENGTH = 50.0
"""What the fleet weighs against a model of machine, in rows with a failure: daily rows see one failure of a week seven times."""


@dataclass(frozen=True)
class Prior:
    """Observed hazards of the training rows.

    Attributes
    ----------
    own
        Features that are made of an asset's own rows.
    met
        Training rows in which none of them said anything.
    fleet
        Hazard per failure mode and interval.
    model_of
        The column that names the asset's model; empty where there is none.
    by_model
        The same as `fleet` for each model.
    """

    own: Own
    met: int
    fleet: Table
    model_of: str
    by_model: Mapping[str, Table]

    @classmethod
    def of(
        cls,
        features: pd.DataFrame,
        at_risk: Flags,
        event: Flags,
        told: Sequence[Feature],
        weight: Numbers | None = None,
    ) -> Prior:
        """Observe a training slice.

        Parameters
        ----------
        at_risk, event
            Shape (rows, modes, intervals).
        told
            What the columns say of themselves.
        weight
            How many rows each one stands for; 1 by default.
        """
        own, model_of = Own.of(told), model_column(told)
        counts = np.ones(len(features)) if weight is None else weight
        failed, seen = (np.tensordot(counts, flags, axes=1) for flags in (event & at_risk, at_risk))
        fleet = (failed + 0.5) / (seen + 1.0)  # Jeffreys: never 0, never 1
        for k in range(1, fleet.shape[1]):  # an interval that no row reached is as the one before it
            fleet[:, k] = np.where(seen[:, k] > 0, fleet[:, k], fleet[:, k - 1])
        found = {}
        for name, rows in features.groupby(model_of).indices.items() if model_of in features else ():
            failed, seen = (np.tensordot(counts[rows], f[rows], axes=1) for f in (event & at_risk, at_risk))
            found[str(name)] = _table((failed + STRENGTH) / (seen + STRENGTH / fleet))
        return cls(own, int(_silent(features, own).sum()), _table(fleet), model_of, found)

    def applies(self, features: pd.DataFrame) -> Flags:
        """Rows that it answers for: nothing is recorded of the asset, it is not young, and training met few like it.

        A young asset *has* the record of a young asset, of which training met many.
        """
        if self.met >= ENOUGH_ROWS or not (self.own.counts or self.own.others):  # nothing could have been recorded
            return np.zeros(len(features), dtype=bool)
        return _silent(features, self.own)

    def instead(self, features: pd.DataFrame, hazards: Numbers) -> Numbers:
        """Hazards, shape (rows, modes, intervals), with its own where it applies."""
        mine = self.applies(features)
        if not mine.any():
            return hazards
        models = features.loc[mine, self.model_of] if self.model_of in features else [None] * int(mine.sum())
        answered = hazards.copy()
        answered[mine] = [self.by_model.get(str(name), self.fleet) for name in models]
        return answered


def _silent(features: pd.DataFrame, own: Own) -> Flags:
    """Rows of assets that are not young and of which no feature of their own says anything."""
    young = features[AGE].to_numpy(dtype=float, na_value=np.nan) < OWN_DAYS if AGE in features else False
    return np.asarray(~own.said(features) & ~np.asarray(young))


def _table(rates: Numbers) -> Table:
    return tuple(tuple(map(float, row)) for row in rates)
