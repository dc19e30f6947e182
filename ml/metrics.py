"""How good is a probability, how good a volume? Plain functions over arrays; nothing here knows a model.

Conventions: `outcome` is 0 or 1 (or boolean), `probability` lies in [0, 1], both of shape (rows,);
`y` is a volume and `yhat` its forecast, of one shape, where missing values count for nothing.
Where a figure is not defined (no row, or only one class) the answer is NaN, never an error: a
report shows it as missing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Caught", "average_precision", "brier", "coverage", "ece", "events_caught", "log_loss", "mase",
    "observed_over_expected", "pinball", "rank_within", "recall_at_k", "roc_auc", "seasonal_scale", "wape",
]  # fmt: skip

Numbers = NDArray[np.float64]


def average_precision(outcome: ArrayLike, probability: ArrayLike) -> float:
    """Area under the precision-recall curve as the step-wise sum; the base rate for a random ranking."""
    from sklearn.metrics import average_precision_score

    y, p = _pair(outcome, probability)
    return float(average_precision_score(y, p)) if y.any() else math.nan


def roc_auc(outcome: ArrayLike, probability: ArrayLike) -> float:
    """Chance that a random positive is ranked above a random negative; ties count half."""
    from sklearn.metrics import roc_auc_score

    y, p = _pair(outcome, probability)
    return float(roc_auc_score(y, p)) if y.any() and not y.all() else math.nan


def brier(outcome: ArrayLike, probability: ArrayLike) -> float:
    """Mean squared distance between probability and outcome; smaller is better."""
    y, p = _pair(outcome, probability)
    return float(np.mean((p - y) ** 2)) if len(y) else math.nan


def log_loss(outcome: ArrayLike, probability: ArrayLike) -> float:
    """Mean negative log-likelihood; probabilities are kept 1e-12 away from 0 and 1."""
    y, p = _pair(outcome, probability)
    p = np.clip(p, 1e-12, 1 - 1e-12)
    return float(-np.mean(np.where(y, np.log(p), np.log1p(-p)))) if len(y) else math.nan


def ece(outcome: ArrayLike, probability: ArrayLike, bins: int = 15) -> float:
    """Expected calibration error over `bins` bins of equal mass.

    Rows are ordered by probability (ties by position) and cut into bins whose sizes differ by at
    most one; the mean over rows of the distance between mean outcome and mean probability of their bin.
    Nearly blind where positives are rare: watch :func:`observed_over_expected` too.

    References
    ----------
    Nixon et al., *Measuring calibration in deep learning* (2019): adaptive (equal-mass) bins.
    """
    predicted, observed, rows = reliability(outcome, probability, bins)
    return float((rows * np.abs(observed - predicted)).sum() / rows.sum()) if len(rows) else math.nan


def reliability(outcome: ArrayLike, probability: ArrayLike, bins: int = 15) -> tuple[Numbers, Numbers, Numbers]:
    """Mean probability, share of positives and rows of each bin of :func:`ece`, from the lowest probability on.

    >>> reliability([0, 1, 1, 1], [0.1, 0.3, 0.8, 0.9], bins=2)
    (array([0.2 , 0.85]), array([0.5, 1. ]), array([2., 2.]))
    """
    y, p = _pair(outcome, probability)
    order = np.argsort(p, kind="stable")
    parts = np.array_split(order, min(bins, len(y))) if len(y) else []
    found = np.array([(p[part].mean(), y[part].mean(), len(part)) for part in parts]).reshape(len(parts), 3)
    return found[:, 0], found[:, 1], found[:, 2]


def observed_over_expected(outcome: ArrayLike, probability: ArrayLike) -> float:
    """Positives seen over the sum of probabilities; above 1 the model promised too little."""
    y, p = _pair(outcome, probability)
    return float(y.sum() / p.sum()) if p.sum() > 0 else math.nan


def rank_within(group: ArrayLike, probability: ArrayLike) -> NDArray[np.int64]:
    """Place of each row within its group, 1 for the highest probability; ties by position.

    Parameters
    ----------
    group
        What is ranked apart: the ``as_of`` of each row where crews are sent daily.
    """
    keys, p = np.unique(np.asarray(group), return_inverse=True)[1], np.asarray(probability, dtype=float)
    order = np.lexsort((np.arange(len(p)), -p, keys))
    starts = np.searchsorted(keys[order], np.arange(keys.max() + 1 if len(keys) else 0))
    rank = np.empty(len(p), dtype=np.int64)
    rank[order] = np.arange(len(p)) - starts[keys[order]] + 1
    return rank


def recall_at_k(outcome: ArrayLike, probability: ArrayLike, day: ArrayLike, k: int) -> float:
    """Share of positive rows that stand among the `k` rows ranked highest on their day."""
    y, p = _pair(outcome, probability)
    return float((rank_within(day, p) <= k)[y].mean()) if y.any() else math.nan


@dataclass(frozen=True)
class Caught:
    """Events, not rows: one failure counts once, however many rows saw it coming.

    Attributes
    ----------
    events
        Failures that at least one row could have caught.
    share
        Share of them that were caught; NaN where there is none.
    median_lead_days
        Median time from the first catching row to the failure; NaN where none was caught.
    """

    events: int
    share: float
    median_lead_days: float


def events_caught(
    asset: ArrayLike,
    as_of: ArrayLike,
    caught: ArrayLike,
    event_asset: ArrayLike,
    event_time: ArrayLike,
    *,
    horizon_days: float,
    min_lead_days: float = 0.0,
) -> Caught:
    """Count failures that a flagged row announced in time.

    A row may catch a failure of its asset with ``min_lead_days < lead <= horizon_days``.

    Parameters
    ----------
    asset, as_of, caught
        One entry per row: asset, instant (numpy datetime64), and whether the row was flagged
        (say, ranked among the top K that day).
    event_asset, event_time
        One entry per failure; several at one asset and stamp are one event.
    """
    import pandas as pd

    rows = pd.DataFrame({"asset": asset, "as_of": as_of, "caught": np.asarray(caught, dtype=bool)})
    events = pd.DataFrame({"asset": event_asset, "at": event_time}).drop_duplicates()
    pairs = events.merge(rows, on="asset")
    pairs["lead"] = (pairs["at"] - pairs["as_of"]).dt.total_seconds() / 86_400
    pairs = pairs[(pairs["lead"] > min_lead_days) & (pairs["lead"] <= horizon_days)]
    possible = int(pairs.groupby(["asset", "at"]).ngroups)
    leads = pairs[pairs["caught"]].groupby(["asset", "at"])["lead"].max()
    return Caught(
        possible,
        len(leads) / possible if possible else math.nan,
        float(leads.median()) if len(leads) else math.nan,
    )


def seasonal_scale(history: ArrayLike, season: int = 7) -> float:
    """In-sample error of the seasonal naive forecast: mean of ``|y[t] - y[t - season]|``, tickets per period.

    NaN where the history is shorter than a season, and where it repeats itself exactly: nothing can be scaled by zero.

    References
    ----------
    Hyndman & Koehler, *Another look at measures of forecast accuracy* (2006).
    """
    values = np.asarray(history, dtype=float)
    steps = np.abs(values[season:] - values[:-season])
    return _mean(steps) or math.nan


def mase(y: ArrayLike, yhat: ArrayLike, scale: float) -> float:
    """Mean absolute error in units of the training part's :func:`seasonal_scale`; below 1 beats its naive forecast."""
    return _mean(np.abs(np.asarray(y, dtype=float) - np.asarray(yhat, dtype=float))) / scale


