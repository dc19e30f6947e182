"""Spines: which assets at which instants a table of features is wanted for."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import DataError, SourceError, UserError
from features.workspace import Workspace, duck, quote

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["cutoffs_between", "instant_of", "instants_of", "read_spine"]


def instant_of(workspace: Workspace, text: str) -> datetime:
    """An instant from text: a date means that day's cut-off, anything longer must carry a zone.

    Raises
    ------
    UserError
        The text is neither, or carries no zone.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(
            f"'{text}' is not an instant", expected="2015-06-01, or 2015-06-01T12:00:00Z", where="--as-of"
        ) from None
    if len(text) <= len("2015-06-01"):
        hour, minute = map(int, workspace.config.time.cutoff_utc.split(":"))
        return found.replace(hour=hour, minute=minute, tzinfo=UTC)
    if found.tzinfo is None:
        raise UserError(f"'{text}' carries no zone", expected=f"{text}Z for UTC, or another zone", where="--as-of")
    return found.astimezone(UTC)


def cutoffs_between(workspace: Workspace, first: date, last: date, every_days: int = 1) -> list[datetime]:
    """The daily cut-offs from one day to another, both included, every so many days."""
    start = instant_of(workspace, first.isoformat())
    return [start + timedelta(days=n) for n in range(0, (last - first).days + 1, every_days)]


def read_spine(path: Path) -> pd.DataFrame:
    """Read ``asset_id`` and ``as_of`` from a Parquet or CSV file, in its order.

    Raises
    ------
    SourceError
        The file cannot be read.
    DataError
        A column is missing, empty, or `as_of` carries no zone.
    """
    import duckdb

    reader = "read_csv" if path.suffix.lower() == ".csv" else "read_parquet"
    try:
        with duck() as con:
            con.execute("SET preserve_insertion_order = true")
            frame: pd.DataFrame = con.sql(f"SELECT * FROM {reader}({quote(str(path))})").to_arrow_table().to_pandas()
    except duckdb.Error as error:
        raise SourceError(
            str(error).splitlines()[0], where=str(path), expected="a Parquet or CSV file of asset_id, as_of"
        ) from error
    instants_of(frame, str(path))
    return frame


def instants_of(spine: pd.DataFrame, where: str = "spine") -> list[datetime]:
    """The distinct instants of a spine, in order.

    Raises
    ------
    DataError
        As :func:`read_spine`.
    """
    import pandas as pd

    missing = [c for c in ("asset_id", "as_of") if c not in spine.columns]
    if missing or spine.empty:
        found = f"no column '{missing[0]}'" if missing else "no rows"
        raise DataError(found, where=where, expected="rows of asset_id and as_of")
    if not isinstance(spine["as_of"].dtype, pd.DatetimeTZDtype):
        raise DataError("as_of carries no zone", where=where, expected="instants such as 2024-06-30T16:00:00Z")
    empty = int(spine[["asset_id", "as_of"]].isna().any(axis=1).sum())
    if empty:
        raise DataError(
            f"{empty} of {len(spine):,} rows lack asset_id or as_of", where=where, expected="both on every row"
        )
    return [i.to_pydatetime() for i in sorted(spine["as_of"].dt.tz_convert("UTC").dt.as_unit("us").unique())]
