"""Rows that could not be used, kept with their reasons in a Delta table of their own.

It is written before the table whose rows it explains, and knows a row by the hash of its text:
a process that dies in between loses nothing, and the next ingest doubles nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from features.ingest.merging import REFUSED, Batch
from features.ingest.staging import whole
from features.validation.reasons import blamed, reason
from features.workspace import Workspace, ident, local_files, quote

if TYPE_CHECKING:
    import duckdb

__all__ = ["Aside", "Why", "set_aside"]


@dataclass(frozen=True)
class Why:
    """Rows that were set aside for one reason.

    Attributes
    ----------
    rows
        How many; a row with two reasons is counted under both.
    example
        One of them as the source delivered it, as JSON text.
    columns
        Its columns that are to blame, where that is known.
    """

    code: str
    rows: int
    meaning: str
    example: str
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Aside:
    """What was set aside.

    Attributes
    ----------
    new
        Rows written to the quarantine now.
    known
        Refused rows that lie there already.
    reasons
        Why the new ones are there, the most frequent first.
    """

    new: int
    known: int
    reasons: tuple[Why, ...]


def set_aside(
    con: duckdb.DuckDBPyConnection, workspace: Workspace, batch: Batch, committed: str, *, dry_run: bool
) -> Aside:
    """Write refused rows, and rows that lost a value, to the quarantine, each once.

    Parameters
    ----------
    committed
        SQL of the instant that becomes ``ingested_at``.
    dry_run
        Count, and write nothing.
    """
    con.execute(f"CREATE TEMP TABLE bad AS {_bad(batch)}")
    con.execute(f"CREATE TEMP TABLE aside AS SELECT * FROM bad ANTI JOIN ({_known(workspace, batch)}) USING (row_hash)")
    new = whole(con, "SELECT count(*) FROM aside") or 0
    known = whole(con, "SELECT count(*) FROM bad WHERE refused AND row_hash NOT IN (SELECT row_hash FROM aside)") or 0
    stale = batch.replaces and whole(con, f"SELECT count(*) FROM ({_stored(workspace, batch)})")
    if not dry_run and (new or stale):
        _write(con, workspace, batch, committed)
    return Aside(new, known, _reasons(con))


def _reasons(con: duckdb.DuckDBPyConnection) -> tuple[Why, ...]:
    found = con.execute(
        "SELECT code, count(*), min_by(row, row_hash), min_by(coalesce(places, ''), row_hash) FROM "
        "(SELECT unnest(string_split(reasons, ',')) AS code, * FROM aside) GROUP BY 1 ORDER BY 2 DESC, 1"
    ).fetchall()
    return tuple(
        Why(code, rows, reason(code).meaning, example, blamed(places, code)) for code, rows, example, places in found
    )


def _bad(batch: Batch) -> str:
    """One row per refused row or row with an unusable value."""
    fields = ", ".join(f"{ident(name)} := {ident(name)}" for name in batch.columns if name != "known_at")
    fields += ", known_at := CASE WHEN _verdict = 'late_version' THEN known_at END"  # elsewhere it moves with the clock
    return (
        f"SELECT *, md5(row) AS row_hash FROM ("
        f"SELECT concat_ws(',', _refused, _spoilt) AS reasons, _places AS places, _row AS row, "
        f"_refused IS NOT NULL AS refused "
        f"FROM canonical WHERE _row IS NOT NULL UNION ALL "
        f"SELECT _verdict, NULL, CAST(to_json(struct_pack({fields})) AS VARCHAR), true "
        f"FROM judged WHERE _verdict IN {REFUSED}) "
        f"QUALIFY row_number() OVER (PARTITION BY row_hash ORDER BY refused DESC, reasons) = 1"
    )


def _known(workspace: Workspace, batch: Batch) -> str:
    """Hashes of the rows that lie in quarantine and stay there."""
    return f"SELECT row_hash FROM ({_stored(workspace, batch)}) WHERE {'false' if batch.replaces else 'true'}"


def _stored(workspace: Workspace, batch: Batch) -> str:
    delta = workspace.delta("quarantine")
    paths = ", ".join(map(quote, local_files(delta) if delta else ()))
    if not paths:
        return "SELECT CAST(NULL AS VARCHAR) AS row_hash WHERE false"
    return f"SELECT row_hash FROM read_parquet([{paths}]) WHERE {batch.mine}"


def _write(con: duckdb.DuckDBPyConnection, workspace: Workspace, batch: Batch, committed: str) -> None:
    from deltalake import WriterProperties, write_deltalake

    exists = workspace.delta("quarantine") is not None
    how: dict[str, Any] = {"mode": "append"}
    if batch.replaces and exists:
        how = {"mode": "overwrite", "predicate": batch.mine}
    rows = con.sql(
        f"SELECT {quote(batch.source)} AS source, {quote(batch.table.name)} AS table_name, reasons, places, row, row_hash, "
        f"{committed} AS ingested_at FROM aside"
    )
    write_deltalake(
        str(workspace.table_path("quarantine")), rows.to_arrow_reader(100_000),
        schema_mode="merge", writer_properties=WriterProperties(compression="ZSTD"), **how,
    )  # fmt: skip
