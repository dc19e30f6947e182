"""How the past is divided: by time, or by asset.

By time (the rule): training, a later slice for calibration, and a last window for the test::

    start         train_until      calibrate_until        observed_until
      │ train rows ·····│ calibration rows ·····│ test rows ········│
                   labels end                labels end          labels end

A slice's rows have their cut-off inside it, and are labelled as the world was known at its end: no
label of one slice reaches into the next, so no row is judged by what taught it. (Rows whose window
runs past their slice's end are dropped for that horizon; that is the purge.)

By asset, for assets that each ran to their end on a clock of their own, as on a test bench: every slice
has assets of its own and all of their time. It says nothing of how a model ages; where assets share a
calendar, divide by time.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, cast

import pandas as pd

from features.errors import ConfigError, DataError
from ml.risk import RiskConfig

__all__ = ["SLICES", "Protocol", "Split", "by_asset", "by_time"]

SliceName = Literal["train", "calibrate", "test"]

Protocol = Literal["by_time", "by_asset"]

SLICES: tuple[SliceName, ...] = ("train", "calibrate", "test")

LONGEST_STEP = 15
"""Days between cut-offs in the largest fleets: further apart, a season would be a handful of looks. Training rows are
sampled instead (:mod:`ml.material`)."""
_TRAIN_SHARE, _CALIBRATE_SHARE = 0.55, 0.20


@dataclass(frozen=True)
class Split:
    """The four instants of a division by time, and the cut-offs between them.

    Attributes
    ----------
    start, train_until, calibrate_until, observed_until
        UTC, on cut-offs but for the last.
    every_days
        Days between cut-offs.
    owners
        By asset: the slice of every asset; empty by time.
    """

    start: datetime
    train_until: datetime
    calibrate_until: datetime
    observed_until: datetime
    every_days: int
    owners: Mapping[str, SliceName] = field(default_factory=dict, repr=False)

    @property
    def protocol(self) -> Protocol:
        """How it divides."""
        return "by_asset" if self.owners else "by_time"

    def as_dict(self) -> dict[str, Any]:
        """Instants and days, and how many assets each slice has where it divides by asset."""
        plain = {name: getattr(self, name) for name in ("start", "train_until", "calibrate_until", "observed_until")}
        plain["every_days"] = self.every_days
        return plain | ({"assets": dict(Counter(self.owners.values()))} if self.owners else {})

    def cutoffs(self) -> tuple[datetime, ...]:
        """All cut-offs, from `start` to the last one before `observed_until`."""
        step = timedelta(days=self.every_days)
        count = -(-(self.observed_until - self.start) // step)
        return tuple(self.start + i * step for i in range(count))

    def ends(self, name: SliceName) -> tuple[datetime, datetime]:
        """First instant of a slice, and the end of its view."""
        if self.owners:
            return self.start, self.observed_until
        bounds = (self.start, self.train_until, self.calibrate_until, self.observed_until)
        place = SLICES.index(name)
        return bounds[place], bounds[place + 1]

    def rows(self, frame: pd.DataFrame, name: SliceName) -> pd.DataFrame:
        """Rows of a frame that belong to a slice, in order of time."""
        first, end = self.ends(name)
        inside = frame[(frame["as_of"] >= first) & (frame["as_of"] < end)]
        if self.owners:
            inside = inside[inside["asset_id"].map(self.owners) == name]
        return inside.sort_values(["as_of", "asset_id"], ignore_index=True)


def by_time(
    config: RiskConfig, *, recorded_from: datetime, observed_until: datetime, cutoff_utc: str, assets: int
) -> Split:
    """Divide the past by time.

    Parameters
    ----------
    recorded_from
        From when everything was being recorded: the first cut-off, where `config` names none, is the first
        one a day later.
    observed_until
        To when failures were seen; `config` may name another.
    assets
        Assets in service: with `max_rows` they decide how many days lie between cut-offs.

    Raises
    ------
    DataError
        History is too short for the longest horizon.
    ConfigError
        The instants of `config` are not in order.
    """
    end = _at(config.observed_until, cutoff_utc) or observed_until
    start = _at(config.start, cutoff_utc) or _ceil(recorded_from + timedelta(days=1), cutoff_utc)
    days, longest = (end - start) / timedelta(days=1), max(config.horizons_days)
    if days < 4 * longest:
        raise DataError(
            f"history covers {max(days, 0):.0f} days, {start:%Y-%m-%d} to {end:%Y-%m-%d}",
            where="risk",
            expected=f"at least {4 * longest:g}: four times the longest horizon of {longest:g} days",
            todo="Shorten horizons_days and edges_days in [risk], or bring more history",
        )
    # A slice whose windows never end inside it would be empty for the longest horizon.
    room = longest * 1.25 + 1
    calibrate_days = max(_CALIBRATE_SHARE * days, min(room, 0.3 * days))
    test_days = max((1 - _TRAIN_SHARE - _CALIBRATE_SHARE) * days, min(room, 0.35 * days))
    train_until = _at(config.train_until, cutoff_utc) or _ceil(
        end - timedelta(days=calibrate_days + test_days), cutoff_utc
    )
    calibrate_until = _at(config.calibrate_until, cutoff_utc) or _ceil(end - timedelta(days=test_days), cutoff_utc)
    if not start < train_until < calibrate_until < end:
        raise ConfigError(
            f"start {start:%Y-%m-%d}, train_until {train_until:%Y-%m-%d}, calibrate_until {calibrate_until:%Y-%m-%d}, "
            f"observed until {end:%Y-%m-%d}",
            where="foremend.toml [risk]",
            expected="four instants that rise",
            todo="Correct them, or leave them out",
        )
    _long_enough(start, train_until, config)
    every = config.every_days or _apart(-(-int(days * assets) // config.max_rows))
    return Split(start, train_until, calibrate_until, end, every)


def by_asset(
    config: RiskConfig, declared: Mapping[str, str | None], *, recorded_from: datetime, observed_until: datetime,
    cutoff_utc: str,
) -> Split:  # fmt: skip
    """Divide assets: as an attribute of theirs says, else by a hash of their ids, which never changes.

    Parameters
    ----------
    declared
        Asset → the attribute that ``[risk] split_by`` names: ``train``, ``calibrate`` or ``test``; an asset with
        another value, or none, is divided by its hash. Where no asset says ``calibrate``, a fifth of those that
        say ``train`` calibrates.

    Raises
    ------
    DataError
        A slice has no asset.
    """
    end = _at(config.observed_until, cutoff_utc) or observed_until
    start = _at(config.start, cutoff_utc) or _ceil(recorded_from + timedelta(days=1), cutoff_utc)
    _long_enough(start, end, config)
    told = "calibrate" in declared.values()
    owners = {asset: _slice(asset, value, told=told) for asset, value in declared.items()}
    if lost := [name for name in SLICES if name not in owners.values()]:
        raise DataError(
            f"{len(owners)} assets, and none to {lost[0]} on", where="risk", expected="assets for every slice",
            todo="Bring more assets, or name an attribute with train, calibrate and test in [risk] split_by",
        )  # fmt: skip
    return Split(start, end, end, end, config.every_days or 1, owners)


def _long_enough(start: datetime, end: datetime, config: RiskConfig) -> None:
    """Stop where no window of training could be seen to its end."""
    days, longest = (end - start) / timedelta(days=1), config.edges_days[-1]
    if days <= longest:
        raise DataError(
            f"training covers {max(days, 0):.0f} days, {start:%Y-%m-%d} to {end:%Y-%m-%d}", where="risk",
            expected=f"more than the last edge of {longest:g} days",
            todo="Shorten horizons_days and edges_days in [risk], or correct start, train_until and observed_until",
        )  # fmt: skip


def _slice(asset: str, value: str | None, *, told: bool) -> SliceName:
    """The slice of an asset; `told` where some asset says that it calibrates."""
    drawn = int(hashlib.sha256(asset.encode()).hexdigest()[:8], 16) / 2**32
    if value in {"test", "calibrate"} or (value == "train" and told):
        return cast("SliceName", value)
    if value == "train":
        return "train" if drawn < 1 - _CALIBRATE_SHARE else "calibrate"
    return "train" if drawn < _TRAIN_SHARE else "calibrate" if drawn < _TRAIN_SHARE + _CALIBRATE_SHARE else "test"


def _apart(days: int) -> int:
    """At least so many days, at most `LONGEST_STEP`; never whole weeks, or all windows of a day would lie on one weekday."""
    return min(days + 1 if days and days % 7 == 0 else max(1, days), LONGEST_STEP)


def _at(moment: datetime | date | None, cutoff_utc: str) -> datetime | None:
    """An instant of the configuration; a day means its cut-off."""
    if moment is None:
        return None
    if isinstance(moment, datetime):
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    hour, minute = map(int, cutoff_utc.split(":"))
    return datetime(moment.year, moment.month, moment.day, hour, minute, tzinfo=UTC)


def _ceil(moment: datetime, cutoff_utc: str) -> datetime:
    """The first cut-off at or after an instant."""
    same_day = _at(moment.astimezone(UTC).date(), cutoff_utc)
    assert same_day is not None  # noqa: S101 - for the type checker: a date always has a cut-off
    return same_day if same_day >= moment else same_day + timedelta(days=1)
