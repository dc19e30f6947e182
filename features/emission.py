"""From entries to a table: which relations each entry reads, and one join at the end.

The two targets differ only below this module. Both are given a *spine*: a table ``spine(e, as_of)``
of what is wanted, and give one relation per family of entries.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING

from features import grid_events, point, regimes, visible
from features.cohort import lay_calendar
from features.derived import centres, kept, several
from features.grid import KEY, Grid, Joined, statistics
from features.lattice import Lattice, microseconds
from features.partials import Need, partials_sql
from features.point_in_time import (
    Baseline,
    Counts,
    CountSince,
    Entry,
    Events,
    Feature,
    Level,
    Moment,
    Silence,
    Since,
    State,
    Statistics,
)  # fmt: skip
from features.tables import TABLES
from features.workspace import Snapshot, duck, ident, quote

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

__all__ = ["Shard", "assemble", "build_for", "emit_grid", "emit_point", "looks_through"]


@dataclass(frozen=True)
class Shard:
    """The rows of some entities, read once each into temporary tables.

    Attributes
    ----------
    span
        First and last entity, in order of their ids; None for all.
    derived
        Read day partials that are kept in the workspace, and keep them.
    """

    con: duckdb.DuckDBPyConnection
    snapshot: Snapshot
    lattice: Lattice
    last: int
    span: tuple[str, str] | None = None
    derived: bool = False
    made: dict[object, str] = field(default_factory=dict)
    needs: dict[tuple[str, str], Need] = field(default_factory=dict)
    numbers: count[int] = field(default_factory=count)

    def table(self, what: object, sql: str) -> str:
        """Materialise `sql` once, under the key `what`."""
        if what not in self.made:
            self.made[what] = f"s{next(self.numbers)}"
            self.con.execute(f"CREATE TABLE {self.made[what]} AS {sql}")
        return self.made[what]

    def events(self, spec: Events) -> str:
        """Rows ``e, t, k, u, v`` of an events spec."""
        return self.table(spec, f"SELECT * FROM ({visible.events(self.snapshot, spec)}) WHERE {self.inside('e')}")

    def versions(self, table: str, entity: str, columns: Iterable[str]) -> str:
        """Versions of a table with the columns, instants as microseconds."""
        columns = tuple(sorted({entity, *columns}))
        sql = f"SELECT * FROM ({visible.versions(self.snapshot, table, columns)}) WHERE {self.inside(ident(entity))}"
        return self.table((table, columns), sql)

    def partials(self, need: Need) -> str:
        """The partial table of a need: from the kept day partials, or from the rows."""
        key = (need, self.lattice, self.last)
        if key in self.made:
            return self.made[key]
        if self.derived and need.entity == TABLES[need.table].entity:
            sql = kept(self.con, self.snapshot, need, self.lattice, last=self.last, where=self.inside("e"))
        else:
            facts = regimes.facts(self.con, self.snapshot, need)
            if self.span:
                facts = f"SELECT * FROM ({facts}) WHERE {self.inside('__e')}"
            sql = partials_sql(need, self.lattice, facts, self.last)
        return self.table(key, sql)

    def need(self, entries: Sequence[Statistics | Baseline | Silence]) -> Need:
        """The need of entries over one table, with centres near the level of each column, and whether instants repeat."""
        key = (entries[0].table, entries[0].entity)
        if key not in self.needs:
            bare = Need(*key, tuple(entries))
            levels = centres(self.con, self.snapshot, bare)
            self.needs[key] = replace(bare, centres=levels, ties=several(self.snapshot, bare.table))
        return self.needs[key]

    def prepare(self, entries: Sequence[Entry]) -> None:
        """Read everything that the entries ask for, so that several threads may then go on from it."""
        families = Families(tuple(entries))
        for stats in families.statistics:
            self.partials(self.need(stats))
        for events in families.read_events:
            self.events(events)
        for states in families.states:
            self.versions_of(states)

    def versions_of(self, states: Sequence[State]) -> str:
        """The versions that some states read."""
        return self.versions(states[0].table, states[0].entity, [c for s in states for c in s.columns])

    def forget_partials(self) -> None:
        """Drop what holds for one instant only; events and versions serve the next."""
        for key in [k for k in self.made if isinstance(k, tuple) and self.lattice in k]:
            self.con.execute(f"DROP TABLE {self.made.pop(key)}")

    def forget(self) -> None:
        """Drop all tables."""
        for name in self.made.values():
            self.con.execute(f"DROP TABLE {name}")
        self.made.clear()

    def inside(self, entity: str) -> str:
        """SQL: the entity is one of this shard's."""
        return f"{entity} BETWEEN {quote(self.span[0])} AND {quote(self.span[1])}" if self.span else "true"