def wape(y: ArrayLike, yhat: ArrayLike) -> float:
    """Sum of absolute errors over the sum of volumes, pooled over all rows given."""
    actual, forecast = np.asarray(y, dtype=float), np.asarray(yhat, dtype=float)
    total = np.nansum(actual)
    return float(np.nansum(np.abs(actual - forecast)) / total) if total > 0 else math.nan


def pinball(y: ArrayLike, quantile: ArrayLike, level: float) -> float:
    """Mean pinball loss of a forecast quantile; half the absolute error at level .5.

    Parameters
    ----------
    level
        Probability in (0, 1) that the quantile stands for.

    References
    ----------
    Koenker & Bassett, *Regression quantiles* (1978).
    """
    miss = np.asarray(y, dtype=float) - np.asarray(quantile, dtype=float)
    return _mean(np.maximum(level * miss, (level - 1) * miss))


def coverage(y: ArrayLike, low: ArrayLike, high: ArrayLike) -> float:
    """Share of the volumes that lie within [low, high], both included."""
    actual = np.asarray(y, dtype=float)
    known = ~np.isnan(actual)
    within = (actual >= np.asarray(low, dtype=float)) & (actual <= np.asarray(high, dtype=float))
    return float(within[known].mean()) if known.any() else math.nan


def _mean(values: Numbers) -> float:
    return float(np.nanmean(values)) if not np.isnan(values).all() else math.nan


def _pair(outcome: ArrayLike, probability: ArrayLike) -> tuple[NDArray[np.bool_], Numbers]:
    """The arrays as booleans and floats.

    Raises
    ------
    ValueError
        Shapes differ, an outcome is neither 0 nor 1, or a probability is missing or outside [0, 1].
    """
    y, p = np.asarray(outcome), np.asarray(probability, dtype=float)
    if y.shape != p.shape or y.ndim != 1:
        raise ValueError(f"outcome of shape {y.shape}, probability of shape {p.shape}: expected two equal rows")
    if not np.isin(y, (0, 1)).all():
        raise ValueError("outcome holds values other than 0 and 1")
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("probability holds missing values or values outside [0, 1]")
    return y.astype(bool), p
