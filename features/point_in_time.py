"""The few operations that all features are made of, as a small declarative spec.

An *entry* says what is wanted (the mean of a channel over 7 days, the days since the last
service of a pump). It knows nothing of SQL and nothing of time's arrow: two targets emit the SQL,
:mod:`features.grid` for many daily cut-offs and :mod:`features.point` for one, and both obey one
rule. A row is visible at ``as_of`` where ``known_at < as_of`` and ``event_time < as_of``; a window
of w days covers ``event_time`` in ``[as_of - w, as_of)``.

The entity is a parameter: the same entries work over ``asset_id``, ``ticket_id`` or any other
column by which a table's rows belong to something. Wording is no part of an entry's equality or
spelling-out: two that differ only in it are the same.

Names follow one pattern, source first, window last, and are made here only; nothing reads a name to
learn what a feature is, for the feature says so itself. So are the meanings, English and Chinese
beside each other (see :mod:`features.wording`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from features import sentences
from features.errors import ConfigError
from features.sentences import SIGMA, Sentence
from features.wording import Words, after, column_words, length_words, noun_words, row_words, told_words, within_regime

__all__ = [
    "AS_OF", "Baseline", "CountSince", "Counts", "Entry", "Events", "Feature", "FeatureSet", "Level",
    "Moment", "Silence", "Since", "State", "Statistics", "alike", "choices", "spelt", "window_name",
]  # fmt: skip

STATISTICS = ("count", "mean", "std", "min", "max", "sum", "slope", "last", "last_minus_mean", "day_minus_mean")
"""What :class:`Statistics` can say about a column in a window."""

CHANGES = frozenset({"slope", "last_minus_mean", "day_minus_mean"})
"""Statistics that say how a column has changed, whatever its level."""

AS_OF = """:'"as_of"':"""
"""Stands for the cut-off in the SQL of a :class:`State`. Names and values of a company cannot hold it: quoting
doubles one of its marks within either."""

OWN = "own"
"""What stands for the component in the name of a family."""


@dataclass(frozen=True)
class Feature:
    """One column of a feature table.

    Attributes
    ----------
    meaning
        What it means, for people.
    window_days
        Days that it looks back over; None where it has no window.
    component
        The component or failure mode that it is about: the value that its entry tells apart. An
        alarm code or a ticket type stands here too, for the failure rule may take these as modes.
    family
        The same for the features of all components that differ in nothing else; empty without `component`.
    definition
        All that decides its values, for the fingerprint: see :mod:`features.definitions`.
    change
        Of a view of a channel that says how it has changed: the same for all channels (``reading_own_z_1d``); else empty.
    quantity
        What it is a view of: a channel, the alarms of a code, the services of a component. All windows and statistics
        of one quantity are one reason (:mod:`ml.reasons`). Empty where it stands for itself.
    sentence
        How a reason says its value.
    """

    name: str
    kind: Literal["number", "category"]
    unit: str
    meaning: Words = field(compare=False, repr=False)
    source: str
    group: str = ""
    window_days: float | None = None
    component: str = ""
    family: str = ""
    definition: str = ""
    change: str = field(default="", compare=False, repr=False)
    quantity: str = field(default="", compare=False, repr=False)
    sentence: Sentence | None = field(default=None, compare=False, repr=False)

    def say(self, value: object) -> Words:
        """What a value of it says, for people; see :class:`features.sentences.Sentence`."""
        return (self.sentence or sentences.plain(self.meaning, self.unit)).say(value)

    @property
    def fingerprint(self) -> str:
        """A hash of what the column means, not of how it is worded."""
        text = f"{self.name}|{self.kind}|{self.unit}|{self.source}|{self.window_days}|{self.definition}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class FeatureSet:
    """All features of a workspace, in the order of their columns.

    Raises
    ------
    ConfigError
        Two have the same name: columns differ in more than letter case.
    """

    features: tuple[Feature, ...]

    def __post_init__(self) -> None:
        first: dict[str, Feature] = {}
        for feature in self.features:
            other = first.setdefault(feature.name.lower(), feature)
            if other is not feature:
                raise ConfigError(
                    f"two features are called '{feature.name}': {other.meaning.en}; {feature.meaning.en}",
                    where=f"feature groups {other.group}, {feature.group}", expected="names of their own",
                    todo="Move one to another [features.NAME], or rename the column that it is named after in its source",
                )  # fmt: skip

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        return tuple(f.name for f in self.features)

    @property
    def fingerprint(self) -> str:
        """A hash of what the columns mean, not of how it is worded; two tables with the same one can be stacked."""
        return hashlib.sha256("\n".join(f.fingerprint for f in self.features).encode()).hexdigest()[:16]


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
    words
        What one event is called, in the singular; as a row of the table by default.
    """

    name: str
    table: str
    at: str = ""
    by: str = ""
    where: tuple[tuple[str, str], ...] = ()
    repeat_days: float = 0.0
    entity: str = "asset_id"
    words: Words | None = field(default=None, compare=False, repr=False)

    @property
    def called(self) -> Words:
        """What one event is called."""
        return self.words or row_words(self.table)

    def told(self, value: str | None = None) -> Words:
        """Which of the table's rows these are, and with which value of `by`."""
        more = self._dated()
        if self.repeat_days:
            within = length_words(self.repeat_days)
            more.append(Words(f"within {within.en}", f"距前次 {within.zh}内"))
        return told_words([*([(self.by, value)] if value is not None else ()), *self.where], more)

    def noun(self, value: str | None = None) -> Words:
        """The same as a noun of a sentence."""
        named = noun_words(self.called, self.by, value) if value is not None else noun_words(self.called)
        told = told_words(self.where, self._dated())
        return Words(f"{named.en}{told.en}", f"{named.zh}{told.zh}")

    def _dated(self) -> list[Words]:
        """By which instant, where that is not the table's own and no word of its own says so."""
        return [Words(f"by {self.at}", f"按 {self.at} 计")] if self.at and self.words is None else []

    def quantity(self, value: str | None = None) -> str:
        """What counts and clocks of these events are views of: opened or closed, a ticket is the same ticket."""
        told = [*self.where, *([(self.by, value)] if value is not None else ())]
        parts = (self.table, *(["repeated"] if self.repeat_days else []), *(f"{c}={spelt(v)}" for c, v in told))
        return ".".join(parts)