@dataclass(frozen=True)
class Families:
    """Entries sorted by what they read."""

    entries: tuple[Entry, ...]

    @cached_property
    def statistics(self) -> list[list[Statistics | Baseline | Silence]]:
        """Over fact tables, by table and entity."""
        found: dict[tuple[str, str], list[Statistics | Baseline | Silence]] = {}
        for e in self.entries:
            if isinstance(e, Statistics | Baseline | Silence):
                found.setdefault((e.table, e.entity), []).append(e)
        return list(found.values())

    @cached_property
    def events(self) -> dict[Events, list[Counts | Since]]:
        """Counts and times since, by events."""
        found: dict[Events, list[Counts | Since]] = {}
        for e in self.entries:
            if isinstance(e, Counts | Since):
                found.setdefault(e.events, []).append(e)
        return found

    @cached_property
    def read_events(self) -> list[Events]:
        """All events that some entry reads."""
        found = list(self.events)
        for e in self.entries:
            if isinstance(e, Baseline) and e.reset:
                found.append(e.reset)
            elif isinstance(e, CountSince):
                found += [e.events, e.reset]
            elif isinstance(e, Level):
                found += [e.opened, e.closed]
        return list(dict.fromkeys(found))

    @cached_property
    def states(self) -> list[list[State]]:
        """Over versions, by table and entity."""
        found: dict[tuple[str, str], list[State]] = {}
        for e in self.entries:
            if isinstance(e, State):
                found.setdefault((e.table, e.entity), []).append(e)
        return list(found.values())


def emit_grid(
    shard: Shard, entries: Sequence[Entry], looks: range, con: duckdb.DuckDBPyConnection | None = None
) -> list[Joined]:
    """Run the grid target; relations with ``r``.

    Parameters
    ----------
    looks
        Cut-offs of the calendar; the last one is the shard's.
    con
        Where ``entity(e, id)`` and ``calendar(id, m, r)`` are, and temporary tables go: a cursor of
        its own where several threads share a prepared shard; the shard's connection by default.
    """
    grid = Grid(con or shard.con, shard.lattice, looks.start, shard.last, looks.step)
    families = Families(tuple(entries))
    cells: dict[Events, str] = {}
    lasts: dict[Events, str] = {}

    def cells_of(events: Events) -> str:
        if events not in cells:
            cells[events] = grid_events.cells_of(grid, shard.events(events))
        return cells[events]

    def last_of(events: Events) -> str:
        if events not in lasts:
            lasts[events] = grid_events.last_event(grid, cells_of(events))
        return lasts[events]

    made: list[Joined] = []
    for stats in families.statistics:
        need = shard.need(stats)
        resets = {str(n): last_of(b.reset) for n, b in enumerate(need.baselines) if b.reset}
        made.append(statistics(grid, need, shard.partials(need), resets))
    for events, wanted in families.events.items():
        made.append(_plain(grid_events.events(grid, wanted, cells_of(events)), wanted))
    for states in families.states:
        made.append(_plain(grid_events.states(grid, states, shard.versions_of(states)), states))
    for e in entries:
        if isinstance(e, CountSince):
            made.append(_plain(grid_events.count_since(grid, e, cells_of(e.events), last_of(e.reset)), [e]))
        elif isinstance(e, Level):
            made.append(_plain(grid_events.level(grid, e, cells_of(e.opened), cells_of(e.closed)), [e]))
    return made


def _plain(relation: str, entries: Sequence[Entry], alias: str = "") -> Joined:
    """A relation that holds its features as columns."""
    alias = alias or f"f_{relation}"
    return Joined({alias: relation}, {name: f"{alias}.{ident(name)}" for name in _names(entries)})


def emit_point(shard: Shard, entries: Sequence[Entry], as_of: datetime) -> list[Joined]:
    """Run the point target; relations with ``e``."""
    families, at = Families(tuple(entries)), str(microseconds(as_of))
    made: list[tuple[str, Sequence[Entry]]] = []
    for stats in families.statistics:
        need = shard.need(stats)
        resets = {
            str(n): point.last_sql(shard.events(b.reset), at) if b.reset else point.NO_RESET
            for n, b in enumerate(need.baselines)
        }
        made.append((point.statistics_sql(need, shard.lattice, shard.last, shard.partials(need), resets), stats))
    for events, wanted in families.events.items():
        made.append((point.events_sql(wanted, shard.events(events), at), wanted))
    for states in families.states:
        made.append((point.state_sql(states, shard.versions_of(states), at), states))
    for e in entries:
        if isinstance(e, CountSince):
            made.append((point.count_since_sql(e, shard.events(e.events), shard.events(e.reset), at), [e]))
        elif isinstance(e, Level):
            made.append((point.level_sql(e, shard.events(e.opened), shard.events(e.closed), at), [e]))
    keyed = (
        f"SELECT entity.id * {KEY} + {shard.last} AS r, found.* EXCLUDE (e) FROM ({{}}) AS found JOIN entity USING (e)"
    )
    return [_plain(f"({keyed.format(sql)})", wanted, f"f{n}") for n, (sql, wanted) in enumerate(made)]


