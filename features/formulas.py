"""From parts to statistics: the formulas, written once for both targets.

Sums are centred (x - c, with c near the column's level) and counts come with them, so that with
n, s = sum of (x - c) and q = sum of (x - c)² the mean is c + s / n and the variance
(q - s² / n) / (n - 1) (Chan, Golub, LeVeque 1983); the slope is that of least squares, from the
sums of i, i² and i (x - c) over the cells i.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from features.lattice import DAY
from features.partials import ROWS, Need, literal
from features.point_in_time import Baseline, Silence, Statistics

__all__ = ["Formulas"]

HOUR = DAY // 24
ROUNDING = "1e-13"
"""A spread below this share of the sum of squares is the rounding error of a constant."""


@dataclass(frozen=True)
class Formulas:
    """SQL of every feature of a need, over relations that hold its parts.

    Besides the windowed parts these hold ``l`` and ``t`` per column, ``tr``, and the baselines'
    ``b0n, b0s, b0q`` (first baseline) ...

    Attributes
    ----------
    as_of
        SQL of the cut-off, microseconds.
    sql_of
        Where a name is found.
    """

    need: Need
    as_of: str
    sql_of: Callable[[str], str] = str

    def features(self) -> dict[str, str]:
        """SQL by feature name."""
        found: dict[str, str] = {}
        for entry in self.need.entries:
            if isinstance(entry, Statistics):
                sqls: Sequence[str] = [self._statistic(entry, s, w) for w in entry.windows for s in entry.stats]
            elif isinstance(entry, Baseline):
                sqls = self._baseline(entry)
            else:
                sqls = self._silence(entry)
            found |= dict(zip((f.name for f in entry.features()), sqls, strict=True))
        return found

    def _statistic(self, entry: Statistics, stat: str, window: float) -> str:
        if stat == "slope" and window <= 1:
            return "CAST(NULL AS DOUBLE)"  # one day is one point in time
        return {
            "count": lambda: f"CAST(coalesce({self._part(entry, 'n', window)}, 0) AS DOUBLE)",
            "min": lambda: self._part(entry, "a", window),
            "max": lambda: self._part(entry, "z", window),
            "last": lambda: self._last(entry, window),
            "mean": lambda: self._mean(entry, window),
            "sum": lambda: self._sum(entry, window),
            "std": lambda: deviation(*(self._part(entry, key, window) for key in ("n", "s", "q"))),
            "slope": lambda: self._slope(entry, window),
            "last_minus_mean": lambda: f"{self._last(entry, window)} - {self._mean(entry, window)}",
            "day_minus_mean": lambda: f"{self._mean(entry, 1.0)} - {self._mean(entry, window)}",
        }[stat]()

    def _part(self, entry: Statistics | Baseline, key: str, window: float) -> str:
        return self.sql_of(self.need.part(key, self.need.number(entry.column), window).name)

    def _centre(self, entry: Statistics | Baseline) -> str:
        return literal(self.need.centre(self.need.number(entry.column)))

    def _last(self, entry: Statistics, window: float) -> str:
        number = self.need.number(entry.column)
        value, at = self.sql_of(f"l{number}"), self.sql_of(self.need.latest_at(number))
        return f"CASE WHEN {at} >= {self.as_of} - {round(window * DAY)} THEN {value} END"

    def _mean(self, entry: Statistics | Baseline, window: float) -> str:
        n, s = (self._part(entry, key, window) for key in ("n", "s"))
        return f"({self._centre(entry)} + {s} / nullif({n}, 0))"

    def _sum(self, entry: Statistics, window: float) -> str:
        n, s = (self._part(entry, key, window) for key in ("n", "s"))
        return f"CASE WHEN {n} > 0 THEN {s} + {n} * {self._centre(entry)} END"

    def _slope(self, entry: Statistics, window: float) -> str:
        n, s, m, mm, si = (self._part(entry, key, window) for key in ("n", "s", "m", "mm", "si"))
        return f"({n} * {si} - {m} * {s}) / nullif({n} * {mm} - {m} * {m}, 0e0)"

    def _baseline(self, entry: Baseline) -> list[str]:
        index = self.need.baselines.index(entry)
        n, s, q = (self.sql_of(f"b{index}{key}") for key in ("n", "s", "q"))
        level, std = f"({self._centre(entry)} + {s} / nullif({n}, 0))", deviation(n, s, q)
        shifts = {window: f"({self._mean(entry, window)} - {level})" for window in entry.windows}
        # Of a window that is the baseline the difference is 0, and would be what order the rows were summed in.
        made = {
            "z": [f"round({shift} / nullif({std}, 0e0), 9)" for shift in shifts.values()],
            "shift": list(shifts.values()),
        }
        return [level, std, *(sql for measure in entry.measures for sql in made[measure])]

    def _silence(self, entry: Silence) -> list[str]:
        day, window = (self.sql_of(self.need.part("n", ROWS, w).name) for w in (1.0, float(entry.window)))
        return [
            f"({self.as_of} - {self.sql_of('t' + ROWS)}) / {HOUR}e0",
            f"coalesce({day}, 0) * {float(entry.window)}e0 / nullif({window}, 0)",
        ]


def deviation(n: str, s: str, q: str) -> str:
    """SQL of the sample standard deviation; null below two values, 0 rather than the root of a rounding error."""
    squares = f"({q} - {s} * {s} / {n})"
    return f"CASE WHEN {n} >= 2 THEN CASE WHEN {squares} > {ROUNDING} * {q} THEN sqrt({squares} / ({n} - 1)) ELSE 0e0 END END"
