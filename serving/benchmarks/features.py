"""``foremend bench features``: the engine's grid beside the scan, Polars and pandas.

Time is measured in multiples of the *scan*: ``count, max(event_time), max(known_at), sum(channels)``
grouped by asset over the same Parquet files. Repeats are interleaved, so that a busy machine is
busy for all; medians are compared.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.errors import Fault
from features.workspace import Snapshot, Workspace, duck
from serving.benchmarks.rivals import CHANNELS, TRENDS, WINDOWS, brute, in_pandas, in_polars

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

__all__ = ["Memory", "Race", "make", "memory_of", "race"]

Say = Callable[[str], None]

ENTRIES: tuple[dict[str, Any], ...] = (
    *({"kind": "statistics", "column": c, "stats": ["count", "mean", "std", "min", "max"], "windows": list(WINDOWS)} for c in CHANNELS),
    *({"kind": "statistics", "column": c, "stats": ["slope", "last_minus_mean"], "windows": list(TRENDS)} for c in CHANNELS),
    *({"kind": "statistics", "column": c, "stats": ["last"], "windows": [1]} for c in CHANNELS),
    {"kind": "silence", "window": 30},
)  # fmt: skip
"""The features of the benchmark: 102 of them."""


@dataclass(frozen=True)
class Race:
    """Medians of interleaved repeats, in seconds.

    Attributes
    ----------
    scan, grid, polars, pandas
        None where it did not run.
    difference
        Largest difference between ours and each rival, relative to 1 + the value.
    compared
        Values compared.
    """

    rows: int
    cutoffs: int
    features: int
    scan: float
    grid: float
    polars: float | None
    pandas: float | None
    difference: float
    compared: int


@dataclass(frozen=True)
class Memory:
    """One grid in a process of its own: seconds, and peak memory above the idle process in MiB."""

    rows: int
    seconds: float
    peak_mib: float


def make(folder: Path, assets: int, *, late_share: float = 0.0, say: Say) -> Workspace:
    """Make the fleet and ingest it."""
    from features.demo.bench import bench_readings
    from features.ingest import ingest

    say(
        f"making {assets:,} assets × 8,760 hours × {len(CHANNELS)} channels"
        + (f", {late_share:.0%} late" if late_share else "")
    )
    bench_readings(folder, assets, late_share=late_share)
    lines = ",\n".join(
        "    {" + ", ".join(f"{k} = {json.dumps(v)}" for k, v in entry.items()) + "}" for entry in ENTRIES
    )
    with (folder / "foremend.toml").open("a", encoding="utf-8") as toml:
        toml.write(f"\n[features.bench]\nentries = [\n{lines},\n]\n")
    workspace = Workspace.open(folder)
    ingest(workspace)
    return workspace


def cutoffs_of(workspace: Workspace) -> list[datetime]:
    """The daily cut-offs of the year."""
    last = workspace.last_cutoff()
    return [last - timedelta(days=n) for n in reversed(range(364))]


def race(workspace: Workspace, *, rivals: bool, repeats: int, say: Say) -> Race:
    """Run everything `repeats` times, interleaved; check that all say the same."""
    from features.assets import build_grid

    snapshot, cutoffs = workspace.pin(), cutoffs_of(workspace)
    files = [path.removeprefix("file://") for path in snapshot.tables["readings"].file_uris()]
    con = duck()
    runners: dict[str, Callable[[], Any]] = {
        "scan": lambda: _scan(con, snapshot), "grid": lambda: build_grid(snapshot, cutoffs, groups=["bench"]),
    }  # fmt: skip
    if rivals:
        runners |= {"polars": lambda: in_polars(files, cutoffs), "pandas": lambda: in_pandas(files, cutoffs)}
    times: dict[str, list[float]] = {name: [] for name in runners}
    results: dict[str, Any] = {}
    for n in range(repeats):
        for name, run in runners.items():
            if name == "pandas" and n >= 2:
                continue
            started = time.perf_counter()
            results[name] = run()
            times[name].append(time.perf_counter() - started)
        say(f"round {n + 1} of {repeats}: " + ", ".join(f"{k} {v[-1]:.2f} s" for k, v in times.items()))
    ours = results["grid"].to_pandas()
    others = [results["polars"], results["pandas"]] if rivals else [_brute(snapshot, cutoffs)]
    checks = [_difference(ours, other) for other in others]
    median = {name: statistics.median(found) for name, found in times.items()}
    return Race(
        sum(row[1] for row in results["scan"]), len(cutoffs), ours.shape[1] - 2, median["scan"], median["grid"], median.get("polars"),
        median.get("pandas"), max(d for d, _ in checks), sum(n for _, n in checks),
    )  # fmt: skip


def _scan(con: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> Sequence[tuple[Any, ...]]:
    """What every reader must do at least; the connection is there already."""
    sums = ", ".join(f"sum({c})" for c in CHANNELS)
    return con.execute(
        f"SELECT asset_id, count(*), epoch_us(max(event_time)), epoch_us(max(known_at)), {sums} "
        f"FROM ({snapshot.relation('readings')}) GROUP BY asset_id"
    ).fetchall()


def _brute(snapshot: Snapshot, cutoffs: Sequence[datetime]) -> pd.DataFrame:
    """The definitions at a few cut-offs."""
    import pandas as pd

    with duck() as con:
        frame = con.sql(snapshot.relation("readings")).to_arrow_table().to_pandas()
    return pd.concat([brute(frame, cutoffs[n]) for n in (3, 40, 200, len(cutoffs) - 1)])


def _difference(ours: pd.DataFrame, other: pd.DataFrame) -> tuple[float, int]:
    """Largest difference relative to 1 + the value, and the number of values compared; a null must meet a null."""
    import numpy as np

    keys = ["asset_id", "as_of"]
    both = other.astype({"asset_id": str}).merge(
        ours.astype({"asset_id": str}), on=keys, suffixes=("", " ours"), validate="1:1"
    )
    names = [c for c in other.columns if c not in keys]
    worst = 0.0
    for name in names:
        a, b = both[name].to_numpy(dtype=float), both[f"{name} ours"].to_numpy(dtype=float)
        if (np.isnan(a) != np.isnan(b)).any():
            raise Fault(f"{name}: {(np.isnan(a) != np.isnan(b)).sum()} values are null on one side only", where="bench")
        worst = max(worst, float(np.nanmax(np.abs(a - b) / (1 + np.abs(a)), initial=0.0)))
    if len(both) != len(other):
        raise Fault(f"{len(both):,} of {len(other):,} rows are common", where="bench")
    return worst, len(both) * len(names)


def memory_of(workspace: Workspace) -> Memory:
    """Build the grid in a fresh process and see what it took."""
    done = subprocess.run(
        [sys.executable, "-m", "serving.benchmarks.features", str(workspace.root)], capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise Fault(done.stderr.strip().splitlines()[-1], where="bench")
    return Memory(**json.loads(done.stdout))


def _measure(root: Path) -> Memory:
    from features.assets import build_grid, feature_set

    workspace = Workspace.open(root)
    snapshot = workspace.pin()
    feature_set(snapshot, groups=["bench"])
    idle = _peak_kib()
    started = time.perf_counter()
    build_grid(snapshot, cutoffs_of(workspace), groups=["bench"])
    seconds = time.perf_counter() - started
    peak = _peak_kib()
    rows = sum(row[1] for row in _scan(duck(), snapshot))
    return Memory(rows, seconds, (peak - idle) / 1024)


def _peak_kib() -> int:
    """Highest resident memory of this process since it began; ``getrusage`` would count its parent's too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0])


if __name__ == "__main__":
    from dataclasses import asdict

    sys.stdout.write(json.dumps(asdict(_measure(Path(sys.argv[1])))))
