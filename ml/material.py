"""What a training learns from: features at many past cut-offs, and what happened after each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.cohort import attribute
from features.errors import ConfigError, DataError
from features.labels import Labels, censorings, data_end, label, record_ends, record_start
from features.point_in_time import FeatureSet
from features.workspace import Snapshot
from ml.protocol import SLICES, SliceName, Split, by_asset, by_time
from ml.risk import RiskConfig, Slice

__all__ = ["ANY", "OTHER", "Material", "gather"]

OTHER, ANY = "other", "any"
"""The mode of failures too few to be told apart, and of all failures where none are."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Material:
    """Rows, labels and their division.

    Attributes
    ----------
    failures
        One row per failure: ``asset_id``, ``failure_mode`` (one of `modes`), ``event_time``.
    grid
        One row per (asset, cut-off): ``asset_id``, ``as_of`` and the features.
    rows, labels
        The slices of the grid, and what happened after each of their rows.
    feature_set
        What the features of the grid are.
    censored
        What ended the view of an asset: ``asset_id``, ``censored_at``.
    weight
        How many rows each training row stands for; 1 where none was left out.
    """

    config: RiskConfig
    split: Split
    modes: tuple[str, ...]
    failures: pd.DataFrame
    grid: pd.DataFrame
    rows: Mapping[SliceName, pd.DataFrame]
    labels: Mapping[SliceName, Labels]
    feature_set: FeatureSet
    censored: pd.DataFrame
    weight: NDArray[np.float64]

    def slice(self, name: SliceName) -> Slice:
        """A slice as the model wants it."""
        weight = self.weight if name == "train" else None
        return Slice(self.rows[name], self.labels[name].at_risk, self.labels[name].event, weight)

    def taught(self) -> int:
        """Failures inside the training slice."""
        inside = _teaching(self.failures, self.split) & (self.failures["event_time"] > self.split.start)
        return int(inside.sum())

    def fingerprint(self) -> str:
        """Hash of the rows: the same where the data are the same, in any order."""
        digest = hashlib.sha256()
        for frame, key in (
            (self.grid, ["as_of", "asset_id"]),
            (self.failures, ["event_time", "asset_id", "failure_mode"]),
        ):
            hashes = pd.util.hash_pandas_object(frame.sort_values(key), index=False)
            digest.update(hashes.to_numpy().tobytes())
        return digest.hexdigest()[:16]


def gather(snapshot: Snapshot, config: RiskConfig, say: Say) -> Material:
    """Build the material of a workspace.

    Raises
    ------
    DataError
        No failure, a slice in which no asset was in service, or too little history for the longest horizon.
    ConfigError
        The instants of ``[risk]`` are not in order or lie ahead of the clock, or the failure rule is wrong.
    """
    from features.assets import build_grid, feature_set

    found = _failures(snapshot)
    split = _divided(snapshot, config, found)
    modes = _modes(found[_teaching(found, split)], config)
    failures = found.assign(failure_mode=found["failure_mode"].where(found["failure_mode"].isin(modes), modes[-1]))
    cutoffs = split.cutoffs()
    say(f"{len(failures):,} failures, modes: {', '.join(modes)}")
    say(f"Features at {len(cutoffs)} cut-offs, {cutoffs[0]:%Y-%m-%d} to {cutoffs[-1]:%Y-%m-%d}")
    grid: pd.DataFrame = build_grid(snapshot, cutoffs, groups=config.groups or None, say=say).to_pandas()
    censored = censorings(snapshot)
    if config.protocol == "by_asset":
        ends = record_ends(snapshot)
        ends = ends.merge(_finals(ends, failures), how="left", on="asset_id")
        grid = _recorded(grid, ends, split, last=config.test_rows == "last")
        stopped = ends[ends["failed_at"].isna()].rename(columns={"ended_at": "censored_at"})
        censored = pd.concat([censored, stopped[["asset_id", "censored_at"]].assign(why="record ends")])
    rows = {name: _some(split.rows(grid, name), split, name) for name in SLICES}
    labels = {
        name: label(
            rows[name], failures, modes=modes, until=split.ends(name)[1], censored=censored,
            edges_days=config.edges_days, horizons_days=config.horizons_days,
        )
        for name in SLICES
    }  # fmt: skip
    told = feature_set(snapshot, groups=config.groups or None)
    most = len(rows["train"]) if config.every_days else config.max_rows  # whoever sets the cut-offs wants them
    kept, weight = _sample(labels["train"], most)
    rows["train"], labels["train"] = rows["train"][kept].reset_index(drop=True), labels["train"].take(kept)
    return Material(config, split, modes, failures, grid, rows, labels, told, censored, weight)


