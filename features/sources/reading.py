"""Reading a source: the one door to files and databases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from features.config import expand
from features.sources.batches import Since
from features.sources.files import read_files
from features.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["read"]


def read(workspace: Workspace, name: str, since: Since | None = None) -> Iterator[pa.Table]:
    """Run a source's query.

    Yields
    ------
    pyarrow.Table
        Batches with the same column names. Types may differ from batch to batch where the
        database has none of its own (SQLite). At least one batch, which may be empty.

    Raises
    ------
    ConfigError
        A ``${VAR}`` is not set.
    SourceError
        A file is missing or corrupt, the SQL is wrong, the database cannot be reached.
    """
    source = workspace.config.sources[name]
    where = f"foremend.toml [sources.{name}]"
    query = expand(source.query, f"{where} query").strip().rstrip(";")
    if source.connection:
        from features.sources.databases import read_database

        url = workspace.config.connections[source.connection].url
        yield from read_database(url, query, source, since, where)
    else:
        yield from read_files(workspace, query, source, since, where)
