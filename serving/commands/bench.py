"""``foremend bench``: benchmarks, side by side in one run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from serving.console import say, speak, table, to_json

if TYPE_CHECKING:
    from serving.benchmarks.features import Memory, Race

__all__ = ["bench"]


@click.group()
def bench() -> None:
    """Benchmarks; never part of a test, and said in English."""
    speak("en")


@bench.command()
@click.option(
    "--assets",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="Assets of the fleet, 8,760 hourly readings each.",
)
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True, help="Interleaved repeats.")
@click.option(
    "--tenfold/--no-tenfold", default=True, show_default=True, help="Also ten times the assets, with peak memory."
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def features(assets: int, repeats: int, tenfold: bool, as_json: bool) -> None:
    """The feature engine beside a scan, hand-written Polars and idiomatic pandas.

    \b
    foremend bench features                      about five minutes
    foremend bench features --no-tenfold         about one

    Results are compared for equality first. Bars: within 12 scans, 20 with 1 %
    late rows; five times faster than pandas; ten times the rows in at most ten
    times the time, below 1.2 GiB above the idle process.
    """  # noqa: D301
    import tempfile
    from dataclasses import asdict

    from serving.benchmarks.features import make, memory_of, race

    with tempfile.TemporaryDirectory(prefix="foremend-bench-") as folder:
        root = Path(folder)
        plain = make(root / "plain", assets, say=say)
        races = {"no late rows": race(plain, rivals=True, repeats=repeats, say=say)}
        late = make(root / "late", assets, late_share=0.01, say=say)
        races["1 % late by up to 20 days"] = race(late, rivals=False, repeats=repeats, say=say)
        sizes = [memory_of(plain)]
        if tenfold:
            sizes.append(memory_of(make(root / "tenfold", assets * 10, say=say)))
    if as_json:
        to_json({"races": {name: asdict(found) for name, found in races.items()}, "sizes": [asdict(m) for m in sizes]})
    else:
        _show(races, sizes)


def _show(races: dict[str, Race], sizes: list[Memory]) -> None:
    rows = []
    for name, r in races.items():
        runs = {"scan": r.scan, "foremend, grid": r.grid, "polars, by hand": r.polars, "pandas, idiomatic": r.pandas}
        rows += [
            (name, who, f"{s * 1000:,.0f} ms", f"{s / r.scan:.1f}", f"{s / r.grid:.2f}") for who, s in runs.items() if s
        ]
    table(("case", "who", "median", "scans", "of ours"), rows)
    for name, r in races.items():
        say(f"{name}: {r.rows:,} rows, {r.cutoffs} cut-offs, {r.features} features; "
            f"{r.compared:,} values compared, largest difference {r.difference:.1e}")  # fmt: skip
    table(
        ("rows", "seconds", "peak above idle"),
        [(f"{m.rows:,}", f"{m.seconds:.1f}", f"{m.peak_mib:,.0f} MiB") for m in sizes],
    )


@bench.command()
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True, help="Interleaved repeats.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def risk(repeats: int, as_json: bool) -> None:
    """Training and scoring the risk model beside bare LightGBM on the same matrices.

    \b
    foremend bench risk                      about three minutes

    36,500 rows of 100 features, 4 failure modes, 5 intervals; 10,000 assets are scored.
    Bar: at most 1.3 times bare.
    """  # noqa: D301
    from dataclasses import asdict

    from serving.benchmarks.risk import race

    found = race(repeats=repeats, say=say)
    if as_json:
        to_json(asdict(found))
        return
    both = (("train", found.train_ours, found.train_bare), ("score", found.score_ours, found.score_bare))
    rows = [(what, f"{ours:.2f} s", f"{bare:.2f} s", f"{ours / bare:.2f}") for what, ours, bare in both]
    table(("what", "foremend", "bare", "of bare"), rows)
    say(f"{found.rows:,} rows of {found.features} features; {found.scored:,} assets scored.")
