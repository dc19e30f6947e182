"""Day partials kept in ``derived/``: so that the nightly run reads the months touched, not the years.

One Parquet file per table, fingerprint of what it holds, and month of ``event_time``, named after
the files of that month in the table's version: a month that received rows, late ones too, has other
files, hence another name, and is computed anew. Where a channel is seen within its regime, the name holds
all files with a row known before the month's last one: its readings are seen among those. Everything here
can be deleted at any time. Files are written beside and renamed, so that a reader sees a whole one or none.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from features import regimes, visible
from features.lattice import Lattice
from features.partials import Need, merge_sql, partials_sql, stored_keys
from features.workspace import Snapshot, ident, local_files, quote, quoted

if TYPE_CHECKING:
    import duckdb

__all__ = ["centres", "kept", "several"]

FORMAT = 2
"""Raise it when the meaning of a partial changes."""
FOR_EVER = 10**9
STALE_SECONDS = 3600
"""A replaced file stays so long, for readers that still hold the older version."""


def kept(
    con: duckdb.DuckDBPyConnection, snapshot: Snapshot, need: Need, lattice: Lattice, *, last: int, where: str = "true"
) -> str:
    """SQL of the partials visible at cut-off `last`, from kept months; months not kept yet are computed."""
    paths = [_month(con, snapshot, need, lattice, month, files) for month, files in _files(con, snapshot, need).items()]
    if not paths:
        return partials_sql(need, lattice, regimes.facts(con, snapshot, need), last)
    files = ", ".join(quote(str(path)) for path in paths)
    rows = f"SELECT * FROM read_parquet([{files}]) WHERE i <= {last} AND j <= {last} AND {where}"
    return merge_sql(need, rows)


def centres(con: duckdb.DuckDBPyConnection, snapshot: Snapshot, need: Need) -> tuple[float, ...]:
    """A round constant near the level of each column, the same from run to run; 0 while it has no value."""
    if not need.columns:
        return ()
    note = snapshot.workspace.derived / need.table / f"centres-{FORMAT}.json"
    known: dict[str, float] = json.loads(note.read_text()) if note.is_file() else {}
    if missing := [c for c in need.columns if c not in known]:
        known |= (found := _levels(con, snapshot, need, missing))
        if found and snapshot.whole:
            _write(note, known)
    return tuple(known.get(c, 0.0) for c in need.columns)


def _write(note: Path, known: dict[str, float]) -> None:
    note.parent.mkdir(parents=True, exist_ok=True)
    beside = note.with_suffix(f".{uuid.uuid4().hex}")
    beside.write_text(json.dumps(known))
    beside.replace(note)


def several(snapshot: Snapshot, table: str) -> bool:
    """Whether more than one source delivers the table, so that one instant may carry several rows."""
    return sum(source.table == table for source in snapshot.workspace.config.sources.values()) > 1


def _levels(con: duckdb.DuckDBPyConnection, snapshot: Snapshot, need: Need, columns: list[str]) -> dict[str, float]:
    """The level of each column in the first month in which it has values; columns without any are left out."""
    found: dict[str, float] = {}
    for month in snapshot.months(need.table):
        if not (missing := [c for c in columns if c not in found]):
            break
        facts = visible.facts(snapshot, need.table, missing, entity=need.entity, months=(month,))
        # The median: one wild value, known later than a cut-off, must not cost that cut-off its digits.
        levels = ", ".join(f"median({ident(c)}) FILTER (isfinite({ident(c)}))" for c in missing)
        (row,) = con.execute(f"SELECT {levels} FROM ({facts})").fetchall()
        found |= {c: float(f"{level:.3g}") for c, level in zip(missing, row, strict=True) if level is not None}
    return found


def _month(
    con: duckdb.DuckDBPyConnection, snapshot: Snapshot, need: Need, lattice: Lattice, month: str, files: Iterable[str]
) -> Path:
    """The file of one month, computed where it is not kept yet."""
    folder = snapshot.workspace.derived / need.table / _fingerprint(need, lattice)
    made_of = hashlib.sha256("\n".join(sorted(Path(f).name for f in files)).encode()).hexdigest()[:16]
    path = folder / f"{month}-{made_of}.parquet"
    if not path.is_file():
        sql = partials_sql(need, lattice, regimes.facts(con, snapshot, need, (month,)), FOR_EVER)
        folder.mkdir(parents=True, exist_ok=True)
        beside = folder / f"{uuid.uuid4().hex}.tmp"
        con.execute(f"COPY ({sql}) TO {quote(str(beside))} (FORMAT parquet)")
        beside.replace(path)
        _forget(folder, month, path)
    return path


def _forget(folder: Path, month: str, current: Path) -> None:
    for path in folder.glob(f"{month}-*.parquet"):
        if path != current and path.stat().st_mtime < time.time() - STALE_SECONDS:
            path.unlink(missing_ok=True)


def _files(con: duckdb.DuckDBPyConnection, snapshot: Snapshot, need: Need) -> dict[str, list[str]]:
    """The files that decide a month's partials, by month."""
    if not (months := snapshot.months(need.table)):
        return {}
    delta = snapshot.tables[need.table]
    if not need.regimes:
        return {month: delta.file_uris(file_pruning_predicate=[("month", "in", [month])]) for month in months}
    rows = f"read_parquet([{quoted(local_files(delta))}], hive_partitioning = true, filename = true)"
    found = con.execute(f"""
        WITH files AS (SELECT month, filename, min(known_at) AS first, max(known_at) AS last FROM {rows} GROUP BY ALL),
             months AS (SELECT month, max(last) AS last FROM files GROUP BY month)
        SELECT months.month, list(filename) FROM months JOIN files ON first <= months.last GROUP BY ALL ORDER BY ALL
    """).fetchall()
    return dict(found)


def _fingerprint(need: Need, lattice: Lattice) -> str:
    """Hash of what a file holds."""
    stored = {number: sorted(keys) for number, keys in stored_keys(need).items()}
    shorts = [p.name for p in need.parts if not p.cells]
    meaning = [FORMAT, need.entity, need.columns, need.centres, need.ties, stored, shorts, lattice.origin]
    meaning += need.regimes.items()
    return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()[:16]
