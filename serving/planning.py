"""The volume job: tables → daily series → forecasts beside a backtest → one transaction of the store.

Run again for the same cut-off, tables and settings, it finds its forecast stored and adds nothing.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd

from features.calendars import calendar, calendar_version, holiday_effects
from features.volumes import VolumeWarning, daily
from features.workspace import Snapshot, Workspace
from ml.volume import BASELINE, VolumeSettings, plan, run, spread
from ml.volume_backtest import accuracy, backtest, compare
from serving.settings import load_settings
from serving.store import ForecastRun, open_store, save_forecast

__all__ = ["VolumeForecast", "forecast_volume"]

Say = Callable[[str], None]

SPREAD_FROM = 20
"""Fits of Prophet from which a second process pays for its start: some 3 s, at .35 s a fit."""


@dataclass(frozen=True)
class VolumeForecast:
    """A stored forecast and what it rests on.

    Attributes
    ----------
    run_id
        Its id in the store: the same for the same cut-off, tables and settings.
    champion
        The model to use: the one asked for, else the one that erred least on the days held out.
    horizon
        Days forecast.
    history
        Daily series: see :func:`features.volumes.daily`.
    forecast
        All models' forecasts: `ml.forecasters.COLUMNS` with ``region`` and ``ticket_type``.
    judged, compared
        The backtest by series and model, and by model: see :mod:`ml.volume_backtest`.
    held_out_days
        Days held out for it; 0 where the history was too short.
    notes
        What a planner should know before using the numbers.
    """

    run_id: str
    as_of: datetime
    champion: str
    horizon: int
    history: pd.DataFrame
    forecast: pd.DataFrame
    judged: pd.DataFrame
    compared: pd.DataFrame
    held_out_days: int
    notes: tuple[str, ...]

    def chosen(self) -> pd.DataFrame:
        """The forecast to use: the champion's rows, and the baseline's where it has none."""
        wanted = self.forecast["model"].map({BASELINE: 1} | {self.champion: 0}).fillna(2)
        ordered = self.forecast.assign(wanted=wanted).sort_values(["unique_id", "ds", "wanted"])
        return ordered.drop_duplicates(["unique_id", "ds"]).drop(columns="wanted").reset_index(drop=True)


def forecast_volume(
    workspace: Workspace, *, as_of: datetime | None = None, horizon: int | None = None, model: str = "",
    say: Say = lambda _: None,
) -> VolumeForecast:  # fmt: skip
    """Forecast daily organic tickets of every node and store the forecast.

    Parameters
    ----------
    as_of
        Only rows known before it are used. Default: the last cut-off of the workspace's clock.
    horizon
        Days to forecast instead of those of ``[forecast]`` in ``foremend.toml``.
    model
        The model to use, whatever the backtest says.

    Raises
    ------
    DataError
        There are no tickets, or too few days of them.
    ConfigError
        ``[forecast]`` or a zone cannot be meant.
    """
    settings = _settings(workspace, horizon, model)
    cutoff = as_of or workspace.last_cutoff()
    snapshot = workspace.pin()
    history, notes = _history(snapshot, cutoff, say)
    holidays, provisional = _holidays(history, settings, cutoff.date())
    forecast, held_out = _run(history, holidays, settings, say)
    judged = accuracy(held_out)
    compared = compare(judged)
    best = str(compared["model"].iloc[0]) if len(compared) else BASELINE
    result = VolumeForecast(
        run_id="", as_of=cutoff, champion=model or best, horizon=settings.horizon, history=history,
        forecast=forecast.merge(_tags(history), on="unique_id"), judged=judged, compared=compared,
        held_out_days=_held_out_days(history, settings), notes=(*notes, *provisional, *_fallbacks(forecast, settings)),
    )  # fmt: skip
    return replace(result, run_id=_store(snapshot, settings, result))


def _settings(workspace: Workspace, horizon: int | None, model: str) -> VolumeSettings:
    settings = workspace.config.section("forecast", VolumeSettings)
    models = dict.fromkeys((*settings.models, model)) if model else settings.models
    return replace(settings, horizon=horizon or settings.horizon, models=tuple(models))


def _history(snapshot: Snapshot, as_of: datetime, say: Say) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The daily series, and what they warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", VolumeWarning)
        history = daily(snapshot, as_of)
    notes = tuple(str(one.message) for one in caught if issubclass(one.category, VolumeWarning))
    first, last = history["ds"].min(), history["ds"].max()
    missing = int(history["y"].isna().sum())
    say(
        f"{history['unique_id'].nunique():,} series of daily tickets, {first:%Y-%m-%d} to {last:%Y-%m-%d}"
        + (f", {missing:,} values missing" if missing else "")
    )
    return history, notes


def _holidays(history: pd.DataFrame, settings: VolumeSettings, today: date) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Days with an effect of their own, from the first day known to the last one forecast."""
    if not settings.country:
        return pd.DataFrame(columns=["ds", "holiday"]), (
            'No holidays are used: set country under [forecast] in foremend.toml, e.g. country = "CN".',
        )
    last = history["ds"].max() + timedelta(days=settings.horizon)
    days = calendar(
        settings.country, history["ds"].min().date(), last.date(), subdivision=settings.subdivision, known_on=today
    )
    guessed = days[(days["status"] == "provisional") & (days["ds"] > history["ds"].max())]
    if guessed.empty:
        return holiday_effects(days), ()
    note = (
        f"Holidays of {settings.country} from {guessed['ds'].iloc[0]:%Y-%m-%d} are provisional: no notice is known yet."
    )
    return holiday_effects(days), (note,)


