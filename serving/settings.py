"""Deployment settings: where the store is and how the service listens.

The only reader of the environment besides ``${VAR}`` in ``foremend.toml``. What data mean stays in
the toml; what planners change stays in the store.
"""

from __future__ import annotations

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from features.errors import ConfigError, phrase

__all__ = ["Settings", "load_settings"]


class Settings(BaseSettings):
    """Read from ``FOREMEND_…`` in the environment.

    Attributes
    ----------
    database_url
        SQLAlchemy URL of the store (``postgresql://user:password@host/name``); where absent, the
        workspace's own SQLite file. Kept as a secret: it is never printed or logged.
    mlflow_uri
        Address of an MLflow server; where empty, the workspace's own store.
    user
        Whom the history of models names as the one who trained, promoted or rolled back; where empty,
        the operating system's user.
    """

    model_config = SettingsConfigDict(env_prefix="FOREMEND_", frozen=True, extra="ignore")

    database_url: SecretStr | None = None
    mlflow_uri: str = ""
    user: str = ""


def load_settings() -> Settings:
    """Read the settings of this deployment.

    Raises
    ------
    ConfigError
        A variable holds something that cannot be meant; its value is not repeated.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = "FOREMEND_" + "_".join(str(part) for part in first["loc"]).upper()
        raise ConfigError(f"{name}: {phrase(first['msg'])}", where="environment") from None
