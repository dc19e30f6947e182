"""Faults that can be planted, as companies' exports have them; ``truth/defects.parquet`` says what was planted.

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

    @property
    def nothing(self) -> pd.DataFrame:
        """Notes of a fleet without faults."""
        return _NOTHING

    def plant(
        self, table: str, frame: pd.DataFrame, days: Calendar, seed: int, block: int
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Spoil a block's frame; returns it and one row per thing planted: ``defect, table, key, at, detail``."""
        planted = []
        for name in self.names:
            spoil = DEFECTS[name].tables.get(table)
            if spoil is not None:
                frame, notes = spoil(frame, stream(seed, f"defect {name} {table}", block), days)
                planted.append(notes.assign(defect=name, table=table))
        return frame, pd.concat(planted, ignore_index=True) if planted else _NOTHING


_NOTHING = pd.DataFrame({
    name: pd.Series(dtype="datetime64[us]" if name == "event_time" else object)
    for name in ("key", "event_time", "detail", "defect", "table")
})  # fmt: skip


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


def _notes(rows: pd.DataFrame, clock: str, detail: object = "", key: str = "asset_id") -> pd.DataFrame:
    """One note per spoilt row: its key, its own time before it was spoilt, and what was done."""
    return pd.DataFrame({
        "key": rows[key].to_numpy(dtype=object), "event_time": rows[clock].to_numpy().astype("datetime64[us]"),
        "detail": np.array(np.broadcast_to(np.asarray(detail, dtype=object), len(rows))),
    })  # fmt: skip


def _some(frame: pd.DataFrame, rng: np.random.Generator, share: float) -> NDArray[np.bool_]:
    """A share of the rows, at least one where there are any."""
    some = rng.random(len(frame)) < share
    some[rng.integers(len(frame), size=min(1, len(frame)))] = True
    return some


def _span(rng: np.random.Generator, low: float, high: float, n: int) -> NDArray[np.timedelta64]:
    """Spells of so many days."""
    return np.asarray((rng.uniform(low, high, n) * 86_400e6).astype("timedelta64[us]"))


def leak(alarms: pd.DataFrame, rng: np.random.Generator, days: Calendar) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A diagnosis uploaded after each emergency stop, dated one or two days before it, with no word of when it came."""
    stops = alarms[alarms["code"] == "F001"]
    dated = stops.assign(
        event_time=stops["event_time"].to_numpy() - _span(rng, 0.5, 2.0, len(stops)), code="A999", severity="info",
        text="诊断记录 / diagnosis record",
    )  # fmt: skip
    dated = dated[dated["event_time"] >= days.start]
    return pd.concat([alarms, dated], ignore_index=True), _notes(dated, "event_time", "recorded after the stop")


def late_rows(readings: pd.DataFrame, rng: np.random.Generator, days: Calendar) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One reading in a hundred is delivered up to 20 days late; what has not come by the end is not there."""
    late = _some(readings, rng, 0.01)
    lag = np.where(late, _span(rng, 0.0, 20.0, len(readings)), np.timedelta64(0, "us"))
    known = readings["event_time"].to_numpy() + lag
    come = known < days.now
    hours = [f"{value:.1f} h late" for value in lag[late & come] / HOUR]
    return readings.assign(known_at=known)[come], _notes(readings[late & come], "event_time", hours)


def clock_errors(frame: pd.DataFrame, rng: np.random.Generator, days: Calendar) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Clocks that restart in 1970, or run ahead of the present."""
    wrong = _some(frame, rng, 0.001)
    ahead = rng.random(len(frame)) < 0.5
    spell = _span(rng, 0.5, 300.0, len(frame))
    stamped = np.where(ahead, days.now + spell, np.datetime64("1970-01-01", "us") + spell)
    notes = _notes(frame[wrong], "event_time", np.where(ahead[wrong], "in the future", "in 1970"))
    return frame.assign(event_time=np.where(wrong, stamped, frame["event_time"].to_numpy())), notes


def contradictions(
    tickets: pd.DataFrame, rng: np.random.Generator, _days: Calendar
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tickets closed before they were opened, and solved before the engineer arrived."""
    closed = tickets["closed_at"].notna().to_numpy() & _some(tickets, rng, 0.008)
    solved = tickets["arrived_at"].notna().to_numpy() & ~closed & _some(tickets, rng, 0.008)
    early = _span(rng, 0.1, 3.0, len(tickets))
    spoilt = tickets.assign(
        closed_at=np.where(closed, tickets["opened_at"] - early, tickets["closed_at"]),
        resolved_at=np.where(solved, tickets["arrived_at"] - early, tickets["resolved_at"]),
    )
    what = np.where(closed[closed | solved], "closed before opened", "solved before arrived")
    return spoilt, _notes(tickets[closed | solved], "opened_at", what, "ticket_id")


