"""How new the data are that a cut-off sees."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from features.errors import DataError
from features.tables import TABLES

if TYPE_CHECKING:
    from features.workspace import Snapshot

__all__ = ["STALE", "Freshness", "freshness"]

STALE = timedelta(days=3)
"""A newest row that is older than this is told: exports come every night or, at the least, after a weekend."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Freshness:
    """Two instants of a snapshot, UTC.

    Attributes
    ----------
    known_at
        When the newest row became known that the cut-off sees.
    committed_at
        When the snapshot's newest row was committed: after a vacuum of the tables, the rows with
        ``ingested_at <=`` this instant are the snapshot again.
    """

    known_at: datetime
    committed_at: datetime

    def stale_at(self, as_of: datetime) -> bool:
        """Whether nothing has become known for longer than `STALE` before `as_of`."""
        return as_of - self.known_at > STALE


def freshness(snapshot: Snapshot, as_of: datetime) -> Freshness:
    """Ask every table of a snapshot for its newest row.

    Raises
    ------
    DataError
        No row at all was known before `as_of`.
    """
    from features.workspace import duck, quote

    cut = f"TIMESTAMPTZ {quote(as_of.astimezone(UTC).isoformat())}"
    one = "SELECT max(known_at) FILTER (known_at < {cut}) AS known, max(ingested_at) AS committed FROM ({rows})"
    parts = [one.format(cut=cut, rows=snapshot.relation(name)) for name in snapshot.tables if name in TABLES]
    newest = f"SELECT epoch_us(max(known)), epoch_us(max(committed)) FROM ({' UNION ALL '.join(parts)})"
    known, committed = duck().execute(newest).fetchone() or (None, None) if parts else (None, None)
    if known is None:
        raise DataError(
            f"no row was known before {as_of.astimezone(UTC):%Y-%m-%d %H:%M} UTC", where=str(snapshot.workspace.root),
            todo="Run `foremend ingest`, or name a later --as-of",
        )  # fmt: skip
    return Freshness(_instant(known), _instant(committed))


def _instant(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
