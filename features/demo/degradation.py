"""How components age, degrade, fail and are renewed, day by day; and the exact chance that they fail.

A component is healthy, degraded or down. From age ``a`` (days) it

* fails suddenly with the Weibull hazard of ``sudden_days, sudden_shape``, degraded or not;
* begins to degrade with the Weibull hazard of ``onset_days, onset_shape``;
* once degraded for ``k`` days fails with the hazard of a discrete Weibull sojourn of shape 2.

A failure is repaired some hours later by a new component; a routine replacement, or a visit, renews
it at the end of its day. Components are independent, so a machine's survival is their product.
Every asset-day has its own random numbers whatever happened before: two runs that differ only in
their visits are the same world (common random numbers).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.demo.workdays import Calendar
from features.demo.world import COMPONENTS

__all__ = ["NEVER", "Draws", "History", "Lives", "draw", "fail_within", "live", "sojourn_hazard"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

NEVER = 1_000_000
"""A day that does not come."""
LONGEST_SOJOURN = 60
MAXIMUM_AGE = 12_000
SLOW_REPAIR_SHARE = 0.22
"""Share of repairs that wait for parts."""


@dataclass(frozen=True)
class Lives:
    """What decides the lives of a block's components, known before the first day.

    Attributes
    ----------
    hazard
        (asset, component) multiplier of all Weibull hazards: model, batch, frailty.
    age, due
        (asset, component) age in days at day 0, and day of the first routine replacement.
    starts, ends
        (asset) first day in service and the day after the last, counted from day 0.
    """

    hazard: Floats
    age: Integers
    due: Integers
    starts: Integers
    ends: Integers


@dataclass(frozen=True)
class Draws:
    """Uniform numbers, one per day, asset and component: what happens, when in the day, how long a repair takes."""

    transition: Floats
    moment: Floats
    repair: Floats
    jitter: Floats


@dataclass(frozen=True)
class History:
    """What happened; arrays are (day, asset, component) and say the state at the beginning of the day.

    Attributes
    ----------
    age
        Days since the component was new.
    degraded
        Days since degradation began; 0 is healthy, -1 is down and waiting for repair.
    renews
        Day at whose beginning it will be new by what is scheduled by then (repair or routine).
    in_service
        (day, asset).
    failures
        One row per failure: ``asset, component`` (ordinals), ``day, failed, repaired`` (fractional days from
        day 0), ``degraded`` (days; 0 is a failure without precursor).
    replacements
        One row per replacement without failure: ``asset, component, day, moment, visit``.
    """

    age: Integers
    degraded: Integers
    renews: Integers
    in_service: Flags
    failures: pd.DataFrame
    replacements: pd.DataFrame


def draw(rng: np.random.Generator, days: int, assets: int) -> Draws:
    """All random numbers of a block's lives; day comes first, so a longer history begins alike."""
    drawn = rng.random((days, 4, assets, len(COMPONENTS)))
    return Draws(drawn[:, 0], drawn[:, 1], drawn[:, 2], drawn[:, 3])


def live(lives: Lives, draws: Draws, days: Calendar, visits: Flags | None = None) -> History:
    """Run the block through its days.

    Parameters
    ----------
    visits
        (day, asset, component) true where a preventive visit renews the component at the end of the day.
    """
    shape = draws.transition.shape
    age, due = lives.age.copy(), lives.due.copy()
    degraded, back = np.zeros_like(age), np.zeros_like(age)
    kept_age, kept_state, kept_renews = (np.zeros(shape, dtype="int32") for _ in range(3))
    failed, replaced = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    interval = np.array([c.interval_days or NEVER for c in COMPONENTS])
    repair_days = repair_hours(draws.repair) / 24
    in_service = (lives.starts <= np.arange(shape[0])[:, None]) & (np.arange(shape[0])[:, None] < lives.ends)
    for day in range(shape[0]):
        down = day < back
        kept_age[day], kept_state[day] = age, np.where(down, -1, degraded)
        kept_renews[day] = np.where(down, back, due + 1)
        working = in_service[day][:, None] & ~down
        fails, onset = _transition(lives.hazard, age, degraded, draws.transition[day])
        failed[day] = fails & working
        visited = working if visits is None else working & visits[day]
        replaced[day] = working & ~failed[day] & ((due == day) | (visited if visits is not None else False))
        renewed = failed[day] | replaced[day]
        repaired = np.floor(day + draws.moment[day] + repair_days[day]).astype("int64")
        back = np.where(failed[day], repaired + 1, back)
        next_due = np.where(failed[day], repaired, day) + interval + (draws.jitter[day] * 30 - 15).astype("int64")
        due = np.where(renewed, days.next_workday(next_due), due)
        degraded = np.where(renewed, 0, np.where(degraded > 0, degraded + 1, onset)) * working
        age = np.where(renewed, 0, age + working)
    return History(
        kept_age, kept_state, kept_renews, in_service, _failures(failed, kept_state, draws, repair_days),
        _replacements(replaced, draws, visits),
    )  # fmt: skip


def repair_hours(uniform: Floats) -> Floats:
    """Hours from failure to the new component: mostly within a day, sometimes waiting for parts for days.

    Monotone in the uniform number: 2 to 30 hours, and 36 to 180 above ``1 - SLOW_REPAIR_SHARE``.
    """
    quick = uniform / (1 - SLOW_REPAIR_SHARE)
    slow = (uniform - (1 - SLOW_REPAIR_SHARE)) / SLOW_REPAIR_SHARE
    return np.where(quick < 1, 2 + 28 * np.clip(quick, 0, 1) ** 2, 36 + 144 * np.clip(slow, 0, 1) ** 2)


