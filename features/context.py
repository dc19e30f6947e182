"""What a workspace holds that features can be made of: channels, codes, components, attributes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from features.config import Channel
from features.point_in_time import Events, spelt
from features.tables import BOOKKEEPING, TABLES
from features.wording import Words, label_words
from features.workspace import Snapshot, ident

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

__all__ = ["Context", "look"]

MOST_VALUES = 40
"""At most so many values of a column (codes, components, types) get features of their own, the most frequent."""
MOST_LOOKED_AT = 10_000
"""Beyond so many different values a column is free text: nobody was trained on what is rarer."""
NOT_ATTRIBUTES = frozenset(
    {"asset_id", "customer_id", "site", "zone", "latitude", "longitude", "deleted", "month", *BOOKKEEPING}
)

_TOLD_APART: Mapping[str, Events] = {
    "code": Events("", "alarms", by="code"),
    "component": Events("", "services", by="component"),
    "planned_component": Events("", "maintenance_plans", at="known_at", by="component"),
    "ticket_type": Events("", "tickets", by="ticket_type"),
    "failure_mode": Events("", "failures", by="failure_mode"),
}


@dataclass(frozen=True)
class Context:
    """What there is.

    Attributes
    ----------
    tables
        Tables with rows; ``failures`` where a failure rule is declared.
    channels
        Channels of ``readings`` with their unit and what they are called.
    attributes
        Columns of ``assets`` that describe it, with their kind.
    values
        Values told apart, by what they are: codes, components, ticket types, failure modes.
    rarer
        The other values, by what they are: too rare to be told apart unless somebody asks for them.
    zone
        IANA zone of calendar features.
    """

    tables: frozenset[str]
    channels: tuple[tuple[str, str, Words], ...]
    attributes: tuple[tuple[str, Literal["number", "category"]], ...]
    values: Mapping[str, tuple[str, ...]]
    rarer: Mapping[str, tuple[str, ...]]
    zone: str

    def telling(self, asked: Collection[str] | None = None) -> Context:
        """The same, with rarer values told apart: those that are spelt like one of `asked`, or all."""
        names = None if asked is None else set(map(spelt, asked))
        more = {what: [v for v in rare if names is None or spelt(v) in names] for what, rare in self.rarer.items()}
        return replace(self, values={what: tuple(sorted({*most, *more[what]})) for what, most in self.values.items()})


def look(snapshot: Snapshot, con: duckdb.DuckDBPyConnection, failures: pd.DataFrame | None) -> Context:
    """See what a snapshot holds; `con` has the relation ``failures`` where there are any."""
    config = snapshot.workspace.config
    tables = {*snapshot.tables} | ({"failures"} if failures is not None else set())
    values = {n: _values(snapshot, con, spec) if spec.table in tables else ((), ()) for n, spec in _TOLD_APART.items()}
    declared = {name: config.channels.get(name, Channel()) for name in snapshot.channels()}
    return Context(
        frozenset(tables),
        tuple((name, channel.unit, label_words(name, channel.label)) for name, channel in declared.items()),
        _attributes(snapshot, con) if "assets" in tables else (),
        {name: most for name, (most, _) in values.items()},
        {name: rare for name, (_, rare) in values.items()},
        config.time.zone,
    )


def _values(
    snapshot: Snapshot, con: duckdb.DuckDBPyConnection, spec: Events
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The most frequent values of a column, and the rest, sorted; those that names spell alike count together."""
    rows = spec.table if spec.table == "failures" else f"({snapshot.relation(spec.table)})"
    if spec.table != "failures" and spec.by not in snapshot.columns(spec.table):
        return (), ()
    value = f"CAST({ident(spec.by)} AS VARCHAR)"
    found = con.execute(
        f"SELECT {value} AS v, count(*) AS n FROM {rows} WHERE {value} <> '' GROUP BY 1 ORDER BY n DESC, v "
        f"LIMIT {MOST_LOOKED_AT}"
    ).fetchall()
    counts: Counter[str] = Counter()
    for text, n in found:
        counts[spelt(text)] += n
    most = {name for name, _ in counts.most_common(MOST_VALUES)}
    values = sorted(text for text, _ in found)
    return tuple(v for v in values if spelt(v) in most), tuple(v for v in values if spelt(v) not in most)


def _attributes(
    snapshot: Snapshot, con: duckdb.DuckDBPyConnection
) -> tuple[tuple[str, Literal["number", "category"]], ...]:
    """Text and numeric columns of assets that hold a value; the catalogue's first."""
    described = con.execute(f"DESCRIBE {snapshot.relation('assets')}").fetchall()
    types = {
        row[0]: row[1]
        for row in described
        if row[0] not in NOT_ATTRIBUTES and not row[1].startswith(("TIMESTAMP", "DATE"))
    }
    if not types:
        return ()
    counts = con.execute(
        f"SELECT {', '.join(f'count({ident(c)})' for c in types)} FROM ({snapshot.relation('assets')})"
    ).fetchall()
    held = [name for name, n in zip(types, counts[0], strict=True) if n]
    order = {name: n for n, name in enumerate(TABLES["assets"].names)}
    return tuple(
        (name, "category" if types[name] == "VARCHAR" else "number")
        for name in sorted(held, key=lambda name: (order.get(name, len(order)), name))
    )
