"""Features of assets: which there are, and the tables made of them.

One row per asset in service and cut-off: ``asset_id``, ``as_of``, then the features, numbers as
float64 and categories as text, null where nothing was known. In service is an asset that is
known, installed (or without a date) before ``as_of``, and not retired before it.

Two targets give the same table: *grid* for many daily cut-offs, *point* for one instant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import TYPE_CHECKING

from features.context import look
from features.custom import entries_of
from features.emission import Shard, assemble, build_for, emit_grid, emit_point
from features.errors import ConfigError, DataError, nearest
from features.failures import failures
from features.grid import KEY
from features.groups import GROUPS
from features.point_in_time import DAY, Entry, Feature, FeatureSet, Lattice, microseconds
from features.spine import instants_of
from features.visible import versions
from features.workspace import Snapshot, Workspace, duck

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import pyarrow as pa

__all__ = ["GROUPS", "build", "build_for", "build_grid", "build_point", "entries", "feature_set", "stream_grid"]

Say = Callable[[str], None]

FEW = 20
"""So many instants run the point target even where they lie whole days apart."""
CELLS_A_SHARD = 250_000
"""Asset-days emitted at once; bounds the memory of a grid."""


def _silent(_: str) -> None:
    pass


@dataclass(frozen=True)
class _Wanted:
    """The groups of one run: entries of the spec by group, and queries of the company's own."""

    entries: Mapping[str, tuple[Entry, ...]]
    queries: Mapping[str, str]

    @property
    def flat(self) -> tuple[Entry, ...]:
        return tuple(e for entries in self.entries.values() for e in entries)

    @property
    def features(self) -> tuple[Feature, ...]:
        return tuple(f for group, entries in self.entries.items() for e in entries for f in e.features(group))


def feature_set(snapshot: Snapshot, *, groups: Sequence[str] | None = None) -> FeatureSet:
    """All features of a workspace, in the order of the columns.

    Parameters
    ----------
    groups
        Only these groups.

    Raises
    ------
    ConfigError
        A group is not known, or one of ``foremend.toml`` is wrong.
    """
    with _connected(snapshot) as con:
        wanted = _choose(snapshot, con, groups)
        return FeatureSet((*wanted.features, *_described(snapshot, con, wanted)))


def entries(snapshot: Snapshot, *, groups: Sequence[str] | None = None) -> Mapping[str, tuple[Entry, ...]]:
    """The entries of the spec behind the features, by group; groups in SQL have none."""
    with _connected(snapshot) as con:
        return _choose(snapshot, con, groups).entries


def build_grid(
    snapshot: Snapshot, cutoffs: Sequence[datetime], *, groups: Sequence[str] | None = None, say: Say = _silent
) -> pa.Table:
    """Features of every asset in service at every cut-off, ordered by asset and cut-off.

    Parameters
    ----------
    cutoffs
        Instants that lie whole days apart.
    groups
        Only these groups.
    say
        Told what is under way.

    Raises
    ------
    ValueError
        The cut-offs are none, carry no zone, or do not lie whole days apart.
    """
    import pyarrow as pa

    return pa.concat_tables(stream_grid(snapshot, cutoffs, groups=groups, say=say))


def stream_grid(
    snapshot: Snapshot, cutoffs: Sequence[datetime], *, groups: Sequence[str] | None = None, say: Say = _silent
) -> Iterator[pa.Table]:
    """As :func:`build_grid`, shard by shard of assets: memory is bounded by a shard."""
    if not cutoffs:
        raise ValueError("no cut-offs")
    lattice = Lattice.through(cutoffs[0])
    numbers = sorted({lattice.number(c) for c in cutoffs})
    with _connected(snapshot) as con:
        wanted = _choose(snapshot, con, groups)
        _cohort(snapshot, con)
        con.execute(f"CREATE TEMP TABLE wanted AS SELECT unnest({numbers}) AS m")
        spans = _spans(con, numbers[-1] - numbers[0] + 1)
        for n, span in enumerate(spans, 1):
            if span:
                say(f"assets {span[0]} … {span[1]} ({n} of {len(spans)})")
            yield _grid_of(Shard(con, snapshot, lattice, numbers[-1], span), wanted, numbers[0])