@dataclass(frozen=True)
class Statistics:
    """Statistics of a numeric column over windows; see :data:`STATISTICS`.

    ``std`` divides by n - 1. ``slope`` is the least-squares trend per day, the time of a reading
    being its whole days before ``as_of``. Ties of the last instant go to the larger value.

    Attributes
    ----------
    label
        What the column is called; as in the catalogue by default.
    regime
        Of what the column is seen within: its z takes its place, see :mod:`features.regimes`.
    """

    name: str
    table: str
    column: str
    stats: tuple[str, ...]
    windows: tuple[float, ...]
    unit: str = ""
    entity: str = "asset_id"
    label: Words | None = field(default=None, compare=False, repr=False)
    regime: tuple[str, ...] = field(default=(), repr=False)

    def features(self, group: str = "") -> tuple[Feature, ...]:
        """One feature per window and statistic."""
        return tuple(
            Feature(
                f"{self.name}_{self.column}_{stat}_{window_name(window)}", "number", _unit(stat, _measured(self)),
                self._meaning(stat, window), self.table, group, window,
                change=f"{self.name}_{OWN}_{stat}_{window_name(window)}" if stat in CHANGES else "",
                quantity=self.table if stat == "count" else f"{self.table}.{self.column}",
                sentence=sentences.statistic(stat, _called(self), window, _measured(self)),
            )
            for window in self.windows for stat in self.stats
        )  # fmt: skip

    def _meaning(self, stat: str, window: float) -> Words:
        of, long, what = _called(self), length_words(window), _STATISTIC[stat]
        return Words(f"{what.en} of {of.en} over the last {long.en}", f"{of.zh} {long.zh}{what.zh}")


