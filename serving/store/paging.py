"""Pages by keyset: stable while rows are added, and as fast on the last page as on the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, and_, or_

from serving.store.tables import Instant

__all__ = ["Order", "Page", "page"]


@dataclass(frozen=True)
class Order:
    """One column of an order. The columns of an order together name one row, and none of them is ever null."""

    column: ColumnElement[Any]
    descending: bool = False


@dataclass(frozen=True)
class Page:
    """Some rows, and where the next ones begin.

    Attributes
    ----------
    last
        The ordering columns' values in the last row, instants as ISO 8601; None where nothing follows.
    """

    rows: Sequence[RowMapping]
    last: list[Any] | None


def page(
    connection: Connection, query: Select[Any], order: Sequence[Order], limit: int, after: Sequence[Any] | None = None
) -> Page:
    """Read the next `limit` rows of `query`, which selects the ordering columns among others.

    Raises
    ------
    ValueError
        `after` is not what an earlier page of this order ended with.
    """
    if after is not None:
        query = query.where(_following(order, [_value(o, v) for o, v in zip(order, after, strict=True)]))
    query = query.order_by(*(o.column.desc() if o.descending else o.column.asc() for o in order)).limit(limit + 1)
    rows = connection.execute(query).mappings().all()
    more = len(rows) > limit
    return Page(rows[:limit], [_text(rows[limit - 1][_name(o)]) for o in order] if more else None)


def _following(order: Sequence[Order], values: Sequence[Any]) -> ColumnElement[bool]:
    """True for rows behind `values`: later in the first column, or equal there and later in the second, and so on."""
    alternatives = []
    for at, (one, value) in enumerate(zip(order, values, strict=True)):
        equal = [o.column == v for o, v in zip(order[:at], values[:at], strict=True)]
        alternatives.append(and_(*equal, one.column < value if one.descending else one.column > value))
    return or_(*alternatives)


def _name(order: Order) -> str:
    return str(getattr(order.column, "key", order.column))


def _value(order: Order, value: Any) -> Any:
    """A value that came back from outside, as its column takes it; the database never sees another."""
    kind = order.column.type.python_type
    if kind is datetime and isinstance(value, str):
        moment = datetime.fromisoformat(value)
        meant = (moment.tzinfo is not None) == isinstance(order.column.type, Instant)
    else:
        moment = value
        meant = type(value) is kind and _fits(value)
    if not meant:
        raise ValueError(f"{_name(order)} cannot be {value!r}")
    return moment


def _fits(value: Any) -> bool:
    if isinstance(value, str):
        return "\x00" not in value
    return isinstance(value, float | int) and abs(value) < 2**31


def _text(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
