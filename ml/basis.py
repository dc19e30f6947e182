"""What a score rests on: the asset's own history, what is known of its model, or the fleet.

An asset that is new, or new to us, is scored by the same hazards: what is not known of it is missing,
and they fall back on what they learnt of assets of its model, or of all. The probability holds
all the same (``docs/decisions/0009``); but a planner should know that nothing about this very machine is behind it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.point_in_time import Feature
from ml.baseline import AGE
from ml.risk import RiskModel

__all__ = ["BASES", "OWN_DAYS", "Basis", "basis", "rests_on"]

Basis = Literal["asset", "asset_model", "fleet"]

BASES: tuple[Basis, ...] = ("asset", "asset_model", "fleet")
"""From the closest to the farthest."""

OWN_DAYS = 30
"""Days in service from which an asset has a history: the longest window of a sensor is full then."""

_MADE = frozenset({"failures", "services"})
_NOT_OWN = frozenset({"assets", "as_of", "maintenance_plans", "sql"})

Flags = NDArray[np.bool_]


def rests_on(model: RiskModel, features: pd.DataFrame, told: Sequence[Feature]) -> list[Basis]:
    """What the model's answer for every row rests on; a baseline knows no models of machine."""
    name = next((f.name for f in told if f.quantity == "assets.asset_model" and f.kind == "category"), "")
    seen = model.layout.categories.get(name, ()) if model.hazards else ()
    return basis(features, told, model_of=name, seen=seen)


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
    own = _any(features, told, _MADE) | (seasoned & _any(features, told, {f.source for f in told} - _NOT_OWN))
    known = (
        features[model_of].isin(list(seen)).to_numpy() if model_of in features else np.zeros(len(features), dtype=bool)
    )
    return ["asset" if o else "asset_model" if k else "fleet" for o, k in zip(own, known, strict=True)]


def _any(features: pd.DataFrame, told: Sequence[Feature], sources: Collection[str]) -> Flags:
    """Rows in which a number made of these tables says that there was a row: counts begin at 0, the others are missing."""
    names = [f.name for f in told if f.source in sources and f.kind == "number" and f.name in features]
    values = features[names].to_numpy(dtype=float, na_value=np.nan)
    return np.asarray((~np.isnan(values) & (values != 0)).any(axis=1))
