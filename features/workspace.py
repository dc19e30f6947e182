"""The workspace: a folder with ``foremend.toml``, the Delta tables, and the writer's lock.

::

    foremend.toml      what the company's data mean
    tables/NAME/       canonical tables (Delta Lake)
    quarantine/        rows that could not be used, with their reasons (Delta Lake)
    derived/           partials that can be rebuilt from the tables
    foremend.db        the service database
    mlflow/            MLflow's local store
    tmp/               staging; emptied at the start of every write
    spill/             what a reader's queries do not hold in memory; comes and goes

Only ``ingest`` writes tables, one writer at a time. A reader pins a version of every table
(:meth:`Workspace.pin`) and sees that state however long it reads.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import unquote

from features.config import Config, load
from features.errors import Fault, WorkspaceError
from features.tables import BOOKKEEPING, TABLES, Table, Type

if TYPE_CHECKING:
    import duckdb
    from deltalake import DeltaTable

__all__ = ["Snapshot", "Workspace", "duck"]

CONFIG_NAME = "foremend.toml"
SQL_TYPES: Mapping[Type, str] = {
    "text": "VARCHAR", "integer": "BIGINT", "number": "DOUBLE", "boolean": "BOOLEAN", "instant": "TIMESTAMPTZ",
}  # fmt: skip


@dataclass(frozen=True)
class Workspace:
    """An opened workspace.

    Attributes
    ----------
    root
        The folder.
    config
        Its ``foremend.toml``, read once, at :meth:`open`.
    """

    root: Path
    config: Config

    @classmethod
    def open(cls, root: Path | str) -> Workspace:
        """Open the workspace in `root`.

        Raises
        ------
        ConfigError
            ``foremend.toml`` is missing, wrong, or of a newer format.
        """
        folder = Path(root).expanduser().resolve()
        return cls(folder, load(folder / CONFIG_NAME))

    @property
    def database(self) -> Path:
        """Where the service database lies by default."""
        return self.root / "foremend.db"

    @property
    def derived(self) -> Path:
        """Folder of partials that can be rebuilt."""
        return self.root / "derived"

    @property
    def spill(self) -> Path:
        """Where a reader's queries put what they do not hold in memory; the writer empties ``tmp``, never this."""
        return self.root / "spill"

    @property
    def mlflow(self) -> Path:
        """Folder of MLflow's local store."""
        return self.root / "mlflow"

    def now(self) -> datetime:
        """The workspace's clock: frozen by ``[time] now``, else real time. UTC."""
        frozen = self.config.time.now
        return frozen.astimezone(UTC) if frozen else datetime.now(UTC)

    def last_cutoff(self, at: datetime | None = None) -> datetime:
        """The last daily cut-off not after `at` (default: the workspace's clock). UTC."""
        instant = (at or self.now()).astimezone(UTC)
        hour, minute = map(int, self.config.time.cutoff_utc.split(":"))
        cutoff = instant.replace(hour=hour, minute=minute, second=0, microsecond=0)
        return cutoff if cutoff <= instant else cutoff - timedelta(days=1)

    def table_path(self, name: str) -> Path:
        """Folder of the Delta table `name`; ``quarantine`` is one too."""
        return self.root / "quarantine" if name == "quarantine" else self.root / "tables" / name

    def delta(self, name: str, version: int | None = None) -> DeltaTable | None:
        """Open a Delta table, or None where nothing was ever committed to it.

        Raises
        ------
        Fault
            The table's log is damaged.
        """
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError

        path = self.table_path(name)
        if not (path / "_delta_log").is_dir():
            return None
        try:
            return DeltaTable(str(path), version=version)
        except TableNotFoundError:
            return None
        except (DeltaError, OSError) as error:
            raise Fault(
                f"cannot be read: {str(error).splitlines()[0]}",
                where=str(path),
                todo="Restore it from a backup, or ingest again",
            ) from error

    def pin(self, versions: Mapping[str, int] | None = None) -> Snapshot:
        """Fix a version of every table (default: the newest) for reading.

        Parameters
        ----------
        versions
            Versions to read instead of the newest, by table, as a score names them.
        """
        wanted = versions or {}
        tables = {name: self.delta(name, wanted.get(name)) for name in (*TABLES, "quarantine")}
        return Snapshot(self, {name: table for name, table in tables.items() if table is not None})

    @contextmanager
    def writing(self, what: str) -> Iterator[Path]:
        """Hold the writer's lock; yields an empty staging folder.

        The lock is the operating system's and ends with the process, however it dies.

        Raises
        ------
        WorkspaceError
            Another command holds it; the message names that command and its process.
        """
        handle = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise WorkspaceError(
                    f"another command is writing: {_holder(handle)}", where=str(self.root),
                    todo="Wait for it to end, then try again",
                ) from None  # fmt: skip
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps({"pid": os.getpid(), "what": what}).encode(), 0)
            staging = self.root / "tmp"
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir(parents=True)
            yield staging
            shutil.rmtree(staging, ignore_errors=True)
        finally:
            os.close(handle)