def _divided(snapshot: Snapshot, config: RiskConfig, failures: pd.DataFrame) -> Split:
    assets, cutoff = _assets(snapshot), snapshot.workspace.config.time.cutoff_utc
    recorded_from, until = record_start(snapshot, failures), data_end(snapshot)
    if config.protocol == "by_time":
        split = by_time(config, recorded_from=recorded_from, observed_until=until, cutoff_utc=cutoff, assets=assets)
    else:
        declared = attribute(snapshot, config.split_by)
        split = by_asset(config, declared, recorded_from=recorded_from, observed_until=until, cutoff_utc=cutoff)
    # What nobody can have seen yet would pass for health.
    if split.observed_until > (now := snapshot.workspace.now()):
        raise ConfigError(
            f"observed_until is {split.observed_until:%Y-%m-%d %H:%M} UTC", where="foremend.toml [risk]",
            expected=f"at most the workspace's clock, {now:%Y-%m-%d %H:%M} UTC", todo="Correct it, or leave it out",
        )  # fmt: skip
    return split


def _some(rows: pd.DataFrame, split: Split, name: SliceName) -> pd.DataFrame:
    """The rows of a slice, which are some."""
    if rows.empty:
        first, end = split.ends(name)
        raise DataError(
            f"no asset was in service at any cut-off to {name} on, {first:%Y-%m-%d} to {end:%Y-%m-%d}", where="risk",
            expected="rows in every slice",
            todo="Check assets.installed_at and assets.retired_at, and the instants and every_days of [risk]",
        )  # fmt: skip
    return rows


def _teaching(failures: pd.DataFrame, split: Split) -> pd.Series[bool]:
    """Failures that the training slice may know of."""
    inside = failures["event_time"] <= split.ends("train")[1]
    return inside & (failures["asset_id"].map(split.owners) == "train") if split.owners else inside


def _finals(ends: pd.DataFrame, failures: pd.DataFrame) -> pd.DataFrame:
    """The first failure of every asset at or after the end of its record: ``asset_id, failed_at``."""
    later = failures.merge(ends, on="asset_id")
    later = later[later["event_time"] >= later["ended_at"]]
    return later.groupby("asset_id", as_index=False).agg(failed_at=("event_time", "min"))


def _recorded(grid: pd.DataFrame, ends: pd.DataFrame, split: Split, *, last: bool) -> pd.DataFrame:
    """Rows up to the end of each asset's record and before it failed; of a test asset only the last where wanted.

    Parameters
    ----------
    ends
        ``asset_id, ended_at, failed_at``.
    """
    known = ends.set_index("asset_id")
    left = grid["asset_id"].map(known["ended_at"]) - grid["as_of"]
    over = grid["as_of"] >= grid["asset_id"].map(known["failed_at"])
    kept = grid[~(left <= pd.Timedelta(days=-split.every_days)) & ~over]
    if not last:
        return kept
    final = kept["as_of"] == kept.groupby("asset_id")["as_of"].transform("max")
    return kept[final | (kept["asset_id"].map(split.owners) != "test")]


def _sample(labels: Labels, most: int) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which training rows are kept where there are more than `most`, and how many each stands for.

    Rows before a failure are rare and teach most: they are kept as far as half of the room; of the others every
    n-th. What is kept counts for what is not, so that rates stay what they are.
    """
    telling = labels.event.any(axis=(1, 2))
    weight, room = np.zeros(len(labels.event)), most
    for group, part in ((np.flatnonzero(telling), 0.5), (np.flatnonzero(~telling), 1.0)):
        every = max(1, -(-len(group) // max(1, int(room * part))))
        taken = group[::every]
        weight[taken] = len(group) / max(1, len(taken))
        room -= len(taken)
    kept = weight > 0
    return kept, weight[kept]


def _failures(snapshot: Snapshot) -> pd.DataFrame:
    from features.failures import failures

    found = failures(snapshot)
    if found.empty:
        raise DataError(
            f"no failure is on record under rule {snapshot.workspace.config.failure_rule.version}",
            where="risk",
            expected="at least one, better hundreds",
            todo="Check the rule with `foremend labels`, and that the sources were ingested",
        )
    return found


def _modes(failures: pd.DataFrame, config: RiskConfig) -> tuple[str, ...]:
    """Failure modes told apart, by name, with `OTHER` last where some are too few; `ANY` where all are."""
    counts = failures["failure_mode"].value_counts()
    if len(counts) == 1:
        return (str(counts.index[0]),)
    frequent = sorted(map(str, counts[counts >= config.min_mode_failures].index[: config.max_modes]))
    if len(frequent) < 2:
        return (ANY,)
    return (*frequent, *([OTHER] * (len(frequent) < len(counts))))


def _assets(snapshot: Snapshot) -> int:
    with snapshot.connect() as con:
        row = con.execute("SELECT count(*) FROM assets").fetchone()
    if not row or not row[0]:
        raise DataError("no asset is known", where="risk", todo="Fill the table `assets`, then run `foremend ingest`")
    return int(row[0])
