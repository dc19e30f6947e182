"""Past failures as features see them: what the rule said at each instant of what was known before it.

The rule is any SQL: it joins, groups, reads final values, and what it returns today says nothing of
when that could have been known. So it is asked again at every instant that is wanted, over the tables
as they stood then (:mod:`features.rewind`): what came later cannot reach it, whatever it reads. A
``known_at`` that it returns can only make a failure known later. See ``docs/decisions``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import compress
from typing import TYPE_CHECKING

from features.failures import completed_sql, first_ones
from features.lattice import DAY, microseconds
from features.rewind import read_once, rewindable
from features.workspace import Snapshot

if TYPE_CHECKING:
    import duckdb

__all__ = ["lay_failure_spells"]

Failure = tuple[str, str, int]
"""Asset, mode, microseconds of the event."""


def lay_failure_spells(con: duckdb.DuckDBPyConnection, snapshot: Snapshot, instants: Iterable[datetime]) -> None:
    """Make ``failure_spells(e, v, t, k, u)``: failures of the rule in force, and from when to when they are seen.

    Holds at `instants` only: a failure that is seen at two of them in a row is taken to be seen between them.

    Raises
    ------
    ConfigError
        As :func:`features.failures.read_failures`.
    """
    import pyarrow as pa

    at = sorted({microseconds(instant) for instant in instants})
    spells = [
        (*failure, at[first] - 1, None if last is None else at[last]) for failure, first, last in _spells(snapshot, at)
    ]
    types = {"e": pa.string(), "v": pa.string(), "t": pa.int64(), "k": pa.int64(), "u": pa.int64()}
    columns = zip(*spells, strict=True) if spells else [()] * len(types)
    arrays = {name: pa.array(values, types[name]) for name, values in zip(types, columns, strict=True)}
    con.register("spells", pa.table(arrays))
    con.execute("CREATE TABLE failure_spells AS SELECT * FROM spells")
    con.unregister("spells")


def _spells(snapshot: Snapshot, at: Sequence[int]) -> Iterator[tuple[Failure, int, int | None]]:
    """Every failure with the numbers of the first and the last instant of a spell; None where it lasts to the end."""
    open_since: dict[Failure, int] = {}
    for n, seen in enumerate(_seen(snapshot, at)):
        for gone in open_since.keys() - seen:
            yield gone, open_since.pop(gone), n - 1
        open_since |= dict.fromkeys(seen - open_since.keys(), n)
    yield from ((failure, first, None) for failure, first in open_since.items())


def _seen(snapshot: Snapshot, at: Sequence[int]) -> Iterator[set[Failure]]:
    """The failures seen at each instant; repeats are folded into the first that was known by then."""
    rule = snapshot.workspace.config.failure_rule
    within = round(rule.repeat_days * DAY)
    with rewindable(snapshot) as con:
        found = f"""
            SELECT DISTINCT asset_id, failure_mode, epoch_us(event_time) AS t FROM ({completed_sql(con, rule)})
            WHERE asset_id IS NOT NULL AND event_time IS NOT NULL AND epoch_us(known_at) < getvariable('as_of')
        """
        if len(at) > 1:
            read_once(con, snapshot, rule.query)
        for as_of in at:
            con.execute(f"SET VARIABLE as_of = {as_of}")
            rows = sorted(con.execute(found).fetchall())
            yield set(compress(rows, first_ones([row[:2] for row in rows], [row[2] for row in rows], within)))
