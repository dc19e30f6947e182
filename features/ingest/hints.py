"""What an ingest says beside its counts: words that are nearly right, stamps that do not agree."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from features.ingest.casting import family, naive_text, zoned_text
from features.ingest.loads import Load
from features.validation.reasons import reason
from features.workspace import ident
from features.zones import nearest_zone

if TYPE_CHECKING:
    import duckdb

__all__ = ["mixed_stamps", "near_misses", "unknown_zones"]

Say = Callable[[str], None]


def mixed_stamps(con: duckdb.DuckDBPyConnection, load: Load, say: Say) -> frozenset[str]:
    """Columns (canonical names) in which stamps with and without a zone stand side by side; each is told.

    Only text can mix them: a database's types and a file's say one thing for a whole column.
    """
    instants = {name: load.given(name) for name in (c.name for c in load.table.columns if c.type == "instant")}
    text = {name: given for name, given in instants.items() if given and family(load.raw[given]) == "text"}
    if not text:
        return frozenset()
    sums = ", ".join(
        f"count(*) FILTER (WHERE {kind(ident(given))})" for given in text.values() for kind in (naive_text, zoned_text)
    )
    (found,) = con.execute(f"SELECT {sums} FROM raw").fetchall()
    mixed = {name: pair for name, *pair in zip(text, found[::2], found[1::2], strict=True) if all(pair)}
    for name, (naive, zoned) in mixed.items():
        meant = f"read as {load.source.zone}" if load.source.zone else "set aside"
        why = reason("mixed_zones")
        say(f"  {load.name}: {name}: {naive:,} of {naive + zoned:,} stamps have no zone and are {meant}. {why.advice}")
    return frozenset(mixed)


def near_misses(load: Load, extras: Iterable[str], say: Say) -> None:
    """Point at attributes whose name is nearly that of a column which the source does not deliver."""
    absent = [name for name in load.table.names if not load.given(name)]
    for name in () if load.table.wide else extras:
        near = difflib.get_close_matches(name, absent, n=1, cutoff=0.85)
        if near and name not in load.stored:
            say(f"  {load.name}: '{name}' is kept as an attribute of {load.table.name}. Did you mean '{near[0]}'?")


def unknown_zones(con: duckdb.DuckDBPyConnection, load: Load, say: Say) -> None:
    """Name the nearest right zone for the most frequent ones that are none; their rows are kept without."""
    given = load.given("zone") if "zone" in load.table.names else ""
    if not given:
        return
    rows = con.execute(
        "SELECT json_extract_string(_row, ?), count(*) FROM canonical WHERE contains(_spoilt, 'unknown_zone') "
        "GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 3", [f'$."{given}"']
    ).fetchall()  # fmt: skip
    for zone, count in rows:
        say(f"  {load.name}: '{zone}' ({count:,} rows) is no time zone. {nearest_zone(str(zone))}")