def silent_sensors(
    readings: pd.DataFrame, rng: np.random.Generator, days: Calendar
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Machines that say nothing more, a channel that is empty for a month, one that repeats itself for a fortnight."""
    assets = rng.permutation(readings["asset_id"].unique())
    dumb, empty, stuck = (set(assets[n::25]) for n in (0, 1, 2))
    since = days.now - _span(rng, 10, min(60, days.days / 2), 1)[0]
    name, at = readings["asset_id"], readings["event_time"].to_numpy()
    silent = name.isin(dumb).to_numpy() & (at >= since)
    void = name.isin(empty).to_numpy() & (at >= since - 30 * DAY) & (at < since)
    still = name.isin(stuck).to_numpy() & (at >= since - 14 * DAY) & (at < since)
    first = readings["vibration"].where(still).groupby(name).transform("first")
    spoilt = readings.assign(
        temperature=readings["temperature"].where(~void), vibration=readings["vibration"].where(~still, first)
    )
    notes = [_notes(readings[m].drop_duplicates("asset_id"), "event_time", what)
             for m, what in ((silent, "silent"), (void, "temperature empty"), (still, "vibration stuck"))]  # fmt: skip
    return spoilt[~silent], pd.concat(notes, ignore_index=True)


def duplicates(frame: pd.DataFrame, rng: np.random.Generator, _days: Calendar) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows that come twice; of readings, some come a second time with other values."""
    twice = frame[_some(frame, rng, 0.005)]
    other = np.zeros(len(twice), dtype=bool)
    if "pressure" in frame:
        other = rng.random(len(twice)) < 0.2
        twice = twice.assign(pressure=np.where(other, twice["pressure"].to_numpy() + 0.5, twice["pressure"]))
    key, clock = ("ticket_id", "opened_at") if "ticket_id" in frame else ("asset_id", "event_time")
    return pd.concat([frame, twice], ignore_index=True), _notes(
        twice, clock, np.where(other, "other values", "the same"), key
    )


def nan_values(readings: pd.DataFrame, rng: np.random.Generator, _days: Calendar) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A channel delivered as text with ``NaN`` and ``ERR`` among the numbers, and infinite values in another."""
    text, infinite = _some(readings, rng, 0.002), _some(readings, rng, 0.001)
    words = np.array(["NaN", "ERR", "#N/A", "-"], dtype=object)[rng.integers(0, 4, len(readings))]
    given = readings["temperature"]
    written = given.astype(object).where(~text, words).where(given.notna(), None).map(str, na_action="ignore")
    vibration = np.where(infinite, np.where(rng.random(len(readings)) < 0.5, np.inf, -np.inf), readings["vibration"])
    spoilt = readings.assign(temperature=written.astype(object), vibration=vibration)
    said = text & given.notna().to_numpy()
    notes = [_notes(readings[said], "event_time", words[said]), _notes(readings[infinite], "event_time", "infinite")]
    return spoilt, pd.concat(notes, ignore_index=True)


def unknown_assets(frame: pd.DataFrame, rng: np.random.Generator, _days: Calendar) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of machines that the list of machines does not have."""
    wrong = _some(frame, rng, 0.002) & frame["asset_id"].notna().to_numpy()
    unknown = [f"ZZ-{n:06d}" for n in rng.integers(0, 50, int(wrong.sum()))]
    names = frame["asset_id"].to_numpy(dtype=object).copy()
    names[wrong] = unknown
    spoilt = frame.assign(asset_id=names)
    return spoilt, _notes(spoilt[wrong], "opened_at" if "opened_at" in frame else "event_time")


def mixed_zones(alarms: pd.DataFrame, rng: np.random.Generator, _days: Calendar) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Stamps as text: some in UTC, some local with their zone, some local without."""
    utc = pd.DatetimeIndex(alarms["event_time"])
    local = (utc + pd.Timedelta(hours=8)).strftime("%Y-%m-%d %H:%M:%S")
    kind = rng.integers(0, 3, len(alarms))
    text = np.select([kind == 0, kind == 1], [utc.strftime("%Y-%m-%dT%H:%M:%SZ"), local + "+08:00"], local)
    naive = _notes(alarms[kind == 2], "event_time", "local, without zone")
    return alarms.assign(event_time=pd.Series(text, index=alarms.index, dtype=object)), naive


DEFECTS: Mapping[str, Defect] = MappingProxyType({
    "leak": Defect("alarms dated before a failure and written after it", {"alarms": leak}),
    "late_rows": Defect("readings known up to 20 days late", {"readings": late_rows}, frozenset({"readings"})),
    "clock_errors": Defect("stamps in 1970 and in the future", dict.fromkeys(("readings", "alarms"), clock_errors)),
    "contradictions": Defect("tickets closed before they were opened", {"tickets": contradictions}),
    "silent_sensors": Defect("machines and channels that fall silent or stick", {"readings": silent_sensors}),
    "duplicates": Defect("rows that come twice", dict.fromkeys(("readings", "alarms", "tickets"), duplicates)),
    "nan_values": Defect("NaN, infinity and words among the numbers", {"readings": nan_values}),
    "unknown_assets": Defect("rows of unknown machines", dict.fromkeys(("readings", "tickets"), unknown_assets)),
    "mixed_zones": Defect("stamps of several zones, and of none", {"alarms": mixed_zones}),
})  # fmt: skip
"""The faults that can be planted, by name, in the order of planting; what turns numbers into text comes last."""