@dataclass(frozen=True)
class Baseline:
    """A column against the entity's own healthy start, which begins anew after a `reset`.

    The baseline is made of the first `days` days after the last known reset, from the first daily
    cut-off not before it; where no reset is known, of the first days with rows. ``z`` is the mean
    of a short window less the baseline's, in the baseline's standard deviations; ``shift`` is the same
    in the column's own unit, where a spread of few days would be mostly noise.

    Attributes
    ----------
    measures
        ``z``, ``shift``, or both.
    label
        What the column is called; as in the catalogue by default.
    regime
        As of :class:`Statistics`.
    """

    name: str
    table: str
    column: str
    days: int
    windows: tuple[float, ...]
    reset: Events | None = None
    unit: str = ""
    entity: str = "asset_id"
    measures: tuple[str, ...] = ("z",)
    label: Words | None = field(default=None, compare=False, repr=False)
    regime: tuple[str, ...] = field(default=(), repr=False)

    def features(self, group: str = "") -> tuple[Feature, ...]:
        """Mean and standard deviation of the baseline, then every measure per window."""
        stem, of, own, unit = f"{self.name}_{self.column}", _called(self), self._own(), _measured(self)
        mean = Words(f"mean of {of.en}, {own.en}", f"{after(of.zh, '自身基线均值')}（{own.zh}）")
        std = Words(f"standard deviation of {of.en}, {own.en}", f"{after(of.zh, '自身基线标准差')}（{own.zh}）")
        level, spread = (sentences.baseline_level(of, spread=spread, unit=unit) for spread in (False, True))
        quantity = f"{self.table}.{self.column}"
        return (
            Feature(f"{stem}_baseline_mean", "number", unit, mean, self.table, group, quantity=quantity, sentence=level),
            Feature(f"{stem}_baseline_std", "number", unit, std, self.table, group, quantity=quantity, sentence=spread),
            *(
                Feature(
                    f"{stem}_{measure}_{window_name(w)}", "number", unit if measure == "shift" else "standard deviations",
                    Words(
                        f"mean of {of.en} over the last {length_words(w).en} against its {own.en}",
                        f"{of.zh} {length_words(w).zh}均值相对自身基线（{own.zh}）",
                    ),
                    self.table, group, w, change=f"{self.name}_{OWN}_{measure}_{window_name(w)}", quantity=quantity,
                    sentence=sentences.baseline_shift(of, w, SIGMA if measure == "z" else unit),
                )
                for measure in self.measures for w in self.windows
            ),
        )  # fmt: skip

    def _own(self) -> Words:
        """Which days the baseline is made of."""
        if self.reset is None:
            return Words(f"first {self.days} days with data", f"首 {self.days} 天数据")
        reset = self.reset.called
        return Words(f"first {self.days} days since the last {reset.en}", f"上次{reset.zh}后前 {self.days} 天")


@dataclass(frozen=True)
class Silence:
    """How long a table has been silent, and whether it delivers less than it used to."""

    name: str
    table: str
    window: int = 30
    entity: str = "asset_id"

    def features(self, group: str = "") -> tuple[Feature, ...]:
        """Hours since the last row, and the last day's rows against the window's daily mean."""
        row, long = row_words(self.table), length_words(self.window)
        since = Words(f"hours since the last {row.en}", f"距最近一次{row.zh}的小时数")
        rate = Words(
            f"{row.en}s of the last day over the daily mean of the last {long.en}",
            f"最近 1 天{row.zh}条数与近 {long.zh}日均条数之比",
        )
        return (
            Feature(
                f"{self.name}_silence_hours", "number", "h", since, self.table, group,
                quantity=self.table, sentence=sentences.delivered(row),
            ),
            Feature(
                f"{self.name}_rate_1d_{self.window}d", "number", "ratio", rate, self.table, group, self.window,
                quantity=self.table, sentence=sentences.delivery(row, self.window),
            ),
        )  # fmt: skip


