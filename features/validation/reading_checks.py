"""Checks of ``readings``: channels that nobody declared, values that stand still, assets that fell silent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from features.validation.findings import Finding, Look, finding
from features.workspace import ident

__all__ = ["SILENT_AT_LEAST_DAYS", "SILENT_INTERVALS", "readings"]

SILENT_AT_LEAST_DAYS = 3.0
"""A gateway that is down over a weekend is not yet a silent asset."""

SILENT_INTERVALS = 10.0
"""... nor is one that misses fewer than ten of its usual readings."""

_BY_ASSET = """
    CREATE OR REPLACE TEMP TABLE reading_days AS
    SELECT asset_id, count(*) AS readings, min(event_time) AS first_at, max(event_time) AS last_at,
        count(DISTINCT epoch_us(event_time) // 86400000000) AS days
    FROM readings GROUP BY asset_id
"""


@dataclass(frozen=True)
class _Silence:
    """What counts as silent here: no reading for so many days before the last of the fleet."""

    days: float


def readings(look: Look) -> Iterator[Finding]:
    """Check the readings; leaves ``reading_days`` (one row per asset) for the readiness verdict."""
    look.con.execute(_BY_ASSET)
    if not look.has("readings"):
        return
    yield from _channels(look)
    yield from _stuck(look)
    if look.has("assets"):
        yield from _silent(look, _usual_silence(look))


def _channels(look: Look) -> Iterator[Finding]:
    declared = look.snapshot.workspace.config.channels
    stored = look.snapshot.channels()
    for name in stored:
        if name not in declared:
            yield finding("warning", "undeclared_channel", "readings", name, count=1, of=1, unit="channels")
    if stored:
        empty = " AND ".join(f"{ident(name)} IS NULL" for name in stored)
        count = look.row(f"SELECT count(*) FILTER (WHERE {empty}) AS n FROM readings")["n"]
        shown = look.broken("readings", empty) if count else ()
        yield finding("warning", "no_value", "readings", count=count, of=look.sizes["readings"], examples=shown)
    for name in declared:
        if name not in stored:
            yield finding("warning", "channel_without_readings", "readings", name, count=1, of=1, unit="channels")


def _stuck(look: Look) -> Iterator[Finding]:
    """Runs of an unchanged value, per asset and channel.

    One ordered pass marks the readings that equal their predecessor; only those, few in a live
    channel, are grouped into runs. A null ends a run: silence is not standing still.
    """
    stored = set(look.snapshot.channels())
    limits = {
        n: c.stuck_hours for n, c in look.snapshot.workspace.config.channels.items() if c.stuck_hours and n in stored
    }
    if not limits:
        return
    same = ", ".join(f"{ident(n)} = lag({ident(n)}) OVER asset AS {ident('same ' + n)}" for n in limits)
    any_same = " OR ".join(ident("same " + n) for n in limits)
    look.con.execute(
        f"CREATE OR REPLACE TEMP TABLE unchanged AS SELECT * FROM ("
        f"SELECT asset_id, event_time, row_number() OVER asset AS nth, lag(event_time) OVER asset AS before, "
        f"{', '.join(map(ident, limits))}, {same} FROM ({_instants(limits)}) "
        f"WINDOW asset AS (PARTITION BY asset_id ORDER BY event_time)) WHERE {any_same}"
    )
    for name, hours in limits.items():
        yield _stuck_channel(look, name, hours)
    look.con.execute("DROP TABLE unchanged")


def _instants(channels: Iterable[str]) -> str:
    """SQL: one row per asset and instant; its parts, which became known apart, put together."""
    values = ", ".join(f"max({ident(name)}) AS {ident(name)}" for name in channels)
    return f"SELECT asset_id, event_time, {values} FROM readings GROUP BY asset_id, event_time"


def _stuck_channel(look: Look, name: str, hours: float) -> Finding:
    runs = f"""
        SELECT asset_id, min(before) AS since, max(event_time) AS until, any_value({ident(name)}) AS value,
            round((epoch(max(event_time)) - epoch(min(before))) / 3600, 1) AS hours, count(*) + 1 AS readings
        FROM (SELECT *, nth - row_number() OVER (PARTITION BY asset_id ORDER BY nth) AS run
              FROM unchanged WHERE {ident("same " + name)})
        GROUP BY asset_id, run
        HAVING epoch(max(event_time)) - epoch(min(before)) >= {hours!r} * 3600
    """
    totals = look.row(f"SELECT count(*) AS runs, count(DISTINCT asset_id) AS assets FROM ({runs})")
    return finding(
        "warning", "stuck_readings", "readings", name, count=totals["assets"],
        of=look.row("SELECT count(*) AS n FROM reading_days")["n"], unit="assets",
        examples=look.examples(f"SELECT * FROM ({runs}) ORDER BY hours DESC") if totals["runs"] else (),
        detail=f"{totals['runs']:,} times unchanged for {hours:g} h or longer",
    )  # fmt: skip


def _usual_silence(look: Look) -> _Silence:
    """Ten of the fleet's median interval between readings, at least three days."""
    interval = look.row(
        "SELECT coalesce(median((epoch(last_at) - epoch(first_at)) / (readings - 1)) / 86400, 0) AS days "
        "FROM reading_days WHERE readings > 1"
    )["days"]
    return _Silence(max(SILENT_AT_LEAST_DAYS, SILENT_INTERVALS * interval))


def _silent(look: Look, silence: _Silence) -> Iterator[Finding]:
    """Assets in service at the last reading of the fleet that have none of late, or none at all."""
    look.con.execute(
        "CREATE OR REPLACE TEMP VIEW in_service AS SELECT a.asset_id, a.installed_at, r.readings, r.last_at, f.end_at "
        "FROM assets AS a LEFT JOIN reading_days AS r USING (asset_id) "
        "CROSS JOIN (SELECT max(last_at) AS end_at FROM reading_days) AS f "
        "WHERE coalesce(a.retired_at > f.end_at, true) AND coalesce(a.installed_at < f.end_at, true)"
    )
    total = look.row("SELECT count(*) AS n FROM in_service")["n"]
    last = f"last_at < end_at - INTERVAL {int(silence.days * 24)} HOUR"
    days = "round((epoch(end_at) - epoch(last_at)) / 86400, 1) AS days"
    quiet = f"SELECT asset_id, last_at, {days} FROM in_service WHERE {last}"
    never = "SELECT asset_id, installed_at FROM in_service WHERE readings IS NULL"
    for code, sql, order in (("silent_asset", quiet, "days DESC"), ("never_read", never, "asset_id")):
        count = look.row(f"SELECT count(*) AS n FROM ({sql})")["n"]
        yield finding(
            "warning" if code == "silent_asset" else "note", code, "readings", count=count, of=total, unit="assets",
            examples=look.examples(f"SELECT * FROM ({sql}) ORDER BY {order}") if count else (),
            detail=f"none in the last {silence.days:.0f} days of readings" if code == "silent_asset" else "",
        )  # fmt: skip
