"""Streaming Parquet: a block's frames go to files, memory stays a block's.

Text, number, flag and instant columns are told apart by name, as the house names them: instants end
in ``_at`` (and ``event_time``), all other types are listed below.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import Fault, UserError

__all__ = ["Export"]

NUMBERS = frozenset({
    "latitude", "longitude", "rated_kw", "pressure", "vibration", "temperature", "current", "running_hours", "csat",
    "nps", "labour_hours", "cost", "interval_days", "first_response_limit_hours", "arrival_limit_hours",
    "completion_limit_hours", "weekly_hours", "unit_cost", "lead_time_days", "on_hand", "weight_kg", "quantity",
    "intensity", "shock", "assets_in_service",
})  # fmt: skip
FLAGS = frozenset({"passed", "passed_first", "precursor", "false_closure"})
RENAMES = {
    "assets": {"asset_id": "machine_no", "installed_at": "commissioned_at"},
    "readings": {"asset_id": "machine_no", "event_time": "ts"},
    "alarms": {"asset_id": "machine_no", "event_time": "ts", "code": "alarm_code"},
}
"""Names in the files, where the company's differ from ours; the queries of ``foremend.toml`` translate them back."""
GROUP_ROWS = 5_000
"""Rows gathered before a row group is written."""
PIECES = 8
"""Pieces gathered before they are made one."""
BLOCKS_PER_FILE = 10


class Export:
    """Files of an export: one per table; readings one per quarter and so many blocks.

    Parameters
    ----------
    folder
        Where the files go.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: dict[str, int] = defaultdict(int)
        self._waiting: dict[str, list[pa.Table]] = defaultdict(list)
        self._writers: dict[str, pq.ParquetWriter] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"cannot be made: {error.strerror}", where=str(folder), todo="Name another folder"
            ) from error

    def write(self, table: str, frame: pd.DataFrame, block: int = 0) -> None:
        """Append a block's rows of one table."""
        self.rows[table] += len(frame)
        renamed = frame.rename(columns=RENAMES.get(table, {}))
        if table == "readings":
            self._write_quarters(renamed, block)
        else:
            self._append(table, _arrow(renamed))

    def _write_quarters(self, frame: pd.DataFrame, block: int) -> None:
        month = frame["ts"].to_numpy().astype("datetime64[M]").astype("int64")
        quarter = month // 3
        for q in np.unique(quarter):
            name = f"readings-{1970 + q // 4}Q{q % 4 + 1}-{block // BLOCKS_PER_FILE:03d}"
            self._append(name, _arrow(frame[quarter == q]), at_once=True)

    def end_block(self, block: int) -> None:
        """Close the readings' files that are complete."""
        if (block + 1) % BLOCKS_PER_FILE == 0:
            for name in [name for name in self._writers if name.startswith("readings-")]:
                self._close(name)

    def _append(self, name: str, table: pa.Table, *, at_once: bool = False) -> None:
        waiting = self._waiting[name]
        waiting.append(table)
        if at_once or sum(len(t) for t in waiting) >= GROUP_ROWS:
            self._flush(name)
        elif len(waiting) >= PIECES:  # a kilobyte of bookkeeping per column and piece adds up
            waiting[:] = [pa.concat_tables(waiting).combine_chunks()]

    def _flush(self, name: str) -> None:
        waiting = self._waiting.pop(name, [])
        if not waiting:
            return
        path = self.folder / f"{name}.parquet"
        try:
            if name not in self._writers:
                self._writers[name] = _writer(path, waiting[0].schema)
            self._writers[name].write_table(pa.concat_tables(waiting))
        except OSError as error:
            raise Fault(
                f"cannot be written: {error}", where=str(path), todo="Free some space or choose another folder"
            ) from error

    def _close(self, name: str) -> None:
        self._flush(name)
        writer = self._writers.pop(name, None)
        if writer is not None:
            writer.close()

    def __enter__(self) -> Export:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in {*self._waiting, *self._writers}:
            self._close(name)


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Dictionaries pay for texts; tried on measured numbers they only cost time."""
    texts: Any = [field.name for field in schema if pa.types.is_string(field.type)]
    return pq.ParquetWriter(path, schema, use_dictionary=texts)


def _arrow(frame: pd.DataFrame) -> pa.Table:
    kinds = {name: _type(name, frame[name]) for name in frame.columns}
    return pa.table({n: _column(frame[n], k) for n, k in kinds.items()}, schema=pa.schema(list(kinds.items())))


def _column(values: pd.Series[Any], kind: pa.DataType) -> pa.Array[Any]:
    """A stamp without zone means UTC; NaN, NaT and None are empty."""
    if pa.types.is_timestamp(kind):
        naive = pa.array(values.to_numpy().astype("datetime64[us]"), pa.timestamp("us"), from_pandas=True)
        return naive.cast(kind)
    given: pa.Array[Any] = pa.array(values, from_pandas=True)
    return given if given.type == kind else given.cast(kind)


def _type(name: str, values: pd.Series[Any]) -> pa.DataType:
    if (name.endswith("_at") or name in {"event_time", "ts", "as_of"}) and values.dtype.kind == "M":
        return pa.timestamp("us", "UTC")
    if (name in NUMBERS or name.startswith("p_")) and values.dtype.kind in "fiu":
        return pa.float64()
    if name in FLAGS:
        return pa.bool_()
    return pa.int64() if name.startswith("degraded_") else pa.string()
