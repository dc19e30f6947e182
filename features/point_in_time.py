"""The few operations that all features are made of, as a small declarative spec.

An *entry* says what is wanted (the mean of a channel over 7 days, the days since the last
service of a pump). It knows nothing of SQL and nothing of time's arrow: two targets emit the SQL,
:mod:`features.grid` for many daily cut-offs and :mod:`features.point` for one, and both obey one
rule. A row is visible at ``as_of`` where ``known_at < as_of`` and ``event_time < as_of``; a window
of w days covers ``event_time`` in ``[as_of - w, as_of)``.

The entity is a parameter: the same entries work over ``asset_id``, ``ticket_id`` or any other
column by which a table's rows belong to something.

Names follow one pattern, source first, window last, and are made here only.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

__all__ = [
    "Baseline", "CountSince", "Counts", "Entry", "Events", "Feature", "FeatureSet", "Lattice", "Level",
    "Moment", "Silence", "Since", "State", "Statistics", "window_name",
]  # fmt: skip

DAY = 86_400_000_000
"""Microseconds of a day: the engine counts in whole microseconds."""

STATISTICS = ("count", "mean", "std", "min", "max", "sum", "slope", "last", "last_minus_mean")
"""What :class:`Statistics` can say about a column in a window."""

_YEARS_BEFORE = 146_097  # days of 400 Gregorian years: cells stay positive, so that `//` is a floor
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Feature:
    """One column of a feature table.

    Attributes
    ----------
    window_days
        Days that it looks back over; None where it has no window.
    """

    name: str
    kind: Literal["number", "category"]
    unit: str
    meaning: str
    source: str
    group: str = ""
    window_days: float | None = None


@dataclass(frozen=True)
class FeatureSet:
    """All features of a workspace, in the order of their columns."""

    features: tuple[Feature, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        return tuple(f.name for f in self.features)

    @property
    def fingerprint(self) -> str:
        """A hash of what the columns mean; two tables with the same one can be stacked."""
        text = "\n".join(f"{f.name}|{f.kind}|{f.unit}|{f.meaning}|{f.source}|{f.window_days}" for f in self.features)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Events:
    """Dated events of an entity: the rows of a table, seen through one of its instants.

    Attributes
    ----------
    name
        What feature names begin with.
    table
        A canonical table, or ``failures``.
    at
        The instant column that dates the event; the table's clock where empty.
    by
        The column whose values are told apart; none where empty.
    where
        Only rows with these values, as (column, value).
    repeat_days
        Only events within so many days after an earlier one of the same entity.
    entity
        The column that says whose event it is.
    """

    name: str
    table: str
    at: str = ""
    by: str = ""
    where: tuple[tuple[str, str], ...] = ()
    repeat_days: float = 0.0
    entity: str = "asset_id"


@dataclass(frozen=True)
class Statistics:
    """Statistics of a numeric column over windows; see :data:`STATISTICS`.

    ``std`` divides by n - 1. ``slope`` is the least-squares trend per day, the time of a reading
    being its whole days before ``as_of``. Ties of the last instant go to the larger value.
    """

    name: str
    table: str
    column: str
    stats: tuple[str, ...]
    windows: tuple[float, ...]
    unit: str = ""
    entity: str = "asset_id"

    def features(self, group: str = "") -> tuple[Feature, ...]:
        """One feature per window and statistic."""
        return tuple(
            Feature(
                f"{self.name}_{self.column}_{stat}_{window_name(window)}", "number", _unit(stat, self.unit),
                f"{_MEANING[stat]} of {self.column} over {_span(window)}", self.table, group, window,
            )
            for window in self.windows for stat in self.stats
        )  # fmt: skip


@dataclass(frozen=True)
class Baseline:
    """A column against the entity's own healthy start, which begins anew after a `reset`.

    The baseline is made of the first `days` days after the last known reset, from the first daily
    cut-off not before it; where no reset is known, of the first days with rows. ``z`` is the mean
    of a short window less the baseline's, in the baseline's standard deviations.
    """

    name: str
    table: str
    column: str
    days: int
    windows: tuple[float, ...]
    reset: Events | None = None
    unit: str = ""
    entity: str = "asset_id"

    def features(self, group: str = "") -> tuple[Feature, ...]:
        """Mean and standard deviation of the baseline, then z per window."""
        stem, own = f"{self.name}_{self.column}", f"first {self.days} days since the last reset"
        return (
            Feature(f"{stem}_baseline_mean", "number", self.unit, f"mean of {self.column}, {own}", self.table, group),
            Feature(f"{stem}_baseline_std", "number", self.unit, f"deviation of {self.column}, {own}", self.table, group),
            *(
                Feature(
                    f"{stem}_z_{window_name(w)}", "number", "standard deviations",
                    f"mean of {self.column} over {_span(w)} against its {own}", self.table, group, w,
                )
                for w in self.windows
            ),
        )  # fmt: skip


@dataclass(frozen=True)
class Silence:
    """How long a table has been silent, and whether it delivers less than it used to."""

    name: str
    table: str
    window: int = 30
    entity: str = "asset_id"

    def features(self, group: str = "") -> tuple[Feature, ...]:
        """Hours since the last row, and the last day's rows against the window's daily mean."""
        return (
            Feature(f"{self.name}_silence_hours", "number", "h", "hours since the last row", self.table, group),
            Feature(
                f"{self.name}_rate_1d_{self.window}d", "number", "ratio",
                f"rows of the last day over the daily mean of {_span(self.window)}", self.table, group, self.window,
            ),
        )  # fmt: skip


@dataclass(frozen=True)
class Counts:
    """Events counted over windows (None: ever), all together and per value of ``events.by``."""

    events: Events
    windows: tuple[int | None, ...]
    values: tuple[str, ...] = ()
    total: bool = True

    def features(self, group: str = "") -> tuple[Feature, ...]:
        """One feature per window and value."""
        return tuple(
            Feature(
                f"{self.events.name}_count{_suffix(value)}_{window_name(window)}", "number", "events",
                f"{_which(self.events, value)} over {_span(window)}", self.events.table, group, window,
            )
            for window in self.windows for value in _choices(self)
        )  # fmt: skip


@dataclass(frozen=True)
class Since:
    """Days since the last event, of any value and per value of ``events.by``. Null before the first."""

    events: Events
    values: tuple[str, ...] = ()
    total: bool = True

    def features(self, group: str = "") -> tuple[Feature, ...]:
        """One feature per value."""
        return tuple(
            Feature(
                f"{self.events.name}_days_since_last{_suffix(value)}", "number", "d",
                f"days since the last of {_which(self.events, value)}", self.events.table, group,
            )
            for value in _choices(self)
        )  # fmt: skip


@dataclass(frozen=True)
class CountSince:
    """Events since the last known `reset`; since ever where there was none."""

    events: Events
    reset: Events

    def features(self, group: str = "") -> tuple[Feature, ...]:
        """One feature."""
        return (
            Feature(
                f"{self.events.name}_count_since_{self.reset.name}", "number", "events",
                f"{_which(self.events, None)} since the last {self.reset.name}", self.events.table, group,
            ),
        )  # fmt: skip


@dataclass(frozen=True)
class Level:
    """What is open now: events that opened less events that closed."""

    name: str
    opened: Events
    closed: Events

    def features(self, group: str = "") -> tuple[Feature, ...]:
        """One feature."""
        return (Feature(self.name, "number", "events", f"open {self.opened.name}s", self.opened.table, group),)


@dataclass(frozen=True)
class State:
    """A value of the versions that are in force at ``as_of``.

    Attributes
    ----------
    sql
        An expression over the table's columns, and over ``as_of`` (microseconds since 1970, as
        all instants in it). Columns not revealed yet are null.
    columns
        The columns that it reads.
    aggregate
        How the versions of several keys become one value: ``min``, ``max``, ``sum`` or ``any_value``.
    """

    feature: Feature
    table: str
    sql: str
    columns: tuple[str, ...]
    aggregate: Literal["min", "max", "sum", "any_value"] = "any_value"
    entity: str = "asset_id"

    def features(self, group: str = "") -> tuple[Feature, ...]:
        """One feature."""
        f = self.feature
        return (Feature(f.name, f.kind, f.unit, f.meaning, f.source, group, f.window_days),)


@dataclass(frozen=True)
class Moment:
    """A part of ``as_of`` itself, in the zone of the workspace."""

    part: Literal["weekday", "month", "day_of_year"]
    zone: str = "UTC"

    def features(self, group: str = "") -> tuple[Feature, ...]:
        """One feature."""
        meaning = f"{self.part.replace('_', ' ')} of as_of in {self.zone}" + (
            ", Monday is 0" if self.part == "weekday" else ""
        )
        return (Feature(f"calendar_{self.part}", "number", "", meaning, "as_of", group),)

    def value(self, as_of: datetime) -> float:
        """The part, for one instant."""
        from zoneinfo import ZoneInfo

        local = as_of.astimezone(ZoneInfo(self.zone)).timetuple()
        return float({"weekday": local.tm_wday, "month": local.tm_mon, "day_of_year": local.tm_yday}[self.part])


Entry = Statistics | Baseline | Silence | Counts | Since | CountSince | Level | State | Moment


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


def window_name(window: float | None) -> str:
    """``7d``, ``6h``, or ``ever``."""
    if window is None:
        return "ever"
    return f"{round(window * 24)}h" if window < 1 else f"{round(window)}d"


def _span(window: float | None) -> str:
    return "all time" if window is None else f"the last {window_name(window)}"


def _suffix(value: str | None) -> str:
    return "" if value is None else "_" + (re.sub(r"\W+", "_", value).strip("_").lower() or "other")


def _choices(entry: Counts | Since) -> tuple[str | None, ...]:
    return ((None,) if entry.total else ()) + entry.values


def _which(events: Events, value: str | None) -> str:
    return f"{events.name} events" + (f" with {events.by} {value}" if value is not None else "")


def _unit(stat: str, unit: str) -> str:
    return {"count": "readings", "slope": f"{unit}/d".lstrip("/")}.get(stat, unit)


_MEANING = {
    "count": "number of values", "mean": "mean", "std": "standard deviation", "min": "smallest value",
    "max": "largest value", "sum": "sum", "slope": "trend per day", "last": "last value",
    "last_minus_mean": "last value less the mean",
}  # fmt: skip
