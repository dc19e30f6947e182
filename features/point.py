"""The *point* target: FILTERed aggregates for one ``as_of``, for tonight's run and irregular instants.

Each function writes a relation with one row per entity, ``e`` and its features; entities without
rows are missing from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from features.formulas import Formulas
from features.lattice import DAY, Lattice
from features.partials import ROWS, Need, Part, latest, part_of
from features.point_in_time import Counts, CountSince, Level, Since, State, choices
from features.workspace import ident, quoted

__all__ = ["events_sql", "state_sql", "statistics_sql"]

NO_RESET = "SELECT CAST(NULL AS VARCHAR) AS e, CAST(NULL AS BIGINT) AS t WHERE false"
_FOLD = {"a": "min", "z": "max"}


def statistics_sql(need: Need, lattice: Lattice, at: int, partials: str, resets: Mapping[str, str]) -> str:
    """Statistics, baselines and silence from the partial table `partials` at cut-off `at`.

    Parameters
    ----------
    resets
        For each baseline, by its index as text: a relation ``e, t`` of last known resets.
    """
    lasts = "".join(f", {latest(f'l{n}', f't{n}', ties=need.ties)} AS l{n}, max(t{n}) AS t{n}" for n in need.lasts())
    parts = "".join(f", {_window(p, at)} AS {p.name}" for p in need.parts)
    joins = "".join(
        f" LEFT JOIN ({_baseline_sql(need, int(n), lattice.boundary('r.t'), (partials, at), reset)}) USING (e)"
        for n, reset in resets.items()
    )
    features = ", ".join(
        f"{sql} AS {ident(name)}" for name, sql in Formulas(need, lattice.time(str(at))).features().items()
    )
    return f"""
        WITH parts AS (SELECT e, max(t{ROWS}) AS t{ROWS}{lasts}{parts} FROM {partials} WHERE j <= {at} GROUP BY e)
        SELECT e, {features} FROM parts{joins}
    """


def _window(part: Part, at: int) -> str:
    if not part.cells:
        return f"{_FOLD.get(part.key, 'sum')}({part.name}) FILTER (i = {at} AND j = {at})"
    within = f"FILTER (i > {at - part.cells})"
    return f"{_FOLD.get(part.key, 'sum')}({part_of(part, 'i', str(at))}) {within}"


def _baseline_sql(need: Need, index: int, boundary: str, known: tuple[str, int], reset: str) -> str:
    """Sums over the first days after the last reset, of the partials known at a cut-off."""
    entry, (partials, at) = need.baselines[index], known
    number = need.number(entry.column)
    sums = ", ".join(f"sum({key}{number}) AS b{index}{key}" for key in ("n", "s", "q"))
    return f"""
        SELECT p.e, {sums} FROM {partials} AS p JOIN (
            SELECT e, coalesce(any_value({boundary}), min(i) - 1) AS b
            FROM {partials} LEFT JOIN ({reset}) AS r USING (e) WHERE j <= {at} GROUP BY e
        ) AS start ON p.e = start.e AND p.i > start.b AND p.i <= start.b + {entry.days}
        WHERE p.j <= {at} GROUP BY p.e
    """


def visible(as_of: str, mark: str = "") -> str:
    """SQL: the rows of an events relation, or with the mark ``__`` of versions, that are seen at `as_of`."""
    return f"{mark}k < {as_of} AND ({mark}u IS NULL OR {as_of} <= {mark}u)"


def last_sql(events: str, as_of: str, values: Sequence[str] = ()) -> str:
    """The last event of every entity: ``e, t``."""
    only = f" AND v IN ({quoted(values)})" if values else ""
    return f"SELECT e, max(t) AS t FROM {events} WHERE t < {as_of} AND {visible(as_of)}{only} GROUP BY e"


def events_sql(entries: Sequence[Counts | Since], events: str, as_of: str) -> str:
    """Counts and times since, over one events relation."""
    columns = []
    for entry in entries:
        spans: tuple[int | None, ...] = entry.windows if isinstance(entry, Counts) else (None,)
        sqls = [_event(entry, values, span, as_of) for span in spans for values in choices(entry)]
        columns += [f"{sql} AS {ident(f.name)}" for f, sql in zip(entry.features(), sqls, strict=True)]
    return f"SELECT e, {', '.join(columns)} FROM {events} WHERE t < {as_of} AND {visible(as_of)} GROUP BY e"


def _event(entry: Counts | Since, values: tuple[str, ...] | None, window: int | None, as_of: str) -> str:
    conditions = [f"v IN ({quoted(values)})"] if values is not None else []
    conditions += [f"t >= {as_of} - {window * DAY}"] if window is not None else []
    only = f" FILTER ({' AND '.join(conditions)})" if conditions else ""
    if isinstance(entry, Counts):
        return f"CAST(count(*){only} AS DOUBLE)"
    return f"({as_of} - max(t){only}) / {DAY}e0"


def count_since_sql(entry: CountSince, events: str, reset: str, as_of: str) -> str:
    """Events since the last reset."""
    (feature,) = entry.features()
    return f"""
        SELECT e, CAST(count(*) AS DOUBLE) AS {ident(feature.name)} FROM {events} AS happened
        LEFT JOIN ({last_sql(reset, as_of)}) AS r USING (e)
        WHERE happened.t < {as_of} AND {visible(as_of)} AND (r.t IS NULL OR happened.t >= r.t) GROUP BY e
    """


def level_sql(entry: Level, opened: str, closed: str, as_of: str) -> str:
    """Opened less closed."""
    sides = " UNION ALL ".join(
        f"SELECT e, {sign}1 AS d FROM {relation} WHERE t < {as_of} AND {visible(as_of)}"
        for relation, sign in ((opened, "+"), (closed, "-"))
    )
    return f"SELECT e, CAST(sum(d) AS DOUBLE) AS {ident(entry.name)} FROM ({sides}) GROUP BY e"


def state_sql(entries: Sequence[State], versions: str, as_of: str) -> str:
    """Values of the versions in force."""
    columns = ", ".join(f"{s.sql_at(as_of)} AS {ident(s.feature.name)}" for s in entries)
    seen = visible(as_of, "__")
    return f"SELECT {ident(entries[0].entity)} AS e, {columns} FROM {versions} WHERE {seen} GROUP BY 1"
