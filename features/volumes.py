"""Ticket volume: organic tickets per region × type and local day, with every level above.

A series is one node of the hierarchy total → region, total → ticket type → region × type. A day is
a local day: of the asset's site where it names a zone, else of the workspace. Tickets need no
asset: a workspace without `assets` has volumes, in the workspace's zone.

A day without tickets is zero where the ticket systems of the node were delivering
(:mod:`features.delivery`), from the node's first ticket to the end of delivery; else it is missing.

Preventive and planned tickets are ours and stand apart: a forecast that counted them would feed
on itself.
"""

from __future__ import annotations

import warnings
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import available_timezones

from features.delivery import Delivery
from features.errors import ConfigError, DataError, nearest
from features.visible import versions
from features.workspace import Snapshot, quote

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

__all__ = [
    "ENOUGH_TICKETS", "FEWEST_DAYS", "TOTAL", "UNKNOWN", "ShortHistoryWarning", "StaleSourceWarning", "VolumeWarning", "complete_days",
    "daily",
]  # fmt: skip

TOTAL = "total"
"""The node that holds everything."""

UNKNOWN = "unknown"
"""Region or type of tickets that name none: a node like any other, so that levels add up."""

FEWEST_DAYS = 14
"""Complete days below which nothing can be forecast: a week to learn from and one to compare it with."""

ENOUGH_DAYS = 56
"""Complete days below which a forecast is a rough one: eight weeks show each weekday eight times."""

ENOUGH_TICKETS = 50
"""Fewer tickets make a rate, not a curve: a model of their days means little."""

STALE_DAYS = 7
"""Days from the last complete day to ``as_of`` above which the source is called stale."""


class VolumeWarning(UserWarning):
    """Series that can be used, but not without saying something."""


class ShortHistoryWarning(VolumeWarning):
    """There is a history, but a short one."""


class StaleSourceWarning(VolumeWarning):
    """The newest tickets are old, so the forecast starts in the past."""


def daily(snapshot: Snapshot, as_of: datetime | None = None) -> pd.DataFrame:
    """Count organic tickets per node and local day, as known before `as_of`.

    Parameters
    ----------
    as_of
        Only versions with ``known_at < as_of`` are read. Default: the workspace's last cut-off.

    Returns
    -------
    pandas.DataFrame
        One row per node and day, sorted, without holes from the node's first day to the last day,
        which all nodes share:

        =============== =====================================================================
        ``unique_id``   ``total``, ``REGION/*``, ``*/TYPE`` or ``REGION/TYPE``; a slash within a
                        name stands as ``|``
        ``ds``          the local day, without a zone
        ``y``           tickets; null where the day is missing
        ``region``      null where the node holds all regions
        ``ticket_type`` null where the node holds all types
        =============== =====================================================================

    Raises
    ------
    DataError
        No organic ticket was known, or fewer than `FEWEST_DAYS` complete days.
    ConfigError
        The workspace's zone does not exist.

    Warns
    -----
    ShortHistoryWarning
        Fewer than `ENOUGH_DAYS` complete days, or than `ENOUGH_TICKETS` tickets.
    StaleSourceWarning
        The last complete day lies more than `STALE_DAYS` before `as_of`.
    VolumeWarning
        Assets name zones that do not exist; the workspace's is used for them.
    """
    instant = as_of or snapshot.workspace.last_cutoff()
    with snapshot.connect() as con:
        _read_sites(con, snapshot, instant)
        _read_calls(con, snapshot, instant)
        delivery = _delivery(con, _last_day_over(con, snapshot, instant))
        _check_length(_complete(con, delivery), delivery, instant)
        _check_count(_organic(con))
        return _series(con, delivery)


def complete_days(snapshot: Snapshot, as_of: datetime | None = None) -> int:
    """Count the complete days that :func:`daily` has of all organic tickets; it wants `FEWEST_DAYS` of them."""
    instant = as_of or snapshot.workspace.last_cutoff()
    with snapshot.connect() as con, warnings.catch_warnings():
        warnings.simplefilter("ignore", VolumeWarning)  # who makes the series hears of it
        _read_sites(con, snapshot, instant)
        _read_calls(con, snapshot, instant)
        return _complete(con, _delivery(con, _last_day_over(con, snapshot, instant))) if _organic(con) else 0


