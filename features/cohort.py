"""Which assets are in service, and the spine of a run: assets × cut-offs, numbered.

In service at ``as_of`` is an asset that is known, installed before it (or without a date), and not
retired before it. Dates count as the version in force states them: one that lies ahead says no.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.errors import ConfigError, DataError, nearest
from features.grid import KEY
from features.lattice import Lattice
from features.visible import versions
from features.workspace import Snapshot, ident, quote

if TYPE_CHECKING:
    import duckdb

__all__ = ["asset_ids", "attribute", "lay_calendar", "lay_cohort", "lay_grid", "lay_point"]


def lay_cohort(snapshot: Snapshot, con: duckdb.DuckDBPyConnection) -> None:
    """Make ``cohort``: the versions of all assets with their dates.

    Raises
    ------
    DataError
        The workspace has no assets.
    """
    if "assets" not in snapshot.tables:
        raise DataError("no assets", where="tables/assets", expected="at least one", todo="Run `foremend ingest`")
    columns = ("installed_at", "retired_at")
    con.execute(f"CREATE TABLE cohort AS {versions(snapshot, 'assets', columns, as_recorded=True)}")


def asset_ids(con: duckdb.DuckDBPyConnection) -> list[str]:
    """All assets of the cohort, sorted."""
    return [row[0] for row in con.execute("SELECT DISTINCT asset_id FROM cohort ORDER BY 1").fetchall()]


def attribute(snapshot: Snapshot, name: str) -> dict[str, str | None]:
    """Asset → what a column of ``assets`` says of it now; None for all where `name` is empty.

    Raises
    ------
    ConfigError
        There is no such column.
    """
    if name and name not in snapshot.columns("assets"):
        raise ConfigError(
            f"split_by = '{name}'", where="foremend.toml [risk]", expected="a column of assets",
            todo=nearest(name, list(snapshot.columns("assets"))),
        )  # fmt: skip
    with snapshot.connect() as con:
        rows = con.execute(f"SELECT asset_id, {f'CAST({ident(name)} AS VARCHAR)' if name else 'NULL'} FROM assets")
        return dict(rows.fetchall())


def lay_point(con: duckdb.DuckDBPyConnection, lattice: Lattice, at: int) -> None:
    """Make ``entity(e, id)`` and ``spine(e, m, r)`` for one cut-off."""
    con.execute(_entities("true"))
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE spine AS SELECT DISTINCT e, {at} AS m, id * {KEY} + {at} AS r "
        f"FROM cohort JOIN entity ON asset_id = e WHERE {_in_service(lattice.time(str(at)))} ORDER BY r"
    )


def lay_grid(con: duckdb.DuckDBPyConnection, lattice: Lattice, looks: range, span: tuple[str, str]) -> None:
    """Make ``entity``, ``calendar(id, m, r)`` and ``spine`` of some assets at the cut-offs of ``wanted(m)``.

    Parameters
    ----------
    looks
        Cut-offs of the calendar, those wanted among them.
    span
        First and last asset.
    """
    con.execute(_entities(f"asset_id BETWEEN {quote(span[0])} AND {quote(span[1])}"))
    lay_calendar(con, looks)
    con.execute(
        f"CREATE TEMP TABLE spine AS SELECT DISTINCT e, m, r FROM calendar JOIN wanted USING (m) JOIN entity USING (id) "
        f"JOIN cohort ON asset_id = e WHERE {_in_service(lattice.time('m'))} ORDER BY r"
    )


def lay_calendar(con: duckdb.DuckDBPyConnection, looks: range) -> None:
    """Make ``calendar(id, m, r)``: every entity at every look."""
    con.execute(
        f"CREATE TEMP TABLE calendar AS SELECT id, m, id * {KEY} + m AS r FROM entity, "
        f"(SELECT unnest(range({looks.start}, {looks.stop}, {looks.step})) AS m)"
    )


def _entities(inside: str) -> str:
    """Number the assets in order of their ids."""
    return (
        "CREATE OR REPLACE TEMP TABLE entity AS SELECT asset_id AS e, row_number() OVER (ORDER BY asset_id) AS id "
        f"FROM (SELECT DISTINCT asset_id FROM cohort WHERE {inside})"
    )


def _in_service(as_of: str) -> str:
    return (
        f"__k < {as_of} AND (__u IS NULL OR {as_of} <= __u) AND (installed_at IS NULL OR epoch_us(installed_at) < {as_of}) "
        f"AND (retired_at IS NULL OR epoch_us(retired_at) >= {as_of})"
    )
