"""The *grid* target: statistics at many daily cut-offs at once, from partials over a full calendar.

A window of w days over rows that are all known ``lag`` cells after their event is a window of
``w - lag`` cells by the cell of knowing. Such windows are put together from shorter ones: 7 days
are 2 + 2 + 2 + 1, 30 days are 14 + 14 + 2; sums add and extremes fold, nothing is ever subtracted,
so that an outlier or a stuck sensor leaves no rounding error behind. Usual lags (a source's
delay) have such windows of their own; stragglers are spread over the few cut-offs that see them.

Relations are keyed by ``r``, one number per entity and cell; ``calendar(id, m, r)`` holds every
entity at every *look*, from the first cut-off to the last in the largest steps that meet them all.
What only runs on (counts, last values, baselines) is taken from look to look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING

from features.formulas import Formulas
from features.lattice import Lattice
from features.partials import ROWS, Need, Part, latest, part_of

if TYPE_CHECKING:
    import duckdb

__all__ = ["Grid", "Joined", "statistics"]

KEY = 1 << 20
"""``r = id * KEY + m``: cells are numbered below it until the year 4440."""
USUAL_SHARE = 0.05
"""A lag carried by at least this share of the rows gets windows of its own; the others are stragglers."""
MOST_BLOCKS = 4
"""A window is put together from at most so many shorter ones at a time."""
FOLDS = {"a": ("min", "least"), "z": ("max", "greatest")}


@dataclass(frozen=True)
class Joined:
    """Relations to join on ``r``, by alias, and the SQL of every feature over them."""

    tables: Mapping[str, str]
    features: Mapping[str, str]


@dataclass(frozen=True)
class Grid:
    """One run of the target.

    Attributes
    ----------
    con
        Holds ``entity`` and ``calendar``, and what is made.
    first, last
        Numbers of the first and last cut-off.
    step
        Cells from one look to the next.
    """

    con: duckdb.DuckDBPyConnection
    lattice: Lattice
    first: int
    last: int
    step: int = 1
    numbers: count[int] = field(default_factory=count)

    def table(self, sql: str) -> str:
        """Materialise a query; returns the table's name."""
        name = f"g{next(self.numbers)}"
        self.con.execute(f"CREATE TEMP TABLE {name} AS {sql}")
        return name

    def look(self, cell: str) -> str:
        """SQL: the first look not before a cell, which lies between `first` and `last`.

        What a cell after `last` would give lies before it: the caller leaves such cells out.
        """
        return cell if self.step == 1 else f"({cell} + ({self.last} - {cell}) % {self.step})"

    def drop(self, *names: str) -> None:
        """Give memory back."""
        for name in names:
            self.con.execute(f"DROP TABLE {name}")


def statistics(grid: Grid, need: Need, partials: str, resets: Mapping[str, str]) -> Joined:
    """Statistics, baselines and silence from the partial table `partials`.

    Parameters
    ----------
    resets
        For each baseline with a reset, by its index as text: a relation ``id, m, t`` of last known resets.
    """
    rows = f"(SELECT entity.id, p.* EXCLUDE (e) FROM {partials} AS p JOIN entity USING (e))"
    lags, full = _look(grid, need, rows)
    need = replace(need, full=full)
    tables, found = _windows(grid, need, rows, lags)
    tables["last"] = _lasts(grid, need, rows, varied=len(lags) > 1)
    for index in range(len(need.baselines)):
        tables[f"b{index}"] = _baseline(grid, need, index, rows, resets.get(str(index), ""))
    stem = f"{tables['last']}_"
    places = {name: place if place == "NULL" else stem + place for name, place in found.items()}
    lasts = {f"t{ROWS}", *(name for n in need.lasts() for name in (f"l{n}", need.latest_at(n)))}
    places |= {name: f"{stem}last.{name}" for name in lasts}
    places |= {f"b{n}{key}": f"{stem}b{n}.b{n}{key}" for n in range(len(need.baselines)) for key in ("n", "s", "q")}
    sql = Formulas(need, grid.lattice.time("m"), places.__getitem__).features()
    return Joined({stem + alias: table for alias, table in tables.items()}, sql)


