r"""The age-only baseline: a Weibull hazard per failure mode on one clock.

The clock is the time since the mode's component was last replaced, or the asset's age. For an
asset that has run :math:`t` days, the hazard of the interval :math:`(a, b]` ahead is

.. math:: 1 - \exp\left(-\left[\left(\tfrac{t + b}{\eta}\right)^\beta
          - \left(\tfrac{t + a}{\eta}\right)^\beta\right]\right)

so that the intervals multiply up to the same survival however they are cut, and the baseline is
coherent over horizons like the model. The rows enter with the age that they have reached (left
truncation). Fitted by maximum likelihood over the same rows at risk as the model, with the weak
prior :math:`\log\beta \sim N(0, 1)`: with one or two failures it stays near a constant hazard.

References
----------
Meeker and Escobar, *Statistical Methods for Reliability Data* (1998), ch. 4, 8 and 11.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["AGE", "SERVICED", "Weibull", "fit_weibulls", "weibull_hazards"]

AGE = "asset_age_days"
"""The clock of what was never replaced."""

SERVICED = "service_days_since_last_own"
"""The family of the clocks of components: see :class:`features.point_in_time.Feature`."""

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Weibull:
    """One mode's hazard.

    Attributes
    ----------
    clock
        The feature that counts the days, empty for none: then the hazard is the constant `rate`.
    shape, scale
        β, and η in days.
    rate
        Events per day at risk, for rows whose clock is not known.
    """

    clock: str
    shape: float
    scale: float
    rate: float

    def hazard(self, clock_days: Numbers, edges_days: Sequence[float]) -> Numbers:
        """Hazard per row and interval, in (0, 1)."""
        edges = np.asarray(edges_days, dtype=float)
        reached = np.maximum(np.nan_to_num(clock_days), 0.0)[:, None] + edges
        cumulative = np.where(np.isnan(clock_days)[:, None], self.rate * edges, (reached / self.scale) ** self.shape)
        return np.clip(-np.expm1(-np.diff(cumulative, axis=1)), 1e-9, 1 - 1e-9)


def weibull_hazards(models: Sequence[Weibull], features: pd.DataFrame, edges_days: Sequence[float]) -> Numbers:
    """Hazards of every mode: shape (rows, modes, intervals)."""
    return np.stack([m.hazard(_clock(features, m.clock), edges_days) for m in models], axis=1)


def fit_weibulls(
    features: pd.DataFrame,
    at_risk: Flags,
    event: Flags,
    *,
    clocks: Mapping[str, str],
    edges_days: Sequence[float],
    weight: Numbers | None = None,
) -> tuple[Weibull, ...]:
    """Fit one Weibull per mode.

    Parameters
    ----------
    at_risk, event
        Shape (rows, modes, intervals).
    clocks
        Mode → the feature that is its clock (empty for none), in the order of the modes.
    weight
        How many rows each stands for; one each by default.
    """
    counts = np.ones(len(features)) if weight is None else weight
    fitted = []
    for place, clock in enumerate(clocks.values()):
        days = _clock(features, clock)
        edges = np.asarray(edges_days, dtype=float)
        fitted.append(_fit(days, at_risk[:, place], event[:, place], clock, edges, counts))
    return tuple(fitted)


def _fit(days: Numbers, at_risk: Flags, event: Flags, clock: str, edges: Numbers, weight: Numbers) -> Weibull:
    from scipy.optimize import minimize
    from scipy.special import xlogy

    rate = float((weight @ event.sum(axis=1) + 0.5) / max(weight @ (at_risk * np.diff(edges)).sum(axis=1), 1.0))
    known = ~np.isnan(days)
    age, quiet, failed = np.maximum(days[known], 0.0), (at_risk & ~event)[known], event[known]
    if not failed.any():
        return Weibull(clock, 1.0, 1.0 / rate, rate)
    # Who is at risk in an interval was quiet in those before it: quiet intervals add up from the age to the last one's end.
    low_quiet, high_quiet = age, age + edges[quiet.sum(axis=1)]
    rows, intervals = np.nonzero(failed)
    counts, counts_failed = weight[known], weight[known][rows]
    low_failed, high_failed = age[rows] + edges[intervals], age[rows] + edges[intervals + 1]
    unit = float(high_quiet.mean()) or 1.0  # the clock in its own mean: keeps both parameters near 1

    def cumulative(at: Numbers, shape: float, scale: float) -> Numbers:
        """Cumulative hazard at a clock's reading, and its slopes along the logarithms of shape and scale."""
        spent = (at / unit / scale) ** shape
        return np.stack([spent, xlogy(spent, spent), -shape * spent])

    def loss(parameters: Numbers) -> tuple[float, Numbers]:
        shape, scale = np.exp(parameters)
        quiet = (cumulative(high_quiet, shape, scale) - cumulative(low_quiet, shape, scale)) @ counts
        passed, *slopes = cumulative(high_failed, shape, scale) - cumulative(low_failed, shape, scale)
        passed = np.maximum(passed, 1e-300)
        gained = counts_failed @ np.log(-np.expm1(-passed))
        rising = np.stack(slopes) @ (counts_failed / np.expm1(np.minimum(passed, 700.0)))
        prior = np.array([parameters[0], 0.0])
        return float(quiet[0] - gained + 0.5 * parameters[0] ** 2), quiet[1:] - rising + prior

    start = np.array([0.0, -np.log(rate * unit)])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"ftol": 1e-12, "gtol": 1e-8})
    shape, scale = np.exp(found.x)
    return Weibull(clock, float(shape), float(scale * unit), rate)


def _clock(features: pd.DataFrame, clock: str) -> Numbers:
    """Days on a clock; a component that was never replaced is as old as its asset."""
    if clock not in features.columns:
        return np.full(len(features), np.nan)
    days = features[clock].to_numpy(dtype=float, na_value=np.nan)
    if AGE in features.columns:
        days = np.where(np.isnan(days), features[AGE].to_numpy(dtype=float, na_value=np.nan), days)
    return days
