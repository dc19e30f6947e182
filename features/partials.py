"""Mergeable partials of a fact table: one row per entity, cell of the event, and cell of knowing it.

From them every statistic of every window follows, for both targets, without a second look at the
rows. A part is named ``key + column number + _window``: ``s2_7d`` is the centred sum of the third
column over 7 days. The keys:

=== =============================================================================================
n   number of values (column ``r``: of rows)
s   sum of x - c, where c is a constant near the column's level (against cancellation)
q   sum of (x - c)²
m   sum of i, the values' cells counted from a base; mm: of i²; si: of i (x - c)
a   smallest value; z: largest value
l   value of the latest instant; t: that instant, microseconds
=== =============================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from features.lattice import DAY, Lattice
from features.point_in_time import Baseline, Silence, Statistics, window_name
from features.workspace import ident

__all__ = [
    "ADDITIVE", "Need", "Part", "finite", "latest", "literal", "merge_sql", "part_of", "partials_sql", "stored_keys",
]  # fmt: skip

ADDITIVE = ("n", "s", "q", "m", "mm", "si")
ROWS = "r"
"""Stands for the column number where a part counts rows."""

_KEYS: dict[str, tuple[str, ...]] = {
    "count": ("n",), "mean": ("n", "s"), "sum": ("n", "s"), "std": ("n", "s", "q"), "min": ("a",), "max": ("z",),
    "slope": ("n", "s", "m", "mm", "si"), "last": (), "last_minus_mean": ("n", "s"), "day_minus_mean": ("n", "s"),
}  # fmt: skip


@dataclass(frozen=True, order=True)
class Part:
    """One partial of one column over one window of days."""

    key: str
    column: str
    window: float

    @property
    def name(self) -> str:
        """Its column name."""
        return f"{self.key}{self.column}_{window_name(self.window)}"

    @property
    def cells(self) -> int:
        """Whole days of the window; 0 for a part of a day."""
        return round(self.window) if self.window >= 1 else 0


@dataclass(frozen=True)
class Need:
    """What entries over one fact table and one entity ask for.

    Attributes
    ----------
    centres
        The constant near each column's level; of a column within its regime, near that of its values.
    full
        Numbers of the columns that hold a value on every row: their counts are the rows'.
    ties
        Several rows of an entity may carry one instant: more than one source delivers the table.
    """

    table: str
    entity: str
    entries: tuple[Statistics | Baseline | Silence, ...]
    centres: tuple[float, ...] = ()
    full: frozenset[str] = frozenset()
    ties: bool = False

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The numeric columns, sorted: their order numbers the parts."""
        return tuple(sorted({e.column for e in self.entries if not isinstance(e, Silence)}))

    @cached_property
    def regimes(self) -> Mapping[str, tuple[str, ...]]:
        """The regime of every column that has one."""
        return {e.column: e.regime for e in self.entries if not isinstance(e, Silence) and e.regime}

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """Every windowed part, sorted."""
        found = {self.part(key, column, window) for e in self.entries for key, column, window in self._asked(e)}
        return tuple(sorted(found))

    def part(self, key: str, number: str, window: float) -> Part:
        """A part of a column; counts of a full column are those of the rows."""
        shared = key in {"n", "m", "mm"} and number in self.full and window >= 1
        return Part(key, ROWS if shared else number, window)

    @property
    def baselines(self) -> tuple[Baseline, ...]:
        """The entries with a baseline."""
        return tuple(e for e in self.entries if isinstance(e, Baseline))

    @cached_property
    def longest(self) -> int:
        """Days of the longest window."""
        return max((p.cells for p in self.parts), default=1) or 1

    def number(self, column: str) -> str:
        """The column's number in part names."""
        return str(self.columns.index(column))

    def centre(self, number: str) -> float:
        """The constant near the column's level; a z is near 0."""
        near_0 = not self.centres or self.columns[int(number)] in self.regimes
        return 0.0 if near_0 else self.centres[int(number)]

    def lasts(self) -> tuple[str, ...]:
        """Numbers of the columns whose latest value is asked for."""
        wanted = {
            e.column for e in self.entries
            if isinstance(e, Statistics) and {"last", "last_minus_mean"} & set(e.stats)
        }  # fmt: skip
        return tuple(self.number(c) for c in sorted(wanted))

    def latest_at(self, number: str) -> str:
        """Where the instant of a column's latest value stands; that of a full column is the last row's."""
        return f"t{ROWS if number in self.full else number}"

    def _asked(self, entry: Statistics | Baseline | Silence) -> Iterable[tuple[str, str, float]]:
        if isinstance(entry, Silence):
            yield from (("n", ROWS, w) for w in (1.0, float(entry.window)))
        elif isinstance(entry, Baseline):
            yield from ((key, self.number(entry.column), w) for w in entry.windows for key in ("n", "s"))
        else:
            number = self.number(entry.column)
            pairs = ((stat, w) for w in entry.windows for stat in entry.stats if stat != "slope" or w > 1)
            yield from ((key, number, w) for stat, w in pairs for key in _KEYS[stat])
            yield from ((key, number, 1.0) for key in _KEYS["mean"] if "day_minus_mean" in entry.stats)


