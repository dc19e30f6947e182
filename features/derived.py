"""Day partials kept in ``derived/``: so that the nightly run reads the months touched, not the years.

One Parquet file per table, fingerprint of what it holds, and month of ``event_time``, named after
the files of that month in the table's version: a month that received rows, late ones too, has other
files, hence another name, and is computed anew. Everything here can be deleted at any time. Files
are written beside and renamed, so that a reader sees a whole one or none.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from features import visible
from features.lattice import Lattice
from features.partials import Need, merge_sql, partials_sql, stored_keys
from features.workspace import Snapshot, ident, quote

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
    paths = [_month(con, snapshot, need, lattice, month) for month in snapshot.months(need.table)]
    if not paths:
        return partials_sql(need, lattice, visible.facts(snapshot, need.table, need.columns), last)
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


def _month(con: duckdb.DuckDBPyConnection, snapshot: Snapshot, need: Need, lattice: Lattice, month: str) -> Path:
    """The file of one month, computed where it is not kept yet."""
    folder = snapshot.workspace.derived / need.table / _fingerprint(need, lattice)
    path = folder / f"{month}-{_files_hash(snapshot, need.table, month)}.parquet"
    if not path.is_file():
        facts = visible.facts(snapshot, need.table, need.columns, months=(month,))
        sql = partials_sql(need, lattice, facts, FOR_EVER)
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


def _files_hash(snapshot: Snapshot, table: str, month: str) -> str:
    files = snapshot.tables[table].file_uris(file_pruning_predicate=[("month", "in", [month])])
    return hashlib.sha256("\n".join(sorted(Path(f).name for f in files)).encode()).hexdigest()[:16]


def _fingerprint(need: Need, lattice: Lattice) -> str:
    """Hash of what a file holds."""
    stored = {number: sorted(keys) for number, keys in stored_keys(need).items()}
    shorts = [p.name for p in need.parts if not p.cells]
    meaning = [FORMAT, need.entity, need.columns, need.centres, need.ties, stored, shorts, lattice.origin]
    return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()[:16]
