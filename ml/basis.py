"""What a score rests on: the asset's own history, what is known of its model, or the fleet.

A young asset is scored by the same hazards, which met many young assets of its model, or of all; one that is
new to us by what was observed of its model (:mod:`ml.prior`). Either way a planner should know that nothing
about this very machine is behind the figure. Rule and figures: ``docs/decisions/0010``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.point_in_time import Feature
from ml.baseline import AGE

if TYPE_CHECKING:
    from ml.risk import RiskModel

__all__ = ["BASES", "OWN_DAYS", "Basis", "Own", "basis", "model_column", "rests_on"]

Basis = Literal["asset", "asset_model", "fleet"]

BASES: tuple[Basis, ...] = ("asset", "asset_model", "fleet")
"""From the closest to the farthest."""

OWN_DAYS = 30
"""Days in service from which an asset has a history: the longest window of a sensor is full then."""

_MADE = frozenset({"failures", "services"})
_COUNTS = frozenset({"events", "readings", "tickets"})
_NOT_OWN = frozenset({"assets", "as_of", "maintenance_plans", "sql"})

Flags = NDArray[np.bool_]


def rests_on(model: RiskModel, features: pd.DataFrame, told: Sequence[Feature]) -> list[Basis]:
    """What the model's answer for every row rests on; a baseline knows no models of machine."""
    name = model_column(told)
    seen = model.layout.categories.get(name, ()) if model.hazards else ()
    return basis(features, told, model_of=name, seen=seen)


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
    features: pd.DataFrame, told: Sequence[Feature], *, model_of: str = "", seen: Collection[str] = ()
) -> list[Basis]:
    """The basis of every row: a rule on the features at hand.

    ``asset`` where it had a failure or a service, or where there is any row of its own and it has been in service
    for :data:`OWN_DAYS` or nobody wrote down since when. Else ``asset_model`` where its model was seen in training,
    else ``fleet``.

    Parameters
    ----------
    told
        What the columns say of themselves.
    model_of, seen
        The column that names the asset's model, and the models that were trained on.
    """
    age = features[AGE].to_numpy(dtype=float, na_value=np.nan) if AGE in features else np.full(len(features), np.nan)
    seasoned = ~(age < OWN_DAYS)  # where nobody wrote down since when, too
    own = Own.of(told, _MADE).said(features) | (seasoned & Own.of(told).said(features))
    known = (
        features[model_of].isin(list(seen)).to_numpy() if model_of in features else np.zeros(len(features), dtype=bool)
    )
    return ["asset" if o else "asset_model" if k else "fleet" for o, k in zip(own, known, strict=True)]
