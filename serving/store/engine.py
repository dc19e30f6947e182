"""Opening the store: SQLite beside the workspace by default, PostgreSQL by URL; migrated before anyone reads.

Two ways in, so that every function says which it needs::

    with engine.connect() as connection: ...     reads: one consistent state, waits for nobody
    with writing(engine) as connection: ...      writes: has the writer's turn from the first statement

SQLite runs with WAL and ``synchronous=FULL``: ``NORMAL`` loses committed rows when the power goes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from features.errors import ConfigError, Fault, WorkspaceError
from features.workspace import Workspace
from serving.settings import Settings

__all__ = ["migrate", "open_store", "writing"]

MIGRATIONS = Path(__file__).parents[1] / "migrations"
BUSY_SECONDS = 30
"""How long a writer waits for another one before it gives up."""

_LOCK = 0x466F7265
"""The key ('Fore') of the advisory lock that gives PostgreSQL one writer at a time, as SQLite has by nature."""


def open_store(workspace: Workspace, settings: Settings) -> Engine:
    """Open the store of a workspace, made or brought up to date where necessary.

    Raises
    ------
    ConfigError
        ``FOREMEND_DATABASE_URL`` is not a URL of SQLite or PostgreSQL.
    WorkspaceError
        The store was written by a newer program.
    Fault
        The database does not answer, or its file is damaged.
    """
    url = _url(workspace, settings)
    where = url.render_as_string(hide_password=True)
    engine = _engine(url)
    try:
        migrate(engine, where=where)
    except (DBAPIError, OSError) as error:
        engine.dispose()
        raise Fault(
            f"the store cannot be opened: {_first_line(error)}", where=where,
            todo="Check that the database runs and that this user may write to it",
        ) from error  # fmt: skip
    except BaseException:
        engine.dispose()
        raise
    return engine


def migrate(engine: Engine, *, where: str = "store") -> None:
    """Bring the schema to this program's version, in one transaction; nothing happens where it is there already.

    Raises
    ------
    WorkspaceError
        The schema is of a version that this program does not know.
    """
    config = AlembicConfig()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    scripts = ScriptDirectory.from_config(config)
    with writing(engine) as connection:
        found = MigrationContext.configure(connection).get_current_revision()
        if found == scripts.get_current_head():
            return
        if found is not None and found not in {script.revision for script in scripts.walk_revisions()}:
            raise WorkspaceError(
                f"the store has schema {found}, which this program does not know", where=where,
                expected=f"at most {scripts.get_current_head()}", todo="Update foremend",
            )  # fmt: skip
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction with the writer's turn from its first statement: what it reads stays true until it commits.

    Rolled back whole when the block raises.

    Raises
    ------
    Fault
        The database does not answer, its disk is full, or another writer keeps it too long.
    """
    try:
        with engine.connect().execution_options(foremend_writing=True) as connection, connection.begin():
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            yield connection
    except OperationalError as error:
        raise Fault(
            f"the store does not answer: {_first_line(error)}", where=engine.url.render_as_string(hide_password=True),
            todo="Nothing was written. Check that the database runs and its disk has room, then try again",
        ) from error  # fmt: skip


def _url(workspace: Workspace, settings: Settings) -> URL:
    if settings.database_url is None:
        return URL.create("sqlite", database=str(workspace.database))
    where = "FOREMEND_DATABASE_URL"
    try:
        url = make_url(settings.database_url.get_secret_value())
    except ArgumentError:
        raise ConfigError("not a database URL", where=where, expected="postgresql://user:password@host/name") from None
    kind = url.get_backend_name()
    if kind == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if kind == "sqlite" and url.database:
        return url
    raise ConfigError(
        f"the store cannot live in '{url.drivername}'", where=where, expected="postgresql:// or sqlite:///"
    )


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "postgresql":
        return create_engine(url, pool_pre_ping=True, pool_size=5, max_overflow=10)
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver begins no transactions of its own: DDL is inside ours
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("foremend_writing")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _first_line(error: BaseException) -> str:
    cause = error.orig if isinstance(error, OperationalError) and error.orig else error
    return (str(cause).splitlines() or [type(cause).__name__])[0]