def _read_sites(con: duckdb.DuckDBPyConnection, snapshot: Snapshot, as_of: datetime) -> None:
    """Make the table ``sites``: region and zone of every asset as known before `as_of`."""
    zones = available_timezones()
    default = snapshot.workspace.config.time.zone
    if default not in zones:
        raise ConfigError(
            f"the zone '{default}' is not known", where="foremend.toml [time] zone", todo=nearest(default, zones)
        )
    con.execute(f"""
        CREATE TEMP TABLE sites AS
        SELECT asset_id, nullif(region, '') AS region, coalesce(nullif(zone, ''), {quote(default)}) AS zone
        FROM ({_seen(snapshot, "assets", ("region", "zone"), as_of)})""")
    named = {zone for (zone,) in con.execute("SELECT DISTINCT zone FROM sites").fetchall()}
    if wrong := sorted(named - zones):
        warnings.warn(
            f"assets.zone: {', '.join(wrong)} is no IANA zone, so these sites are counted in {default}. "
            "Correct the source, or leave the zone empty.", VolumeWarning, stacklevel=3,
        )  # fmt: skip
        con.execute(f"UPDATE sites SET zone = {quote(default)} WHERE zone IN ({', '.join(map(quote, wrong))})")


def _read_calls(con: duckdb.DuckDBPyConnection, snapshot: Snapshot, as_of: datetime) -> None:
    """Make the table ``calls``: one row per ticket known before `as_of`, on its local clock."""
    zone = quote(snapshot.workspace.config.time.zone)
    con.execute(f"""
        CREATE TEMP TABLE calls AS
        SELECT
            t.system,
            timezone(coalesce(sites.zone, {zone}), t.opened_at) AS opened,
            date_trunc('day', opened) AS ds,
            coalesce(nullif(t.region, ''), sites.region, {quote(UNKNOWN)}) AS region,
            coalesce(nullif(t.ticket_type, ''), {quote(UNKNOWN)}) AS ticket_type,
            coalesce(nullif(t.origin, ''), 'organic') = 'organic' AS organic
        FROM ({_seen(snapshot, "tickets", ("asset_id", "opened_at", "region", "ticket_type", "origin"), as_of)}) AS t
        LEFT JOIN sites USING (asset_id)
        WHERE t.opened_at IS NOT NULL""")


def _seen(snapshot: Snapshot, table: str, columns: tuple[str, ...], as_of: datetime) -> str:
    """SQL of what every key said just before `as_of`."""
    rows, at = versions(snapshot, table, columns), f"epoch_us({_instant(as_of)})"
    return f"SELECT * FROM ({rows}) WHERE __k < {at} AND (__u IS NULL OR {at} <= __u)"


def _last_day_over(con: duckdb.DuckDBPyConnection, snapshot: Snapshot, as_of: datetime) -> date:
    """The last day that was over in every zone, and past every source's delay, at `as_of`."""
    config = snapshot.workspace.config
    delay = max((s.delay_hours for s in config.sources.values() if s.table == "tickets"), default=0.0)
    zones = f"SELECT zone FROM sites UNION SELECT {quote(config.time.zone)} AS zone"
    local = f"timezone(zone, {_instant(as_of - timedelta(hours=delay))})"
    ((today,),) = con.execute(f"SELECT CAST(min({local}) AS DATE) FROM ({zones})").fetchall()
    return date.fromisoformat(str(today)) - timedelta(days=1)


def _organic(con: duckdb.DuckDBPyConnection) -> int:
    """How many tickets were demand."""
    ((count,),) = con.execute("SELECT count(*) FROM calls WHERE organic").fetchall()
    return int(count)


def _delivery(con: duckdb.DuckDBPyConnection, over: date) -> Delivery:
    """What the ticket systems delivered, tickets of every origin; their silent days as the table ``silent``."""
    if not _organic(con):
        raise DataError(
            "no organic ticket was known", where="tickets", expected=f"at least {FEWEST_DAYS} days of tickets",
            todo="Add a source for `tickets` to foremend.toml and run `foremend ingest`, or choose a later --as-of",
        )  # fmt: skip
    counts = con.execute("""
        SELECT system, ds, count(*) AS n, max(opened - ds) AS last FROM calls GROUP BY system, ds ORDER BY system, ds
    """).df()
    delivery = Delivery(counts, over)
    con.register("silent", delivery.silent)
    return delivery


