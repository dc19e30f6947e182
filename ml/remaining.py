"""Remaining useful life: the mean of what is left, restricted to the horizon that the data cover.

Beyond its longest horizon H a model knows nothing; so what it can say is the mean of min(T, H), the area
under the curve of survival up to H. It is said only where long lead was learnable: where, on the
calibration slice and among rows that do *not* fail within the decision horizon, it surely explains a
good part of how long they last. Elsewhere it is 'not estimable', with the reason, and P(H) stands alone.

References
----------
Royston and Parmar, *Restricted mean survival time* (2013). NASA score: Saxena and others, *Damage
propagation modeling for aircraft engine run-to-failure simulation* (2008).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml.intervals import Interval, explained

__all__ = ["LEAST_EXPLAINED", "LifeQuality", "Rul", "days_left", "judge_life", "learnable", "restricted_mean"]

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]

LEAST_EXPLAINED = 0.25
"""Of the variance of what is left, at the lower end of its interval: below, one number would feign a knowledge."""


@dataclass(frozen=True)
class Rul:
    """Whether remaining life can be said, and why not.

    Attributes
    ----------
    reason
        Empty where it is estimable.
    limit_days
        What it is restricted to.
    """

    estimable: bool
    reason: str
    limit_days: float


@dataclass(frozen=True)
class LifeQuality:
    """How far remaining life was from what was left, both restricted to `limit_days`.

    Attributes
    ----------
    rmse
        Root of the mean squared distance, days.
    nasa_score
        Sum over rows of ``exp(-d / 13) - 1`` where d = said - left is negative (too early), else ``exp(d / 10) - 1``.
    explained
        Share of the variance of what was left that is explained: 95 % interval over assets.
    """

    model: str
    rows: int
    limit_days: float
    rmse: float
    nasa_score: float
    explained: Interval


def restricted_mean(hazards: Numbers, edges_days: Sequence[float], limit_days: float) -> Numbers:
    """Area under survival up to `limit_days`, one of the edges; the hazard is even within an interval.

    Parameters
    ----------
    hazards
        Shape (rows, modes, intervals).

    Returns
    -------
    numpy.ndarray
        Shape (rows,), days in (0, limit_days).
    """
    count = list(edges_days).index(limit_days)
    passed = -np.log1p(-hazards[:, :, :count]).sum(axis=1)  # of any mode
    start = np.exp(-np.hstack([np.zeros((len(passed), 1)), np.cumsum(passed, axis=1)[:, :-1]]))
    mean_survival = -np.expm1(-passed) / passed
    return np.asarray((np.diff(np.asarray(edges_days)[: count + 1]) * start * mean_survival).sum(axis=1))


def days_left(rows: pd.DataFrame, failures: pd.DataFrame, limit_days: float) -> Numbers:
    """Days from each row to its asset's next failure, at most `limit_days`.

    Parameters
    ----------
    rows, failures
        ``asset_id, as_of``; ``asset_id, event_time``.
    """
    left = rows[["asset_id", "as_of"]].reset_index(drop=True).assign(place=np.arange(len(rows)))
    events = failures[["asset_id", "event_time"]].sort_values("event_time")
    joined = pd.merge_asof(
        left.sort_values("as_of"), events, left_on="as_of", right_on="event_time", by="asset_id",
        direction="forward", allow_exact_matches=False,
    ).sort_values("place")  # fmt: skip
    days = (joined["event_time"] - joined["as_of"]).dt.total_seconds().to_numpy() / 86_400
    return np.where(np.isnan(days), limit_days, np.minimum(days, limit_days))


def learnable(said: Numbers, left: Numbers, assets: Sequence[str], *, limit_days: float, beyond_days: float) -> Rul:
    """Judge on a validation slice whether remaining life may be said.

    Parameters
    ----------
    said, left
        Restricted means, and what was left; rows whose whole window up to `limit_days` was seen.
    beyond_days
        The decision horizon: what fails within it is no long lead.
    """
    long = left > beyond_days
    if long.sum() < 2 or np.ptp(left[long]) == 0:
        return Rul(
            False, f"no failure between {beyond_days:g} and {limit_days:g} days ahead to judge it by", limit_days
        )
    share = explained(left[long], said[long], np.asarray(assets, dtype=object)[long])
    if not share.low >= LEAST_EXPLAINED:
        much = f"{max(share.low, 0):.0%} to {share.high:.0%}" if share.high > 0 else "nothing"
        reason = (
            f"beyond {beyond_days:g} days it explains {much} of how long assets last (95 %), less than {LEAST_EXPLAINED:.0%}: "
            "see the probabilities"
        )
        return Rul(False, reason, limit_days)
    return Rul(True, "", limit_days)


def judge_life(model: str, said: Numbers, left: Numbers, assets: Sequence[str], limit_days: float) -> LifeQuality:
    """Judge restricted means on rows whose whole window was seen."""
    off = said - left
    score = np.where(off < 0, np.exp(-off / 13), np.exp(off / 10)) - 1
    rmse = float(np.sqrt(np.mean(off**2))) if len(off) else float("nan")
    return LifeQuality(model, len(off), limit_days, rmse, float(score.sum()), explained(left, said, assets))
