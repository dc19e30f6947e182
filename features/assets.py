"""Features of assets: which there are, and the tables made of them.

One row per asset in service and cut-off: ``asset_id``, ``as_of``, then the features, numbers as
float64 and categories as text, null where nothing was known (see :mod:`features.cohort` for *in
service*). Two targets give the same table: *grid* for many daily cut-offs, *point* for one instant.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from itertools import count
from typing import TYPE_CHECKING

from features.cohort import asset_ids, lay_cohort, lay_grid, lay_point
from features.emission import Shard, assemble, build_for, emit_grid, emit_point, looks_through
from features.failure_spells import lay_failure_spells
from features.groups import GROUPS
from features.lattice import DAY, Lattice, microseconds
from features.point_in_time import Entry, FeatureSet
from features.rewind import rewind
from features.selection import Selection, describe_queries, join_queries, select
from features.spine import instant_of, instants_of
from features.workspace import Snapshot, Workspace, duck

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import pyarrow as pa

__all__ = [
    "GROUPS", "build", "build_for", "build_grid", "build_point", "entries", "feature_set", "rebuild", "stream_grid",
]  # fmt: skip

Say = Callable[[str], None]

FEW = 20
"""So many instants run the point target even where they lie whole days apart."""
CELLS_A_SHARD = 160_000
"""Cells held at once, the mean of asset-days read and asset-cut-offs emitted; bounds the memory of a grid."""
AT_ONCE = 2
"""Threads that emit the halves of a shard: joins of so few rows would keep one core idle."""


def _silent(_: str) -> None:
    pass


def feature_set(snapshot: Snapshot, *, groups: Sequence[str] | None = None, keep: Collection[str] = ()) -> FeatureSet:
    """All features of a workspace, in the order of the columns.

    Parameters
    ----------
    groups
        Only these groups.
    keep
        Features that a model was trained on: those about codes, components and types that are no
        longer among the most frequent are made too.

    Raises
    ------
    ConfigError
        A group is not known, or one of ``foremend.toml`` is wrong.
    """
    with _connected(snapshot) as con:
        wanted = select(snapshot, con, groups, keep)
        return FeatureSet((*wanted.features, *describe_queries(con, wanted.queries)))


def entries(snapshot: Snapshot, *, groups: Sequence[str] | None = None) -> Mapping[str, tuple[Entry, ...]]:
    """The entries of the spec behind the features, by group; groups in SQL have none."""
    with _connected(snapshot) as con:
        return select(snapshot, con, groups).entries


def build_grid(
    snapshot: Snapshot, cutoffs: Sequence[datetime], *,
    groups: Sequence[str] | None = None, keep: Collection[str] = (), say: Say = _silent,
) -> pa.Table:  # fmt: skip
    """Features of every asset in service at every cut-off, ordered by asset and cut-off.

    Parameters
    ----------
    cutoffs
        Instants that lie whole days apart.
    groups
        Only these groups.
    keep
        As in :func:`feature_set`.
    say
        Told what is under way.

    Raises
    ------
    ValueError
        The cut-offs are none, carry no zone, or do not lie whole days apart.
    """
    import pyarrow as pa

    return pa.concat_tables(stream_grid(snapshot, cutoffs, groups=groups, keep=keep, say=say))


def stream_grid(
    snapshot: Snapshot, cutoffs: Sequence[datetime], *,
    groups: Sequence[str] | None = None, keep: Collection[str] = (), say: Say = _silent,
) -> Iterator[pa.Table]:  # fmt: skip
    """As :func:`build_grid`, shard by shard of assets: memory is bounded by a shard."""
    if not cutoffs:
        raise ValueError("no cut-offs")
    lattice = Lattice.through(cutoffs[0])
    numbers = sorted({lattice.number(c) for c in cutoffs})
    looks = looks_through(numbers)
    with _connected(snapshot) as con:
        wanted = select(snapshot, con, groups, keep)
        _lay_failures(con, snapshot, wanted, cutoffs)
        lay_cohort(snapshot, con)
        con.execute(f"CREATE TABLE wanted AS SELECT unnest({numbers}) AS m")
        ids = asset_ids(con)
        cells = len(ids) * (numbers[-1] - numbers[0] + 1 + len(looks)) // 2
        shards = -(-cells // CELLS_A_SHARD)
        size = max(1, -(-len(ids) // max(1, shards)))  # alike: a small last shard would cost as much as a whole one
        for start in range(0, len(ids), size):
            inside = ids[start : start + size]
            if size < len(ids):
                say(f"assets {inside[0]} … {inside[-1]} ({start // size + 1} of {-(-len(ids) // size)})")
            span = (inside[0], inside[-1]) if size < len(ids) else None
            shard = Shard(con, snapshot, lattice, numbers[-1], span)
            yield join_queries(con, _grid_of(shard, wanted, looks, inside), wanted.queries)
            shard.forget()


def _grid_of(shard: Shard, wanted: Selection, looks: range, ids: Sequence[str]) -> pa.Table:
    """Read the shard once, then emit its halves side by side."""
    import pyarrow as pa

    shard.prepare(wanted.flat)
    size = -(-len(ids) // AT_ONCE)
    parts = [(ids[n], ids[min(n + size, len(ids)) - 1]) for n in range(0, len(ids), size)]

    def emit(span: tuple[str, str]) -> pa.Table:
        with shard.con.cursor() as con:
            con.execute("SET TimeZone = 'UTC'")  # a cursor does not inherit it
            lay_grid(con, shard.lattice, looks, span)
            return assemble(con, shard.lattice, emit_grid(shard, wanted.flat, looks, con), wanted.features, wanted.flat)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return pa.concat_tables(pool.map(emit, parts))


def build_point(
    snapshot: Snapshot, as_of: datetime, *,
    groups: Sequence[str] | None = None, keep: Collection[str] = (), derived: bool = True,
) -> pa.Table:  # fmt: skip
    """Features of every asset in service at one instant, ordered by asset.

    Parameters
    ----------
    keep
        As in :func:`feature_set`.
    derived
        Read, and keep, day partials in the workspace where `as_of` is one of its daily cut-offs.
    """
    return next(_points(snapshot, [as_of], groups, keep=keep, derived=derived))


def rebuild(
    snapshot: Snapshot, instants: Sequence[datetime], *, groups: Sequence[str] | None = None
) -> Iterator[pa.Table]:
    """As :func:`build_point`, one table per instant, each from the rows that were known before it and from no others.

    The audit's side of the comparison: what differs from the table that was built over all rows has
    seen the future. Which codes, components and types get features is taken from the whole.
    """
    with _connected(snapshot) as con:
        whole = select(snapshot, con, groups)
    for as_of in instants:
        yield next(_points(rewind(snapshot, as_of), [as_of], groups, derived=False, chosen=whole))


def _points(
    snapshot: Snapshot, instants: Sequence[datetime], groups: Sequence[str] | None, *, derived: bool,
    keep: Collection[str] = (), chosen: Selection | None = None,
) -> Iterator[pa.Table]:  # fmt: skip
    """One table per instant; what does not depend on the instant is read once."""
    regular = Lattice.through(snapshot.workspace.last_cutoff())
    with _connected(snapshot) as con:
        wanted = chosen or select(snapshot, con, groups, keep)
        _lay_failures(con, snapshot, wanted, instants)
        lay_cohort(snapshot, con)
        shared: dict[object, str] = {}
        numbers = count()
        for as_of in instants:
            lattice = Lattice.through(as_of)
            at = lattice.number(as_of)
            stored = derived and lattice == regular
            shard = Shard(con, snapshot, lattice, at, derived=stored, made=shared, numbers=numbers)
            lay_point(con, lattice, at)
            table = assemble(con, lattice, emit_point(shard, wanted.flat, as_of), wanted.features, wanted.flat)
            yield join_queries(con, table, wanted.queries)
            shard.forget_partials()


def build(
    source: Workspace | Snapshot, spine: datetime | str | pd.DataFrame, *,
    groups: Sequence[str] | None = None, say: Say = _silent,
) -> pd.DataFrame:  # fmt: skip
    """Features in one call: of all assets at one instant, or of the rows of a spine.

    Parameters
    ----------
    spine
        An instant, also as text as ``--as-of`` takes it, or a frame with ``asset_id`` and ``as_of``:
        every distinct instant is one run of the point target, unless they all lie whole days apart.
        The result has one row per row of the frame, in its order; assets not in service have nulls.
    """
    import pandas as pd

    snapshot = source.pin() if isinstance(source, Workspace) else source
    if isinstance(spine, str):
        spine = instant_of(snapshot.workspace, spine)
    if isinstance(spine, datetime):
        return _frame(build_point(snapshot, spine, groups=groups))
    instants = instants_of(spine)
    if len(instants) > FEW and len({microseconds(i) % DAY for i in instants}) == 1:
        made = [_frame(build_grid(snapshot, instants, groups=groups, say=say))]
    else:
        made = []
        for n, table in enumerate(_points(snapshot, instants, groups, derived=True), 1):
            say(f"{instants[n - 1]:%Y-%m-%d %H:%M} ({n} of {len(instants)})")
            made.append(_frame(table))
    as_of = spine["as_of"].dt.tz_convert("UTC").astype("datetime64[us, UTC]")
    keys = pd.DataFrame({"asset_id": spine["asset_id"].astype(str), "as_of": as_of})
    return keys.merge(pd.concat(made), how="left", on=["asset_id", "as_of"], sort=False)


def _lay_failures(
    con: duckdb.DuckDBPyConnection, snapshot: Snapshot, wanted: Selection, instants: Sequence[datetime]
) -> None:
    if wanted.entries.get("failures"):
        lay_failure_spells(con, snapshot, instants)


def _frame(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas()
    return frame


@contextmanager
def _connected(snapshot: Snapshot) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection; with the views of all tables only where a group in SQL may read them."""
    needs_views = any(group.sql for group in snapshot.workspace.config.features.values())
    with snapshot.connect() if needs_views else duck(snapshot.workspace.spill) as con:
        yield con
