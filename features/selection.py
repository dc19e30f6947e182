"""Which features a run makes: groups of the house, and a company's own as entries or as SQL."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from features.config import Channel, Config, FeatureGroup
from features.context import Context, look
from features.custom import check_group, entries_of
from features.definitions import definitions
from features.errors import ConfigError, nearest
from features.failures import failures
from features.groups import GROUPS
from features.point_in_time import Baseline, Entry, Feature, FeatureSet, Statistics
from features.regimes import check_regimes
from features.tables import TABLES
from features.wording import Words
from features.workspace import Snapshot, ident

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import pyarrow as pa

__all__ = ["Selection", "check_own", "describe_queries", "join_queries", "select"]


@dataclass(frozen=True)
class Selection:
    """The groups of one run: entries of the spec by group, and queries of the company's own.

    Raises
    ------
    ConfigError
        Two features have the same name.
    """

    entries: Mapping[str, tuple[Entry, ...]]
    queries: Mapping[str, str]
    config: Config

    @property
    def flat(self) -> tuple[Entry, ...]:
        """All entries."""
        return tuple(e for entries in self.entries.values() for e in entries)

    def __post_init__(self) -> None:
        FeatureSet(self.features)  # names are unique before anything is built of them

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """The features of all entries, in order."""
        return tuple(
            replace(feature, definition=definition)
            for group, entries in self.entries.items() for entry in entries
            for feature, definition in zip(entry.features(group), definitions(entry, self.config), strict=True)
        )  # fmt: skip


def select(
    snapshot: Snapshot, con: duckdb.DuckDBPyConnection, groups: Sequence[str] | None, keep: Collection[str] = ()
) -> Selection:
    """The entries and queries of the groups asked for (None: all); makes ``failures`` where they are read.

    Parameters
    ----------
    keep
        Names of features that must be among them, however rare the values have become that they tell apart.

    Raises
    ------
    ConfigError
        A group is not known, or one of ``foremend.toml`` is wrong.
    """
    own, channels = snapshot.workspace.config.features, snapshot.workspace.config.channels
    _check_names(groups or (), own)
    check_regimes(con, snapshot)
    chosen = [name for name in (*GROUPS, *own) if groups is None or name in groups]
    past = failures(snapshot) if snapshot.workspace.config.failures and "failures" in chosen else None
    if past is not None:
        _lay_failures(con, past)
    found: dict[str, tuple[Entry, ...]] = {}
    if house := [name for name in chosen if name in GROUPS]:
        found = _of_house(house, look(snapshot, con, past), keep)
    made = {name: entries_of(name, group, snapshot) for name, group in own.items() if name in chosen}
    found |= {name: entries for name, entries in made.items() if entries}
    queries = {name: group.sql for name, group in own.items() if name in chosen and group.sql}
    seen = {name: tuple(_within_regime(e, channels) for e in entries) for name, entries in found.items()}
    return Selection(seen, queries, snapshot.workspace.config)


def _within_regime(entry: Entry, channels: Mapping[str, Channel]) -> Entry:
    """The entry, its channel within the regime that the channel declares."""
    if isinstance(entry, Statistics | Baseline) and TABLES[entry.table].wide and entry.column in channels:
        return replace(entry, regime=channels[entry.column].regime)
    return entry


def _of_house(groups: Sequence[str], context: Context, keep: Collection[str]) -> dict[str, tuple[Entry, ...]]:
    """The entries of the house's groups, rarer values told apart where a feature to keep is about one of them."""

    def made(context: Context) -> dict[str, tuple[Entry, ...]]:
        return {name: GROUPS[name](context) for name in groups}

    found = made(context)
    if gone := set(keep) - {f.name for f in _features(found)}:
        asked = {f.component for f in _features(made(context.telling())) if f.name in gone}
        found = made(context.telling(asked)) if asked else found
    return found


def _features(entries: Mapping[str, tuple[Entry, ...]]) -> Iterator[Feature]:
    return (f for of_group in entries.values() for e in of_group for f in e.features())


