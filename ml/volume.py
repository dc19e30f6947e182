"""Volume forecasts: forecasters side by side over many series, in batches that any process can run."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

import pandas as pd
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as checked

from features.errors import ConfigError, nearest
from ml.forecasters import COLUMNS, FORECASTERS

__all__ = ["BASELINE", "COLUMNS", "FORECASTERS", "Job", "Mapper", "VolumeSettings", "plan", "run", "spread"]

BASELINE = "seasonal_naive"
"""Runs beside every model: what a model must beat, and what a series gets on which a model fails."""

RECENT = pd.Timedelta(weeks=8)
"""The stretch of history by which series are ranked by size."""


@checked(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class VolumeSettings:
    """``[forecast]`` of ``foremend.toml``.

    Attributes
    ----------
    country, subdivision
        Whose holidays and make-up workdays hold (ISO 3166); without a country none are known.
    horizon
        Days to forecast.
    models
        Forecasters to run side by side; the seasonal naive always is among them.
    prophet_nodes
        Prophet is run on so many of the largest series; it costs .1 to .5 s each.
    """

    country: str = ""
    subdivision: str = ""
    horizon: Annotated[int, Field(ge=1, le=400)] = 28
    models: Annotated[tuple[str, ...], Field(min_length=1)] = ("seasonal_naive", "prophet")
    prophet_nodes: Annotated[int, Field(ge=0)] = 50

    def __post_init__(self) -> None:
        for name in self.models:
            if name not in FORECASTERS:
                raise ConfigError(
                    f"the model '{name}' is not known", where="foremend.toml [forecast] models",
                    todo=nearest(name, FORECASTERS),
                )  # fmt: skip


@dataclass(frozen=True)
class Job:
    """A batch of series for one forecaster: the unit of work that is spread over processes."""

    model: str
    history: pd.DataFrame
    h: int
    holidays: pd.DataFrame

    def run(self) -> pd.DataFrame:
        """Forecast the batch; frame with `COLUMNS`."""
        return FORECASTERS[self.model](self.history, self.h, self.holidays)


Mapper = Callable[[Callable[[Job], pd.DataFrame], list[Job]], Iterable[pd.DataFrame]]
"""``map``, or an executor's."""


def plan(history: pd.DataFrame, h: int, holidays: pd.DataFrame, settings: VolumeSettings, size: int = 6) -> list[Job]:
    """Cut a forecast into jobs of at most `size` series; Prophet's come first, for they take longest.

    Parameters
    ----------
    history
        One row per series and day: ``unique_id, ds, y``; no day left out, missing ones null.
    holidays
        One row per day with an effect: ``ds, holiday``; may be empty.
    """
    recent = history[history["ds"] > history["ds"].max() - RECENT]
    largest = recent.groupby("unique_id")["y"].sum().nlargest(settings.prophet_nodes).index
    jobs = []
    for model in sorted({BASELINE, *settings.models}):
        chosen = history[history["unique_id"].isin(largest)] if model == "prophet" else history
        names = chosen["unique_id"].unique()
        for start in range(0, len(names), size):
            batch = chosen.loc[chosen["unique_id"].isin(names[start : start + size]), ["unique_id", "ds", "y"]]
            jobs.append(Job(model, batch, h, holidays))
    return jobs


def run(jobs: list[Job], mapper: Mapper = map) -> pd.DataFrame:
    """Run jobs and join their forecasts.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`; each series, model and day once. Where a forecaster fell back on another that ran as
        well, their rows are the same, and the one that says why is kept.
    """
    joined = pd.concat(mapper(Job.run, jobs), ignore_index=True)
    key = ["unique_id", "model", "ds"]
    joined = joined.sort_values([*key, "fallback"], ascending=[True, True, True, False])
    return joined.drop_duplicates(key).reset_index(drop=True)


@contextmanager
def spread(workers: int) -> Iterator[Mapper]:
    """Give a ``map`` over `workers` processes; with one, the built-in.

    Processes are started afresh: tables and fits hold threads, and a fork would copy their locks.
    """
    if workers <= 1:
        yield map
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool.map