def stored_keys(need: Need) -> dict[str, set[str]]:
    """Keys that the partial table must hold, by column number: windows do not matter to it."""
    keys: dict[str, set[str]] = {number: {"n", "s"} for number in map(need.number, need.columns)}
    for part in need.parts:
        if part.column != ROWS:
            keys[part.column] |= {part.key} & {"n", "s", "q", "a", "z"}
    for entry in need.baselines:
        keys[need.number(entry.column)].add("q")
    for number in need.lasts():
        keys[number] |= {"l", "t"}
    return keys


def partials_sql(need: Need, lattice: Lattice, facts: str, last: int) -> str:
    """SQL of the partials, ``e, i, j`` and parts, of rows visible at cut-off `last`.

    Parameters
    ----------
    facts
        SQL of the rows: ``__e, __t, __k`` and the columns.
    """
    values = "".join(f", {finite(c)} AS x{n}" for n, c in enumerate(need.columns))
    i, j = lattice.cell("__t"), lattice.cell("__k")
    cells = f"SELECT __e AS e, __t AS t, {i} AS i, greatest({i}, {j}) AS j{values} FROM ({facts})"
    parts = [f"{_aggregate(key, n, need)} AS {key}{n}" for n, keys in stored_keys(need).items() for key in sorted(keys)]
    parts += [f"{_short(p, need, lattice)} AS {p.name}" for p in need.parts if not p.cells]
    return f"""
        SELECT e, i, j, count(*) AS n{ROWS}, max(t) AS t{ROWS}{"".join(", " + p for p in parts)}
        FROM ({cells}) WHERE i <= {last} AND j <= {last} AND e IS NOT NULL GROUP BY e, i, j
    """


def merge_sql(need: Need, rows: str) -> str:
    """SQL of one partial table from several, whose cells may overlap."""
    folds = {"n": "sum({0})", "s": "sum({0})", "q": "sum({0})", "a": "min({0})", "z": "max({0})", "t": "max({0})"}
    found = [f"sum(n{ROWS}) AS n{ROWS}", f"max(t{ROWS}) AS t{ROWS}"]
    for number, keys in stored_keys(need).items():
        for key in sorted(keys):
            name = f"{key}{number}"
            fold = folds[key].format(name) if key in folds else latest(name, f"t{number}", ties=need.ties)
            found.append(f"{fold} AS {name}")
    found += [f"{folds[p.key].format(p.name)} AS {p.name}" for p in need.parts if not p.cells]
    return f"SELECT e, i, j, {', '.join(found)} FROM ({rows}) GROUP BY e, i, j"


def finite(column: str) -> str:
    """SQL of a column's number; null where it is none."""
    value = f"CAST({ident(column)} AS DOUBLE)"
    return f"CASE WHEN isfinite({value}) THEN {value} END"


def latest(value: str, at: str, *, ties: bool) -> str:
    """SQL of the value of the latest instant; of several at one instant the largest, which costs, so only with `ties`."""
    order = f"{{'t': {at}, 'x': {value}}}" if ties else at
    return f"arg_max({value}, {order})"


def _aggregate(key: str, number: str, need: Need) -> str:
    x, c = f"x{number}", literal(need.centre(number))
    return {
        "n": f"count({x})", "s": f"sum({x} - {c})", "q": f"sum(({x} - {c}) * ({x} - {c}))",
        "a": f"min({x})", "z": f"max({x})", "l": latest(x, "t", ties=need.ties), "t": f"max(CASE WHEN {x} IS NOT NULL THEN t END)",
    }[key]  # fmt: skip


def _short(part: Part, need: Need, lattice: Lattice) -> str:
    """A window within the day before a cut-off sees only rows of its own cell, known in it."""
    aggregate = "count(*)" if part.column == ROWS else _aggregate(part.key, part.column, need)
    return f"{aggregate} FILTER (j = i AND t >= {lattice.time('i')} - {round(part.window * DAY)})"


def literal(number: float) -> str:
    """A float literal, never read as a decimal."""
    return f"({number!r})" if "e" in repr(number) else f"({number!r}e0)"


def part_of(part: Part, cell: str, base: str) -> str:
    """SQL over the partial table of an additive part, before summing; `cell` counts from `base`."""
    n, s = f"n{part.column}", f"s{part.column}"
    far = f"CAST({cell} - ({base}) AS DOUBLE)"
    return {"n": f"CAST({n} AS DOUBLE)", "m": f"{far} * {n}", "mm": f"{far} * {far} * {n}", "si": f"{far} * {s}"}.get(
        part.key, f"{part.key}{part.column}"
    )
