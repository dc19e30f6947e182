"""A snapshot as it stood at an instant: what every relation would have held then, and nothing else.

Rows known at the instant or later are gone; columns that a later instant reveals are null. Whatever
is computed from it cannot have seen the future, however it was written: the audit's oracle.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from features.lattice import microseconds
from features.tables import TABLES
from features.visible import LONG_AGO, revealing
from features.workspace import Snapshot, ident

if TYPE_CHECKING:
    import duckdb

__all__ = ["read_once", "rewind", "rewindable"]

VARIABLE = "getvariable('as_of')"


def rewind(snapshot: Snapshot, as_of: datetime) -> Snapshot:
    """The snapshot of what was known before `as_of`."""
    return _Rewound(snapshot.workspace, snapshot.tables, snapshot, str(microseconds(as_of)))


@contextmanager
def rewindable(snapshot: Snapshot) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection whose tables stand as they did before its variable ``as_of``, microseconds: set it, ask, set it again."""
    with _Rewound(snapshot.workspace, snapshot.tables, snapshot, VARIABLE).connect() as con:
        yield con


def read_once(con: duckdb.DuckDBPyConnection, snapshot: Snapshot, query: str) -> None:
    """Hold the tables that a query names in memory, where a rewindable connection will be asked often."""
    named = {word.removesuffix("_rows") for word in re.findall(r"\w+", query.lower())}
    for name in named & TABLES.keys():
        con.execute(f"CREATE TABLE __{name} AS {snapshot.relation(name)}")
        con.execute(
            f"CREATE OR REPLACE VIEW {name}_rows AS {_known_before(snapshot, name, f'FROM __{name}', VARIABLE)}"
        )


@dataclass(frozen=True)
class _Rewound(Snapshot):
    """Of the snapshot `of`, what was known before `at`, SQL of an instant in microseconds."""

    of: Snapshot
    at: str

    whole: ClassVar[bool] = False

    def relation(self, name: str, months: tuple[str, ...] | None = None) -> str:
        stored = self.of.relation(name, months)
        return _known_before(self.of, name, stored, self.at) if name in TABLES else stored


def _known_before(snapshot: Snapshot, name: str, stored: str, at: str) -> str:
    """SQL of the stored rows that were known before an instant, their columns as far as they were revealed."""
    late = {c: sql for c in snapshot.columns(name) if (sql := revealing(snapshot, TABLES[name], c))}
    hidden = ", ".join(f"CASE WHEN {sql} < {at} THEN {ident(c)} END AS {ident(c)}" for c, sql in late.items())
    replaced = f" REPLACE ({hidden})" if hidden else ""
    known = f"SELECT *, coalesce(epoch_us(known_at), {LONG_AGO}) AS __k FROM ({stored})"
    return f"SELECT * EXCLUDE (__k){replaced} FROM ({known}) WHERE __k < {at}"
