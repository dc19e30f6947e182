"""When ticket systems were delivering: the difference between *no ticket* and *no data*.

Three rules, each on one system's own past:

- **Silence.** An empty day is idle, unless it belongs to a run of empty days on which the system
  would have delivered more than `IMPROBABLE` rows by its own week: then it was silent. So are an
  outage, an export that lacks a month, and sites that were closed.
- **First day.** Counts as silent: exports seldom begin at midnight.
- **Last day.** Complete when it was over, and its last row came no earlier than on any of the
  eight weeks before: an export that was cut at noon shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["IMPROBABLE", "Delivery"]

IMPROBABLE = 9.2
"""Rows that should have come in an empty run before it counts as silence: P(none) = e^-9.2 = 1 in 10,000."""

WEEKS_TO_COMPARE = 8
"""Weeks whose last rows of the day say whether the newest day is complete."""


@dataclass(frozen=True)
class Delivery:
    """When the systems delivered.

    Attributes
    ----------
    counts
        One row per system and local day with rows: ``system``, ``ds``, ``n`` and ``last``, the
        time of day of the last row.
    over
        The last local day that was over for everybody.
    """

    counts: pd.DataFrame
    over: date

    @cached_property
    def last(self) -> pd.Timestamp:
        """The last complete day of the system that delivered last."""
        return max(self._last_complete(days) for _, days in self.counts.groupby("system"))

    @cached_property
    def silent(self) -> pd.DataFrame:
        """One row per system and day on which it was silent: ``system``, ``ds``."""
        import pandas as pd

        by_system = {system: self._silent_days(days) for system, days in self.counts.groupby("system")}
        pairs = [(system, day) for system, days in by_system.items() for day in days]
        return pd.DataFrame(pairs, columns=["system", "ds"]).astype({"system": "str", "ds": "datetime64[us]"})

    def _last_complete(self, days: pd.DataFrame) -> pd.Timestamp:
        import pandas as pd

        over = pd.Timestamp(self.over)
        done = days[days["ds"] <= over].set_index("ds")
        if done.empty:
            return over
        newest = done.index[-1]
        idle = pd.date_range(newest + pd.Timedelta(days=1), over, freq="D")
        if len(idle) and _week(done["n"]).reindex(idle.day_of_week).sum() <= IMPROBABLE:
            return over
        complete: pd.Timestamp = newest - pd.Timedelta(days=int(_is_cut(done["last"])))
        return complete

    def _silent_days(self, days: pd.DataFrame) -> pd.DatetimeIndex:
        """The system's first day, and its empty runs that are too long to be chance."""
        import pandas as pd

        every = pd.date_range(days["ds"].iloc[0], days["ds"].iloc[-1], freq="D")
        counts = days.set_index("ds")["n"].reindex(every, fill_value=0)
        expected = pd.Series(_week(counts).reindex(every.day_of_week).to_numpy(), index=every)
        empty = counts == 0
        run = (empty != empty.shift()).cumsum()
        silent = empty & (expected.groupby(run).transform("sum") > IMPROBABLE)
        silent.iloc[0] = True
        return pd.DatetimeIndex(every[silent])


def _week(counts: pd.Series) -> pd.Series:
    """Mean rows by day of the week (0 to 6), over all days from the first to the last."""
    import pandas as pd

    full = counts.reindex(pd.date_range(counts.index[0], counts.index[-1], freq="D"), fill_value=0)
    return full.groupby(pd.DatetimeIndex(full.index).day_of_week).mean().reindex(range(7), fill_value=full.mean())


def _is_cut(last: pd.Series) -> bool:
    """True where the newest day's last row came earlier than on every day of the weeks before."""
    before = last[(last.index < last.index[-1]) & (last.index >= last.index[-1] - timedelta(weeks=WEEKS_TO_COMPARE))]
    return len(before) >= WEEKS_TO_COMPARE and bool(last.iloc[-1] < before.min())