def _look(grid: Grid, need: Need, rows: str) -> tuple[dict[int, float], frozenset[str]]:
    """Share of the rows by lag in cells, and the columns that hold a value on every row."""
    numbers = [need.number(c) for c in need.columns]
    counts = "".join(f", sum(n{n})" for n in numbers)
    found = grid.con.execute(f"SELECT j - i, sum(n{ROWS}){counts} FROM {rows} GROUP BY 1 ORDER BY 1").fetchall()
    total = sum(row[1] for row in found) or 1
    full = {n for k, n in enumerate(numbers, 2) if all(row[k] == row[1] for row in found)}
    return {row[0]: row[1] / total for row in found}, frozenset(full)


# ── windows ─────────────────────────────────────────────────────────────────────────────────────


def _windows(grid: Grid, need: Need, rows: str, lags: Mapping[int, float]) -> tuple[dict[str, str], dict[str, str]]:
    """Relations with every part, by alias, and where each part is found in them."""
    calendar = _calendar(grid, grid.first - need.longest)
    usual = sorted(lag for lag, share in lags.items() if share >= USUAL_SHARE or lag == 0)
    tables: dict[str, str] = {}
    places: dict[Part, list[str]] = {part: [] for part in need.parts}
    for lag in usual:
        blocks = _blocks(grid, need, rows, calendar, lag)
        for part in need.parts:
            length = max(part.cells, 1) - lag
            if length > 0:
                tables[f"k{lag}_{length}"] = blocks[length]
                places[part].append(f"k{lag}_{length}.{part.name if not part.cells else part.key + part.column}")
        grid.drop(*(table for length, table in blocks.items() if f"k{lag}_{length}" not in tables))
    grid.drop(calendar)
    if set(lags) - set(usual):
        rings = _stragglers(grid, need, rows, usual)
        tables |= {f"late{cells}": table for cells, table in rings.items()}
        for part in need.parts:
            places[part] += [f"late{c}.{part.key}{part.column}" for c in rings if part.cells > 1 and c <= part.cells]
    return _merged(grid, need, tables, places)


def _calendar(grid: Grid, start: int) -> str:
    cells = f"SELECT unnest(range({start}, {grid.last + 1})) AS m"
    return grid.table(f"SELECT id, m, id * {KEY} + m AS r FROM entity, ({cells})")


def _blocks(grid: Grid, need: Need, rows: str, calendar: str, lag: int) -> dict[int, str]:
    """Windows of the rows with one lag, by their length in cells of knowing."""
    base = str(grid.first - need.longest)
    parts = {part.key + part.column: part for part in need.parts if part.cells}
    short = "".join(f", {part.name}" for part in need.parts if not part.cells)
    columns = "".join(f", {part_of(part, 'i', base)} AS {name}" for name, part in parts.items()) + short
    filled = "".join(f", {_or_none(part.key, name)} AS {name}" for name, part in parts.items()) + short
    one = f"SELECT id * {KEY} + j AS r{columns} FROM {rows} WHERE j - i = {lag}"
    made = {1: grid.table(f"SELECT r{filled} FROM {calendar} LEFT JOIN ({one}) USING (r)")}
    for length in sorted({p.cells - lag for p in need.parts if p.cells - lag > 1}):
        _build(grid, list(parts.values()), made, length)
    return made


