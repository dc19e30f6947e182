"""How the past is divided: training, a later slice for calibration, and a last window for the test.

::

    start         train_until      calibrate_until        observed_until
      │ train rows ·····│ calibration rows ·····│ test rows ········│
                   labels end                labels end          labels end

A slice's rows have their cut-off inside it, and are labelled as the world was known at its end: no
label of one slice reaches into the next, so no row is judged by what taught it. (Rows whose window
runs past their slice's end are dropped for that horizon; that is the purge.)
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

import pandas as pd

from features.errors import ConfigError, DataError
from ml.risk import RiskConfig

__all__ = ["SLICES", "Split", "by_time"]

SliceName = Literal["train", "calibrate", "test"]

SLICES: tuple[SliceName, ...] = ("train", "calibrate", "test")

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
    """

    start: datetime
    train_until: datetime
    calibrate_until: datetime
    observed_until: datetime
    every_days: int

    def cutoffs(self) -> tuple[datetime, ...]:
        """All cut-offs, from `start` to the last one before `observed_until`."""
        step = timedelta(days=self.every_days)
        count = -(-(self.observed_until - self.start) // step)
        return tuple(self.start + i * step for i in range(count))

    def ends(self, name: SliceName) -> tuple[datetime, datetime]:
        """First instant of a slice, and the end of its view."""
        bounds = (self.start, self.train_until, self.calibrate_until, self.observed_until)
        place = SLICES.index(name)
        return bounds[place], bounds[place + 1]

    def rows(self, frame: pd.DataFrame, name: SliceName) -> pd.DataFrame:
        """Rows of a frame whose ``as_of`` lies in a slice, in order of time."""
        first, end = self.ends(name)
        inside = frame[(frame["as_of"] >= first) & (frame["as_of"] < end)]
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
    every = config.every_days or _apart(-(-int(days * assets) // config.max_rows))
    return Split(start, train_until, calibrate_until, end, every)


def _apart(days: int) -> int:
    """At least so many days; never whole weeks, or all windows of a day would lie on one weekday."""
    return days + 1 if days and days % 7 == 0 else max(1, days)


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