def check_own(own: Mapping[str, FeatureGroup]) -> None:
    """Stop where a group of ``foremend.toml`` cannot be meant, as far as that shows without its tables.

    Raises
    ------
    ConfigError
        A name, kind, key, value or table; the message names the nearest that is known.
    """
    _check_names((), own)
    for name, group in own.items():
        check_group(name, group)


def _check_names(groups: Sequence[str], own: Mapping[str, object]) -> None:
    for name in groups:
        if name not in GROUPS and name not in own:
            raise ConfigError(f"no feature group '{name}'", where="--group", todo=nearest(name, (*GROUPS, *own)))
    for name in own:
        if name in GROUPS:
            where = f"foremend.toml [features.{name}]"
            raise ConfigError(f"'{name}' is a group of the house", where=where, todo="Choose another name")


def _lay_failures(con: duckdb.DuckDBPyConnection, past: pd.DataFrame) -> None:
    """Make ``failures`` as they are known today: only to tell which modes there are."""
    import pyarrow as pa

    con.register("failures_frame", pa.Table.from_pandas(past, preserve_index=False))
    con.execute("CREATE TABLE failures AS SELECT CAST(failure_mode AS VARCHAR) AS failure_mode FROM failures_frame")
    con.unregister("failures_frame")


def describe_queries(con: duckdb.DuckDBPyConnection, queries: Mapping[str, str]) -> tuple[Feature, ...]:
    """The features of groups in SQL, as the queries themselves describe them over an empty spine."""
    if not queries:
        return ()
    con.execute(
        "CREATE OR REPLACE TEMP TABLE spine AS SELECT CAST(NULL AS VARCHAR) AS asset_id, "
        "CAST(NULL AS TIMESTAMPTZ) AS as_of WHERE false"
    )
    return tuple(f for name, sql in queries.items() for f in _columns(con, name, sql))


def join_queries(con: duckdb.DuckDBPyConnection, table: pa.Table, queries: Mapping[str, str]) -> pa.Table:
    """Join to a table of features what the company's own queries return for its assets and instants.

    Raises
    ------
    ConfigError
        A query fails, lacks ``asset_id`` or ``as_of``, or returns one of them twice.
    """
    if not queries:
        return table
    con.register("built", table)
    con.execute("CREATE OR REPLACE TEMP TABLE spine AS SELECT asset_id, as_of FROM built")
    joins, columns = "", ""
    for group, sql in queries.items():
        own = f"own_{group}"
        features = _columns(con, group, sql)
        con.execute(f"CREATE OR REPLACE TEMP TABLE {own} AS {sql}")
        ((twice,),) = con.execute(f"SELECT count(*) - count(DISTINCT (asset_id, as_of)) FROM {own}").fetchall()
        if twice:
            where = f"foremend.toml [features.{group}] sql"
            raise ConfigError(f"{twice} rows repeat an asset_id and as_of", where=where, expected="one row each")
        joins += f" LEFT JOIN {own} USING (asset_id, as_of)"
        for f in features:
            kind = "VARCHAR" if f.kind == "category" else "DOUBLE"
            columns += f", CAST({own}.{ident(f.name.removeprefix(f'{group}_'))} AS {kind}) AS {ident(f.name)}"
    joined: pa.Table = con.sql(f"SELECT built.*{columns} FROM built{joins} ORDER BY asset_id, as_of").to_arrow_table()
    con.unregister("built")
    return joined


def _columns(con: duckdb.DuckDBPyConnection, group: str, sql: str) -> list[Feature]:
    import duckdb

    where = f"foremend.toml [features.{group}] sql"
    try:
        described = con.execute(f"DESCRIBE {sql}").fetchall()
    except duckdb.Error as error:
        raise ConfigError(str(error).splitlines()[0], where=where) from error
    types = {row[0]: row[1] for row in described}
    if not {"asset_id", "as_of"} <= set(types):
        found = f"the query returns {', '.join(types)}"
        raise ConfigError(found, where=where, expected="asset_id, as_of and features")
    return [
        Feature(
            f"{group}_{n}", "category" if t == "VARCHAR" else "number", "",
            Words(f"{n} of [features.{group}]", f"自定义特征组 [features.{group}] 的 {n}"), "sql", group, definition=sql,
        )
        for n, t in types.items() if n not in {"asset_id", "as_of"}
    ]  # fmt: skip
