"""Labels: what happened after ``as_of``. The only module that looks ahead.

A window is ``(as_of, as_of + H]``: the instant of the cut-off is not in it, its end is. The
horizons are cut into intervals by edges (default 0, 1, 3, 7, 14, 30 days), and for every row,
failure mode and interval two questions are answered:

``at_risk``
    Did the row reach the interval's start without a failure of this mode, and was the interval
    seen to its end? Only such rows may teach or test a hazard.
``event``
    Did the mode fail inside it? True only where `at_risk` is.

What ends the view of a row (*censoring*):

* the end of data (:func:`data_end`): an interval or horizon that runs past it is dropped,
  failures seen in it included, else only the positives of the last days would stay;
* the asset's retirement, and a visit that one of our own preventive tickets caused (it may
  have prevented the failure): dropped from there on, but a failure seen *before* that counts.

Routine replacements censor nothing: they are part of the world that is predicted, and features.
Rows before the start of the record (`observed_from`) are dropped (left truncation): an asset
that failed before the record began would be counted as one that did not.

Source of the interval form: Singer and Willett, *Applied Longitudinal Data Analysis* (2003),
ch. 10-11; why views end so: ``docs/decisions/0008-risk-model.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.workspace import Snapshot

__all__ = ["DAY_US", "Labels", "censorings", "data_end", "label", "record_ends", "record_start", "windows"]

DAY_US = 86_400_000_000
"""Microseconds of a day."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER = np.iinfo(np.int64).max
"""The instant of what never happened."""

Flags = NDArray[np.bool_]
Instants = NDArray[np.int64]


@dataclass(frozen=True)
class Labels:
    """What happened after each row of a spine.

    Attributes
    ----------
    modes
        Failure modes, the second axis.
    edges_days, horizons_days
        Bounds of the intervals, and the horizons.
    at_risk, event
        Shape (rows, modes, intervals); see the module.
    known, failed
        Shape (rows, horizons): the whole of ``(as_of, as_of + H]`` was seen (or a failure was seen
        before the view ended), and any mode failed in it. `failed` is True only where `known` is.
    """

    modes: tuple[str, ...]
    edges_days: tuple[float, ...]
    horizons_days: tuple[float, ...]
    at_risk: Flags
    event: Flags
    known: Flags
    failed: Flags

    def take(self, rows: Flags) -> Labels:
        """The labels of some of the rows."""
        return replace(
            self, at_risk=self.at_risk[rows], event=self.event[rows], known=self.known[rows], failed=self.failed[rows]
        )


def label(
    spine: pd.DataFrame,
    failures: pd.DataFrame,
    *,
    modes: Sequence[str],
    until: datetime,
    edges_days: Sequence[float] = (0, 1, 3, 7, 14, 30),
    horizons_days: Sequence[float] = (1, 7, 14, 30),
    censored: pd.DataFrame | None = None,
    observed_from: datetime | None = None,
) -> Labels:
    """Label every row of `spine` as it is known at `until`.

    Parameters
    ----------
    spine
        One row per (``asset_id``, ``as_of``), in any order.
    failures
        One row per failure: ``asset_id``, ``failure_mode``, ``event_time``.
    modes
        The failure modes to tell apart; failures of other modes count in `failed` only.
    until
        End of the view. For training rows this is the split: they are labelled as though the
        world ended there.
    censored
        ``asset_id``, ``censored_at``: retirements and our own visits; see :func:`censorings`.
    observed_from
        Start of the record of failures; None where it reaches back before the first row.

    Raises
    ------
    ValueError
        The edges do not rise from 0.
    """
    edges = tuple(float(e) for e in edges_days)
    if len(edges) < 2 or edges[0] != 0 or any(b <= a for a, b in pairwise(edges)):
        raise ValueError(f"edges_days = {edges} not understood: they must rise from 0")
    as_of, end = _us(spine["as_of"]), _instant(until)
    truncated = as_of < _instant(observed_from) if observed_from else np.zeros(len(spine), dtype=bool)
    stop = _stop(spine, censored)
    first = np.stack([_after(spine, failures[failures["failure_mode"] == mode]) for mode in modes], axis=1)
    bounds = as_of[:, None] + (np.asarray(edges) * DAY_US).astype(np.int64)
    at_risk, event = _intervals(first, bounds, np.minimum(stop, _NEVER), end)
    known, failed = windows(
        _after(spine, failures), as_of[:, None] + (np.asarray(horizons_days) * DAY_US).astype(np.int64), stop, end
    )
    keep = ~truncated
    return Labels(
        tuple(modes), edges, tuple(float(h) for h in horizons_days),
        at_risk & keep[:, None, None], event & keep[:, None, None], known & keep[:, None], failed & keep[:, None],
    )  # fmt: skip


def _intervals(first: Instants, bounds: Instants, stop: Instants, end: int) -> tuple[Flags, Flags]:
    """Flags per (row, mode, interval) from the first failure of each mode."""
    low, high = bounds[:, None, :-1], bounds[:, None, 1:]
    moment, seen_to = first[:, :, None], stop[:, None, None]
    event = (moment > low) & (moment <= high) & (moment <= seen_to) & (high <= end)
    quiet = (moment > high) & (seen_to >= high) & (high <= end)
    return event | quiet, event


def windows(first: Instants, ends: Instants, stop: Instants, end: int) -> tuple[Flags, Flags]:
    """Flags per (row, horizon): known, and failed.

    Parameters
    ----------
    first
        Microseconds of the first failure after each row.
    ends
        Shape (rows, horizons): the last instant of each window.
    stop
        Microseconds at which the view of each row ends by retirement or a visit of ours.
    end
        End of data.
    """
    failed = (first[:, None] <= ends) & (first <= stop)[:, None] & (ends <= end)
    quiet = (first[:, None] > ends) & (stop[:, None] >= ends) & (ends <= end)
    return failed | quiet, failed