@dataclass(frozen=True)
class Counts:
    """Events counted over windows (None: ever), all together and per value of ``events.by``; see :func:`choices`."""

    events: Events
    windows: tuple[int | None, ...]
    values: tuple[str, ...] = ()
    total: bool = True

    def features(self, group: str = "") -> tuple[Feature, ...]:
        """One feature per window and value."""
        return tuple(
            Feature(
                self._name(value, window), "number", "events", self._meaning(value, window), self.events.table, group, window,
                component=value or "", family=self._name(OWN, window) if value is not None else "",
                quantity=self.events.quantity(value), sentence=sentences.count(self.events.noun(value), window),
            )
            for window in self.windows for value in map(_first, choices(self))
        )  # fmt: skip

    def _name(self, value: str | None, window: int | None) -> str:
        return f"{self.events.name}_count{_suffix(value)}_{window_name(window)}"

    def _meaning(self, value: str | None, window: int | None) -> Words:
        event, told = self.events.called, self.events.told(value)
        if window is None:
            return Words(f"{event.en}s{told.en} over all time", f"历史累计{event.zh}次数{told.zh}")
        long = length_words(window)
        return Words(f"{event.en}s{told.en} over the last {long.en}", f"近 {long.zh}{event.zh}次数{told.zh}")


@dataclass(frozen=True)
class Since:
    """Days since the last event, of any value and per value of ``events.by``; see :func:`choices`. Null before the first."""

    events: Events
    values: tuple[str, ...] = ()
    total: bool = True

    def features(self, group: str = "") -> tuple[Feature, ...]:
        """One feature per value."""
        return tuple(
            Feature(
                self._name(value), "number", "d", self._meaning(value), self.events.table, group,
                component=value or "", family=self._name(OWN) if value is not None else "",
                quantity=self.events.quantity(value), sentence=sentences.since(self.events.noun(value)),
            )
            for value in map(_first, choices(self))
        )  # fmt: skip

    def _name(self, value: str | None) -> str:
        return f"{self.events.name}_days_since_last{_suffix(value)}"

    def _meaning(self, value: str | None) -> Words:
        event, told = self.events.called, self.events.told(value)
        return Words(f"days since the last {event.en}{told.en}", f"距上次{event.zh}的天数{told.zh}")


