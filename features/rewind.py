"""A snapshot as it stood at an instant: what every relation would have held then, and nothing else.

Rows known at the instant or later are gone; columns that a later instant reveals are null. Whatever
is computed from it cannot have seen the future, however it was written: the audit's oracle.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from features.point_in_time import microseconds
from features.tables import TABLES
from features.visible import LONG_AGO, revealing
from features.workspace import Snapshot, ident

__all__ = ["rewind"]


def rewind(snapshot: Snapshot, as_of: datetime) -> Snapshot:
    """The snapshot of what was known before `as_of`."""
    return _Rewound(snapshot.workspace, snapshot.tables, as_of)


@dataclass(frozen=True)
class _Rewound(Snapshot):
    as_of: datetime

    whole: ClassVar[bool] = False

    def relation(self, name: str, months: tuple[str, ...] | None = None) -> str:
        stored = super().relation(name, months)
        if name not in TABLES:
            return stored
        at = microseconds(self.as_of)
        late = {c: sql for c in self.columns(name) if (sql := revealing(self, TABLES[name], c))}
        hidden = ", ".join(f"CASE WHEN {sql} < {at} THEN {ident(c)} END AS {ident(c)}" for c, sql in late.items())
        replaced = f" REPLACE ({hidden})" if hidden else ""
        known = f"SELECT *, coalesce(epoch_us(known_at), {LONG_AGO}) AS __k FROM ({stored})"
        return f"SELECT * EXCLUDE (__k){replaced} FROM ({known}) WHERE __k < {at}"