@dataclass(frozen=True)
class Snapshot:
    """One version of every table, for reading.

    Attributes
    ----------
    workspace
        Where the tables lie.
    tables
        The Delta tables that exist, by name, each at its pinned version.
    """

    workspace: Workspace
    tables: Mapping[str, DeltaTable] = field(repr=False)

    whole: ClassVar[bool] = True
    """Whether it holds all rows of its versions: what it says of them may be kept for others."""

    @cached_property
    def versions(self) -> dict[str, int]:
        """Delta version by table: what a score or a run names as its data."""
        return {name: table.version() for name, table in self.tables.items()}

    def connect(self) -> duckdb.DuckDBPyConnection:
        """A DuckDB connection with, for every canonical table, two views.

        ``NAME_rows``
            All stored rows; for versioned tables, all versions.
        ``NAME``
            Facts: the same. Versioned: the current version of every key.

        Tables without rows are empty views with the catalogue's columns.
        """
        con = duck(self.workspace.spill)
        for name, table in TABLES.items():
            with readable(self.workspace.table_path(name)):
                con.execute(f"CREATE VIEW {name}_rows AS {self.relation(name)}")
            con.execute(f"CREATE VIEW {name} AS {_current(table)}")
        return con

    def relation(self, name: str, months: tuple[str, ...] | None = None) -> str:
        """SQL that reads the stored rows of a table at its pinned version.

        Parameters
        ----------
        months
            Only these partitions (``YYYY-MM``) of a fact table.
        """
        delta = self.tables.get(name)
        filters = [("month", "in", list(months))] if months is not None else None
        files = local_files(delta, filters) if delta else []
        if not files:
            return f"SELECT {_empty(TABLES[name], self.columns(name))} WHERE false"
        paths = ", ".join(map(quote, files))
        return f"SELECT * FROM read_parquet([{paths}], hive_partitioning = true, union_by_name = true)"

    def columns(self, name: str) -> tuple[str, ...]:
        """Names of the stored columns, attribute columns and channels included."""
        delta = self.tables.get(name)
        stored = tuple(f.name for f in delta.schema().fields) if delta else ()
        table = TABLES[name]
        return stored or (*table.names, *(c for c in BOOKKEEPING if c not in table.names))

    def months(self, name: str) -> tuple[str, ...]:
        """Partitions (``YYYY-MM``) of a fact table that hold rows, sorted."""
        delta = self.tables.get(name)
        return tuple(sorted({p["month"] for p in delta.partitions()})) if delta else ()

    def channels(self) -> tuple[str, ...]:
        """Channels of ``readings`` that hold a column, sorted."""
        known = {*TABLES["readings"].names, *BOOKKEEPING, "month"}
        return tuple(sorted(c for c in self.columns("readings") if c not in known)) if "readings" in self.tables else ()


def duck(spill: Path | None = None) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection as this house uses it: UTC, no downloads, spilling below `spill`."""
    import duckdb

    settings: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "preserve_insertion_order": "false",
    }
    if spill is not None:
        settings["temp_directory"] = str(spill)
    con = duckdb.connect(config=settings)
    con.execute("SET TimeZone = 'UTC'")  # not in `config`: the linked-in zone data are loaded only after it is read
    return con


def local_files(delta: DeltaTable, months: list[tuple[str, str, list[str]]] | None = None) -> list[str]:
    """Paths of a table's files; deltalake encodes them like addresses: blanks, letters beyond ASCII."""
    return [unquote(uri.removeprefix("file://")) for uri in delta.file_uris(file_pruning_predicate=months)]


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Say that a table's files are damaged or gone, where DuckDB says so.

    Raises
    ------
    Fault
        It names the table and the file.
    """
    import duckdb

    try:
        yield
    except (duckdb.IOException, duckdb.InvalidInputException) as error:
        raise Fault(
            f"a file of the table cannot be read: {str(error).partition(chr(10))[0]}", where=str(path),
            todo="Restore it from a backup; or move the table's folder away and ingest again",
        ) from error  # fmt: skip


def quote(text: str) -> str:
    """A SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def quoted(texts: Iterable[str]) -> str:
    """SQL string literals, for IN."""
    return ", ".join(map(quote, texts))


def ident(name: str) -> str:
    """A SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def new_workspace_id() -> str:
    """A fresh id, written by ``init`` and never changed: external keys are made from it."""
    return uuid.uuid4().hex[:12]


def _current(table: Table) -> str:
    """The current view of a table; tombstones end a key."""
    if table.kind == "fact":
        return f"SELECT * FROM {table.name}_rows"
    keys = ", ".join(ident(k) for k in table.key)
    return (
        f"SELECT * FROM {table.name}_rows QUALIFY row_number() OVER (PARTITION BY {keys} "
        f"ORDER BY known_at DESC, ingested_at DESC) = 1 AND NOT coalesce(deleted, false)"
    )


def _empty(table: Table, columns: tuple[str, ...]) -> str:
    types: dict[str, str] = {c.name: SQL_TYPES[c.type] for c in table.columns}
    types |= {name: "TIMESTAMPTZ" for name in BOOKKEEPING if name != "source"} | {"source": "VARCHAR"}
    types |= {"deleted": "BOOLEAN"} if table.kind == "versioned" else {"month": "VARCHAR"}
    names = dict.fromkeys((*columns, *types))
    return ", ".join(f"CAST(NULL AS {types.get(name, 'VARCHAR')}) AS {ident(name)}" for name in names)


def _holder(handle: int) -> str:
    try:
        note = json.loads(os.pread(handle, 1000, 0))
        return f"`{note['what']}`, process {note['pid']}"
    except (ValueError, KeyError):
        return "unknown"