def _build(grid: Grid, parts: Sequence[Part], made: dict[int, str], length: int) -> None:
    """Put a window together from those that there are; if they are too short, first its third, or what is left.

    The calendar begins the longest window before the first cut-off: a window that begins earlier is left out, as none
    asks for it.
    """
    lengths = _split(length, made)
    if len(lengths) > MOST_BLOCKS:
        third = (length + 2) // 3
        _build(grid, parts, made, third if third not in made else length % lengths[0])
        _build(grid, parts, made, length)
    elif len(lengths) > 1:
        starts = [sum(lengths[:n]) for n in range(len(lengths))]
        joins = " ".join(
            f"JOIN {made[size]} AS b{n} ON b{n}.r = b0.r - {starts[n]}" for n, size in enumerate(lengths) if n
        )
        columns = ", ".join(
            f"{_together(part.key, [f'b{n}.{part.key}{part.column}' for n in range(len(lengths))])} AS {part.key}{part.column}"
            for part in {p.key + p.column: p for p in parts}.values()
        )
        made[length] = grid.table(f"SELECT b0.r, {columns} FROM {made[lengths[0]]} AS b0 {joins}")


def _split(length: int, made: Mapping[int, str]) -> list[int]:
    """Lengths that there are, longest first, that add up to `length`."""
    if length in made:
        return [length]
    longest = max(size for size in made if size <= length)
    return [longest, *(_split(length - longest, made) if length > longest else [])]


def _together(key: str, columns: Sequence[str]) -> str:
    if key in FOLDS and len(columns) > 1:
        return f"{FOLDS[key][1]}({', '.join(columns)})"
    return " + ".join(columns)


def _or_none(key: str, column: str) -> str:
    """Where there are no rows a sum is 0; an extreme stays null."""
    return column if key in FOLDS else f"coalesce({column}, 0)"


def _stragglers(grid: Grid, need: Need, rows: str, usual: Sequence[int]) -> dict[int, str]:
    """Rows with an unusual lag, each spread over the cut-offs that see it.

    They are summed by *ring* of age, so that each is summed once: the rows younger than the shortest
    window, then those between each window and the next. A window is the rings up to its own.
    """
    base = str(grid.first - need.longest)
    windows = sorted({p.cells for p in need.parts if p.cells > 1})
    parts = {p.key + p.column: p for p in need.parts if p.cells > 1}
    if not parts:
        return {}
    sums = ", ".join(f"{FOLDS.get(p.key, ('sum',))[0]}({part_of(p, 'i', base)}) AS {name}" for name, p in parts.items())
    ring = "CASE " + " ".join(f"WHEN m - i < {cells} THEN {cells}" for cells in windows) + " END"
    late = f"j - i NOT IN ({', '.join(map(str, usual))})" if usual else "true"
    spread = f"unnest(range(greatest(j, {grid.first}), least(i + {windows[-1]}, {grid.last + 1}))) AS m"
    every = grid.table(
        f"SELECT id * {KEY} + m AS r, {ring} AS ring, {sums} FROM (SELECT *, {spread} FROM {rows} WHERE {late}) GROUP BY ALL"
    )
    made = {cells: grid.table(f"SELECT * EXCLUDE (ring) FROM {every} WHERE ring = {cells}") for cells in windows}
    grid.drop(every)
    return made


def _merged(
    grid: Grid, need: Need, tables: dict[str, str], places: Mapping[Part, Sequence[str]]
) -> tuple[dict[str, str], dict[str, str]]:
    """Where rows of several lags meet in a window, add them up first."""
    if all(len(found) <= 1 for found in places.values()):
        return tables, {part.name: found[0] if found else "NULL" for part, found in places.items()}
    joins = " ".join(f"LEFT JOIN {table} AS {alias} USING (r)" for alias, table in tables.items())
    columns = ", ".join(
        f"{_together(part.key, [_or_none(part.key, place) for place in found]) if found else 'CAST(NULL AS DOUBLE)'} AS {part.name}"
        for part, found in places.items()
    )
    merged = grid.table(f"SELECT r, {columns} FROM calendar {joins}")
    grid.drop(*set(tables.values()))
    return {"k": merged}, {part.name: f"k.{part.name}" for part in need.parts}


