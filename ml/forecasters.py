"""Forecasters of volume, of one shape.

A forecaster takes a frame of series and gives a frame of forecasts, and knows nothing else::

    forecaster(history[unique_id, ds, y], h, holidays[ds, holiday]) -> frame with `COLUMNS`

Each draws sample paths, from which it takes the ranges of every day and of the sum since the first
day: added up, daily ranges are too wide for a sum, and under independence too narrow.

A series on which a forecaster fails gets the seasonal naive forecast, labelled as such, with the
reason beside it; no series ever stops the run.
"""

from __future__ import annotations

import logging
import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["COLUMNS", "FORECASTERS", "Curve", "Forecaster"]

SEASON = 7
"""Days after which volumes repeat."""

PATHS = 500
"""Sample paths per series: the 2.5 % quantile then rests on a dozen of them."""

SEED = 20240210
"""Ranges are drawn, and the same history gives the same ranges."""

FEWEST_FOR_PROPHET = 28
"""Known days below which Prophet is not tried: it would fit the weeks' noise."""

RANGES: Mapping[str, float] = MappingProxyType({"lo95": 0.025, "lo80": 0.1, "hi80": 0.9, "hi95": 0.975})
"""Quantile of each range's end."""

COLUMNS = ("unique_id", "ds", "model", "yhat", "lo80", "hi80", "lo95", "hi95", "sum_lo80", "sum_hi80", "fallback")
"""Columns of a forecast: one row per series and day; all numbers in tickets, none negative.

``sum_lo80`` and ``sum_hi80`` hold the 80 % range of the sum from the first day through this one.
``model`` names what made the row; ``fallback`` says why it was not the forecaster asked for, else ''.
"""

Numbers = NDArray[np.float64]
Forecaster = Callable[[pd.DataFrame, int, pd.DataFrame], pd.DataFrame]


@dataclass(frozen=True)
class Curve:
    """The forecast of one series: points of shape (h,), sample paths of shape (paths, h)."""

    yhat: Numbers
    paths: Numbers


Kernel = Callable[[pd.Series, pd.DatetimeIndex, pd.DataFrame, int], Curve]
"""(y by day, days to forecast, holidays, seed) -> curve."""


def seasonal_naive(history: pd.DataFrame, h: int, holidays: pd.DataFrame) -> pd.DataFrame:
    """Repeat the last week; ranges from weeks of past errors, drawn whole and added up week by week.

    References
    ----------
    Hyndman & Athanasopoulos, *Forecasting: principles and practice*, 3rd ed., 5.2 and 5.5.
    """
    return _each(history, h, holidays, "seasonal_naive", _naive)


def prophet(history: pd.DataFrame, h: int, holidays: pd.DataFrame) -> pd.DataFrame:
    """Prophet: piecewise linear trend times week, year (from two full years) and holidays.

    References
    ----------
    Taylor & Letham, *Forecasting at scale* (2018).
    """
    return _each(history, h, holidays, "prophet", _prophet)


FORECASTERS: Mapping[str, Forecaster] = MappingProxyType({"seasonal_naive": seasonal_naive, "prophet": prophet})
"""Every forecaster, by name."""


def _each(history: pd.DataFrame, h: int, holidays: pd.DataFrame, model: str, kernel: Kernel) -> pd.DataFrame:
    """Run a kernel on every series of a batch."""
    frames = []
    for unique_id, part in history.groupby("unique_id"):
        y = part.set_index("ds")["y"].astype(float)
        days = pd.date_range(y.index[-1] + pd.Timedelta(days=1), periods=h, freq="D")
        seed = SEED ^ zlib.crc32(str(unique_id).encode())
        made_by, fallback = model, ""
        try:
            curve = kernel(y, days, holidays, seed)
        except Exception as error:  # whatever a library throws: one series must not end the run
            made_by, fallback = "seasonal_naive", _reason(error)
            curve = _naive(y, days, holidays, seed)
        frames.append(_frame(str(unique_id), days, made_by, curve, fallback))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(COLUMNS))


def _frame(unique_id: str, days: pd.DatetimeIndex, model: str, curve: Curve, fallback: str) -> pd.DataFrame:
    yhat, paths = curve.yhat.clip(min=0), curve.paths.clip(min=0)
    low_high = np.quantile(paths, list(RANGES.values()), axis=0)
    ranges = dict(zip(RANGES, low_high, strict=True))
    # Sums are taken before days are cut off at zero: cut first, the quiet days would no longer balance the busy ones.
    sums = np.quantile(curve.paths.cumsum(axis=1), [0.1, 0.9], axis=0)
    ranges["sum_lo80"], ranges["sum_hi80"] = sums.clip(min=0)
    points = {name: yhat.cumsum() if name.startswith("sum") else yhat for name in ranges}
    # Drawn ranges may just miss the point; a range that does not hold it could not be explained.
    held = {n: (np.minimum if "lo" in n else np.maximum)(values, points[n]) for n, values in ranges.items()}
    columns = {"unique_id": unique_id, "ds": days, "model": model, "yhat": yhat, "fallback": fallback, **held}
    return pd.DataFrame(columns)[list(COLUMNS)]


