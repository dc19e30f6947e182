"""What a check found, in one shape, and the eyes that look."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from features.tables import TABLES
from features.validation.reasons import reason
from features.workspace import Snapshot, ident

if TYPE_CHECKING:
    import duckdb

__all__ = ["SHOWN", "Finding", "Look", "Severity", "finding"]

Severity = Literal["error", "warning", "note"]

SHOWN = 3
"""Examples shown of every finding: enough to recognise it in the source."""


@dataclass(frozen=True)
class Finding:
    """One check and what it found.

    Attributes
    ----------
    severity
        ``error``: rows are lost or wrong until it is mended. ``warning``: usable, and worse for
        it. ``note``: good to know.
    code
        A code of :data:`features.validation.reasons.REASONS`, or of the company's own ``[[rules]]``.
    count, of
        Rows (or keys, assets, tickets: `unit`) that break it, of how many looked at. A `count`
        of 0 is a check that was passed.
    examples
        The first ones: key and offending values as text.
    detail
        What the figures alone do not say.
    """

    severity: Severity
    code: str
    table: str
    column: str
    count: int
    of: int
    meaning: str
    advice: str
    unit: str = "rows"
    examples: tuple[Mapping[str, str], ...] = ()
    detail: str = ""

    @property
    def place(self) -> str:
        """``table.column``, or the table where no column is to blame."""
        return f"{self.table}.{self.column}" if self.column else self.table


def finding(
    severity: Severity, code: str, table: str, column: str = "", *, count: int, of: int, unit: str = "rows",
    examples: Iterable[Mapping[str, str]] = (), detail: str = "",
) -> Finding:  # fmt: skip
    """A finding worded by its code."""
    why = reason(code)
    return Finding(severity, code, table, column, count, of, why.meaning, why.advice, unit, tuple(examples), detail)


@dataclass(frozen=True)
class Look:
    """A connection to one snapshot, and the workspace's clock.

    Attributes
    ----------
    sizes
        Rows of the current view of every table that has any.
    """

    con: duckdb.DuckDBPyConnection
    snapshot: Snapshot
    now: datetime
    sizes: Mapping[str, int] = field(default_factory=dict)

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Run a query to its end; one dictionary per row."""
        found: list[dict[str, Any]] = self.con.sql(sql).to_arrow_table().to_pylist()
        return found

    def row(self, sql: str) -> dict[str, Any]:
        """The single row of an aggregate."""
        return self.rows(sql)[0]

    def has(self, *tables: str) -> bool:
        """Whether every one of `tables` holds rows."""
        return all(self.sizes.get(table, 0) for table in tables)

    def examples(self, sql: str) -> tuple[dict[str, str], ...]:
        """The first rows of a query as text."""
        return tuple(as_text(row) for row in self.rows(f"SELECT * FROM ({sql}) LIMIT {SHOWN}"))

    def broken(self, table: str, where: str, columns: Sequence[str] = ()) -> tuple[dict[str, str], ...]:
        """The first rows of a table for which `where` holds: source, key, time and `columns`."""
        names = dict.fromkeys(("source", *TABLES[table].key, TABLES[table].clock, *columns))
        return self.examples(f"SELECT {', '.join(map(ident, names))} FROM {table} WHERE {where}")


def as_text(row: Mapping[str, Any]) -> dict[str, str]:
    """A row for people: instants in UTC to the second, nothing as an empty text."""
    return {name: _cell(value) for name, value in row.items()}


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)
