"""How good is a volume forecast? Days held out, forecast as if they were to come, and compared.

Rolling origins: history up to a cut-off, a forecast of the days behind it, then the next cut-off.
Every model sees the same series, and they are compared on the series that all of them forecast.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ml import metrics
from ml.forecasters import SEASON
from ml.volume import COLUMNS, Job, Mapper, VolumeSettings, plan, run

__all__ = ["ACCURACY", "accuracy", "backtest", "compare"]

FEWEST_DAYS = 2 * SEASON
"""Known days before a cut-off without which a series is not judged there: nothing would scale its error."""

BUSY = 2.0
"""Tickets a day from which coverage is judged: a range of whole numbers below that holds nearly everything."""

QUANTILES = {"lo95": 0.025, "lo80": 0.1, "yhat": 0.5, "hi80": 0.9, "hi95": 0.975}

ACCURACY = ("mase", "wape", "pinball", "coverage80", "coverage95")
"""What is judged: scaled error, share of volume missed, scaled loss of the quantiles, ranges that held."""


def backtest(
    history: pd.DataFrame,
    holidays: pd.DataFrame,
    settings: VolumeSettings,
    *,
    h: int,
    origins: int = 1,
    step: int = 14,
    mapper: Mapper = map,
) -> pd.DataFrame:
    """Forecast the last days from `origins` cut-offs, `step` days apart; the last one ends with the history.

    Returns
    -------
    pandas.DataFrame
        One row per cut-off, series, model and day: ``cutoff`` (last day of the training part),
        ``y`` (null where the day is missing), ``scale`` (seasonal naive error of the training part)
        and the columns of a forecast. No rows where no series has `FEWEST_DAYS` before any cut-off.
    """
    end = history["ds"].max()
    cutoffs = [end - pd.Timedelta(days=h + step * back) for back in reversed(range(origins))]
    jobs = {cutoff: plan(_known(history, cutoff), h, holidays, settings) for cutoff in cutoffs}
    parts = [_judge(history, cutoff, batch, mapper) for cutoff, batch in jobs.items() if batch]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["cutoff", "y", "scale", *COLUMNS])


def accuracy(held_out: pd.DataFrame) -> pd.DataFrame:
    """Judge every series and model over its cut-offs.

    Returns
    -------
    pandas.DataFrame
        One row per series and model: ``unique_id, model, days`` (judged), ``daily`` (mean tickets a
        day) and `ACCURACY`.
    """
    rows = []
    for (unique_id, model), part in held_out.dropna(subset="y").groupby(["unique_id", "model"]):
        cuts = [(cut, cut["scale"].iloc[0]) for _, cut in part.groupby("cutoff")]
        rows.append(
            {
                "unique_id": unique_id,
                "model": model,
                "days": len(part),
                "daily": part["y"].mean(),
                "mase": np.mean([metrics.mase(cut["y"], cut["yhat"], scale) for cut, scale in cuts]),
                "wape": metrics.wape(part["y"], part["yhat"]),
                "pinball": np.mean([_pinball(cut) / scale for cut, scale in cuts]),
                "coverage80": metrics.coverage(part["y"], part["lo80"], part["hi80"]),
                "coverage95": metrics.coverage(part["y"], part["lo95"], part["hi95"]),
            }
        )
    return pd.DataFrame(rows, columns=["unique_id", "model", "days", "daily", *ACCURACY])


def compare(judged: pd.DataFrame) -> pd.DataFrame:
    """Compare models over the series that all of them forecast, best first.

    Returns
    -------
    pandas.DataFrame
        One row per model, ordered by ``mase``: ``model, series`` and `ACCURACY`. Scaled errors are means
        over series; WAPE is pooled; coverage is pooled over series with at least `BUSY` tickets a day,
        null where there is none.
    """
    models = judged["model"].nunique()
    common = judged[judged.groupby("unique_id")["model"].transform("nunique") == models]
    rows = []
    for model, part in common.groupby("model"):
        volume, busy = part["daily"] * part["days"], part[part["daily"] >= BUSY]
        rows.append(
            {
                "model": model,
                "series": len(part),
                "mase": part["mase"].mean(),
                "wape": (part["wape"] * volume).sum() / volume.sum(),
                "pinball": part["pinball"].mean(),
                "coverage80": _weighted(busy, "coverage80"),
                "coverage95": _weighted(busy, "coverage95"),
            }
        )
    table = pd.DataFrame(rows, columns=["model", "series", *ACCURACY])
    return table.sort_values("mase", ignore_index=True)


def _known(history: pd.DataFrame, cutoff: pd.Timestamp) -> pd.DataFrame:
    """The training part: series with enough known days up to the cut-off."""
    before = history[history["ds"] <= cutoff]
    enough = before.groupby("unique_id")["y"].transform("count") >= FEWEST_DAYS
    return before[enough]


def _judge(history: pd.DataFrame, cutoff: pd.Timestamp, batch: list[Job], mapper: Mapper) -> pd.DataFrame:
    """Forecast from one cut-off, with what came and the scale of the training part beside it."""
    known = _known(history, cutoff)
    scales = known.groupby("unique_id")["y"].agg(lambda y: metrics.seasonal_scale(y, SEASON)).rename("scale")
    actual = history[["unique_id", "ds", "y"]]
    made = (
        run(batch, mapper).merge(actual, on=["unique_id", "ds"], how="left").merge(scales.reset_index(), on="unique_id")
    )
    return made.assign(cutoff=cutoff)


def _pinball(part: pd.DataFrame) -> float:
    """Mean over quantiles of twice the pinball loss; the point forecast stands for the median."""
    return float(np.mean([2 * metrics.pinball(part["y"], part[name], level) for name, level in QUANTILES.items()]))


def _weighted(part: pd.DataFrame, column: str) -> float:
    """Mean over series weighted by their days."""
    return float((part[column] * part["days"]).sum() / part["days"].sum()) if len(part) else float("nan")
