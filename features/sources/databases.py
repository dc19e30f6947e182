"""Databases as sources: their own SQL through SQLAlchemy, streamed, as Arrow tables.

Any dialect that SQLAlchemy reaches will do; PostgreSQL, MySQL/MariaDB and SQLite are tested. The
session's zone is set to the source's, so that columns with and without a zone mean the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from features.config import Source, expand
from features.errors import ConfigError, SourceError
from features.sources.batches import BATCH_ROWS, OVERLAP, TEXT_OVERLAP, Since
from features.sources.messages import mask
from features.sources.values import arrow_table

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import Connection, Engine

__all__ = ["read_database"]

DRIVERS: Mapping[str, str] = {
    "postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}  # fmt: skip
"""The drivers that Foremend brings, for URLs that name none."""


def read_database(url: str, query: str, source: Source, since: Since | None, where: str) -> Iterator[pa.Table]:
    """Run `query` over a connection; see :func:`features.sources.read`.

    Parameters
    ----------
    url
        As in ``[connections]``, its ``${VAR}`` not yet expanded.

    Raises
    ------
    ConfigError
        The URL cannot be meant, or its driver is not installed.
    SourceError
        The database cannot be reached or refuses the query.
    """
    from sqlalchemy import text

    place = f"foremend.toml [connections.{source.connection}] url"
    engine = _engine(expand(url, place), place)
    with _translated(engine, url, source, where, place), engine.connect() as connection:
        _set_zone(connection, source.zone)
        statement, values = _newer(query, since, engine.dialect.name, source.zone)
        streaming = connection.execution_options(stream_results=True)
        result = streaming.execute(text(statement.replace(":", r"\:") if not values else statement), values)
        names = list(result.keys())
        yield arrow_table(names, [])
        for rows in result.partitions(BATCH_ROWS):
            yield arrow_table(names, rows)


def _engine(url: str, place: str) -> Engine:
    from sqlalchemy import create_engine
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError
    from sqlalchemy.pool import NullPool

    try:
        address = make_url(url)
        address = address.set(drivername=DRIVERS.get(address.drivername, address.drivername))
        return create_engine(address, poolclass=NullPool)
    except NoSuchModuleError:
        raise ConfigError(
            f"'{address.drivername}' is no dialect that is installed", where=place,
            expected="postgresql, mysql, mariadb, sqlite, or another whose SQLAlchemy driver is installed",
        ) from None  # fmt: skip
    except ArgumentError:
        raise ConfigError(
            "not a database URL", where=place, expected="e.g. postgresql://user:${DB_PASSWORD}@host:5432/name"
        ) from None
    except ImportError as error:
        raise ConfigError(
            f"the driver of '{address.drivername}' is not installed: {error.name}", where=place,
            todo=f"Install it beside foremend: pip install {error.name}",
        ) from None  # fmt: skip


def _set_zone(connection: Connection, zone: str) -> None:
    """Make the session's zone the source's (UTC where none): stamps with a zone come out right either way."""
    from sqlalchemy import text

    kind = connection.dialect.name
    if kind == "postgresql":
        connection.execute(text("SELECT set_config('TimeZone', :zone, false)"), {"zone": zone or "UTC"})
    elif kind in {"mysql", "mariadb"}:
        connection.execute(text("SET time_zone = :zone"), {"zone": _offset(zone or "UTC") or zone})


def _offset(zone: str) -> str | None:
    """``+08:00`` for a zone whose offset has not moved since 1995; MySQL knows names only after a set-up step."""
    months = (datetime(1995 + m // 12, m % 12 + 1, 1, tzinfo=UTC) for m in range(12 * 45))
    offsets = {month.astimezone(ZoneInfo(zone)).strftime("%z") for month in months}
    offset = offsets.pop()
    return f"{offset[:3]}:{offset[3:]}" if not offsets else None


def _newer(query: str, since: Since | None, dialect: str, zone: str) -> tuple[str, dict[str, object]]:
    """Push ``change_column >= watermark`` into the database."""
    if since is None:
        return query, {}
    from sqlalchemy import column

    value: object = since.value
    if isinstance(since.value, datetime):
        value = _bound(since.value, dialect, zone)
    name: object = column(since.column)
    escaped = query.replace(":", r"\:")
    return f"SELECT * FROM ({escaped}\n) AS foremend_source WHERE {name} >= :since OR {name} IS NULL", {"since": value}


def _bound(watermark: datetime, dialect: str, zone: str) -> object:
    """The watermark as the dialect compares it, less the overlap."""
    overlap: timedelta = TEXT_OVERLAP if dialect == "sqlite" else OVERLAP
    start = watermark - overlap
    if dialect == "postgresql":
        return start
    local = start.astimezone(ZoneInfo(zone or "UTC")).replace(tzinfo=None)
    return local.isoformat(" ", timespec="seconds") if dialect == "sqlite" else local


@contextmanager
def _translated(engine: Engine, url: str, source: Source, where: str, place: str) -> Iterator[None]:
    """Turn SQLAlchemy's errors into ours; neither password nor variables are shown."""
    from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

    try:
        yield
    except SQLAlchemyError as error:
        said = str(error.orig).strip() if isinstance(error, DBAPIError) else str(error).strip()
        password = str(engine.url.password or "")
        said = said.partition("\n")[0]  # the query, with a mark below it, follows: it stands in the file
        said = mask(said.replace(password, "***") if password else said, url, source.query)
        shown = engine.url.render_as_string(hide_password=True)
        if isinstance(error, OperationalError) and error.statement is None:
            raise SourceError(
                f"{mask(shown, url)} cannot be reached: {said}", where=place,
                todo="Check address, account and network; `foremend ingest` may simply be run again",
            ) from None  # fmt: skip
        raise SourceError(said, where=f"{where} query", todo="Correct the query") from None