def build_point(
    snapshot: Snapshot, as_of: datetime, *, groups: Sequence[str] | None = None, derived: bool = True
) -> pa.Table:
    """Features of every asset in service at one instant, ordered by asset.

    Parameters
    ----------
    derived
        Read, and keep, day partials in the workspace where `as_of` is one of its daily cut-offs.
    """
    return next(_points(snapshot, [as_of], groups, derived=derived))


def _points(
    snapshot: Snapshot, instants: Sequence[datetime], groups: Sequence[str] | None, *, derived: bool
) -> Iterator[pa.Table]:
    """One table per instant; what does not depend on the instant is read once."""
    regular = Lattice.through(snapshot.workspace.last_cutoff())
    with _connected(snapshot) as con:
        wanted = _choose(snapshot, con, groups)
        _cohort(snapshot, con)
        con.execute(_entities("true"))
        made: dict[object, str] = {}
        numbers = count()
        for as_of in instants:
            lattice = Lattice.through(as_of)
            at = lattice.number(as_of)
            shard = Shard(
                con, snapshot, lattice, at, derived=derived and lattice == regular, made=made, numbers=numbers
            )
            con.execute(
                f"CREATE OR REPLACE TEMP TABLE spine AS SELECT DISTINCT e, {at} AS m, id * {KEY} + {at} AS r FROM cohort "
                f"JOIN entity ON asset_id = e WHERE {_in_service(str(microseconds(as_of)))} ORDER BY r"
            )
            table = assemble(
                shard, emit_point(shard, wanted.flat, as_of), wanted.features, wanted.flat, entity="asset_id"
            )
            yield _with_queries(shard, table, wanted)
            _drop_partials(shard)


def _drop_partials(shard: Shard) -> None:
    """Forget what holds for one instant only; events and versions serve the next."""
    for key in [k for k in shard.made if isinstance(k, tuple) and shard.lattice in k]:
        shard.con.execute(f"DROP TABLE {shard.made.pop(key)}")


def build(
    source: Workspace | Snapshot,
    spine: datetime | pd.DataFrame,
    *,
    groups: Sequence[str] | None = None,
    say: Say = _silent,
) -> pd.DataFrame:
    """Features in one call: of all assets at one instant, or of the rows of a spine.

    Parameters
    ----------
    spine
        An instant, or a frame with ``asset_id`` and ``as_of``; every distinct instant of a frame is
        one run of the point target, unless they lie whole days apart. The result has one row per row of the frame, in its order;
        assets not in service have nulls.
    """
    import pandas as pd

    snapshot = source.pin() if isinstance(source, Workspace) else source
    if isinstance(spine, datetime):
        return _frame(build_point(snapshot, spine, groups=groups))
    instants = instants_of(spine)
    tables = []
    if len(instants) > FEW and len({microseconds(i) % DAY for i in instants}) == 1:
        tables = [_frame(build_grid(snapshot, instants, groups=groups, say=say))]
        instants = []
    for n, table in enumerate(_points(snapshot, instants, groups, derived=True) if instants else (), 1):
        say(f"{instants[n - 1]:%Y-%m-%d %H:%M} ({n} of {len(instants)})")
        tables.append(_frame(table))
    keys = pd.DataFrame(
        {
            "asset_id": spine["asset_id"].astype(str),
            "as_of": pd.to_datetime(spine["as_of"], utc=True).astype("datetime64[us, UTC]"),
        }
    )
    return keys.merge(pd.concat(tables), how="left", on=["asset_id", "as_of"], sort=False)


