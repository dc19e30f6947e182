"""``foremend features``: point-in-time features to Parquet."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from features.errors import UserError
from serving.console import command, say, table, to_json, worded
from serving.files import written

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

    from features.point_in_time import Feature
    from features.workspace import Snapshot

__all__ = ["features"]

MOST_INSTANTS = 200
"""Above so many irregular instants the command wants ``--yes``."""
Day = click.DateTime(["%Y-%m-%d"])


@click.command()
@click.option(
    "--as-of",
    "as_of",
    multiple=True,
    metavar="INSTANT",
    help="A date (its cut-off) or an instant with its zone. Repeatable.  [default: the last cut-off]",
)
@click.option("--from", "first", type=Day, help="First day of a range of daily cut-offs.")
@click.option("--to", "last", type=Day, help="Last day of the range, included.")
@click.option("--every-days", type=click.IntRange(1, 366), default=1, show_default=True, help="Step of the range.")
@click.option(
    "--spine",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Parquet or CSV file of asset_id, as_of: one row of features for each.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Parquet file to write.")
@click.option("--group", "groups", multiple=True, help="Only this group of features. Repeatable.")
@click.option("--list", "listing", is_flag=True, help="List the features: name, unit, meaning; build nothing.")
@click.option("--yes", is_flag=True, help=f"Go on with more than {MOST_INSTANTS} irregular instants.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done, or the list, as JSON.")
@click.pass_obj
def features(folder: Path, as_of: tuple[str, ...], first: datetime | None, last: datetime | None, every_days: int,
             spine: Path | None, out: Path | None, groups: tuple[str, ...], listing: bool, yes: bool, as_json: bool) -> None:  # fmt: skip
    """Build features of every asset in service, as they could be known at an instant.

    \b
    foremend features --list
    foremend features --out tonight.parquet                      the last cut-off
    foremend features --as-of 2015-06-01 --out june.parquet
    foremend features --from 2015-01-08 --to 2015-12-31 --out year.parquet
    foremend features --spine mine.csv --out mine.parquet        asset_id, as_of: any instants

    A row is used only where it was known before the instant (known_at < as_of).
    The file is written beside and renamed: it is whole or it is not there.
    """  # noqa: D301
    from features.workspace import Workspace

    snapshot = Workspace.open(folder).pin()
    chosen = groups or None
    if listing:
        return _list(snapshot, chosen, as_json=as_json)
    if out is None:
        raise UserError("no file to write", where="--out", todo="Say --out FILE.parquet, or --list to see the features")
    if out.suffix.lower() != ".parquet":
        raise UserError(f"features are written as Parquet, not as {out.suffix or 'a file without an ending'}",
                        where=f"--out {out}", todo=f"Say --out {out.with_suffix('.parquet')}")  # fmt: skip
    if spine is not None:
        made = _of_spine(snapshot, spine, chosen, yes=yes)
    else:
        made = _of_cutoffs(snapshot, _instants(snapshot, as_of, first, last, every_days), chosen)
    rows, columns = _write(made, out)
    if as_json:
        to_json(
            {"file": str(out), "rows": rows, "columns": columns, "features": columns - 2, "versions": snapshot.versions}
        )
    else:
        click.echo(worded(f"{out}: {rows:,} rows × {columns - 2} features"))
    validate = command(folder, "validate")
    say(f"Then: {command(folder, 'train risk')}" if rows else f"No asset was in service then; see `{validate}`.")
    return None


def _list(snapshot: Snapshot, groups: tuple[str, ...] | None, *, as_json: bool) -> None:
    from features.assets import feature_set
    from ml.report import Wording
    from serving.words import unit_in_words

    found, language = feature_set(snapshot, groups=groups), snapshot.workspace.config.workspace.language
    if as_json:
        return to_json({"fingerprint": found.fingerprint, "features": [_as_data(f) for f in found.features]})
    words = Wording(language)
    table(
        [words.cell(head) for head in ("feature", "kind", "unit", "group", "meaning")],
        [(f.name, words.cell(f.kind), unit_in_words(f.unit, language), f.group, f.meaning.said(language))
         for f in found.features],
    )  # fmt: skip
    say(f"{len(found.features)} features, fingerprint {found.fingerprint}")
    return None


def _as_data(feature: Feature) -> dict[str, Any]:
    """A feature as the list has it; its meaning in both languages."""
    names = ("name", "kind", "unit", "source", "group", "window_days")
    return {name: getattr(feature, name) for name in names} | {"meaning": feature.meaning.as_dict()}


def _instants(
    snapshot: Snapshot, as_of: tuple[str, ...], first: datetime | None, last: datetime | None, every: int
) -> list[datetime]:
    from features.spine import cutoffs_between, instant_of

    workspace = snapshot.workspace
    if (first is None) != (last is None):
        raise UserError("half a range", where="--from, --to", expected="both or none")
    if first is None or last is None:
        return sorted({instant_of(workspace, text) for text in as_of}) or [workspace.last_cutoff()]
    if as_of:
        raise UserError("a range and single instants", where="--as-of, --from", expected="one of the two")
    if last < first:
        raise UserError(f"{last:%Y-%m-%d} precedes {first:%Y-%m-%d}", where="--to", expected="--to on or after --from")
    return cutoffs_between(
        workspace, date(first.year, first.month, first.day), date(last.year, last.month, last.day), every
    )


def _of_cutoffs(snapshot: Snapshot, instants: list[datetime], groups: tuple[str, ...] | None) -> Iterable[pa.Table]:
    """Shards of a grid where the instants lie whole days apart, else one table per instant."""
    from features.assets import build_point, stream_grid

    say(f"{len(instants)} cut-offs: {instants[0]:%Y-%m-%d %H:%M} … {instants[-1]:%Y-%m-%d %H:%M} UTC")
    if len(instants) > 1 and len({(i - instants[0]).seconds for i in instants}) == 1:
        return stream_grid(snapshot, instants, groups=groups, say=say)
    return (build_point(snapshot, instant, groups=groups) for instant in instants)


def _of_spine(snapshot: Snapshot, path: Path, groups: tuple[str, ...] | None, *, yes: bool) -> Iterable[pa.Table]:
    """One row per row of the file, in its order."""
    import time

    import pyarrow as pa

    from features.assets import build, build_point
    from features.spine import instants_of, read_spine

    wanted = read_spine(path)
    instants = instants_of(wanted)
    irregular = len({(i - instants[0]).total_seconds() % 86_400 for i in instants}) > 1
    started = time.monotonic()
    build_point(snapshot, instants[0], groups=groups)
    minutes = (time.monotonic() - started) * len(instants) / 60
    say(
        f"{len(wanted):,} rows, {len(instants):,} distinct instants"
        + (f": about {minutes:.1f} min" if irregular else "")
    )
    if irregular and len(instants) > MOST_INSTANTS and not yes:
        raise UserError(f"{len(instants):,} irregular instants, about {minutes:.0f} min", where=str(path),
                        expected=f"at most {MOST_INSTANTS} without --yes", todo="Say --yes to go on")  # fmt: skip
    frame: Any = build(snapshot, wanted, groups=groups, say=say)
    yield pa.Table.from_pandas(frame, preserve_index=False)


def _write(tables: Iterable[pa.Table], out: Path) -> tuple[int, int]:
    """Write beside and rename; returns rows and columns."""
    import pyarrow.parquet as pq

    rows, columns = 0, 0
    with written(out) as beside, ExitStack() as opened:
        writer = None
        for part in tables:
            writer = writer or opened.enter_context(pq.ParquetWriter(beside, part.schema))
            writer.write_table(part)
            rows, columns = rows + part.num_rows, part.num_columns
    return rows, columns
