"""Feature groups of a company's own, from ``[features.NAME]`` of ``foremend.toml``.

As entries of the spec, which cannot leak::

    [features.hot]
    entries = [
        {kind = "statistics", column = "pressure", stats = ["mean", "slope"], windows = [3, 14]},
        {kind = "baseline", column = "pressure", days = 7, windows = [1], reset = "services"},
        {kind = "count", table = "alarms", by = "severity", values = ["high"], windows = [7]},
        {kind = "since", table = "services", where = {action = "replaced"}},
        {kind = "attribute", column = "batch"},
        {kind = "age", column = "warranty_until_at"},
    ]

or as SQL, in which nothing but the query keeps ``known_at < as_of``; ``foremend audit leaks`` finds what does not::

    [features.visits]
    sql = '''
    SELECT s.asset_id, s.as_of, count(*) AS visits
    FROM spine AS s JOIN work_logs AS w
      ON w.asset_id = s.asset_id AND w.known_at < s.as_of AND w.event_time < s.as_of
    GROUP BY ALL
    '''

The SQL sees ``spine(asset_id, as_of)`` and every canonical table as ``NAME`` (current rows) and
``NAME_rows`` (all versions), whose rows carry ``known_at``; it returns ``asset_id``, ``as_of`` and
the features. Names begin with the group's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from features import sentences
from features.config import Channel, FeatureGroup
from features.errors import ConfigError, nearest, phrase
from features.lattice import DAY
from features.point_in_time import (
    AS_OF,
    STATISTICS,
    Baseline,
    Counts,
    Entry,
    Events,
    Feature,
    Silence,
    Since,
    State,
    Statistics,
)  # fmt: skip
from features.tables import TABLES
from features.wording import Words, after, attribute_words, column_words, label_words
from features.workspace import Snapshot, ident

__all__ = ["check_group", "entries_of"]

_checked = dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
Window = Annotated[float, Field(gt=0, le=3660)]
Days = Annotated[int, Field(ge=1, le=3660)]
_UNKNOWN_KEY = frozenset({"unexpected_keyword_argument", "extra_forbidden"})


@_checked
class _Statistics:
    column: str
    stats: tuple[
        Literal["count", "mean", "std", "min", "max", "sum", "slope", "last", "last_minus_mean", "day_minus_mean"], ...
    ]
    windows: tuple[Window, ...]
    table: str = "readings"
    unit: str = ""


@_checked
class _Baseline:
    column: str
    windows: tuple[Window, ...] = (1,)
    days: Days = 14
    table: str = "readings"
    reset: str = ""
    unit: str = ""
    measures: tuple[Literal["z", "shift"], ...] = ("z",)


@_checked
class _Count:
    table: str
    windows: tuple[Days, ...]
    at: str = ""
    by: str = ""
    values: tuple[str, ...] = ()
    where: dict[str, str] = Field(default_factory=dict)


@_checked
class _Since:
    table: str
    at: str = ""
    by: str = ""
    values: tuple[str, ...] = ()
    where: dict[str, str] = Field(default_factory=dict)


@_checked
class _Silence:
    table: str = "readings"
    window: Days = 30


@_checked
class _Attribute:
    column: str
    type: Literal["number", "category"] = "category"


@_checked
class _Age:
    column: str


def check_group(name: str, group: FeatureGroup) -> None:
    """Stop where a group cannot be meant, as far as that shows without its tables: kinds, keys, values, tables.

    Raises
    ------
    ConfigError
        The message names the nearest that is known.
    """
    for _ in _specs(name, group):
        pass


def entries_of(name: str, group: FeatureGroup, snapshot: Snapshot) -> tuple[Entry, ...]:
    """The entries of one group.

    Raises
    ------
    ConfigError
        As of :func:`check_group`; or a column is not known.
    """
    made = []
    for spec, make, where in _specs(name, group):
        _columns_exist(spec, snapshot, where)
        made.append(_labelled(make(name, spec), snapshot))
    return tuple(made)


def _specs(name: str, group: FeatureGroup) -> Iterator[tuple[Any, Callable[[str, Any], Entry], str]]:
    """What each entry says, checked; what makes an entry of the spec of it; its place, for messages."""
    if bool(group.sql) == bool(group.entries):
        raise ConfigError("neither entries nor sql" if not group.sql else "both entries and sql",
                          where=f"foremend.toml [features.{name}]", expected="one of the two")  # fmt: skip
    for number, raw in enumerate(group.entries, 1):
        where = f"foremend.toml [features.{name}] entry {number}"
        form, make = _kind(raw, where)
        try:
            spec = TypeAdapter(form).validate_python({k: v for k, v in raw.items() if k != "kind"})
        except ValidationError as error:
            raise _translate(error, form, where) from None
        _can_be_meant(spec, where)
        yield spec, make, where


def _kind(raw: Mapping[str, Any], where: str) -> tuple[type[Any], Callable[[str, Any], Entry]]:
    kind = str(raw.get("kind", ""))
    if kind not in _KINDS:
        raise ConfigError(
            f"kind '{kind}' is not known" if kind else "the key 'kind' is missing",
            where=where,
            todo=nearest(kind, _KINDS),
        )
    return _KINDS[kind]


def _labelled(entry: Entry, snapshot: Snapshot) -> Entry:
    """The entry, its column called as the channel that it is."""
    if isinstance(entry, Statistics | Baseline) and TABLES[entry.table].wide:
        channel = snapshot.workspace.config.channels.get(entry.column, Channel())
        return replace(entry, label=label_words(entry.column, channel.label))
    return entry


def _translate(error: ValidationError, form: type[Any], where: str) -> ConfigError:
    complaints = error.errors(include_url=False, include_context=False)
    first = next((c for c in complaints if c["type"] in _UNKNOWN_KEY), complaints[0])
    key = ".".join(map(str, first["loc"]))
    if first["type"] in _UNKNOWN_KEY:
        return ConfigError(f"unknown key '{key}'", where=where, todo=nearest(key, [f.name for f in fields(form)]))
    if first["type"].startswith("missing"):
        return ConfigError(f"the key '{key}' is missing", where=where)
    if first["type"] == "literal_error" and key.startswith("stats"):
        return ConfigError(
            f"statistic '{first['input']}' is not known", where=where, todo=nearest(str(first["input"]), STATISTICS)
        )
    return ConfigError(f"{key} = {first['input']!r}: {phrase(first['msg'])}", where=where)


def _can_be_meant(spec: Any, where: str) -> None:
    """Stop where a table is not known or not of the right kind, or a window cannot be cut."""
    table = _table(spec)
    for name in filter(None, (table, getattr(spec, "reset", ""))):
        if name not in TABLES:
            raise ConfigError(f"table '{name}' is not known", where=where, todo=nearest(name, TABLES))
    if isinstance(spec, _Statistics | _Baseline | _Silence) and TABLES[table].kind != "fact":
        raise ConfigError(
            f"table '{table}' is not a table of facts",
            where=where,
            expected="readings, alarms, ticket_events or work_logs",
        )
    if isinstance(spec, _Statistics | _Baseline) and any(w >= 1 and w != round(w) for w in spec.windows):
        raise ConfigError(f"windows = {list(spec.windows)}", where=where, expected="whole days, or a part of one day")


def _columns_exist(spec: Any, snapshot: Snapshot, where: str) -> None:
    table = _table(spec)
    known = {*snapshot.columns(table), *TABLES[table].names}
    for column in (
        getattr(spec, "column", ""),
        getattr(spec, "at", ""),
        getattr(spec, "by", ""),
        *getattr(spec, "where", {}),
    ):
        if column and column not in known:
            raise ConfigError(f"{table} has no column '{column}'", where=where, todo=nearest(column, known))


def _table(spec: Any) -> str:
    return str(getattr(spec, "table", "assets"))


def _statistics(name: str, s: _Statistics) -> Entry:
    return Statistics(name, s.table, s.column, s.stats, s.windows, s.unit)


def _baseline(name: str, s: _Baseline) -> Entry:
    reset = Events("service", s.reset) if s.reset else None
    return Baseline(name, s.table, s.column, s.days, s.windows, reset, s.unit, measures=s.measures)


def _events(name: str, s: _Count | _Since) -> Events:
    return Events(name, s.table, s.at, s.by, tuple(sorted(s.where.items())))


def _count(name: str, s: _Count) -> Entry:
    return Counts(_events(name, s), s.windows, s.values, not s.values)


def _since(name: str, s: _Since) -> Entry:
    return Since(_events(name, s), s.values, not s.values)


def _silence(name: str, s: _Silence) -> Entry:
    return Silence(name, s.table, s.window)


def _attribute(name: str, s: _Attribute) -> Entry:
    kind = "DOUBLE" if s.type == "number" else "VARCHAR"
    feature = Feature(
        f"{name}_{s.column}", s.type, "", attribute_words(s.column), "assets",
        quantity=f"assets.{s.column}", sentence=sentences.attribute(s.column),
    )  # fmt: skip
    return State(feature, "assets", f"CAST({ident(s.column)} AS {kind})", (s.column,))


def _age(name: str, s: _Age) -> Entry:
    since = Words(f"days since {s.column}", after(after("自", column_words(s.column).zh), "起的天数"))
    feature = Feature(
        f"{name}_{s.column}_days", "number", "d", since, "assets",
        quantity=f"assets.{s.column}", sentence=sentences.ahead(s.column),
    )  # fmt: skip
    return State(feature, "assets", f"({AS_OF} - epoch_us({ident(s.column)})) / {DAY}e0", (s.column,))


_KINDS: Mapping[str, tuple[type[Any], Callable[[str, Any], Entry]]] = {
    "statistics": (_Statistics, _statistics),
    "baseline": (_Baseline, _baseline),
    "count": (_Count, _count),
    "since": (_Since, _since),
    "silence": (_Silence, _silence),
    "attribute": (_Attribute, _attribute),
    "age": (_Age, _age),
}
