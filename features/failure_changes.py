"""What a change of the failure rule changes: failures won, lost, and moved in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from features.failures import Failures

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MOVED_WITHIN_DAYS", "Changes", "compare"]

MOVED_WITHIN_DAYS = 7.0
"""A failure of the same asset and mode this close to one that disappeared is the same one, moved."""


@dataclass(frozen=True)
class Changes:
    """Two sets of failures against each other. Every failure of either is in exactly one frame.

    Attributes
    ----------
    counts
        One row per mode: ``failure_mode``, ``old``, ``new``.
    same
        Failures with the same asset, mode and time in both.
    only_old, only_new
        Failures that one rule finds and the other does not.
    moved
        The same asset and mode at another time: ``asset_id``, ``failure_mode``, ``old_time``,
        ``new_time``, at most :data:`MOVED_WITHIN_DAYS` apart.
    renamed
        The same asset and time under another mode: ``asset_id``, ``event_time``, ``old_mode``,
        ``new_mode``.
    """

    old: Failures
    new: Failures
    counts: pd.DataFrame
    same: int
    only_old: pd.DataFrame
    only_new: pd.DataFrame
    moved: pd.DataFrame
    renamed: pd.DataFrame


def compare(old: Failures, new: Failures) -> Changes:
    """Match the failures of two rules one to one: equal, renamed, moved, or alone."""
    a, b = old.frame, new.frame
    exact = ["asset_id", "failure_mode", "event_time"]
    same = a[exact].merge(b[exact], on=exact)
    a, b = _without(a, same, exact), _without(b, same, exact)
    a, b, renamed = _renamed(a, b)
    a, b, moved = _moved(a, b)
    return Changes(old, new, _counts(old.frame, new.frame), len(same), a, b, moved, renamed)


def _without(frame: pd.DataFrame, gone: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    import pandas as pd

    present = pd.MultiIndex.from_frame(frame[keys]).isin(pd.MultiIndex.from_frame(gone[keys]))
    return frame[~present].reset_index(drop=True)


def _renamed(a: pd.DataFrame, b: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Pair what is left by asset and time; the n-th of one stamp with the n-th."""
    keys = ["asset_id", "event_time", "nth"]
    a, b = (f.assign(nth=f.groupby(keys[:2]).cumcount()) for f in (a, b))
    pairs = a.merge(b, on=keys, suffixes=("_old", "_new"))
    left, right = (_without(f, pairs, keys).drop(columns="nth") for f in (a, b))
    named = pairs.rename(columns={"failure_mode_old": "old_mode", "failure_mode_new": "new_mode"})
    return left, right, named[["asset_id", "event_time", "old_mode", "new_mode"]]


def _moved(a: pd.DataFrame, b: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Pair what is left by asset and mode, the nearest in time first."""
    import pandas as pd

    pairs = a.reset_index().merge(b.reset_index(), on=["asset_id", "failure_mode"], suffixes=("_old", "_new"))
    pairs["apart"] = (pairs["event_time_new"] - pairs["event_time_old"]).abs()
    pairs = pairs[pairs["apart"] <= pd.Timedelta(days=MOVED_WITHIN_DAYS)].sort_values("apart", kind="stable")
    chosen, old_taken, new_taken = [], set(), set()
    for row in pairs.itertuples():
        if row.index_old not in old_taken and row.index_new not in new_taken:
            old_taken.add(row.index_old)
            new_taken.add(row.index_new)
            chosen.append(row.Index)
    moved = pairs.loc[chosen].rename(columns={"event_time_old": "old_time", "event_time_new": "new_time"})
    columns = ["asset_id", "failure_mode", "old_time", "new_time"]
    rest = a.drop(index=list(old_taken)), b.drop(index=list(new_taken))
    return rest[0].reset_index(drop=True), rest[1].reset_index(drop=True), moved[columns].reset_index(drop=True)


def _counts(old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    table = pd.DataFrame({"old": old["failure_mode"].value_counts(), "new": new["failure_mode"].value_counts()})
    return table.fillna(0).astype(int).rename_axis("failure_mode").sort_index().reset_index()
