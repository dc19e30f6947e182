"""When things are known: how late rows arrive, and which columns hold only their final state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from features.config import Config
from features.freshness import STALE
from features.tables import TABLES, Table
from features.validation.findings import Finding, Look, finding
from features.validation.table_checks import ColumnProfile, TableProfile
from features.workspace import ident

__all__ = ["Arrival", "FinalState", "arrivals", "final_states", "late_findings", "stale"]

PLANNED_AHEAD = frozenset(
    {"contracts", "maintenance_plans", "calendar_events", "assets", "engineers", "customers", "parts"}
)
"""Tables whose clock may lie ahead of knowing it; lateness says nothing about them."""


@dataclass(frozen=True)
class Arrival:
    """How long after it happened a source's rows became known, in hours.

    Versioned tables count the first version of every key: a later version is a change, not a
    late row. Negative hours are rows known before they happened.
    """

    table: str
    source: str
    rows: int
    least: float
    median: float
    p90: float
    p99: float
    most: float


@dataclass(frozen=True)
class FinalState:
    """A column that stands as it was in the end, because its source keeps no history of it.

    Attributes
    ----------
    revealed_by
        The instant of the same row before which the engine reads nothing in this column.
    filled
        Rows with a value.
    never
        Of these, rows whose revealing instant is empty: the value is never used.
    """

    table: str
    column: str
    revealed_by: str
    declared: bool
    filled: int
    never: int

    @property
    def reveals(self) -> str:
        """What to write into the source where it gives the value as first entered."""
        return f'reveals = {{ {self.column} = "known_at" }}'


def revealed_by(table: Table, column: str, config: Config) -> str:
    """The column that reveals `column`: a source's ``reveals``, else the catalogue's word."""
    for source in config.sources.values():
        if source.table == table.name and column in source.reveals:
            return source.reveals[column]
    declared = {c.name: c.revealed_by for c in table.columns}
    return declared.get(column, table.extra_revealed_by)


def final_states(look: Look, views: Mapping[str, TableProfile]) -> Iterator[FinalState]:
    """Every filled column that is revealed by another instant than its row's ``known_at``."""
    for view in views.values():
        table = TABLES[view.name]
        late = [(c, revealed_by(table, c.name, look.snapshot.workspace.config)) for c in view.columns if c.filled]
        late = [(c, by) for c, by in late if by not in ("known_at", c.name) and by in table.names]
        if table.kind == "versioned" and late:
            yield from _counted(look, table, late)


def _counted(look: Look, table: Table, late: list[tuple[ColumnProfile, str]]) -> Iterator[FinalState]:
    never = ", ".join(
        f"count(*) FILTER (WHERE {ident(c.name)} IS NOT NULL AND {ident(by)} IS NULL) AS {ident(c.name)}"
        for c, by in late
    )
    totals = look.row(f"SELECT {never} FROM {table.name}")
    for column, by in late:
        yield FinalState(table.name, column.name, by, column.declared, column.filled, totals[column.name])


def arrivals(look: Look, views: Mapping[str, TableProfile]) -> tuple[Arrival, ...]:
    """How late the rows of every source arrive, tables of plans left out."""
    found = []
    for view in views.values():
        if view.name not in PLANNED_AHEAD:
            found += [Arrival(view.name, **row) for row in look.rows(_lateness(TABLES[view.name]))]
    return tuple(found)


def _lateness(table: Table) -> str:
    rows = table.name
    if table.kind == "versioned":
        keys = ", ".join(map(ident, table.key))
        first = f"row_number() OVER (PARTITION BY source, {keys} ORDER BY known_at) = 1"
        rows = f"(SELECT * FROM {table.name}_rows QUALIFY {first})"
    late = "(epoch_us(known_at) - epoch_us(event_time)) / 3600e6"
    return (
        f"SELECT source, count(*) AS rows, min({late}) AS least, approx_quantile({late}, 0.5)::DOUBLE AS median, "
        f"approx_quantile({late}, 0.9)::DOUBLE AS p90, approx_quantile({late}, 0.99)::DOUBLE AS p99, "
        f"max({late}) AS most "
        f"FROM {rows} WHERE event_time IS NOT NULL GROUP BY source ORDER BY source"
    )


def stale(look: Look) -> Iterator[Finding]:
    """A warning where the newest row of all tables is older than :data:`~features.freshness.STALE`; rows known for ever have no age."""
    now = f"TIMESTAMPTZ '{look.now.isoformat()}'"
    newest = " UNION ALL ".join(
        f"SELECT '{name}' AS name, max(known_at) AS newest FROM {name}_rows "
        f"WHERE known_at < {now} AND known_at > TIMESTAMPTZ 'epoch'"
        for name, size in look.sizes.items() if size
    )  # fmt: skip
    first = f"SELECT * FROM ({newest}) WHERE newest IS NOT NULL ORDER BY newest DESC LIMIT 1"
    for row in look.rows(first) if newest else ():
        age = look.now - row["newest"]
        detail = f"newest row {row['newest']:%Y-%m-%d %H:%M} UTC, {age.days:,} days before the workspace's clock"
        yield finding(
            "warning", "stale", row["name"], "known_at", count=int(age > STALE), of=1, unit="tables",
            detail=detail if age > STALE else "",
        )  # fmt: skip


def late_findings(look: Look, found: tuple[Arrival, ...]) -> Iterator[Finding]:
    """A note for every source whose slowest rows come more than a day late, beyond its usual delay."""
    for one in found:
        if one.most > one.median + 24:
            detail = f"half within {one.median:,.1f} h, 99 % within {one.p99:,.1f} h, the last after {one.most:,.1f} h"
            sql = f"event_time < known_at - INTERVAL {int(one.median + 24)} HOUR AND source = '{one.source}'"
            count = look.row(f"SELECT count(*) AS n FROM {one.table}_rows WHERE {sql}")["n"]
            yield finding("note", "known_late", one.table, "known_at", count=count, of=one.rows, detail=detail)
