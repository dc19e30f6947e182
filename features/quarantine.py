"""Rows that could not be used, kept with their reasons."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from features.commits import source_is
from features.merging import REFUSED, Batch
from features.workspace import Workspace, quote

if TYPE_CHECKING:
    import duckdb

__all__ = ["set_aside"]


def set_aside(con: duckdb.DuckDBPyConnection, workspace: Workspace, batch: Batch, rebuild: bool) -> int:
    """Write refused rows and unusable values to the quarantine; those that lie there already are passed over.

    Returns
    -------
    int
        Rows written now.
    """
    from deltalake import write_deltalake

    delta = workspace.delta("quarantine")
    known = "SELECT NULL::VARCHAR AS row_hash WHERE false"
    if delta is not None and not rebuild:
        paths = ", ".join(quote(path.removeprefix("file://")) for path in delta.file_uris())
        if paths:
            known = f"SELECT row_hash FROM read_parquet([{paths}]) WHERE source = {quote(batch.source)}"
    con.execute(f"CREATE TEMP TABLE aside AS {_sql(batch)} WHERE row_hash NOT IN ({known})")
    count = whole(con, "SELECT count(*) FROM aside") or 0
    if count or (rebuild and delta is not None):
        rows = con.sql("SELECT * FROM aside").to_arrow_reader(100_000)
        replaced = (
            {"mode": "overwrite", "predicate": source_is(batch.source)} if rebuild and delta else {"mode": "append"}
        )
        write_deltalake(str(workspace.table_path("quarantine")), rows, **replaced)  # type: ignore[call-overload]
    return count


def _sql(batch: Batch) -> str:
    """One row per refused row or row with an unusable value."""
    verdicts = ", ".join(quote(code) for code in REFUSED)
    words = (
        "SELECT concat_ws(',', _refused, _spoilt) AS reasons, _row AS row FROM canonical WHERE _row IS NOT NULL "
        "UNION ALL SELECT _verdict, CAST(to_json(struct_pack("
        + ", ".join(f'"{n}" := "{n}"' for n in dict.fromkeys((*batch.content, "event_time", "known_at")))
        + f")) AS VARCHAR) FROM judged WHERE _verdict IN ({verdicts})"
    )
    return (
        f"SELECT {quote(batch.source)} AS source, {quote(batch.table.name)} AS table_name, reasons, row, row_hash, "
        f"TIMESTAMPTZ {quote(datetime.now(UTC).isoformat())} AS ingested_at "
        f"FROM (SELECT reasons, row, md5(row) AS row_hash FROM ({words}) "
        f"QUALIFY row_number() OVER (PARTITION BY row_hash ORDER BY reasons) = 1)"
    )


def whole(con: duckdb.DuckDBPyConnection, sql: str) -> int | None:
    """The one whole number that a query returns; DuckDB wants every result fetched to its end."""
    ((value,),) = con.execute(sql).fetchall()
    return None if value is None else int(value)
