"""Regimes: a reading among the fleet's readings of the same regime.

What a channel reads follows what the equipment is doing: its speed step, the ambient class, the phase of a
flight; a mean over several regimes says which of them there were. Where ``[channels.NAME]`` declares a
`regime`, all features of the channel are made of z: a reading less the mean of its regime, in the regime's
standard deviations. Both are those of all readings of the fleet in this regime that were known before the
daily cut-off at which the day began on which the reading itself became known. So a z is what it is once
its reading is known, whatever comes later and whoever asks. It is null where the regime is not known (a condition is
null or fails), where fewer than :data:`FEWEST` readings were known, and where these were all alike.

The sums of all regimes and days are laid once for a connection, in a table of their own.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from features import visible
from features.errors import ConfigError
from features.formulas import deviation
from features.lattice import Lattice
from features.partials import Need, finite, literal
from features.workspace import Snapshot, ident

if TYPE_CHECKING:
    import duckdb

__all__ = ["FEWEST", "check_regimes", "facts"]

FEWEST = 30
"""A mean and a spread of fewer readings are mostly noise."""


def facts(con: duckdb.DuckDBPyConnection, snapshot: Snapshot, need: Need, months: tuple[str, ...] | None = None) -> str:
    """SQL of a need's rows as of :func:`features.visible.facts`, z in the place of columns with a regime."""
    if not need.regimes:
        return visible.facts(snapshot, need.table, need.columns, entity=need.entity, months=months)
    joins = " ".join(
        f"LEFT JOIN {_levels(con, snapshot, need, regime)} USING (__day, {_told_by(need, regime)})"
        for regime in dict.fromkeys(need.regimes.values())
    )
    columns = ", ".join(
        f"({finite(c)} - __mean{n}) / __std{n} AS {ident(c)}" if c in need.regimes else ident(c)
        for n, c in enumerate(need.columns)
    )
    return f"SELECT __e, __t, __k, {columns} FROM ({_rows(snapshot, need, months)}) {joins}"


def check_regimes(con: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> None:
    """Stop where the regime of a channel cannot be told from one row of ``readings``.

    Raises
    ------
    ConfigError
        A condition is no SQL, names a column that is not there, or reads more than the row.
    """
    import duckdb

    channels = snapshot.workspace.config.channels
    conditions = {sql: name for name in snapshot.channels() if name in channels for sql in channels[name].regime}
    for sql, name in conditions.items():
        try:
            con.execute(f"SELECT {_tried(sql)} FROM ({snapshot.relation('readings')}) LIMIT 0")
        except duckdb.ProgrammingError as error:
            said, _, _ = str(error).partition("\n\n")  # behind it stands our query
            raise ConfigError(
                f"'{sql}' fails: {said}", where=f"foremend.toml [channels.{name}] regime",
                expected="SQL over the columns of one row of readings",
            ) from error  # fmt: skip


def _tried(condition: str) -> str:
    """SQL of a condition, null where it fails; within TRY, DuckDB refuses other rows and chance."""
    return f"TRY({condition}\n)"


def _rows(snapshot: Snapshot, need: Need, months: tuple[str, ...] | None = None) -> str:
    """The rows with all conditions, and with ``__day``, numbered by the cut-off that ends it, on which each became known."""
    day = Lattice.through(snapshot.workspace.last_cutoff()).cell("epoch_us(known_at)")
    more = [("__day", day), *((name, _tried(sql)) for sql, name in _conditions(need).items())]
    return visible.facts(snapshot, need.table, need.columns, entity=need.entity, months=months, more=more)


def _conditions(need: Need) -> dict[str, str]:
    """The conditions of all regimes, and what their columns are called."""
    found = dict.fromkeys(condition for regime in need.regimes.values() for condition in regime)
    return {condition: f"__condition{n}" for n, condition in enumerate(found)}


def _told_by(need: Need, regime: tuple[str, ...]) -> str:
    """The columns that tell one regime."""
    names = _conditions(need)
    return ", ".join(dict.fromkeys(names[condition] for condition in regime))


def _levels(con: duckdb.DuckDBPyConnection, snapshot: Snapshot, need: Need, regime: tuple[str, ...]) -> str:
    """Lay the table of a regime, once: ``__mean`` and ``__std`` of its columns on every day, from the days before."""
    name = f"regime_{hashlib.sha256(repr((need, need.regimes, regime)).encode()).hexdigest()[:16]}"
    by = f"__day, {_told_by(need, regime)}"
    values = sums = before = levels = ""
    for n, column in enumerate(need.columns):
        if need.regimes.get(column) == regime:
            centre = literal(need.centres[n])
            values += f", {finite(column)} - {centre} AS x{n}"
            sums += f", count(x{n}) AS n{n}, sum(x{n}) AS s{n}, sum(x{n} * x{n}) AS q{n}"
            before += "".join(f", sum({key}{n}) OVER before AS {key}{n}" for key in "nsq")
            std = f"CASE WHEN n{n} >= {FEWEST} THEN nullif({deviation(f'n{n}', f's{n}', f'q{n}')}, 0e0) END"
            levels += f", {centre} + s{n} / n{n} AS __mean{n}, {std} AS __std{n}"
    con.execute(f"""
        CREATE TABLE IF NOT EXISTS {name} AS
        WITH centred AS (SELECT {by}{values} FROM ({_rows(snapshot, need)})),
             daily AS (SELECT {by}{sums} FROM centred GROUP BY ALL),
             known AS (SELECT {by}{before} FROM daily WINDOW before AS (
                 PARTITION BY {_told_by(need, regime)} ORDER BY __day ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING))
        SELECT {by}{levels} FROM known
    """)
    return name