@dataclass(frozen=True)
class CountSince:
    """Events since the last known `reset`; since ever where there was none."""

    events: Events
    reset: Events

    def features(self, group: str = "") -> tuple[Feature, ...]:
        """One feature."""
        event, told, reset = self.events.called, self.events.told(), self.reset.called
        meaning = Words(
            f"{event.en}s{told.en} since the last {reset.en}", f"上次{reset.zh}以来的{event.zh}次数{told.zh}"
        )
        name = f"{self.events.name}_count_since_{self.reset.name}"
        return (
            Feature(
                name, "number", "events", meaning, self.events.table, group,
                quantity=self.events.quantity(), sentence=sentences.since_reset(self.events.noun(), reset),
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
        row = row_words(self.opened.table)
        meaning = Words(f"open {row.en}s", f"未关闭{row.zh}数")
        return (
            Feature(
                self.name, "number", f"{row.en}s", meaning, self.opened.table, group,
                quantity=self.opened.quantity(), sentence=sentences.open_now(row),
            ),
        )  # fmt: skip


@dataclass(frozen=True)
class State:
    """A value of the versions that are in force at ``as_of``.

    Attributes
    ----------
    sql
        An expression over the table's columns, and over :data:`AS_OF` (microseconds since 1970, as
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

    def sql_at(self, as_of: str) -> str:
        """The aggregate at a cut-off, given as SQL."""
        return f"{self.aggregate}({self.sql.replace(AS_OF, as_of)})"

    def features(self, group: str = "") -> tuple[Feature, ...]:
        """One feature."""
        return (replace(self.feature, group=group),)


@dataclass(frozen=True)
class Moment:
    """A part of ``as_of`` itself, in the zone of the workspace."""

    part: Literal["weekday", "month", "day_of_year"]
    zone: str = "UTC"

    def features(self, group: str = "") -> tuple[Feature, ...]:
        """One feature."""
        part = _PART[self.part]
        meaning = Words(f"{part.en}, in {self.zone}", f"{part.zh}，{self.zone} 时区")
        quantity = "as_of.weekday" if self.part == "weekday" else "as_of.season"
        return (
            Feature(
                f"calendar_{self.part}", "number", "", meaning, "as_of", group,
                quantity=quantity, sentence=sentences.calendar(self.part),
            ),
        )  # fmt: skip

    def value(self, as_of: datetime) -> float:
        """The part, for one instant."""
        from zoneinfo import ZoneInfo

        local = as_of.astimezone(ZoneInfo(self.zone)).timetuple()
        return float({"weekday": local.tm_wday, "month": local.tm_mon, "day_of_year": local.tm_yday}[self.part])


Entry = Statistics | Baseline | Silence | Counts | Since | CountSince | Level | State | Moment


def window_name(window: float | None) -> str:
    """``7d``, ``6h``, or ``ever``."""
    if window is None:
        return "ever"
    return f"{round(window * 24)}h" if window < 1 else f"{round(window)}d"


def spelt(value: str) -> str:
    """A value as names spell it.

    >>> spelt("E 2"), spelt("Main-Seal")
    ('e_2', 'main_seal')
    """
    return re.sub(r"\W+", "_", value).strip("_").lower() or "other"


def alike(values: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Values that names spell alike, together: they mean the same, and are one in all features.

    >>> alike(["E-1", "E 2", "E 1"])
    (('E-1', 'E 1'), ('E 2',))
    """
    found: dict[str, list[str]] = {}
    for value in values:
        found.setdefault(spelt(value), []).append(value)
    return tuple(map(tuple, found.values()))


def choices(entry: Counts | Since) -> tuple[tuple[str, ...] | None, ...]:
    """What an entry tells apart: None for all events, then every value with those that are spelt alike."""
    return (*((None,) if entry.total else ()), *alike(entry.values))


def _first(values: tuple[str, ...] | None) -> str | None:
    """The value that names a choice."""
    return values[0] if values else None


def _suffix(value: str | None) -> str:
    return "" if value is None else f"_{spelt(value)}"


def _called(entry: Statistics | Baseline) -> Words:
    words = entry.label or column_words(entry.column)
    return within_regime(words) if entry.regime else words


def _measured(entry: Statistics | Baseline) -> str:
    return SIGMA if entry.regime else entry.unit


def _unit(stat: str, unit: str) -> str:
    return {"count": "readings", "slope": f"{unit}/d"}.get(stat, unit)


_STATISTIC = {
    "count": Words("number of values", "数值个数"), "mean": Words("mean", "均值"),
    "std": Words("standard deviation", "标准差"), "min": Words("smallest value", "最小值"),
    "max": Words("largest value", "最大值"), "sum": Words("sum", "合计"),
    "slope": Words("trend per day", "变化趋势（每天）"), "last": Words("last value", "最近值"),
    "last_minus_mean": Words("last value less the mean", "最近值与均值之差"),
    "day_minus_mean": Words("mean of the last day less the mean", "最近 1 天均值与均值之差"),
}  # fmt: skip
_PART = {
    "weekday": Words("weekday of as_of (Monday is 0)", "截止时刻的星期（星期一为 0）"),
    "month": Words("month of as_of", "截止时刻的月份"),
    "day_of_year": Words("day of the year of as_of", "截止时刻是当年第几天"),
}
