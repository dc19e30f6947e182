"""What only the generator knows, written where no source reads: ``truth/*.parquet``.

============ ===========================================================================
hazard       one row per asset and day in service: chance to fail, given the state at ``as_of``
failures     one row per true failure: when, repaired when, with or without precursor
tickets      one row per ticket: why it exists, what it duplicates or repeats, false closure
demand       one row per region, type and local day: intensity, shock, assets in service
defects      one row per planted fault
fleet        one row: what to call :func:`features.demo.make.simulate` with
============ ===========================================================================
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.demo.degradation import History, fail_within
from features.demo.fleet import Block
from features.demo.volume import Demand
from features.demo.workdays import DAY, Calendar
from features.demo.world import BLOCK, COMPONENTS, REGIONS, TICKET_TYPES

__all__ = [
    "Ranking",
    "demand_truth",
    "failure_truth",
    "fleet_truth",
    "hazard_truth",
    "in_service_by_region",
    "ticket_truth",
]

HORIZON = 7
NAMES = np.array([c.name for c in COMPONENTS], dtype=object)


@dataclass
class Ranking:
    """How well the true hazard ranks what happened, gathered block by block on fine bins of probability."""

    bins: int = 4000
    failing: NDArray[np.float64] = field(default_factory=lambda: np.zeros(4001))
    others: NDArray[np.float64] = field(default_factory=lambda: np.zeros(4001))
    expected: float = 0.0
    failures: int = 0
    silent: int = 0

    def add(self, probability: NDArray[np.float64], failed: NDArray[np.bool_]) -> None:
        """Add rows: their probability and whether it happened."""
        place = np.clip((probability**0.5 * self.bins).astype("int64"), 0, self.bins)
        self.failing += np.bincount(place[failed], minlength=self.bins + 1)
        self.others += np.bincount(place[~failed], minlength=self.bins + 1)
        self.expected += float(probability.sum())

    @property
    def roc(self) -> float:
        """Area under the ROC curve; NaN where nothing, or everything, failed."""
        pairs = self.failing.sum() * self.others.sum()
        below = np.cumsum(self.others) - self.others
        return float((self.failing * (below + self.others / 2)).sum() / pairs) if pairs else float("nan")

    @property
    def without_precursor(self) -> float:
        """Share of failures that no degradation announced; NaN without failures."""
        return self.silent / self.failures if self.failures else float("nan")

    @property
    def observed_over_expected(self) -> float:
        """Rows that failed over the sum of their probabilities; 1 is calibrated."""
        return float(self.failing.sum() / self.expected) if self.expected else float("nan")


def hazard_truth(block: Block, history: History, days: Calendar, count: int, ranking: Ranking) -> pd.DataFrame:
    """One row per asset and day in service: ``p_1d, p_7d``; per component ``p_7d_NAME``, ``degraded_NAME`` (days)."""
    week = fail_within(history, block.lives, HORIZON)[:, :count]
    tomorrow = fail_within(history, block.lives, 1)[:, :count]
    inside = history.in_service[:, :count]
    day, asset = np.nonzero(inside)
    any_week = 1 - np.prod(1 - week[inside], axis=1)
    happened = _failed_within(history, days.days)[:, :count]
    kept = history.failures[history.failures["asset"] < count]
    ranking.failures += len(kept)
    ranking.silent += int((kept["degraded"] == 0).sum())
    whole = day < days.days - HORIZON + 1
    ranking.add(any_week[whole], happened[inside][whole])
    columns = {
        "asset_id": block.assets["asset_id"].to_numpy()[asset], "as_of": days.start + day * DAY,
        "p_1d": 1 - np.prod(1 - tomorrow[inside], axis=1), "p_7d": any_week,
    }  # fmt: skip
    for c, name in enumerate(NAMES):
        columns |= {f"p_7d_{name}": week[inside][:, c], f"degraded_{name}": history.degraded[:, :count][inside][:, c]}
    return pd.DataFrame(columns)


def _failed_within(history: History, length: int) -> NDArray[np.bool_]:
    """(day, asset): any failure within the horizon from the day's beginning."""
    counts = np.zeros((length + HORIZON, BLOCK), dtype="int64")
    np.add.at(counts, (history.failures["day"].to_numpy(), history.failures["asset"].to_numpy()), 1)
    total = np.concatenate([np.zeros((1, BLOCK), dtype="int64"), np.cumsum(counts, axis=0)])
    return np.asarray(total[HORIZON : HORIZON + length] > total[:length])


def failure_truth(block: Block, history: History, days: Calendar) -> pd.DataFrame:
    """One row per true failure."""
    failures = history.failures
    return pd.DataFrame({
        "asset_id": block.assets["asset_id"].to_numpy()[failures["asset"]],
        "component": NAMES[failures["component"]],
        "failed_at": days.instant(failures["failed"].to_numpy()),
        "repaired_at": days.instant(failures["repaired"].to_numpy()),
        "precursor": (failures["degraded"] > 0).to_numpy(),
    }).sort_values(["asset_id", "failed_at"])  # fmt: skip


def in_service_by_region(block: Block, history: History, count: int) -> NDArray[np.int64]:
    """(region, day) assets in service."""
    members = np.arange(len(REGIONS))[:, None] == block.region[:count]
    return np.asarray(members.astype("int64") @ history.in_service[:, :count].T.astype("int64"))


def demand_truth(demand: Demand, in_service: NDArray[np.int64], days: Calendar) -> pd.DataFrame:
    """One row per region, type and local day; ``intensity`` is the smooth mean, the day's own is intensity × shock."""
    region, kind, day = (ordinal.ravel() for ordinal in np.indices(demand.mean.shape))
    return pd.DataFrame({
        "region": np.array([r.name for r in REGIONS], dtype=object)[region],
        "ticket_type": np.array([t.name for t in TICKET_TYPES], dtype=object)[kind],
        "date": (np.datetime64(days.first, "D") + day).astype(str).astype(object),
        "assets_in_service": in_service[region, day].astype(float),
        "intensity": (demand.mean * in_service[:, None, :]).ravel(),
        "shock": demand.shock.ravel(),
    })  # fmt: skip


def ticket_truth(tickets: pd.DataFrame) -> pd.DataFrame:
    """One row per ticket: why it exists."""
    return tickets[["ticket_id", "asset_id", "kind", "cause_id", "false_closure"]].assign(
        false_closure=tickets["false_closure"].eq(True)
    )


def fleet_truth(
    assets: int, days: int, seed: int, end: date, readings_per_day: int, failure_rate: float
) -> pd.DataFrame:
    """One row: the arguments of the run, as text, and what a preventive visit does."""
    return pd.DataFrame({
        "assets": [str(assets)], "days": [str(days)], "seed": [str(seed)], "end": [end.isoformat()],
        "readings_per_day": [str(readings_per_day)], "failure_rate": [str(failure_rate)],
        "visit": ["renews the component at the end of its day: age and degradation become 0"],
    })  # fmt: skip