def _lasts(grid: Grid, need: Need, rows: str, *, varied: bool) -> str:
    """The last row's instant, and the last value of every column that asks for it.

    Where all rows have one lag, the last to be known is the last that happened.
    """
    instants = dict.fromkeys([f"t{ROWS}", *map(need.latest_at, need.lasts())])
    last = {n: latest(f"l{n}", need.latest_at(n), ties=need.ties) for n in need.lasts()}
    over = last if varied else {n: f"last_value(l{n} IGNORE NULLS)" for n in last}
    by_cell = ", ".join([*(f"max({t}) AS {t}" for t in instants), *(f"{sql} AS l{n}" for n, sql in last.items())])
    running = ", ".join(
        [*(f"max({t}) OVER w AS {t}" for t in instants), *(f"{sql} OVER w AS l{n}" for n, sql in over.items())]
    )
    return grid.table(f"""
        SELECT r, {running} FROM calendar LEFT JOIN (
            SELECT id, {grid.look(f"greatest(j, {grid.first})")} AS m, {by_cell} FROM {rows} GROUP BY 1, 2
        ) USING (id, m) WINDOW w AS (PARTITION BY id ORDER BY m ROWS UNBOUNDED PRECEDING)
    """)


# ── baselines ───────────────────────────────────────────────────────────────────────────────────


def _baseline(grid: Grid, need: Need, index: int, rows: str, reset: str) -> str:
    """Sums over the first days after the last reset, by cut-off."""
    entry = need.baselines[index]
    number = need.number(entry.column)
    epochs = epochs_of(grid, _starts(grid, rows, reset), "b")
    sums = ", ".join(f"sum({key}{number}) AS {key}" for key in ("n", "s", "q"))
    running = ", ".join(f"sum({key}) OVER w AS b{index}{key}" for key in ("n", "s", "q"))
    spells = f"SELECT id, epoch, b, min(m) AS opens, max(m) AS ends FROM {epochs} GROUP BY ALL"
    made = grid.table(f"""
        SELECT id * {KEY} + m AS r, {running} FROM {epochs} LEFT JOIN (
            SELECT p.id, {grid.look("greatest(p.j, spell.opens)")} AS m, {sums} FROM {rows} AS p JOIN ({spells}) AS spell
              ON p.id = spell.id AND p.i > spell.b AND p.i <= spell.b + {entry.days} AND p.j <= spell.ends
            GROUP BY 1, 2
        ) USING (id, m) WINDOW w AS (PARTITION BY id, epoch ORDER BY m ROWS UNBOUNDED PRECEDING)
    """)
    grid.drop(epochs)
    return made


def _starts(grid: Grid, rows: str, reset: str) -> str:
    """SQL: the cut-off b after which the baseline begins: the last reset's boundary, else before the first row."""
    begun = f"""
        SELECT id, m, min(f) OVER (PARTITION BY id ORDER BY m ROWS UNBOUNDED PRECEDING) - 1 AS f FROM calendar LEFT JOIN (
            SELECT id, {grid.look(f"greatest(j, {grid.first})")} AS m, min(i) AS f FROM {rows} GROUP BY 1, 2) USING (id, m)
    """
    if not reset:
        return f"SELECT id, m, f AS b FROM ({begun})"
    return (
        f"SELECT id, m, coalesce({grid.lattice.boundary('t')}, f) AS b FROM ({begun}) LEFT JOIN {reset} USING (id, m)"
    )


def epochs_of(grid: Grid, starts: str, column: str) -> str:
    """Number the spells of looks over which `column` stays the same: ``id, m, column, epoch``."""
    return grid.table(f"""
        SELECT id, m, {column}, sum(fresh) OVER (PARTITION BY id ORDER BY m ROWS UNBOUNDED PRECEDING) AS epoch FROM (
            SELECT *, CASE WHEN {column} IS NOT DISTINCT FROM lag({column}) OVER w AND lag(m) OVER w IS NOT NULL
                           THEN 0 ELSE 1 END AS fresh
            FROM ({starts}) WINDOW w AS (PARTITION BY id ORDER BY m)
        )
    """)