def _run(
    history: pd.DataFrame, holidays: pd.DataFrame, settings: VolumeSettings, say: Say
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The forecast, and the last days forecast as if they were to come."""
    h = _held_out_days(history, settings)
    fits = 2 * min(history["unique_id"].nunique(), settings.prophet_nodes) if "prophet" in settings.models else 0
    with spread(2 if fits >= SPREAD_FROM else 1) as mapper:
        say(f"forecasting {settings.horizon} days with {', '.join(settings.models)} …")
        forecast = run(plan(history, settings.horizon, holidays, settings), mapper)
        say(f"holding out the last {h} days to compare the models …")
        held_out = backtest(history, holidays, settings, h=h, mapper=mapper)
    return forecast, held_out


def _held_out_days(history: pd.DataFrame, settings: VolumeSettings) -> int:
    """As many days as are forecast, but at most a third of the history."""
    return min(settings.horizon, history["ds"].nunique() // 3)


def _tags(history: pd.DataFrame) -> pd.DataFrame:
    return history[["unique_id", "region", "ticket_type"]].drop_duplicates()


def _fallbacks(forecast: pd.DataFrame, settings: VolumeSettings) -> tuple[str, ...]:
    """One note per reason for which series got the seasonal naive forecast, and one for those not tried."""
    fallen = forecast[forecast["fallback"] != ""].drop_duplicates("unique_id")
    notes = [
        f"{len(part)} series have the seasonal naive forecast ({reason}), e.g. {part['unique_id'].iloc[0]}."
        for reason, part in fallen.groupby("fallback")
    ]
    left_out = forecast["unique_id"].nunique() - settings.prophet_nodes
    if "prophet" in settings.models and left_out > 0:
        notes.append(
            f"Prophet ran on the {settings.prophet_nodes} largest series; {left_out:,} have the naive forecast."
        )
    return tuple(notes)


def _store(snapshot: Snapshot, settings: VolumeSettings, result: VolumeForecast) -> str:
    """Write the forecast in one transaction; return the run's id."""
    described: dict[str, Any] = {
        "forecast": asdict(settings),
        "baseline": BASELINE,  # its rows stand for the series that the champion did not forecast
        "calendar": calendar_version(),
        "held_out_days": result.held_out_days,
        "accuracy": [_rounded(row) for row in result.compared.to_dict("records")],
    }
    record = ForecastRun(result.as_of, "D", result.champion, snapshot.versions, described)
    engine = open_store(snapshot.workspace, load_settings())
    try:
        return save_forecast(engine, record, result.forecast, at=snapshot.workspace.now())
    finally:
        engine.dispose()


def _rounded(row: dict[Any, Any]) -> dict[str, Any]:
    """Figures to four digits, so that a run's id does not hang on the last bit; null for what is not defined."""
    return {str(k): (None if math.isnan(v) else round(v, 4)) if isinstance(v, float) else v for k, v in row.items()}
