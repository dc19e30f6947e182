"""Faults that can be planted, as companies' exports have them; what was planted is written to ``truth/defects.parquet``.

A defect is a function of one table's frame: it returns the frame spoilt, and one row per thing spoilt.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.demo.workdays import DAY, HOUR, Calendar
from features.demo.world import stream
from features.errors import UserError, nearest

__all__ = ["DEFECTS", "Defect", "Plan", "chosen"]

Spoil = Callable[[pd.DataFrame, np.random.Generator, Calendar], tuple[pd.DataFrame, pd.DataFrame]]
NAT = np.datetime64("NaT", "us")


@dataclass(frozen=True)
class Defect:
    """A fault in the data.

    Attributes
    ----------
    tables
        The function for each table it spoils.
    known_at
        Tables that from now on say themselves when a row became known.
    """

    meaning: str
    tables: Mapping[str, Spoil]
    known_at: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Plan:
    """The defects chosen for a fleet."""

    names: tuple[str, ...]

    @property
    def known_at(self) -> frozenset[str]:
        """Tables whose files carry ``known_at``."""
        return frozenset().union(*(DEFECTS[name].known_at for name in self.names))

    def plant(
        self, table: str, frame: pd.DataFrame, days: Calendar, seed: int, block: int
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Spoil a block's frame; returns it and one row per thing planted: ``defect, table, key, at, detail``."""
        planted = []
        for name in self.names:
            spoil = DEFECTS[name].tables.get(table)
            if spoil is not None and len(frame):
                frame, notes = spoil(frame, stream(seed, f"defect {name} {table}", block), days)
                planted.append(notes.assign(defect=name, table=table))
        return frame, pd.concat(planted, ignore_index=True) if planted else _NOTHING


_NOTHING = pd.DataFrame({name: pd.Series(dtype=object) for name in ("key", "event_time", "detail", "defect", "table")})


def chosen(names: Collection[str]) -> Plan:
    """The plan for these defects.

    Raises
    ------
    UserError
        A name is not known.
    """
    for name in names:
        if name not in DEFECTS:
            raise UserError(f"there is no defect '{name}'", where="demo fleet", todo=nearest(name, DEFECTS))
    return Plan(tuple(name for name in DEFECTS if name in set(names)))


def _notes(rows: pd.DataFrame, key: str, clock: str, detail: object = "") -> pd.DataFrame:
    """One note per spoilt row: its key, its own time before it was spoilt, and what was done."""
    return pd.DataFrame({
        "key": rows[key].to_numpy(), "event_time": rows[clock].to_numpy().astype("datetime64[us]"),
        "detail": np.broadcast_to(np.asarray(detail, dtype=object), len(rows)),
    })  # fmt: skip


def _some(frame: pd.DataFrame, rng: np.random.Generator, share: float) -> NDArray[np.bool_]:
    """A share of the rows, at least one."""
    some = rng.random(len(frame)) < share
    some[rng.integers(len(frame))] = True
    return some


DEFECTS: Mapping[str, Defect] = MappingProxyType({})
"""The faults that can be planted, by name."""
