"""How good a risk model is on a window: per horizon, by rows and by events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml import metrics

if TYPE_CHECKING:
    from features.labels import Labels

__all__ = ["AtCapacity", "Quality", "judge"]


@dataclass(frozen=True)
class AtCapacity:
    """What K visits a day would have met.

    Attributes
    ----------
    recall
        Share of positive rows among the K ranked highest on their day.
    caught
        Share of failures that were among them at least once with a lead above `min_lead_days`.
    median_lead_days
        From the first such day to the failure.
    """

    k: int
    recall: float
    events: int
    caught: float
    min_lead_days: float
    median_lead_days: float


@dataclass(frozen=True)
class Quality:
    """Figures of one model at one horizon; NaN where one is not defined."""

    model: str
    horizon_days: float
    rows: int
    positives: int
    base_rate: float
    average_precision: float
    roc_auc: float
    brier: float
    ece: float
    observed_over_expected: float
    at_capacity: tuple[AtCapacity, ...]

    def metrics(self) -> dict[str, float]:
        """The figures under flat names, as MLflow keeps them: ``model_7d_average_precision``."""
        names = ("average_precision", "roc_auc", "brier", "ece", "observed_over_expected")
        flat: dict[str, float] = {name: getattr(self, name) for name in names}
        for at in self.at_capacity:
            flat |= {f"recall_at_{at.k}": at.recall, f"caught_at_{at.k}": at.caught}
        return {f"{self.model}_{self.horizon_days:g}d_{name}": value for name, value in flat.items()}


def judge(
    model: str, probabilities: pd.DataFrame, labels: Labels, failures: pd.DataFrame, capacities: Sequence[int]
) -> tuple[Quality, ...]:
    """Judge probabilities on the rows whose window was seen.

    Parameters
    ----------
    model
        Its name in the report.
    probabilities
        As :meth:`ml.risk.RiskModel.probabilities` gives them, row by row with `labels`.
    failures
        ``asset_id``, ``event_time``; several of one asset at one stamp are one event.
    capacities
        K: how many assets can be visited a day.
    """
    shortest, found = min(labels.horizons_days), []
    for place, days in enumerate(labels.horizons_days):
        known = labels.known[:, place]
        rows, outcome = probabilities[known], labels.failed[known, place]
        p = rows[f"p_{days:g}d"].to_numpy()
        lead = 0.0 if days == shortest else shortest
        found.append(
            Quality(
                model=model, horizon_days=days, rows=len(rows), positives=int(outcome.sum()),
                base_rate=float(outcome.mean()) if len(rows) else float("nan"),
                average_precision=metrics.average_precision(outcome, p), roc_auc=metrics.roc_auc(outcome, p),
                brier=metrics.brier(outcome, p), ece=metrics.ece(outcome, p),
                observed_over_expected=metrics.observed_over_expected(outcome, p),
                at_capacity=_at_capacity(rows, p, outcome, failures, capacities, days=days, min_lead_days=lead),
            )
        )  # fmt: skip
    return tuple(found)


def _at_capacity(
    rows: pd.DataFrame,
    p: NDArray[np.float64],
    outcome: NDArray[np.bool_],
    failures: pd.DataFrame,
    capacities: Sequence[int],
    *,
    days: float,
    min_lead_days: float,
) -> tuple[AtCapacity, ...]:
    rank = metrics.rank_within(rows["as_of"].to_numpy(), p)
    found = []
    for k in capacities:
        caught = metrics.events_caught(
            rows["asset_id"].array, rows["as_of"].array, rank <= k,
            failures["asset_id"].array, failures["event_time"].array,
            horizon_days=days, min_lead_days=min_lead_days,
        )  # fmt: skip
        recall = float((rank <= k)[outcome].mean()) if outcome.any() else float("nan")
        found.append(AtCapacity(k, recall, caught.events, caught.share, min_lead_days, caught.median_lead_days))
    return tuple(found)


def flat(qualities: Sequence[Quality]) -> Mapping[str, float]:
    """All figures of several models and horizons under flat names."""
    return {name: value for quality in qualities for name, value in quality.metrics().items()}
