"""The *grid* target for events and versions: what happened, how often, how long ago, and what is in force.

An event enters a window at the first cut-off that sees it and leaves it when its day passes out
of the window, or when a correction withdraws it: +1 and -1, summed over the calendar. Whole
numbers, so nothing is lost. See :mod:`features.grid` for the calendar and its key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from features.grid import KEY, Grid, epochs_of
from features.lattice import DAY
from features.point_in_time import Counts, CountSince, Level, Since, State, choices
from features.workspace import ident, quoted

__all__ = ["cells_of", "count_since", "events", "last_event", "level", "states"]

NEVER = 10**9
"""A cell after every cut-off."""


def cells_of(grid: Grid, events: str) -> str:
    """Events by cell: happened in i, seen from cut-off j until before x. Only what some cut-off sees."""
    cell = grid.lattice.cell
    return grid.table(f"""
        SELECT * FROM (
            SELECT id, t, v, {cell("t")} AS i, greatest({cell("t")}, {cell("k")}) AS j, coalesce({cell("u")}, {NEVER}) AS x
            FROM {events} JOIN entity USING (e)
        ) WHERE j <= {grid.last} AND x > j AND x > {grid.first}
    """)


def last_event(grid: Grid, cells: str) -> str:
    """The last event seen at every cut-off: ``id, m, t``."""
    return _lasts(grid, cells, {"t": "true"})


def _lasts(grid: Grid, cells: str, columns: Mapping[str, str]) -> str:
    """Running last instants by column name and condition; corrected events are spread over their spell."""
    last = ", ".join(f"max(t) FILTER ({only}) AS {ident(name)}" for name, only in columns.items())
    running = ", ".join(f"max(r.{ident(n)}) OVER w AS {ident(n)}" for n in columns)
    both = ", ".join(f"greatest(steady.{ident(n)}, spread.{ident(n)}) AS {ident(n)}" for n in columns)
    shown = f"unnest(range({grid.look(f'greatest(j, {grid.first})')}, least(x, {grid.last + 1}), {grid.step})) AS m"
    return grid.table(f"""
        SELECT id, m, {both} FROM (
            SELECT id, m, {running} FROM calendar LEFT JOIN (
                SELECT id, {grid.look(f"greatest(j, {grid.first})")} AS m, {last} FROM {cells} WHERE x = {NEVER} GROUP BY 1, 2
            ) AS r USING (id, m) WINDOW w AS (PARTITION BY id ORDER BY m ROWS UNBOUNDED PRECEDING)
        ) AS steady LEFT JOIN (
            SELECT id, m, {last} FROM (SELECT *, {shown} FROM {cells} WHERE x < {NEVER}) GROUP BY 1, 2
        ) AS spread USING (id, m)
    """)


def events(grid: Grid, entries: Sequence[Counts | Since], cells: str) -> str:
    """Counts and times since, over one relation of :func:`cells_of`."""
    counted: dict[str, tuple[int | None, str]] = {}
    dated: dict[str, str] = {}
    for entry in entries:
        spans: tuple[int | None, ...] = entry.windows if isinstance(entry, Counts) else (None,)
        pairs = [(window, values) for window in spans for values in choices(entry)]
        for feature, (window, values) in zip(entry.features(), pairs, strict=True):
            only = "true" if values is None else f"v IN ({quoted(values)})"
            if isinstance(entry, Counts):
                counted[feature.name] = (window, only)
            else:
                dated[feature.name] = only
    counts = _counts(grid, cells, counted) if counted else "calendar"
    lasts = _lasts(grid, cells, dated) if dated else "calendar"
    columns = [ident(n) for n in counted]
    columns += [f"({grid.lattice.time('m')} - {ident(n)}) / {DAY}e0 AS {ident(n)}" for n in dated]
    return grid.table(
        f"SELECT id * {KEY} + m AS r, {', '.join(columns)} FROM {counts} LEFT JOIN {lasts} AS lasts USING (id, m)"
    )


def _counts(grid: Grid, cells: str, columns: Mapping[str, tuple[int | None, str]]) -> str:
    """Running sums of +1 where an event enters a window and -1 where it leaves it, or is corrected."""
    enters = f"greatest(j, {grid.first})"
    steps = " UNION ALL ".join(
        f"SELECT id, v, {grid.look(enters)} AS m, +1 AS d, {w} AS w FROM {cells} WHERE {_leaves(w)} > {enters} "
        f"UNION ALL SELECT id, v, {grid.look(_leaves(w))} AS m, -1 AS d, {w} AS w FROM {cells} "
        f"WHERE {_leaves(w)} > {enters} AND {_leaves(w)} <= {grid.last}"
        for w in sorted({w or NEVER for w, _ in columns.values()})
    )
    sums = ", ".join(f"sum(d) FILTER (w = {w or NEVER} AND {only}) AS {ident(n)}" for n, (w, only) in columns.items())
    running = ", ".join(f"CAST(coalesce(sum({ident(n)}) OVER w, 0) AS DOUBLE) AS {ident(n)}" for n in columns)
    return grid.table(f"""
        SELECT id, m, {running} FROM calendar LEFT JOIN (SELECT id, m, {sums} FROM ({steps}) GROUP BY 1, 2) USING (id, m)
        WINDOW w AS (PARTITION BY id ORDER BY m ROWS UNBOUNDED PRECEDING)
    """)


def _leaves(window: int) -> str:
    """SQL: the first cell that no longer counts an event."""
    return f"least(i + {window}, x)"


def level(grid: Grid, entry: Level, opened: str, closed: str) -> str:
    """Opened less closed, over two relations of :func:`cells_of`."""
    o, c = (_counts(grid, cells, {"n": (None, "true")}) for cells in (opened, closed))
    return grid.table(
        f"SELECT id * {KEY} + m AS r, o.n - c.n AS {ident(entry.name)} FROM {o} AS o JOIN {c} AS c USING (id, m)"
    )


def count_since(grid: Grid, entry: CountSince, cells: str, reset: str) -> str:
    """Events since the last reset; `reset` is a relation of :func:`last_event`."""
    (feature,) = entry.features()
    epochs = epochs_of(grid, f"SELECT id, m, t FROM {reset}", "t")
    spells = f"SELECT id, epoch, t, min(m) AS opens, max(m) AS ends FROM {epochs} GROUP BY ALL"
    within = grid.table(f"""
        SELECT c.id, greatest(c.j, s.opens) AS enters, least(c.x, s.ends + 1) AS leaves, s.ends FROM {cells} AS c
        JOIN ({spells}) AS s ON c.id = s.id AND (s.t IS NULL OR c.t >= s.t) AND c.j <= s.ends AND c.x > s.opens
    """)
    steps = f"""
        SELECT id, {grid.look("enters")} AS m, +1 AS d FROM {within} WHERE leaves > enters
        UNION ALL SELECT id, {grid.look("leaves")} AS m, -1 AS d FROM {within} WHERE leaves > enters AND leaves <= ends
    """
    return grid.table(f"""
        SELECT id * {KEY} + m AS r, CAST(coalesce(sum(d) OVER w, 0) AS DOUBLE) AS {ident(feature.name)}
        FROM {epochs} LEFT JOIN (SELECT id, m, sum(d) AS d FROM ({steps}) GROUP BY 1, 2) USING (id, m)
        WINDOW w AS (PARTITION BY id, epoch ORDER BY m ROWS UNBOUNDED PRECEDING)
    """)


def states(grid: Grid, entries: Sequence[State], versions: str) -> str:
    """Values of the versions in force, from a relation with ``__k, __u`` and the columns, whatever these are called."""
    cell, entity = grid.lattice.cell, ident(entries[0].entity)
    as_of = grid.lattice.time("__m")
    columns = ", ".join(f"{s.sql_at(as_of)} AS {ident(s.feature.name)}" for s in entries)
    return grid.table(f"""
        SELECT __r AS r, {columns} FROM (SELECT id AS __id, m AS __m, r AS __r FROM calendar) JOIN (
            SELECT versions.*, entity.id AS __number, {cell("__k")} AS __j, coalesce({cell("__u")}, {NEVER}) AS __x
            FROM {versions} AS versions JOIN entity ON entity.e = versions.{entity}
        ) ON __id = __number AND __m >= __j AND __m < __x GROUP BY 1
    """)
