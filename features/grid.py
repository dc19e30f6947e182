"""The *grid* target: many daily cut-offs at once, from partials over a full calendar.

What is additive (counts, sums, sums of squares) becomes running sums and their differences: a row
enters a window of w cells at the cell where it is known (j) and leaves it at the cell of its
event + w, so ``window(m) = known(m) - happened(m - w)``, whatever its lag, as long as lag < w; rows
with a longer lag never show in that window. What is not additive (smallest, largest) uses ROWS
frames shifted by the usual lags, and stragglers are spread over the few cut-offs that see them.

Every function creates temporary tables on the connection and returns the name of a relation with
one row per entity and cut-off (``e, m``) and the features as columns. The relation ``calendar(e, m)``
holds every entity and every cell from the first cut-off to the last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from features.partials import ROWS, Need, Part, finish, part_of
from features.point_in_time import DAY, CountSince, Counts, Lattice, Level, Since, State
from features.workspace import ident, quote

if TYPE_CHECKING:
    import duckdb

__all__ = ["Grid"]

NEVER = 10**9
"""A cell after every cut-off."""
USUAL_SHARE = 0.05
"""A lag carried by at least this share of the rows gets frames of its own; the others are stragglers."""


@dataclass(frozen=True)
class Grid:
    """One run of the target: a connection, the lattice, and the first and last cut-off."""

    con: duckdb.DuckDBPyConnection
    lattice: Lattice
    first: int
    last: int
    numbers: count[int]

    def table(self, sql: str) -> str:
        """Materialise a query; returns the table's name."""
        name = f"g{next(self.numbers)}"
        self.con.execute(f"CREATE TEMP TABLE {name} AS {sql}")
        return name

    # ── statistics ──────────────────────────────────────────────────────────────────────────

    def statistics(self, need: Need, partials: str, resets: Mapping[str, str]) -> str:
        """Statistics, baselines and silence from the partial table `partials`.

        Parameters
        ----------
        resets
            For each baseline with a reset, by its index as text: a relation ``e, m, t`` of last known resets.
        """
        start = self.first - need.longest
        calendar = self.table(
            f"SELECT e, m FROM (SELECT DISTINCT e FROM calendar), (SELECT unnest(range({start}, {self.last + 1})) AS m)"
        )
        lags = self._lags(partials)
        relations = [
            self._sums(need, partials, calendar, start, lags),
            self._lasts(need, partials, calendar, start, lags),
        ]
        relations += self._extremes(need, partials, calendar, lags)
        relations += [self._baseline(need, n, partials, resets.get(str(n), "")) for n in range(len(need.baselines))]
        joined = " ".join(f"LEFT JOIN {name} USING (e, m)" for name in relations)
        features = ", ".join(f"{sql} AS {ident(name)}" for name, sql in finish(need, self.lattice.time("m")).items())
        return self.table(f"SELECT e, m, {features} FROM calendar {joined}")

    def _lags(self, partials: str) -> dict[int, float]:
        """Share of the rows by lag in cells."""
        rows = self.con.execute(f"SELECT j - i, sum(n{ROWS}) FROM {partials} GROUP BY 1 ORDER BY 1").fetchall()
        total = sum(n for _, n in rows) or 1
        return {lag: n / total for lag, n in rows}

    def _sums(self, need: Need, partials: str, calendar: str, start: int, lags: Mapping[int, float]) -> str:
        """Every additive part over its window; part names as columns."""
        parts = [p for p in need.parts if p.key not in {"a", "z"}]
        running = [p for p in parts if p.cells > 1]
        longest = max(lags, default=0)
        limits = sorted({0 if p.cells > longest else p.cells for p in running})
        tables = {limit: self._running(need, running, partials, calendar, start, limit, longest) for limit in limits}
        columns, joins = [], []
        for p in running:
            limit = 0 if p.cells > longest else p.cells
            name = f"{p.key}{p.column}"
            columns.append(f"c{limit}.k_{name} - h{limit}_{p.cells}.h_{name} AS {p.name}")
        for limit, table in tables.items():
            joins.append(f"LEFT JOIN {table} AS c{limit} ON c{limit}.e = s.e AND c{limit}.m = s.m")
        for limit, cells in sorted({(0 if p.cells > longest else p.cells, p.cells) for p in running}):
            alias = f"h{limit}_{cells}"
            joins.append(f"LEFT JOIN {tables[limit]} AS {alias} ON {alias}.e = s.e AND {alias}.m = s.m - {cells}")
        within = [p for p in need.parts if p.cells <= 1]
        columns += [f"{part_of(p, 'p.i', 's.m') if p.cells else 'p.' + p.name} AS {p.name}" for p in within]
        joins.append(f"LEFT JOIN {partials} AS p ON p.e = s.e AND p.i = s.m AND p.j = s.m")
        picked = "".join(", " + c for c in columns)
        return self.table(f"SELECT s.e, s.m{picked} FROM calendar AS s {' '.join(joins)}")

    def _running(
        self, need: Need, parts: Sequence[Part], partials: str, calendar: str, start: int, limit: int, longest: int
    ) -> str:
        """Running sums by cell of knowing (``k_``) and of the event (``h_``), of rows with a lag below `limit`."""
        wanted = {f"{p.key}{p.column}": p for p in parts if (0 if p.cells > longest else p.cells) == limit}
        only = f"WHERE j - i < {limit}" if limit else ""
        sums = {
            side: ", ".join(f"sum({part_of(p, 'i', str(start))}) AS {side}_{name}" for name, p in wanted.items())
            for side in "kh"
        }
        grouped = {
            side: f"(SELECT e, greatest({cell}, {start}) AS m, {sums[side]} FROM {partials} {only} GROUP BY 1, 2)"
            for side, cell in (("k", "j"), ("h", "i"))
        }
        totals = ", ".join(
            f"coalesce(sum({side}_{name}) OVER w, 0) AS {side}_{name}" for side in "kh" for name in wanted
        )
        return self.table(f"""
            SELECT e, m, {totals} FROM {calendar} LEFT JOIN {grouped["k"]} USING (e, m) LEFT JOIN {grouped["h"]} USING (e, m)
            WINDOW w AS (PARTITION BY e ORDER BY m ROWS UNBOUNDED PRECEDING)
        """)

    def _lasts(self, need: Need, partials: str, calendar: str, start: int, lags: Mapping[int, float]) -> str:
        """The last row's instant, and the last value of every column that asks for it."""
        numbers = need.lasts()
        by_cell = "".join(f", arg_max(l{n}, t{n}) AS l{n}, max(t{n}) AS t{n}" for n in numbers)
        last = "arg_max(l{n}, t{n})" if len(lags) > 1 else "last_value(l{n} IGNORE NULLS)"
        running = "".join(f", {last.format(n=n)} OVER w AS l{n}, max(t{n}) OVER w AS t{n}" for n in numbers)
        return self.table(f"""
            SELECT e, m, max(t{ROWS}) OVER w AS t{ROWS}{running} FROM {calendar} LEFT JOIN (
                SELECT e, greatest(j, {start}) AS m, max(t{ROWS}) AS t{ROWS}{by_cell} FROM {partials} GROUP BY 1, 2
            ) USING (e, m) WINDOW w AS (PARTITION BY e ORDER BY m ROWS UNBOUNDED PRECEDING)
        """)

    def _extremes(self, need: Need, partials: str, calendar: str, lags: Mapping[int, float]) -> list[str]:
        """Smallest and largest values: frames per usual lag, and the stragglers."""
        parts = [p for p in need.parts if p.key in {"a", "z"} and p.cells > 1]
        if not parts:
            return []
        usual = [lag for lag, share in lags.items() if share >= USUAL_SHARE]
        tables = [self._frames(parts, partials, calendar, lag) for lag in usual]
        if len(lags) > len(usual):
            tables.append(self._stragglers(parts, partials, usual))
        joins = " ".join(f"LEFT JOIN {t} AS x{n} USING (e, m)" for n, t in enumerate(tables))
        folds = ", ".join(
            f"{_fold(p.key)}({', '.join(f'x{n}.{p.name}' for n in range(len(tables)))}) AS {p.name}" for p in parts
        )
        return [self.table(f"SELECT s.e, s.m, {folds} FROM calendar AS s {joins}")] if tables else []

    def _frames(self, parts: Sequence[Part], partials: str, calendar: str, lag: int) -> str:
        columns = ", ".join(
            f"{_aggregate(p.key)}({p.key}{p.column}) OVER (w ROWS BETWEEN {p.cells - 1} PRECEDING AND {lag} PRECEDING) AS {p.name}"
            if lag < p.cells else f"CAST(NULL AS DOUBLE) AS {p.name}"
            for p in parts
        )  # fmt: skip
        return self.table(f"""
            SELECT c.e, c.m, {columns} FROM {calendar} AS c
            LEFT JOIN {partials} AS p ON p.e = c.e AND p.i = c.m AND p.j = c.m + {lag}
            WINDOW w AS (PARTITION BY c.e ORDER BY c.m)
        """)

    def _stragglers(self, parts: Sequence[Part], partials: str, usual: Sequence[int]) -> str:
        longest = max(p.cells for p in parts)
        columns = ", ".join(
            f"{_aggregate(p.key)}({p.key}{p.column}) FILTER (m - i < {p.cells}) AS {p.name}" for p in parts
        )
        late = f"j - i NOT IN ({', '.join(map(str, usual))})" if usual else "true"
        spread = f"unnest(range(greatest(j, {self.first}), least(i + {longest}, {self.last + 1}))) AS m"
        return self.table(
            f"SELECT e, m, {columns} FROM (SELECT *, {spread} FROM {partials} WHERE {late}) GROUP BY e, m"
        )

    # ── baselines ───────────────────────────────────────────────────────────────────────────

    def _baseline(self, need: Need, index: int, partials: str, reset: str) -> str:
        """Sums over the first days after the last reset, by cut-off."""
        entry = need.baselines[index]
        number = need.number(entry.column)
        keys = ("n", "s", "q")
        starts = f"""
            SELECT e, m, min(f) OVER (PARTITION BY e ORDER BY m ROWS UNBOUNDED PRECEDING) - 1 AS f FROM calendar LEFT JOIN (
                SELECT e, greatest(j, {self.first}) AS m, min(i) AS f FROM {partials} GROUP BY 1, 2) USING (e, m)
        """
        if reset:
            starts = f"SELECT e, m, coalesce({self.lattice.boundary('t')}, f) AS b FROM ({starts}) LEFT JOIN {reset} USING (e, m)"
        else:
            starts = f"SELECT e, m, f AS b FROM ({starts})"
        epochs = self._epochs(starts, "b")
        sums = ", ".join(f"sum({key}{number}) AS {key}" for key in keys)
        running = ", ".join(f"sum({key}) OVER w AS b{index}{key}" for key in keys)
        return self.table(f"""
            SELECT e, m, {running} FROM {epochs} LEFT JOIN (
                SELECT p.e, greatest(p.j, spell.opens) AS m, {sums}
                FROM {partials} AS p JOIN (SELECT e, epoch, b, min(m) AS opens, max(m) AS ends FROM {epochs} GROUP BY ALL) AS spell
                  ON p.e = spell.e AND p.i > spell.b AND p.i <= spell.b + {entry.days} AND p.j <= spell.ends
                GROUP BY 1, 2
            ) USING (e, m) WINDOW w AS (PARTITION BY e, epoch ORDER BY m ROWS UNBOUNDED PRECEDING)
        """)

    def _epochs(self, starts: str, column: str) -> str:
        """Number the spells of cut-offs over which `column` stays the same: ``e, m, column, epoch``."""
        return self.table(f"""
            SELECT e, m, {column}, sum(fresh) OVER (PARTITION BY e ORDER BY m ROWS UNBOUNDED PRECEDING) AS epoch FROM (
                SELECT *, CASE WHEN {column} IS NOT DISTINCT FROM lag({column}) OVER w AND lag(m) OVER w IS NOT NULL
                               THEN 0 ELSE 1 END AS fresh
                FROM ({starts}) WINDOW w AS (PARTITION BY e ORDER BY m)
            )
        """)

    # ── events ──────────────────────────────────────────────────────────────────────────────

    def cells(self, events: str) -> str:
        """Events by cell: happened in i, seen from cut-off j until before x. Only what some cut-off sees."""
        cell = self.lattice.cell
        return self.table(f"""
            SELECT * FROM (
                SELECT e, t, v, {cell("t")} AS i, greatest({cell("t")}, {cell("k")}) AS j, coalesce({cell("u")}, {NEVER}) AS x
                FROM {events}
            ) WHERE j <= {self.last} AND x > j AND x > {self.first}
        """)

    def last_event(self, cells: str, values: Sequence[str] = ()) -> str:
        """The last event seen at every cut-off: ``e, m, t``."""
        return self._lasts_of(cells, {"t": _among(values)})

    def _lasts_of(self, cells: str, columns: Mapping[str, str]) -> str:
        """Running last instants by column name and condition; corrected events are spread over their spell."""
        last = ", ".join(f"max(t) FILTER ({only}) AS {ident(name)}" for name, only in columns.items())
        running = ", ".join(f"max(r.{ident(n)}) OVER w AS {ident(n)}" for n in columns)
        both = ", ".join(f"greatest(steady.{ident(n)}, spread.{ident(n)}) AS {ident(n)}" for n in columns)
        return self.table(f"""
            SELECT e, m, {both} FROM (
                SELECT e, m, {running} FROM calendar LEFT JOIN (
                    SELECT e, greatest(j, {self.first}) AS m, {last} FROM {cells} WHERE x = {NEVER} GROUP BY 1, 2
                ) AS r USING (e, m) WINDOW w AS (PARTITION BY e ORDER BY m ROWS UNBOUNDED PRECEDING)
            ) AS steady LEFT JOIN (
                SELECT e, m, {last} FROM (
                    SELECT *, unnest(range(greatest(j, {self.first}), least(x, {self.last + 1}))) AS m FROM {cells} WHERE x < {NEVER}
                ) GROUP BY 1, 2
            ) AS spread USING (e, m)
        """)

    def events(self, entries: Sequence[Counts | Since], cells: str) -> str:
        """Counts and times since, over one relation of :meth:`cells`."""
        counted, dated = {}, {}
        for entry in entries:
            choices = ((None,) if entry.total else ()) + entry.values
            spans: tuple[int | None, ...] = entry.windows if isinstance(entry, Counts) else (None,)
            pairs = [(window, value) for window in spans for value in choices]
            for feature, (window, value) in zip(entry.features(), pairs, strict=True):
                only = "true" if value is None else f"v = {quote(value)}"
                if isinstance(entry, Counts):
                    counted[feature.name] = (window, only)
                else:
                    dated[feature.name] = only
        counts = self._counts(cells, counted) if counted else "calendar"
        lasts = self._lasts_of(cells, dated) if dated else "calendar"
        columns = [f"{ident(n)}" for n in counted]
        columns += [f"({self.lattice.time('m')} - {ident(n)}) / {DAY}e0 AS {ident(n)}" for n in dated]
        return self.table(f"SELECT e, m, {', '.join(columns)} FROM {counts} LEFT JOIN {lasts} AS lasts USING (e, m)")

    def _counts(self, cells: str, columns: Mapping[str, tuple[int | None, str]]) -> str:
        """Running sums of +1 where an event enters a window and -1 where it leaves it, or is corrected."""
        windows = sorted({w or NEVER for w, _ in columns.values()})
        steps = " UNION ALL ".join(
            f"SELECT e, v, greatest(j, {self.first}) AS m, +1 AS d, {w} AS w FROM {cells} WHERE {_leaves(w)} > greatest(j, {self.first}) "
            f"UNION ALL SELECT e, v, {_leaves(w)} AS m, -1 AS d, {w} AS w FROM {cells} "
            f"WHERE {_leaves(w)} > greatest(j, {self.first}) AND {_leaves(w)} <= {self.last}"
            for w in windows
        )
        sums = ", ".join(
            f"sum(d) FILTER (w = {w or NEVER} AND {only}) AS {ident(n)}" for n, (w, only) in columns.items()
        )
        running = ", ".join(f"CAST(coalesce(sum({ident(n)}) OVER w, 0) AS DOUBLE) AS {ident(n)}" for n in columns)
        return self.table(f"""
            SELECT e, m, {running} FROM calendar LEFT JOIN (SELECT e, m, {sums} FROM ({steps}) GROUP BY 1, 2) USING (e, m)
            WINDOW w AS (PARTITION BY e ORDER BY m ROWS UNBOUNDED PRECEDING)
        """)

    def level(self, entry: Level, opened: str, closed: str) -> str:
        """Opened less closed, over two relations of :meth:`cells`."""
        sides = [self._counts(cells, {"n": (None, "true")}) for cells in (opened, closed)]
        return self.table(
            f"SELECT e, m, o.n - c.n AS {ident(entry.name)} FROM {sides[0]} AS o JOIN {sides[1]} AS c USING (e, m)"
        )

    def count_since(self, entry: CountSince, cells: str, reset: str) -> str:
        """Events since the last reset; `reset` is a relation of :meth:`last_event`."""
        (feature,) = entry.features()
        epochs = self._epochs(f"SELECT e, m, t FROM {reset}", "t")
        spells = f"SELECT e, epoch, t, min(m) AS opens, max(m) AS ends FROM {epochs} GROUP BY ALL"
        within = self.table(f"""
            SELECT c.e, greatest(c.j, s.opens) AS enters, least(c.x, s.ends + 1) AS leaves, s.ends FROM {cells} AS c
            JOIN ({spells}) AS s ON c.e = s.e AND (s.t IS NULL OR c.t >= s.t) AND c.j <= s.ends AND c.x > s.opens
        """)
        steps = f"""
            SELECT e, enters AS m, +1 AS d FROM {within} WHERE leaves > enters
            UNION ALL SELECT e, leaves AS m, -1 AS d FROM {within} WHERE leaves > enters AND leaves <= ends
        """
        return self.table(f"""
            SELECT e, m, CAST(coalesce(sum(d) OVER (PARTITION BY e, epoch ORDER BY m ROWS UNBOUNDED PRECEDING), 0) AS DOUBLE)
                AS {ident(feature.name)}
            FROM {epochs} LEFT JOIN (SELECT e, m, sum(d) AS d FROM ({steps}) GROUP BY 1, 2) USING (e, m)
        """)

    # ── versions ────────────────────────────────────────────────────────────────────────────

    def states(self, entries: Sequence[State], versions: str) -> str:
        """Values of the versions in force, from a relation with ``k, u`` and the columns."""
        cell, entity = self.lattice.cell, ident(entries[0].entity)
        as_of = self.lattice.time("c.m")
        columns = ", ".join(f"{s.aggregate}({s.sql.format(as_of=as_of)}) AS {ident(s.feature.name)}" for s in entries)
        return self.table(f"""
            SELECT c.e, c.m, {columns} FROM calendar AS c JOIN (
                SELECT *, {cell("k")} AS j, coalesce({cell("u")}, {NEVER}) AS x FROM {versions}
            ) AS v ON c.e = v.{entity} AND c.m >= v.j AND c.m < v.x GROUP BY 1, 2
        """)


def _fold(key: str) -> str:
    return "least" if key == "a" else "greatest"


def _aggregate(key: str) -> str:
    return "min" if key == "a" else "max"


def _among(values: Sequence[str]) -> str:
    return f"v IN ({', '.join(map(quote, values))})" if values else "true"


def _leaves(window: int) -> str:
    """SQL: the first cell that no longer counts an event."""
    return f"least(i + {window}, x)"
