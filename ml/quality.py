"""How good a risk model is on a window: per horizon, and per component, by rows and by events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml import metrics
from ml.intervals import Interval, intervals

if TYPE_CHECKING:
    from features.labels import Labels

__all__ = ["AtCapacity", "Month", "Quality", "Reliability", "flat", "judge", "judge_modes"]

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]


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
class Month:
    """Rows of one month of cut-offs: how many failed, and how many were expected to.

    Watched beside the calibration error, which is blind where failures are rare.
    """

    month: str
    rows: int
    observed: int
    expected: float

    @property
    def observed_over_expected(self) -> float:
        """Above 1 the model promised too little; NaN where nothing was expected."""
        return self.observed / self.expected if self.expected > 0 else float("nan")


@dataclass(frozen=True)
class Reliability:
    """Rows of like probability: what was promised them on average, and the share that failed."""

    predicted: float
    observed: float
    rows: int


@dataclass(frozen=True)
class Quality:
    """Figures of one model at one horizon; NaN where one is not defined.

    Attributes
    ----------
    component
        The failure mode that is judged alone; empty for failures of any.
    intervals
        95 % intervals by bootstrap over assets, by figure; none for a component. See :mod:`ml.intervals`.
    reliability
        The 15 bins of equal mass of which `ece` is the mean distance, from the lowest probability on.
    """

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
    component: str = ""
    months: tuple[Month, ...] = ()
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    reliability: tuple[Reliability, ...] = ()

    def metrics(self) -> dict[str, float]:
        """The figures under flat names, as MLflow keeps them: ``model_7d_average_precision``."""
        names = ("average_precision", "roc_auc", "brier", "ece", "observed_over_expected")
        flat: dict[str, float] = {name: getattr(self, name) for name in names}
        for at in self.at_capacity:
            flat |= {f"recall_at_{at.k}": at.recall, f"caught_at_{at.k}": at.caught}
        stem = f"{self.model}_{self.component}" if self.component else self.model
        return {f"{stem}_{self.horizon_days:g}d_{name}": value for name, value in flat.items()}


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
        caught = _at_capacity(rows, p, outcome, failures, capacities, days=days, min_lead_days=lead)
        found.append(_figures(model, days, rows, p, outcome, caught))
    return tuple(found)


def judge_modes(model: str, probabilities: pd.DataFrame, by_mode: Numbers, labels: Labels) -> tuple[Quality, ...]:
    """Judge the probabilities of every failure mode alone, where there are several.

    Parameters
    ----------
    probabilities
        ``asset_id``, ``as_of``, row by row with `labels`.
    by_mode
        Shape (rows, modes, horizons), as :meth:`ml.risk.RiskModel.by_mode` gives them.
    """
    found = []
    for m, mode in enumerate(labels.modes if len(labels.modes) > 1 else ()):
        for place, days in enumerate(labels.horizons_days):
            last = labels.edges_days.index(days) - 1
            failed: Flags = np.asarray(labels.event[:, m, : last + 1].any(axis=1))
            quiet = labels.at_risk[:, m, last] & ~labels.event[:, m, last]
            known: Flags = labels.known[:, place] & (failed | quiet)
            rows = probabilities.loc[known, ["asset_id", "as_of"]]
            found.append(_figures(model, days, rows, by_mode[known, m, place], failed[known], (), component=mode))
    return tuple(found)


def _figures(
    model: str, days: float, rows: pd.DataFrame, p: Numbers, outcome: Flags, caught: tuple[AtCapacity, ...],
    *, component: str = "",
) -> Quality:  # fmt: skip
    return Quality(
        model=model, horizon_days=days, rows=len(rows), positives=int(outcome.sum()),
        base_rate=float(outcome.mean()) if len(rows) else float("nan"),
        average_precision=metrics.average_precision(outcome, p), roc_auc=metrics.roc_auc(outcome, p),
        brier=metrics.brier(outcome, p), ece=metrics.ece(outcome, p),
        observed_over_expected=metrics.observed_over_expected(outcome, p),
        at_capacity=caught, component=component, months=_months(rows, p, outcome),
        intervals={} if component else intervals(outcome, p, rows["asset_id"]), reliability=_reliability(outcome, p),
    )  # fmt: skip


def _reliability(outcome: Flags, p: Numbers) -> tuple[Reliability, ...]:
    bins = zip(*metrics.reliability(outcome, p), strict=True)
    return tuple(Reliability(float(predicted), float(observed), int(rows)) for predicted, observed, rows in bins)


def _months(rows: pd.DataFrame, p: Numbers, outcome: Flags) -> tuple[Month, ...]:
    by_month = pd.DataFrame({"p": p, "outcome": outcome}).groupby(rows["as_of"].dt.strftime("%Y-%m").to_numpy())
    return tuple(
        Month(str(month), len(part), int(part["outcome"].sum()), float(part["p"].sum())) for month, part in by_month
    )


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