def _frame(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _grid_of(shard: Shard, wanted: _Wanted, first: int) -> pa.Table:
    con, inside = shard.con, shard.inside("asset_id")
    before = {row[0] for row in con.execute("SELECT table_name FROM duckdb_tables() WHERE temporary").fetchall()}
    con.execute(_entities(inside))
    con.execute(
        f"CREATE TEMP TABLE calendar AS SELECT id, m, id * {KEY} + m AS r FROM entity, "
        f"(SELECT unnest(range({first}, {shard.last + 1})) AS m)"
    )
    as_of = shard.lattice.time("m")
    con.execute(
        f"CREATE TEMP TABLE spine AS SELECT DISTINCT e, m, r FROM calendar JOIN wanted USING (m) JOIN entity USING (id) "
        f"JOIN cohort ON asset_id = e WHERE {_in_service(as_of)} ORDER BY r"
    )
    table = assemble(shard, emit_grid(shard, wanted.flat, first), wanted.features, wanted.flat, entity="asset_id")
    table = _with_queries(shard, table, wanted)
    for (name,) in con.execute("SELECT table_name FROM duckdb_tables() WHERE temporary").fetchall():
        if name not in before:
            con.execute(f"DROP TABLE {name}")
    return table


def _entities(inside: str) -> str:
    """Number the assets in order of their ids."""
    return (
        "CREATE TEMP TABLE entity AS SELECT asset_id AS e, row_number() OVER (ORDER BY asset_id) AS id "
        f"FROM (SELECT DISTINCT asset_id FROM cohort WHERE {inside})"
    )


def _in_service(as_of: str) -> str:
    return (
        f"k < {as_of} AND (u IS NULL OR {as_of} <= u) AND (installed_at IS NULL OR epoch_us(installed_at) < {as_of}) "
        f"AND (retired_at IS NULL OR epoch_us(retired_at) >= {as_of})"
    )


def _cohort(snapshot: Snapshot, con: duckdb.DuckDBPyConnection) -> None:
    if "assets" not in snapshot.tables:
        raise DataError("no assets", where="tables/assets", expected="at least one", todo="Run `foremend ingest`")
    columns = ("installed_at", "retired_at")
    con.execute(f"CREATE TEMP TABLE cohort AS {versions(snapshot, 'assets', columns, as_recorded=True)}")


def _spans(con: duckdb.DuckDBPyConnection, cells: int) -> list[tuple[str, str] | None]:
    """Contiguous ranges of asset ids such that one range has at most :data:`CELLS_A_SHARD` cells."""
    ids = [row[0] for row in con.execute("SELECT DISTINCT asset_id FROM cohort ORDER BY 1").fetchall()]
    size = max(1, CELLS_A_SHARD // cells)
    if len(ids) <= size:
        return [None]
    return [(ids[n], ids[min(n + size, len(ids)) - 1]) for n in range(0, len(ids), size)]


@contextmanager
def _connected(snapshot: Snapshot) -> Iterator[duckdb.DuckDBPyConnection]:
    spill = snapshot.workspace.root / "tmp"
    needs_views = any(group.sql for group in snapshot.workspace.config.features.values())
    with snapshot.connect() if needs_views else duck(spill) as con:
        yield con


def _choose(snapshot: Snapshot, con: duckdb.DuckDBPyConnection, groups: Sequence[str] | None) -> _Wanted:
    """The entries and queries of the groups asked for."""
    config = snapshot.workspace.config
    known = (*GROUPS, *config.features)
    for name in groups or ():
        if name not in known:
            raise ConfigError(f"no feature group '{name}'", where="--group", todo=nearest(name, known))
    for name in config.features:
        if name in GROUPS:
            raise ConfigError(
                f"'{name}' is a group of the house",
                where=f"foremend.toml [features.{name}]",
                todo="Choose another name",
            )
    chosen = [name for name in known if groups is None or name in groups]
    past = failures(snapshot) if config.failures and "failures" in chosen else None
    if past is not None:
        _register(con, past)
    found = {}
    if house := [name for name in chosen if name in GROUPS]:
        context = look(snapshot, con, past)
        found = {name: GROUPS[name](context) for name in house}
    own = {n: entries_of(n, g, snapshot) for n, g in config.features.items() if n in chosen}
    found |= {n: made for n, made in own.items() if made}
    return _Wanted(found, {n: g.sql for n, g in config.features.items() if n in chosen and g.sql})


def _register(con: duckdb.DuckDBPyConnection, past: pd.DataFrame) -> None:
    import pyarrow as pa

    con.register("failures_frame", pa.Table.from_pandas(past, preserve_index=False))
    con.execute(
        "CREATE TEMP TABLE failures AS SELECT CAST(asset_id AS VARCHAR) AS asset_id, CAST(failure_mode AS VARCHAR) AS failure_mode, "
        "epoch_us(event_time) AS t, epoch_us(known_at) AS k FROM failures_frame"
    )


def _described(snapshot: Snapshot, con: duckdb.DuckDBPyConnection, wanted: _Wanted) -> tuple[Feature, ...]:
    """The features of SQL groups, as the query itself describes them."""
    if not wanted.queries:
        return ()
    con.execute(
        "CREATE TEMP TABLE spine AS SELECT CAST(NULL AS VARCHAR) AS asset_id, CAST(NULL AS TIMESTAMPTZ) AS as_of WHERE false"
    )
    found = tuple(f for name, sql in wanted.queries.items() for f in _columns(con, name, sql))
    con.execute("DROP TABLE spine")
    return found


def _columns(con: duckdb.DuckDBPyConnection, group: str, sql: str) -> list[Feature]:
    import duckdb

    where = f"foremend.toml [features.{group}] sql"
    try:
        described = con.execute(f"DESCRIBE {sql}").fetchall()
    except duckdb.Error as error:
        raise ConfigError(str(error).splitlines()[0], where=where) from error
    names = [row[0] for row in described]
    missing = [c for c in ("asset_id", "as_of") if c not in names]
    if missing:
        raise ConfigError(f"the query returns {', '.join(names)}", where=where, expected="asset_id, as_of and features")
    return [
        Feature(f"{group}_{n}", "category" if t in {"VARCHAR", "BOOLEAN"} else "number", "", f"{n} of [features.{group}]", "sql", group)
        for n, t, *_ in described if n not in {"asset_id", "as_of"}
    ]  # fmt: skip


def _with_queries(shard: Shard, table: pa.Table, wanted: _Wanted) -> pa.Table:
    """Join what the company's own queries return for this spine."""
    con = shard.con
    if not wanted.queries:
        return table
    con.register("built", table)
    con.execute("CREATE OR REPLACE TEMP TABLE spine AS SELECT asset_id, as_of FROM built")
    joins, columns = "", ""
    for group, sql in wanted.queries.items():
        features = _columns(con, group, sql)
        con.execute(f"CREATE OR REPLACE TEMP TABLE own_{group} AS {sql}")
        ((twice,),) = con.execute(f"SELECT count(*) - count(DISTINCT (asset_id, as_of)) FROM own_{group}").fetchall()
        if twice:
            raise ConfigError(f"{twice} rows repeat an asset_id and as_of", where=f"foremend.toml [features.{group}] sql",
                              expected="one row each")  # fmt: skip
        joins += f" LEFT JOIN own_{group} USING (asset_id, as_of)"
        columns += "".join(
            f', CAST(own_{group}."{f.name[len(group) + 1 :]}" AS {"VARCHAR" if f.kind == "category" else "DOUBLE"}) AS "{f.name}"'
            for f in features
        )
    return con.sql(f"SELECT built.*{columns} FROM built{joins} ORDER BY asset_id, as_of").to_arrow_table()
