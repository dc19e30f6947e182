"""What is kept of why a score is what it is: the hazard that carries most of it, and its reasons in both languages."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from features.point_in_time import Feature, FeatureSet
    from ml.risk import RiskModel

__all__ = ["REASONS", "Explained", "explained"]

REASONS = 5
"""Reasons that are kept for every score."""


@dataclass(frozen=True)
class Explained:
    """Of one score.

    Attributes
    ----------
    explanation
        ``failure_mode, from_days, to_days``: the hazard that is explained; ``share``, the part of the probability that
        it carries; ``hazard``, in (0, 1). Its log-odds are ``base``, the contributions of the reasons, and ``rest``,
        of what is too weak to be kept.
    reasons
        The strongest first: ``quantity, feature, value, unit, contribution, merged``, and ``text`` by language. A
        quantity that moves nothing is no reason.
    """

    explanation: dict[str, Any] | None = None
    reasons: list[dict[str, Any]] = field(default_factory=list)


def explained(model: RiskModel, features: pd.DataFrame, meanings: FeatureSet) -> dict[str, Explained]:
    """Asset → why its score is what it is; nothing of assets of which nothing is recorded."""
    from ml.reasons import explain

    known = {feature.name: feature for feature in meanings.features}
    found: dict[str, Explained] = {}
    for row in explain(model, features, told=meanings.features, top=REASONS).to_dict("records"):
        one = found.setdefault(str(row["asset_id"]), Explained(_explanation(row)))
        if row["contribution"] and one.explanation:
            one.explanation["rest"] -= row["contribution"]
            one.reasons.append(_reason(row, known.get(row["feature"])))
    return found


def _explanation(row: dict[Any, Any]) -> dict[str, Any]:
    names = ("from_days", "to_days", "share", "base")
    hazard = 1 / (1 + math.exp(-row["log_odds"]))
    return {"failure_mode": row["failure_mode"], **{name: float(row[name]) for name in names}} | {
        "hazard": hazard, "rest": float(row["log_odds"] - row["base"]),
    }  # fmt: skip


def _reason(row: dict[Any, Any], feature: Feature | None) -> dict[str, Any]:
    value = row["value"].item() if hasattr(row["value"], "item") else row["value"]
    return {
        "quantity": row["quantity"], "feature": row["feature"], "value": value, "unit": feature.unit if feature else "",
        "contribution": float(row["contribution"]), "merged": int(row["merged"]),
        "text": feature.say(value).as_dict() if feature else {},
    }  # fmt: skip
