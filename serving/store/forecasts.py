"""Stored forecasts: written by the forecasting job, read by requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, RowMapping, Select, and_, insert, or_, select

from serving.store.digests import digest
from serving.store.engine import writing
from serving.store.scores import records
from serving.store.tables import forecast_runs, forecasts

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ForecastRun", "forecast_run", "newest_forecast_run", "save_forecast", "select_forecasts"]

FORECAST_COLUMNS = ("unique_id", "ds", "model", "region", "ticket_type", "yhat", "lo80", "hi80", "lo95", "hi95")


@dataclass(frozen=True)
class ForecastRun:
    """What decides a forecast.

    Attributes
    ----------
    as_of
        The origin: only rows known before it were used.
    frequency
        Length of a period as pandas names it: ``D``, ``W``, ``MS``.
    champion
        The model whose forecast is the one to use; the others stand beside it.
    data_versions
        Delta version by table.
    settings
        The forecaster's configuration, whole.
    """

    as_of: datetime
    frequency: str
    champion: str
    data_versions: Mapping[str, int]
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def run_id(self) -> str:
        """The same for the same origin, data, models and settings."""
        return digest(
            self.as_of.astimezone(UTC).isoformat(),
            self.frequency,
            self.champion,
            dict(self.data_versions),
            dict(self.settings),
        )


def save_forecast(engine: Engine, run: ForecastRun, frame: pd.DataFrame, *, at: datetime | None = None) -> str:
    """Store a forecast in one transaction; a run that is stored already is left as it is.

    Parameters
    ----------
    frame
        One row per series × model × period: ``unique_id, ds, model, yhat`` and where there are any
        ``lo80, hi80, lo95, hi95, region, ticket_type``; other columns are not kept. `ds` is the start
        of the period on the site's clock, without a zone.
    at
        When it was made; the real clock by default.

    Returns
    -------
    str
        The run's id.
    """
    rows = _rows(run.run_id, frame)
    with writing(engine) as connection:
        known = select(forecast_runs.c.run_id).where(forecast_runs.c.run_id == run.run_id)
        if connection.scalar(known) is not None:
            return run.run_id
        connection.execute(
            insert(forecast_runs).values(
                run_id=run.run_id, as_of=run.as_of, created_at=at or datetime.now(UTC), frequency=run.frequency,
                champion=run.champion, data_versions=dict(run.data_versions), settings=dict(run.settings),
            )
        )  # fmt: skip
        if rows:
            connection.execute(insert(forecasts), rows)
    return run.run_id


def newest_forecast_run(connection: Connection) -> RowMapping | None:
    """The forecast run with the latest origin, as a row of ``forecast_runs``; None where there is none."""
    newest = select(forecast_runs).order_by(forecast_runs.c.as_of.desc(), forecast_runs.c.created_at.desc()).limit(1)
    return connection.execute(newest).mappings().first()


def forecast_run(connection: Connection, run_id: str) -> RowMapping | None:
    """The run with this id, as a row of ``forecast_runs``; None where there is none."""
    return connection.execute(select(forecast_runs).where(forecast_runs.c.run_id == run_id)).mappings().first()


def select_forecasts(run_id: str, model: str, *, instead: str = "") -> Select[Any]:
    """One model's forecast of a run: one row per series × period.

    Parameters
    ----------
    instead
        The model whose rows stand for the series that `model` did not forecast; none where empty.
    """
    of_run = select(forecasts).where(forecasts.c.run_id == run_id)
    own = forecasts.c.model == model
    if not instead:
        return of_run.where(own)
    done = select(forecasts.c.unique_id).where(forecasts.c.run_id == run_id, own)
    return of_run.where(or_(own, and_(forecasts.c.model == instead, forecasts.c.unique_id.not_in(done))))


def _rows(run_id: str, frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The frame's rows as the table takes them: plain Python values, null for what is missing."""
    import pandas as pd

    missing = {"unique_id", "ds", "model", "yhat"} - set(frame.columns)
    if missing:
        raise ValueError(f"a forecast needs the columns {sorted(missing)}")
    on_site = frame.assign(ds=[moment.to_pydatetime() for moment in pd.to_datetime(frame["ds"])])
    return [{"run_id": run_id, **row} for row in records(on_site, FORECAST_COLUMNS)]