def _naive(y: pd.Series, days: pd.DatetimeIndex, holidays: pd.DataFrame, seed: int) -> Curve:  # noqa: ARG001

    weekday = pd.DatetimeIndex(y.index).day_of_week
    level = y.mean() if y.notna().any() else 0.0
    last = y.groupby(weekday).last().reindex(days.day_of_week[:SEASON]).fillna(level).to_numpy()
    weeks = math.ceil(len(days) / SEASON)
    yhat = np.resize(last, len(days))
    rng = np.random.default_rng(seed)
    errors = _weekly_errors(y)
    if len(errors) < 2:  # nothing to learn a spread from: as if tickets came independently
        return Curve(yhat, rng.poisson(np.full((PATHS, len(days)), yhat)).astype(float))
    drawn = errors[rng.integers(len(errors), size=(PATHS, weeks))].cumsum(axis=1)
    return Curve(yhat, yhat + drawn.reshape(PATHS, -1)[:, : len(days)])


def _weekly_errors(y: pd.Series) -> Numbers:
    """Errors of the seasonal naive forecast, one row per whole week that ends with the series; mean zero."""
    values = y.to_numpy(dtype=float)
    steps = values[SEASON:] - values[:-SEASON]
    weeks = steps[len(steps) % SEASON :].reshape(-1, SEASON)
    known: Numbers = weeks[~np.isnan(weeks).any(axis=1)]
    return known - known.mean() if len(known) else known


def _prophet(y: pd.Series, days: pd.DatetimeIndex, holidays: pd.DataFrame, seed: int) -> Curve:
    known = y.dropna()
    if len(known) < FEWEST_FOR_PROPHET:
        raise ValueError(f"{len(known)} days of history; Prophet needs {FEWEST_FOR_PROPHET}")
    past, future = pd.DataFrame({"ds": known.index, "y": known.to_numpy()}), pd.DataFrame({"ds": days})
    model = _new_prophet(holidays).fit(past)
    curve = model.predict(pd.concat([past[["ds"]], future]))  # one call for both: its cost is per call
    ahead = curve.iloc[len(past) :]
    yhat = ahead["yhat"].to_numpy(dtype=float)
    if not np.isfinite(yhat).all():
        raise ValueError("Prophet gave no finite forecast")
    model.uncertainty_samples = PATHS
    with _seeded(seed):
        trends = np.asarray(model.predictive_samples(future)["trend"], dtype=float).T
    season = 1 + ahead["multiplicative_terms"].to_numpy(dtype=float)
    return Curve(
        yhat, trends * season + _blocks(known.to_numpy() - curve["yhat"].to_numpy()[: len(past)], len(days), seed)
    )


def _blocks(residuals: Numbers, h: int, seed: int) -> Numbers:
    """Noise of sample paths: runs of past residuals as long as the horizon, or a third of the history.

    Prophet's own noise is independent from day to day, so that its sums come out too sure: on the
    emergency calls its 80 % range held 60 % of 28-day sums and 86 % of days, runs hold 74 % and 79 %.

    References
    ----------
    Künsch, *The jackknife and the bootstrap for general stationary observations* (1989): moving blocks.
    """
    length = max(1, min(h, len(residuals) // 3))
    starts = np.random.default_rng(seed).integers(len(residuals) - length + 1, size=(PATHS, math.ceil(h / length)))
    drawn: Numbers = residuals[starts[:, :, None] + np.arange(length)].reshape(PATHS, -1)[:, :h]
    return drawn


def _new_prophet(holidays: pd.DataFrame) -> Any:
    """A Prophet that draws nothing until it is asked."""
    return _quiet_prophet()(
        seasonality_mode="multiplicative", daily_seasonality=False, uncertainty_samples=0,
        holidays=holidays if len(holidays) else None,
    )  # fmt: skip


@cache
def _quiet_prophet() -> Any:
    """The class, imported once, with its loggers and its optimizer's silenced."""
    for name in ("prophet", "prophet.plot", "cmdstanpy"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.CRITICAL)
        logger.addHandler(logging.NullHandler())  # cmdstanpy gives itself a handler and a level where it finds none
    from prophet import Prophet

    return Prophet


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed numpy's global generator, from which Prophet draws, and leave it as it was."""
    state = np.random.get_state()
    np.random.seed(seed % 2**32)
    try:
        yield
    finally:
        np.random.set_state(state)


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
