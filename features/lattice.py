"""Daily cut-offs, numbered, and the instants between them in whole microseconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

__all__ = ["DAY", "Lattice", "microseconds"]

DAY = 86_400_000_000
"""Microseconds of a day: the engine counts in whole microseconds."""

_YEARS_BEFORE = 146_097  # days of 400 Gregorian years: cells stay positive, so that `//` is a floor
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Lattice:
    """Daily cut-offs, numbered: cut-off c is ``origin + c`` days, in microseconds since 1970.

    The *cell* of an instant is the first cut-off after it, so an instant exactly on a cut-off
    belongs to the next cell, and *strictly before* holds by construction.
    """

    origin: int = field(default=-_YEARS_BEFORE * DAY)

    @classmethod
    def through(cls, as_of: datetime) -> Lattice:
        """The lattice of all instants that lie whole days from `as_of`."""
        return cls(microseconds(as_of) % DAY - _YEARS_BEFORE * DAY)

    def number(self, as_of: datetime) -> int:
        """Number of a cut-off; ValueError where `as_of` is not on the lattice."""
        cell, rest = divmod(microseconds(as_of) - self.origin, DAY)
        if rest:
            raise ValueError(f"{as_of} is not on the lattice")
        return cell

    def instant(self, cell: int) -> datetime:
        """The cut-off with this number."""
        return _EPOCH + timedelta(microseconds=self.origin + cell * DAY)

    def cell(self, sql: str) -> str:
        """SQL: the cell of an instant given in microseconds."""
        return f"(({sql} - ({self.origin})) // {DAY} + 1)"

    def boundary(self, sql: str) -> str:
        """SQL: number of the first cut-off not before an instant given in microseconds."""
        return f"(({sql} - ({self.origin}) + {DAY - 1}) // {DAY})"

    def time(self, sql: str) -> str:
        """SQL: microseconds of the cut-off with this number."""
        return f"({self.origin} + ({sql}) * {DAY})"


def microseconds(instant: datetime) -> int:
    """Microseconds since 1970; ValueError where `instant` carries no zone."""
    if instant.tzinfo is None:
        raise ValueError(f"{instant} carries no zone")
    return (instant - _EPOCH) // timedelta(microseconds=1)
