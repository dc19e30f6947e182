"""Past failures: what the workspace's versioned rule says failed, and when, as it is known today.

The rule is a query of ``[[failures]]`` over the current canonical tables. What it returns is
completed here, once, for everybody:

* ``failure_mode`` is ``any`` where the rule names none;
* ``known_at`` is the rule's own, else ``event_time``, and never before it: features may not see the
  failure earlier. When they do see it does not hang on the rule: :mod:`features.failure_spells`;
* rows without an asset or a time are counted and left out: they cannot teach anything;
* repeats are folded: within `repeat_days` after a failure, further ones of the same asset and
  mode are that failure. The days run from the failure that was kept, not from its last repeat,
  so that a chain of repeats does not become one endless failure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from features.config import FailureRule
from features.errors import ConfigError
from features.lattice import DAY
from features.workspace import Snapshot

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

__all__ = ["COLUMNS", "Failures", "attach", "completed_sql", "failures", "first_ones", "read_failures"]

COLUMNS: tuple[str, ...] = ("failure_id", "asset_id", "failure_mode", "event_time", "known_at")

ANY = "any"
"""The mode of failures whose rule names none."""


@dataclass(frozen=True)
class Failures:
    """The failures of one rule on one snapshot.

    Attributes
    ----------
    frame
        One row per failure, ordered by time then asset: :data:`COLUMNS`; text, and instants in UTC.
    rule
        The rule that found them.
    fingerprint
        Hash of the rows: equal where, and only where, the failures are the same.
    folded
        Rows that repeat an earlier failure.
    incomplete
        Rows without an asset or a time, left out.
    """

    frame: pd.DataFrame
    rule: FailureRule
    fingerprint: str
    folded: int
    incomplete: int


def failures(snapshot: Snapshot, rule: FailureRule | None = None) -> pd.DataFrame:
    """Past failures as a frame, one row each; see :func:`read_failures`."""
    return read_failures(snapshot, rule).frame


def attach(con: duckdb.DuckDBPyConnection, snapshot: Snapshot, rule: FailureRule | None = None) -> Failures:
    """Register past failures on a connection as the relation ``failures``, for joins in SQL."""
    import pyarrow as pa

    found = read_failures(snapshot, rule)
    columns: dict[str, Any] = {name: pa.array(found.frame[name], pa.string()) for name in COLUMNS[:3]}
    for name in COLUMNS[3:]:
        utc = pa.array(found.frame[name].dt.tz_convert(None).to_numpy(), pa.timestamp("us"))
        columns[name] = utc.cast(pa.timestamp("us", tz="UTC"))
    con.register("failures", pa.table(columns))
    return found


def read_failures(snapshot: Snapshot, rule: FailureRule | None = None) -> Failures:
    """Run a failure rule (default: the one in force) over a snapshot.

    Raises
    ------
    ConfigError
        No rule is declared; its SQL fails; it lacks ``asset_id`` or ``event_time``, or its
        times are not instants. The message names the rule's version.
    """
    rule = rule or snapshot.workspace.config.failure_rule
    with snapshot.connect() as con:
        rows = con.sql(completed_sql(con, rule)).to_arrow_table().to_pandas()
    complete = rows[rows["asset_id"].notna() & rows["event_time"].notna()]
    frame = _fold(complete, rule.repeat_days)
    return Failures(frame, rule, _fingerprint(frame), len(complete) - len(frame), len(rows) - len(complete))


def _describe(con: duckdb.DuckDBPyConnection, query: str, place: str) -> dict[str, str]:
    """Column types of a query by name, or a sentence about what is wrong with it."""
    import duckdb

    try:
        relation = con.sql(f"SELECT * FROM ({query.strip().rstrip(';')}) LIMIT 0")
    except duckdb.Error as error:
        raise ConfigError(f"the query fails: {first_line(error)}", where=place, todo="Correct the SQL") from error
    return {name: str(kind) for name, kind in zip(relation.columns, relation.types, strict=True)}


def completed_sql(con: duckdb.DuckDBPyConnection, rule: FailureRule) -> str:
    """SQL of a rule as the five :data:`COLUMNS`, `known_at` never before `event_time`.

    Raises
    ------
    ConfigError
        As :func:`read_failures`.
    """
    query, place = rule.query, f"foremend.toml [[failures]] version {rule.version}"
    columns = _describe(con, query, place)
    for name in ("asset_id", "event_time"):
        if name not in columns:
            raise ConfigError(
                f"the query returns no column '{name}'", where=place,
                expected="asset_id, event_time, and optionally failure_mode, known_at, failure_id",
                todo=f"It returns {', '.join(columns)}: name one of them with AS {name}",
            )  # fmt: skip
    for name in ("event_time", "known_at"):
        if name in columns and columns[name] != "TIMESTAMP WITH TIME ZONE":
            raise ConfigError(
                f"{name} is a {columns[name]}", where=place, expected="an instant (TIMESTAMPTZ)",
                todo=f"Use a column of the canonical tables, or {name} AT TIME ZONE 'Asia/Shanghai'",
            )  # fmt: skip
    mode = "failure_mode" if "failure_mode" in columns else "NULL"
    known = "known_at" if "known_at" in columns else "event_time"
    key = "CAST(failure_id AS VARCHAR)" if "failure_id" in columns else "NULL"
    return (
        f"SELECT CAST({key} AS VARCHAR) AS failure_id, CAST(asset_id AS VARCHAR) AS asset_id, "
        f"coalesce(nullif(CAST({mode} AS VARCHAR), ''), '{ANY}') AS failure_mode, event_time, "
        f"greatest({known}, event_time) AS known_at FROM ({query.strip().rstrip(';')})"
    )


def _fold(rows: pd.DataFrame, repeat_days: float) -> pd.DataFrame:
    """Keep the first of every failure; see the module for what repeats it."""
    import pandas as pd

    ordered = rows.sort_values(["asset_id", "failure_mode", "event_time", "known_at", "failure_id"], kind="stable")
    times = ordered["event_time"].astype("datetime64[us, UTC]").astype("int64").to_numpy()
    things = list(zip(ordered["asset_id"], ordered["failure_mode"], strict=True))
    keep = first_ones(things, times.tolist(), int(repeat_days * DAY))
    kept = ordered[pd.Series(keep, index=ordered.index, dtype=bool)].copy()
    for name in ("event_time", "known_at"):
        kept[name] = kept[name].astype("datetime64[us, UTC]")
    stamps = kept["event_time"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    kept["failure_id"] = kept["failure_id"].fillna(kept["asset_id"] + "/" + kept["failure_mode"] + "/" + stamps)
    return kept[list(COLUMNS)].sort_values(["event_time", "asset_id", "failure_mode"]).reset_index(drop=True)


def first_ones(things: Sequence[Hashable], times: Sequence[int], within: int) -> list[bool]:
    """Flags of the events that repeat none of the same thing `within` so long before; ordered by thing, then time."""
    keep: list[bool] = []
    thing, since = None, 0
    for key, at in zip(things, times, strict=True):
        new = key != thing or at - since > within
        keep.append(new)
        if new:
            thing, since = key, at
    return keep


def _fingerprint(frame: pd.DataFrame) -> str:
    digest = hashlib.sha256()
    for row in frame.itertuples(index=False):
        digest.update(repr((*row[:3], row[3].value, row[4].value)).encode())
    return digest.hexdigest()


def first_line(error: Exception) -> str:
    """The part of a DuckDB message that a person needs."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
