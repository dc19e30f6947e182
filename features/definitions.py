"""What decides the values of a feature, spelt out for its fingerprint.

That is the entry, narrowed to this one feature, so that a code or a window that is added beside it
leaves it what it was; and what the entry reads through: the failure rule, and what sources declare
about the instants that reveal its columns. Wording is no part of it, nor are the rows: a score names
the versions of the tables beside.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from features.config import Config
from features.point_in_time import (
    Baseline,
    Counts,
    CountSince,
    Entry,
    Events,
    Feature,
    Level,
    Since,
    State,
    Statistics,
    spelt,
)  # fmt: skip
from features.tables import BOOKKEEPING, TABLES

__all__ = ["definitions"]


def definitions(entry: Entry, config: Config) -> tuple[str, ...]:
    """What decides the values of every feature of an entry, in their order."""
    through = "".join(f"; {text}" for text in _read_through(entry, config))
    return tuple(f"{_alone(entry, feature)!r}{through}" for feature in entry.features())


def _alone(entry: Entry, feature: Feature) -> Entry:
    """The entry as though it had this feature only."""
    window = feature.window_days
    if isinstance(entry, Statistics):
        return replace(entry, stats=(), windows=(window or 0,))  # which statistic stands in the name
    if isinstance(entry, Baseline):
        return replace(entry, windows=(window,) if window is not None else ())
    if isinstance(entry, Counts | Since):
        # As names spell it: another spelling of the same component that turns up changes nothing.
        values = (spelt(feature.component),) if feature.component else ()
        alone = replace(entry, values=values, total=not values)
        return (
            replace(alone, windows=(None if window is None else round(window),)) if isinstance(alone, Counts) else alone
        )
    if isinstance(entry, State) and feature.component:
        # Its SQL is of the house's own making and lists the spellings of the component.
        return replace(entry, sql="", feature=replace(entry.feature, component=spelt(feature.component)))
    return entry


def _read_through(entry: Entry, config: Config) -> Iterator[str]:
    """The regime, the failure rule where failures are read, and where a source's declaration dates a column otherwise."""
    if isinstance(entry, Statistics | Baseline) and entry.regime:
        yield f"z within {', '.join(entry.regime)} by days from {config.time.cutoff_utc}"
    for table, columns in _reads(entry):
        if table == "failures":
            yield f"failures of {config.failure_rule.fingerprint()}"
            yield from _rule_reads_through(config)
        else:
            for column in columns:
                yield from _revealed_otherwise(table, column, config)


def _rule_reads_through(config: Config) -> Iterator[str]:
    """What sources of the tables that the failure rule names declare of instants: it may read any column."""
    named = {word.removesuffix("_rows") for word in re.findall(r"\w+", config.failure_rule.query.lower())}
    for source, declared in sorted(config.sources.items()):
        if declared.table in named and (declared.reveals or declared.delay_hours):
            reveals = ", ".join(f"{column} by {by}" for column, by in sorted(declared.reveals.items()))
            yield f"{declared.table} of {source}: {reveals} + {declared.delay_hours:g} h"


def _reads(entry: Entry) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Tables and columns whose instants of revealing count; columns of readings are known with their row."""
    if isinstance(entry, State):
        yield entry.table, entry.columns
    for events in _events_of(entry):
        clock = events.at or ("" if events.table == "failures" else TABLES[events.table].clock)
        yield events.table, (clock, *filter(None, (events.by,)), *(column for column, _ in events.where))


def _events_of(entry: Entry) -> tuple[Events, ...]:
    if isinstance(entry, Counts | Since):
        return (entry.events,)
    if isinstance(entry, CountSince):
        return entry.events, entry.reset
    if isinstance(entry, Level):
        return entry.opened, entry.closed
    return (entry.reset,) if isinstance(entry, Baseline) and entry.reset else ()


def _revealed_otherwise(name: str, column: str, config: Config) -> Iterator[str]:
    """What sources say of when a column is revealed, where it is not what the catalogue says."""
    table = TABLES[name]
    if column in {*table.key, table.entity, *BOOKKEEPING}:
        return  # known with their row, whatever a source declares: see `features.visible.revealing`
    usual = table.column(column).revealed_by if column in table.names else table.extra_revealed_by
    for source, declared in sorted(config.sources.items()):
        by = declared.reveals.get(column, usual)
        hours = 0.0 if by == "known_at" else declared.delay_hours
        if declared.table == name and (by, hours) != (usual, 0.0):
            yield f"{name}.{column} of {source} by {by} + {hours:g} h"
