"""What the machines report: readings of every channel, running hours, and alarms."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.demo.degradation import History
from features.demo.fleet import Block
from features.demo.texts import ALARM_TEXTS
from features.demo.workdays import Calendar
from features.demo.world import BLOCK, CHANNELS, COMPONENTS, MODELS, stream

__all__ = ["alarms", "readings"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

LOST_SHARE, NULL_SHARE = 0.004, 0.003
"""Share of readings that never arrived, and of values that are empty."""
SILENCES_A_YEAR, SILENCE_DAYS = 0.5, 4
CAMPAIGNS_A_YEAR, CAMPAIGN_DAYS = 5.0, 8
"""Spells of heavy load that move the channels and harm nothing."""
RENEWAL_SHIFT = 0.35
"""Spread of the level that a new component brings, in the channel's spreads."""
RAMP_DAYS = 0.6
"""Days after onset at which a channel shows 63 % of the full shift."""
NOISE_ALARMS = 0.006
"""Alarms without cause, per day and code."""
WARNING_ALARMS = 0.30
"""Alarms a day of a fully degraded component."""
TRIP_SHARE = 0.6
"""Share of failures at which the machine itself stops and says so."""


def readings(block: Block, history: History, days: Calendar, a_day: int, seed: int) -> pd.DataFrame:
    """One row per asset and instant: ``asset`` (ordinal), ``event_time``, the channels, ``running_hours``."""
    rng = stream(seed, "readings", block.number)
    shape = (BLOCK, days.days, a_day)
    hour = (np.arange(a_day) * 24 / a_day + rng.random((BLOCK, 1, 1)) * 24 / a_day) + rng.normal(0, 0.05, shape)
    moment = np.arange(days.days)[:, None] + np.clip(hour, 0, 23.99) / 24
    load = _load(rng, hour, days)
    columns: dict[str, NDArray[np.generic]] = {
        "asset": np.broadcast_to(np.arange(BLOCK)[:, None, None], shape),
        "event_time": days.instant(moment),
    }
    year = np.cos(2 * np.pi * (np.arange(days.days) + _day_of_year(days) - 205) / 365.25)[:, None]
    for channel in CHANNELS:
        level = rng.normal(0, 1.5, (BLOCK, 1, 1)) + np.array([m.shift for m in MODELS])[block.model][:, None, None]
        moved = level + channel.load * load + channel.summer * year
        for c, component in enumerate(COMPONENTS):
            if component.channel == channel.name:
                moved = moved + _wear(rng, history, c, moment)
        values = channel.level + channel.spread * (moved + rng.standard_normal(shape))
        values[rng.random(shape) < NULL_SHARE] = np.nan
        columns[channel.name] = np.clip(values, channel.low + 0.05, channel.high).round(3)
    duty = np.clip(load * 4 + 13, 0, 24) * history.in_service.T[:, :, None] / a_day
    columns["running_hours"] = (np.cumsum(duty.reshape(BLOCK, -1), axis=1) + rng.random((BLOCK, 1)) * 9000).round(1)
    kept = _delivered(rng, history, moment)
    return pd.DataFrame({name: values.reshape(shape)[kept] for name, values in columns.items()})


def alarms(block: Block, history: History, days: Calendar, seed: int) -> pd.DataFrame:
    """One row per message: ``asset`` (ordinal), ``event_time, code, severity, text``."""
    rng = stream(seed, "alarms", block.number)
    parts = []
    for c, component in enumerate(COMPONENTS):
        worn = 1 - np.exp(-np.maximum(history.degraded[:, :, c], 0) / RAMP_DAYS)
        chance = (NOISE_ALARMS + WARNING_ALARMS * worn) * history.in_service * (history.degraded[:, :, c] >= 0)
        day, asset = np.nonzero(rng.random(chance.shape) < chance)
        parts.append(pd.DataFrame({"asset": asset, "day": day + rng.random(len(day)), "code": component.alarm}))
    day, asset = np.nonzero((rng.random(history.in_service.shape) < NOISE_ALARMS) & history.in_service)
    parts.append(pd.DataFrame({"asset": asset, "day": day + rng.random(len(day)), "code": "A900"}))
    trips = history.failures[rng.random(len(history.failures)) < TRIP_SHARE]
    parts.append(pd.DataFrame({"asset": trips["asset"], "day": trips["failed"], "code": "F001"}))
    frame = pd.concat(parts, ignore_index=True).sort_values(["asset", "day"], ignore_index=True)
    frame = frame[frame["day"] < days.days]
    return pd.DataFrame({
        "asset": frame["asset"],
        "event_time": days.instant(frame["day"].to_numpy()),
        "code": frame["code"],
        "severity": frame["code"].map({code: severity for code, (severity, _) in ALARM_TEXTS.items()}),
        "text": frame["code"].map({code: text for code, (_, text) in ALARM_TEXTS.items()}),
    })  # fmt: skip


