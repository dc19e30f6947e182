"""The service store: scores, proposals, forecasts and keys, in SQLite or PostgreSQL.

Plain functions over SQLAlchemy Core. Those that take an engine open their own transaction; those
that take a connection belong to their caller's.
"""

from serving.store.engine import migrate, open_store, writing
from serving.store.forecasts import ForecastRun, newest_forecast_run, save_forecast
from serving.store.scores import ScoringRun, newest_run

__all__ = [
    "ForecastRun", "ScoringRun", "migrate", "newest_forecast_run", "newest_run", "open_store", "save_forecast",
    "writing",
]  # fmt: skip
