"""What a score rests on: the asset's own history, what is known of its model, or the fleet.

A young asset is scored by the same hazards, which met many young assets of its model, or of all; one that is
new to us by what was observed of its model (:mod:`ml.prior`). Either way a planner should know that nothing
about this very machine is behind the figure. Rule and figures: ``docs/decisions/0010``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.point_in_time import Feature
from ml.baseline import AGE

__all__ = ["BASES", "OWN_DAYS", "Basis", "Own", "basis", "model_column"]

Basis = Literal["asset", "asset_model", "fleet"]

BASES: tuple[Basis, ...] = ("asset", "asset_model", "fleet")
"""From the closest to the farthest."""

OWN_DAYS = 30
"""Days in service from which an asset has a history: the longest window of a sensor is full then."""

_MADE = frozenset({"failures", "services"})
_COUNTS = frozenset({"events", "readings", "tickets"})
_NOT_OWN = frozenset({"assets", "as_of", "maintenance_plans", "sql"})

Flags = NDArray[np.bool_]


def model_column(told: Sequence[Feature]) -> str:
    """The feature that names an asset's model; empty where there is none."""
    return next((f.name for f in told if f.quantity == "assets.asset_model" and f.kind == "category"), "")


@dataclass(frozen=True)
class Own:
    """The numbers that are made of rows of the asset itself: while there was none, counts are 0 and the others missing."""

    counts: tuple[str, ...]
    others: tuple[str, ...]

    @classmethod
    def of(cls, told: Sequence[Feature], sources: Collection[str] = ()) -> Own:
        """Of what features say of themselves; only those made of these tables, where any are named."""
        mine = [f for f in told if f.kind == "number" and f.source not in _NOT_OWN]
        named = [f for f in mine if not sources or f.source in sources]
        counts = tuple(f.name for f in named if f.unit in _COUNTS)
        return cls(counts, tuple(f.name for f in named if f.unit not in _COUNTS))

    def said(self, features: pd.DataFrame) -> Flags:
        """Rows in which one of them says that there was a row of the asset; columns that are not there say nothing."""
        counts, others = (
            features[[n for n in names if n in features]].to_numpy(dtype=float, na_value=np.nan)
            for names in (self.counts, self.others)
        )
        return np.asarray((counts > 0).any(axis=1) | ~np.isnan(others).all(axis=1))


def basis(
    features: pd.DataFrame, told: Sequence[Feature], seen: Mapping[str, Collection[str]] = MappingProxyType({})
) -> list[Basis]:
    """The basis of every row: a rule on the features at hand.

    ``asset`` where it had a failure or a service, or where there is any row of its own and it has been in service
    for :data:`OWN_DAYS` or nobody wrote down since when. Else ``asset_model`` where its model was seen in training,
    else ``fleet``.

    Parameters
    ----------
    told
        What the columns say of themselves.
    seen
        The values of text columns that were trained on; empty for a baseline, which knows nothing but age.
    """
    age = features[AGE].to_numpy(dtype=float, na_value=np.nan) if AGE in features else np.full(len(features), np.nan)
    seasoned = ~(age < OWN_DAYS)  # where nobody wrote down since when, too
    own = Own.of(told, _MADE).said(features) | (seasoned & Own.of(told).said(features))
    name = model_column(told)
    known = features[name].isin(list(seen[name])) if name in features and name in seen else [False] * len(features)
    return ["asset" if o else "asset_model" if k else "fleet" for o, k in zip(own, known, strict=True)]