def assemble(
    con: duckdb.DuckDBPyConnection, lattice: Lattice, tables: Sequence[Joined], features: Sequence[Feature],
    entries: Sequence[Entry], *, entity: str = "asset_id",
) -> pa.Table:  # fmt: skip
    """Join all relations to ``spine(e, m, r)``; counts of entities without events are 0.

    Parameters
    ----------
    entity
        Name of the entity's column in the result.
    """
    joins = " ".join(f"LEFT JOIN {table} AS {alias} USING (r)" for one in tables for alias, table in one.tables.items())
    sql = {name: expression for one in tables for name, expression in one.features.items()}
    zero = {f.name for e in entries if _counts(e) for f in e.features()}
    moments = {e.features()[0].name: e for e in entries if isinstance(e, Moment)}
    if moments:
        _register_moments(con, lattice, moments)
        joins += " LEFT JOIN moments USING (m)"
        sql |= {name: f"moments.{ident(name)}" for name in moments}
    columns = "".join(
        f", {_typed(f, sql[f.name], zero=f.name in zero)} AS {ident(f.name)}" for f in features if f.name in sql
    )
    as_of = f"make_timestamptz({lattice.time('m')})"
    table = con.sql(f"SELECT r, e AS {ident(entity)}, {as_of} AS as_of{columns} FROM spine {joins}").to_arrow_table()
    return _ordered(table).drop_columns(["r"])


def _ordered(table: pa.Table) -> pa.Table:
    """Sort by entity and cut-off, where the joins did not keep the spine's order."""
    import pyarrow.compute as pc

    key = table["r"].combine_chunks()
    if len(key) < 2 or pc.all(pc.less(key[:-1], key[1:])).as_py():
        return table
    return table.take(pc.sort_indices(key))


def _counts(entry: Entry) -> bool:
    return isinstance(entry, Counts | CountSince | Level)


def _typed(feature: Feature, sql: str, *, zero: bool) -> str:
    if feature.kind == "category":
        return f"CAST({sql} AS VARCHAR)"
    counting = zero or feature.unit == "readings"
    return f"coalesce(CAST({sql} AS DOUBLE), 0)" if counting else f"CAST({sql} AS DOUBLE)"


def _register_moments(con: duckdb.DuckDBPyConnection, lattice: Lattice, moments: Mapping[str, Moment]) -> None:
    import pyarrow as pa

    cells = [row[0] for row in con.execute("SELECT DISTINCT m FROM spine ORDER BY m").fetchall()]
    values = {name: [e.value(lattice.instant(c)) for c in cells] for name, e in moments.items()}
    con.register("moments", pa.table({"m": pa.array(cells, pa.int64()), **values}))


def _names(entries: Sequence[Entry]) -> tuple[str, ...]:
    return tuple(f.name for e in entries for f in e.features())


def build_for(
    snapshot: Snapshot, entries: Sequence[Entry], spine: Sequence[tuple[str, datetime]], entity: str
) -> pa.Table:
    """Features of any entity: one row per (entity, instant) of the spine, ordered.

    Parameters
    ----------
    entries
        Entries of the spec over that entity.
    spine
        What is wanted: the point target for one instant, the grid for several that lie whole days apart.
    entity
        Name of the entity's column: ``ticket_id``, ``customer_id`` ...
    """
    lattice = Lattice.through(spine[0][1])
    wanted = [(name, lattice.number(as_of)) for name, as_of in spine]
    features = tuple(f for e in entries for f in e.features())
    with duck(snapshot.workspace.spill) as con:
        looks = looks_through([m for _, m in wanted])
        lay_spine(con, wanted, looks)
        shard = Shard(con, snapshot, lattice, looks[-1])
        tables = emit_point(shard, entries, spine[0][1]) if len(looks) == 1 else emit_grid(shard, entries, looks)
        return assemble(con, lattice, tables, features, entries, entity=entity)


def looks_through(cutoffs: Sequence[int]) -> range:
    """The cut-offs of a calendar that meets all of `cutoffs`, in the largest steps.

    >>> looks_through([4, 16, 10])
    range(4, 17, 6)
    """
    first, last = min(cutoffs), max(cutoffs)
    return range(first, last + 1, math.gcd(*(m - first for m in cutoffs)) or 1)


def lay_spine(con: duckdb.DuckDBPyConnection, wanted: Sequence[tuple[str, int]], looks: range) -> None:
    """Make ``entity``, ``calendar`` and ``spine`` from pairs of entity and cut-off."""
    import pyarrow as pa

    names, cells = zip(*sorted(set(wanted)), strict=True)
    con.register("pairs", pa.table({"e": pa.array(names, pa.string()), "m": pa.array(cells, pa.int64())}))
    con.execute(
        "CREATE TEMP TABLE entity AS SELECT e, row_number() OVER (ORDER BY e) AS id FROM (SELECT DISTINCT e FROM pairs)"
    )
    lay_calendar(con, looks)
    con.execute(
        f"CREATE TEMP TABLE spine AS SELECT e, m, id * {KEY} + m AS r FROM pairs JOIN entity USING (e) ORDER BY r"
    )