def _transition(hazard: Floats, age: Integers, degraded: Integers, uniform: Floats) -> tuple[Flags, Flags]:
    """One uniform number decides: its lower end fails, its upper end begins to degrade."""
    fails, onset = np.empty(age.shape, dtype=bool), np.empty(age.shape, dtype=bool)
    for c in range(len(COMPONENTS)):
        sudden, begin = _cumulative(c)
        a, k, m, u = age[:, c], degraded[:, c], hazard[:, c], uniform[:, c]
        p_fail = 1 - np.exp(-m * (sudden[a + 1] - sudden[a])) * (1 - sojourn_hazard(c)[np.minimum(k, LONGEST_SOJOURN)])
        p_onset = (1 - p_fail) * (1 - np.exp(-m * (begin[a + 1] - begin[a]))) * (k == 0)
        fails[:, c], onset[:, c] = u < p_fail, u >= 1 - p_onset
    return fails, onset & ~fails


def fail_within(history: History, lives: Lives, horizon: int) -> Floats:
    """The exact probability that each component fails within so many days of each day's beginning.

    Conditional on the state at that beginning (age, days degraded, what is scheduled), marginal over
    the onset of degradation and over everything later; retirement within the horizon is taken into account.

    Returns
    -------
    ndarray
        (day, asset, component); NaN where the asset is not in service.
    """
    days = np.arange(len(history.age))[:, None]
    left = np.clip(lives.ends[None, :] - days, 0, horizon)
    probability = np.empty(history.age.shape)
    for c in range(len(COMPONENTS)):
        present = np.clip(history.renews[:, :, c] - days, 0, left)
        hazard = np.broadcast_to(lives.hazard[:, c], present.shape)
        alive = _survive(c, hazard, history.age[:, :, c], history.degraded[:, :, c], present)
        fresh = np.zeros_like(present)
        probability[:, :, c] = 1 - alive * _survive(c, hazard, fresh, fresh, left - present)
    probability[~history.in_service] = np.nan
    return probability


def _survive(c: int, hazard: Floats, age: Integers, degraded: Integers, days: Integers) -> Floats:
    """Survival of component `c` over `days`, cell by cell; cells of equal length are done together."""
    survival = np.ones(days.shape)
    for length in range(1, int(days.max(initial=0)) + 1):
        here = days == length
        healthy, worn = here & (degraded == 0), here & (degraded > 0)
        survival[healthy] = _survive_healthy(c, hazard[healthy], age[healthy], length)
        survival[worn] = _survive_worn(c, hazard[worn], age[worn], degraded[worn], length)
    return survival


def _survive_healthy(c: int, hazard: Floats, age: Integers, length: int) -> Floats:
    """Sum over the day on which degradation begins, or never."""
    sudden, begin = _cumulative(c)
    sojourn = np.concatenate([[1.0], np.cumprod(1 - sojourn_hazard(c)[1:])])
    intact = [np.exp(-hazard * (begin[age + j] - begin[age])) for j in range(length + 1)]
    through = intact[-1].copy()
    for j in range(length):
        through += (intact[j] - intact[j + 1]) * sojourn[length - 1 - j]
    return np.asarray(np.exp(-hazard * (sudden[age + length] - sudden[age])) * through)


def _survive_worn(c: int, hazard: Floats, age: Integers, degraded: Integers, length: int) -> Floats:
    sudden, _ = _cumulative(c)
    survival = np.exp(-hazard * (sudden[age + length] - sudden[age]))
    for j in range(length):
        survival = survival * (1 - sojourn_hazard(c)[np.minimum(degraded + j, LONGEST_SOJOURN)])
    return survival


@cache
def sojourn_hazard(c: int) -> Floats:
    """Daily failure probability after ``k = 0 ... LONGEST_SOJOURN`` days of degradation: 0 at first, 1 at the end."""
    k = np.arange(LONGEST_SOJOURN + 1, dtype=float)
    mean = COMPONENTS[c].sojourn_days
    scale = (mean - 0.5) / math.gamma(1.5) if mean else 1.0  # rounding up to whole days adds about half a day
    hazard = 1 - np.exp(-((k / scale) ** 2 - (np.maximum(k - 1, 0) / scale) ** 2))
    hazard[-1] = 1.0
    return np.asarray(hazard)


@cache
def _cumulative(c: int) -> tuple[Floats, Floats]:
    """Cumulative Weibull hazards by age in days: sudden failure, onset of degradation."""
    component, age = COMPONENTS[c], np.arange(MAXIMUM_AGE + 1, dtype=float)
    sudden = (age / component.sudden_days) ** component.sudden_shape
    begin = (age / component.onset_days) ** component.onset_shape if component.onset_days else 0 * age
    return np.asarray(sudden), np.asarray(begin)


def _failures(failed: Flags, state: Integers, draws: Draws, repair_days: Floats) -> pd.DataFrame:
    day, asset, component = np.nonzero(failed)
    at = day + draws.moment[failed]
    return pd.DataFrame({
        "asset": asset, "component": component, "day": day, "failed": at, "repaired": at + repair_days[failed],
        "degraded": state[failed],
    })  # fmt: skip


def _replacements(replaced: Flags, draws: Draws, visits: Flags | None) -> pd.DataFrame:
    day, asset, component = np.nonzero(replaced)
    visit = np.zeros(len(day), dtype=bool) if visits is None else visits[replaced]
    return pd.DataFrame({
        "asset": asset, "component": component, "day": day, "moment": draws.moment[replaced], "visit": visit,
    })  # fmt: skip