def _stop(spine: pd.DataFrame, censored: pd.DataFrame | None) -> Instants:
    if censored is None or censored.empty:
        return np.full(len(spine), _NEVER)
    return _after(spine, censored.rename(columns={"censored_at": "event_time"}), inclusive=True)


def _after(spine: pd.DataFrame, events: pd.DataFrame, *, inclusive: bool = False) -> Instants:
    """Microseconds of each row's first event after ``as_of`` (at it too where `inclusive`); _NEVER where none.

    One binary search over (asset, instant) pairs. Instants are replaced by their rank, so that a
    pair fits one integer whatever the number of assets.
    """
    if events.empty:
        return np.full(len(spine), _NEVER)
    at, moments = _us(spine["as_of"]), _us(events["event_time"])
    ranks = np.unique(np.concatenate([at, moments]))
    assets = pd.Index(events["asset_id"].unique())
    codes = assets.get_indexer(pd.Index(events["asset_id"])) * len(ranks) + np.searchsorted(ranks, moments)
    order = np.argsort(codes, kind="stable")
    owner = assets.get_indexer(pd.Index(spine["asset_id"]))
    place = np.searchsorted(
        codes[order], owner * len(ranks) + np.searchsorted(ranks, at), side="left" if inclusive else "right"
    )
    found = np.minimum(place, len(order) - 1)
    mine = (place < len(order)) & (owner >= 0) & (codes[order][found] // len(ranks) == owner)
    return np.where(mine, moments[order][found], _NEVER)


def data_end(snapshot: Snapshot) -> datetime:
    """The instant to which failures have been seen.

    The latest ``known_at`` stored in any table (while something was still coming in, a failure
    would have too), but not after the workspace's clock, less the longest declared delay of the
    sources that tell of failures (``tickets``, ``ticket_events``, ``services``): a failure of
    the last hours may not have arrived yet.
    """
    now = snapshot.workspace.now()
    seen = [f"SELECT epoch_us(max(known_at)) AS us FROM {name}_rows WHERE known_at <= $now" for name in snapshot.tables
            if name != "quarantine"]  # fmt: skip
    with snapshot.connect() as con:
        row = (
            con.execute(f"SELECT max(us) FROM ({' UNION ALL '.join(seen)})", {"now": now}).fetchone() if seen else None
        )
    end = _EPOCH + timedelta(microseconds=row[0]) if row and row[0] is not None else now
    telling = {"tickets", "ticket_events", "services"}
    delays = [s.delay_hours for s in snapshot.workspace.config.sources.values() if s.table in telling]
    return end - timedelta(hours=max(delays, default=0.0))


def record_start(snapshot: Snapshot, failures: pd.DataFrame) -> datetime:
    """The instant from which failures were being recorded, as far as the tables can tell.

    The latest of the first ``event_time`` of ``readings``, ``alarms``, ``tickets`` and ``services``:
    from then on all of them were kept. Never after the first failure, which was recorded.

    Raises
    ------
    ValueError
        There is no failure.
    """
    if failures.empty:
        raise ValueError("no failure, so no start of their record")
    names = [name for name in ("readings", "alarms", "tickets", "services") if name in snapshot.tables]
    firsts = [f"SELECT epoch_us(min(event_time)) AS us FROM {name}_rows" for name in names]
    first: datetime = failures["event_time"].min().to_pydatetime()
    if not firsts:
        return first
    with snapshot.connect() as con:
        row = con.execute(f"SELECT max(us) FROM ({' UNION ALL '.join(firsts)})").fetchone()
    if row is None or row[0] is None:
        return first
    return min(first, _EPOCH + timedelta(microseconds=row[0]))


def record_ends(snapshot: Snapshot) -> pd.DataFrame:
    """Where the record of every asset with readings stops: ``asset_id`` and ``ended_at``, its last reading (UTC)."""
    if "readings" not in snapshot.tables:
        return pd.DataFrame({"asset_id": [], "ended_at": pd.to_datetime([], utc=True)})
    with snapshot.connect() as con:
        table = con.sql("SELECT asset_id, max(event_time) AS ended_at FROM readings GROUP BY asset_id").to_arrow_table()
    frame: pd.DataFrame = table.to_pandas()
    return frame


def censorings(snapshot: Snapshot) -> pd.DataFrame:
    """What ended the view of an asset: retirements, and visits that our own tickets caused.

    Returns
    -------
    pandas.DataFrame
        One row per event: ``asset_id``, ``censored_at`` (UTC), ``why`` (``retired`` | ``visited``).
    """
    with snapshot.connect() as con:
        table = con.sql(
            """
            SELECT asset_id, retired_at AS censored_at, 'retired' AS why FROM assets WHERE retired_at IS NOT NULL
            UNION ALL
            SELECT asset_id, performed_at, 'visited' FROM services WHERE initiator = 'ours'
            ORDER BY ALL
            """
        ).to_arrow_table()  # fmt: skip
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _us(instants: pd.Series[pd.Timestamp]) -> Instants:
    """Integer microseconds of a column of instants, with or without zone (then UTC)."""
    stamps = pd.to_datetime(instants, utc=True)
    return np.asarray(stamps.dt.as_unit("us").astype("int64"), dtype=np.int64)


def _instant(moment: datetime) -> int:
    """Integer microseconds of an instant."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1)
