"""Values of a database driver or a spreadsheet as Arrow columns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["arrow_table"]


def arrow_table(names: Sequence[str], rows: Sequence[Sequence[object]]) -> pa.Table:
    """Rows as an Arrow table; a column of mixed kinds becomes text, so that nothing is lost."""
    import pyarrow as pa

    return pa.table([_array([row[i] for row in rows]) for i in range(len(names))], names=list(names))


def _array(values: list[Any]) -> pa.Array[Any]:
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, float}:
        values = [None if value is None else float(value) for value in values]
    elif len(kinds) > 1 or not kinds <= _PLAIN or _mixed_zones(values):
        values = [_text(value) for value in values]
    array: pa.Array[Any]
    try:
        array = pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        array = pa.array([_text(value) for value in values], pa.string())
    return array


_PLAIN = {bool, int, float, str, datetime, date, time, Decimal}


def _mixed_zones(values: list[Any]) -> bool:
    return len({value.tzinfo is None for value in values if isinstance(value, datetime)}) > 1


def _text(value: object) -> str | None:
    """A value of a rarer kind as text; JSON columns as JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return bytes(value).hex() if isinstance(value, bytes | memoryview) else str(value)
