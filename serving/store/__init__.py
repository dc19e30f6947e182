"""The service store: scores, proposals, forecasts and keys, in SQLite or PostgreSQL."""

from serving.store.engine import migrate, open_store, writing
from serving.store.forecasts import ForecastRun, newest_forecast_run, save_forecast

__all__ = ["ForecastRun", "migrate", "newest_forecast_run", "open_store", "save_forecast", "writing"]