def _complete(con: duckdb.DuckDBPyConnection, delivery: Delivery) -> int:
    """How many days of the node that holds everything are not missing."""
    ((days,),) = con.execute(f"""
        WITH days AS (
            SELECT unnest(generate_series(min(ds), TIMESTAMP '{delivery.last}', INTERVAL 1 DAY)) AS ds
            FROM calls WHERE organic)
        SELECT count(*) FROM days
        WHERE ds NOT IN (SELECT ds FROM silent SEMI JOIN (FROM calls WHERE organic) USING (system))""").fetchall()
    return int(days)


def _series(con: duckdb.DuckDBPyConnection, delivery: Delivery) -> pd.DataFrame:
    """Count per node and day; fill zeros where the node's systems delivered, nulls where one was silent."""
    return con.execute(f"""
        WITH counts AS (
            SELECT {_NODE} AS unique_id, region, ticket_type, system, ds, count(*) AS n
            FROM calls WHERE organic
            GROUP BY GROUPING SETS ((system, ds), (region, system, ds), (ticket_type, system, ds),
                                    (region, ticket_type, system, ds))),
        sums AS (SELECT unique_id, ds, sum(n) AS n FROM counts GROUP BY unique_id, ds),
        holes AS (
            SELECT DISTINCT unique_id, silent.ds
            FROM (SELECT DISTINCT unique_id, system FROM counts) JOIN silent USING (system)),
        nodes AS (
            SELECT unique_id, region, ticket_type, min(ds) AS first FROM counts GROUP BY ALL),
        spine AS (
            SELECT unique_id, region, ticket_type,
                unnest(generate_series(first, TIMESTAMP '{delivery.last}', INTERVAL 1 DAY)) AS ds
            FROM nodes)
        SELECT unique_id, ds,
            CASE WHEN holes.ds IS NULL THEN CAST(coalesce(n, 0) AS DOUBLE) END AS y, region, ticket_type
        FROM spine LEFT JOIN sums USING (unique_id, ds) LEFT JOIN holes USING (unique_id, ds)
        QUALIFY ds >= min(ds) FILTER (y IS NOT NULL) OVER (PARTITION BY unique_id)
        ORDER BY unique_id, ds""").df()


def _part(column: str) -> str:
    """SQL of a node's part of the id, ``*`` for all values; two values never share one.

    A slash stands as a bar, for the slash parts region and type; a bar, a backslash, or a lone
    asterisk gets a backslash before it.
    """
    text = rf"replace(replace(replace({column}, '\', '\\'), '|', '\|'), '/', '|')"
    return rf"CASE WHEN grouping({column}) = 1 THEN '*' WHEN {column} = '*' THEN '\*' ELSE {text} END"


_NODE = f"""
    CASE WHEN grouping(region) = 1 AND grouping(ticket_type) = 1 THEN '{TOTAL}'
    ELSE {_part("region")} || '/' || {_part("ticket_type")} END"""


def _check_length(days: int, delivery: Delivery, as_of: datetime) -> None:
    if days < FEWEST_DAYS:
        raise DataError(
            f"{days} complete days of tickets were known", where="tickets", expected=f"at least {FEWEST_DAYS}",
            todo="Load a longer history, or choose a later --as-of",
        )  # fmt: skip
    if days < ENOUGH_DAYS:
        warnings.warn(
            f"tickets: only {days} complete days are known, so this is a rough forecast. Load at least {ENOUGH_DAYS}; "
            "two full years show the yearly cycle.", ShortHistoryWarning, stacklevel=3,
        )  # fmt: skip
    age = (as_of.date() - delivery.last.date()).days
    if age > STALE_DAYS:
        warnings.warn(
            f"tickets: the last complete day is {delivery.last:%Y-%m-%d}, {age} days before {as_of:%Y-%m-%d}, and the "
            "forecast starts after it. Run `foremend ingest`, or freeze the clock with [time] now.",
            StaleSourceWarning, stacklevel=3,
        )  # fmt: skip


def _check_count(tickets: int) -> None:
    if tickets < ENOUGH_TICKETS:
        warnings.warn(
            f"tickets: only {tickets} are known, fewer than {ENOUGH_TICKETS}: this forecast and its ranges mean little. "
            "Rather take the mean of the days seen.", ShortHistoryWarning, stacklevel=3,
        )  # fmt: skip


def _instant(moment: datetime) -> str:
    return f"TIMESTAMPTZ {quote(moment.isoformat())}"