def _load(rng: np.random.Generator, hour: Floats, days: Calendar) -> Floats:
    """Relative load: shifts of the day, closed days, and spells of heavy production."""
    of_day = 0.9 * np.sin((np.clip(hour, 0, 24) - 7) / 24 * 2 * np.pi)
    open_day = np.where(days.workday[days.history], 0.25, -0.9)[:, None]
    heavy = np.zeros((BLOCK, days.days))
    for start, asset in zip(*np.nonzero(rng.random((days.days, BLOCK)) < CAMPAIGNS_A_YEAR / 365), strict=True):
        heavy[asset, start : start + 1 + int(rng.exponential(CAMPAIGN_DAYS))] = 1.2
    return np.asarray(of_day + open_day + heavy[:, :, None])


def _wear(rng: np.random.Generator, history: History, c: int, moment: Floats) -> Floats:
    """The shift that degradation of component `c` gives its channel, and the level that its renewal brought."""
    since = _days_since_onset(rng, history.degraded[:, :, c].T, moment - np.floor(moment))
    ramp = 1 - np.exp(-since / RAMP_DAYS)
    renewed = np.diff(history.age[:, :, c], axis=0, prepend=0) < 0
    last = np.maximum.accumulate(np.where(renewed, np.arange(len(renewed))[:, None], 0), axis=0)
    levels = rng.normal(0, RENEWAL_SHIFT, renewed.shape)
    return np.asarray(COMPONENTS[c].effect * ramp + np.take_along_axis(levels, last, axis=0).T[:, :, None])


def _days_since_onset(rng: np.random.Generator, degraded: Integers, within: Floats) -> Floats:
    """Days for which each reading has been degraded, 0 where it is not: it began at some moment of the day before day 1.

    Parameters
    ----------
    degraded
        (asset, day) days since degradation began, at the day's beginning.
    within
        (asset, day, reading) part of the day.
    """
    begun = rng.random(degraded.shape)
    day = np.arange(degraded.shape[1])
    of_onset = np.take_along_axis(begun, np.maximum(day - np.maximum(degraded, 0), 0), axis=1)
    today = (degraded == 0) & (np.roll(degraded, -1, axis=1) == 1) & (day < len(day) - 1)
    worn = np.where((degraded > 0)[:, :, None], degraded[:, :, None] + within - of_onset[:, :, None], 0.0)
    return np.maximum(np.where(today[:, :, None], within - begun[:, :, None], worn), 0.0)


def _delivered(rng: np.random.Generator, history: History, moment: Floats) -> NDArray[np.bool_]:
    """Which readings exist: in service, running, the gateway speaking, none lost."""
    shape = moment.shape
    kept = np.broadcast_to(history.in_service.T[:, :, None], shape) & (rng.random(shape) >= LOST_SHARE)
    silent = rng.random((BLOCK, shape[1])) < SILENCES_A_YEAR / 365
    for asset, start in zip(*np.nonzero(silent), strict=True):
        kept[asset, start : start + 1 + int(rng.exponential(SILENCE_DAYS))] = False
    for asset, frm, to in history.failures[["asset", "failed", "repaired"]].itertuples(index=False):
        days = slice(int(frm), int(to) + 1)
        kept[asset, days] &= (moment[asset, days] < frm) | (moment[asset, days] > to)
    return np.asarray(kept)


def _day_of_year(days: Calendar) -> int:
    return days.first.timetuple().tm_yday
