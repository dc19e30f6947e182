"""The features of the benchmark, written by hand in Polars and as people write them in pandas.

Both are right on regular readings without late rows, which is what they are given; neither knows
``known_at``. They share no code with the engine, so their equality is a test of it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from features.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CHANNELS", "WINDOWS", "brute", "in_pandas", "in_polars"]

CHANNELS = ("volt", "rotate", "pressure", "vibration")
WINDOWS = (1, 7, 14, 30)
TRENDS = (7, 30)
HOUR, DAY = 3_600_000_000, 86_400_000_000


def in_polars(files: Sequence[str], cutoffs: Sequence[datetime]) -> pd.DataFrame:
    """Cells, a full calendar, rolling windows: what an expert writes."""
    try:
        import polars as pl
    except ImportError:
        raise UserError("polars is not installed", where="bench", todo="Install it: uv pip install polars") from None

    first = int(cutoffs[0].timestamp() * 1e6)
    last = (int(cutoffs[-1].timestamp() * 1e6) - first) // DAY
    centre = dict(zip(CHANNELS, (170.0, 450.0, 100.0, 40.0), strict=True))
    t = pl.col("event_time").dt.epoch("us")
    cells = (
        pl.scan_parquet(list(files)).filter(t < first + last * DAY)
        .with_columns(t.alias("t"), ((t - first).floordiv(DAY) + 1).alias("m"))
        .group_by("asset_id", "m").agg(
            pl.col("t").max(),
            *(pl.col(c).count().alias(f"n_{c}") for c in CHANNELS),
            *((pl.col(c) - centre[c]).sum().alias(f"s_{c}") for c in CHANNELS),
            *((pl.col(c) - centre[c]).pow(2).sum().alias(f"q_{c}") for c in CHANNELS),
            *(pl.col(c).min().alias(f"a_{c}") for c in CHANNELS),
            *(pl.col(c).max().alias(f"z_{c}") for c in CHANNELS),
            *(pl.col(c).get(pl.col("t").arg_max()).alias(f"l_{c}") for c in CHANNELS),
        ).collect(engine="streaming")
    )  # fmt: skip
    start = int(cells["m"].min())  # type: ignore[arg-type]
    days = pl.DataFrame({"m": range(min(start, 0), last + 1)}, schema={"m": pl.Int64})
    spine = cells.select("asset_id").unique().join(days, how="cross").sort("asset_id", "m")
    wide = spine.join(cells, on=["asset_id", "m"], how="left", maintain_order="left")
    additive = [f"{k}_{c}" for k in "nsq" for c in CHANNELS]
    wide = wide.with_columns(pl.col(additive).fill_null(0.0))
    wide = wide.with_columns(
        *((pl.col("m") * pl.col(f"n_{c}")).alias(f"d_{c}") for c in CHANNELS),
        *((pl.col("m") ** 2 * pl.col(f"n_{c}")).alias(f"dd_{c}") for c in CHANNELS),
        *((pl.col("m") * pl.col(f"s_{c}")).alias(f"ds_{c}") for c in CHANNELS),
    )
    parts = []
    for w in WINDOWS:
        keys = ("n", "s", "q", *(("d", "dd", "ds") if w in TRENDS else ()))
        parts += [
            pl.col(f"{k}_{c}").rolling_sum(w, min_samples=1).over("asset_id").alias(f"{k}_{c}_{w}")
            for k in keys
            for c in CHANNELS
        ]
        parts += [pl.col(f"a_{c}").rolling_min(w, min_samples=1).over("asset_id").alias(f"a_{c}_{w}") for c in CHANNELS]
        parts += [pl.col(f"z_{c}").rolling_max(w, min_samples=1).over("asset_id").alias(f"z_{c}_{w}") for c in CHANNELS]
    wide = wide.select(
        "asset_id", "m", pl.col("t").forward_fill().over("asset_id"), *(f"l_{c}" for c in CHANNELS), *parts
    )
    wide = wide.filter(pl.col("m") >= 0)
    found: list[Any] = []
    for c in CHANNELS:
        for w in WINDOWS:
            n, s, q = (pl.col(f"{k}_{c}_{w}") for k in "nsq")
            mean = (s / n + centre[c]).alias(f"bench_{c}_mean_{w}d")
            std = ((q - s * s / n).clip(0) / (n - 1)).sqrt().alias(f"bench_{c}_std_{w}d")
            found += [n.cast(pl.Float64).alias(f"bench_{c}_count_{w}d"), mean, std]
            found += [
                pl.col(f"a_{c}_{w}").alias(f"bench_{c}_min_{w}d"),
                pl.col(f"z_{c}_{w}").alias(f"bench_{c}_max_{w}d"),
            ]
            if w in TRENDS:
                d, dd, ds = (pl.col(f"{k}_{c}_{w}") for k in ("d", "dd", "ds"))
                spread = n * dd - d * d
                found.append(pl.when(spread > 0).then((n * ds - d * s) / spread).alias(f"bench_{c}_slope_{w}d"))
                found.append((pl.col(f"l_{c}") - s / n - centre[c]).alias(f"bench_{c}_last_minus_mean_{w}d"))
        found.append(pl.col(f"l_{c}").alias(f"bench_{c}_last_1d"))
    time = pl.lit(first) + pl.col("m") * DAY
    found.append(((time - pl.col("t")) / HOUR).alias("bench_silence_hours"))
    found.append((pl.col("n_volt_1") * 30.0 / pl.col("n_volt_30")).alias("bench_rate_1d_30d"))
    as_of = time.cast(pl.Datetime("us", "UTC")).alias("as_of")
    return wide.select("asset_id", as_of, *found).to_pandas()


def in_pandas(files: Sequence[str], cutoffs: Sequence[datetime]) -> pd.DataFrame:
    """Rolling windows at the rows, the last one before every cut-off picked by merge_asof."""
    import pandas as pd

    frame = pd.concat([pd.read_parquet(f, columns=["asset_id", "event_time", *CHANNELS]) for f in files])
    frame = frame.sort_values(["asset_id", "event_time"], ignore_index=True)
    first = pd.Timestamp(cutoffs[0])
    day = ((frame["event_time"] - first) // pd.Timedelta(days=1) + 1).astype(float)
    work = frame.assign(day=day, day2=day * day, **{f"day_{c}": day * frame[c] for c in CHANNELS})
    by_asset = work.set_index("event_time").groupby("asset_id", sort=True)
    columns: dict[str, Any] = {}
    for w in WINDOWS:
        rolling = by_asset.rolling(f"{w}D")
        for stat in ("count", "mean", "std", "min", "max"):
            found = getattr(rolling[list(CHANNELS)], stat)()
            columns |= {f"bench_{c}_{stat}_{w}d": found[c].to_numpy() for c in CHANNELS}
        if w in TRENDS:
            sums = rolling[["day", "day2", *CHANNELS, *(f"day_{c}" for c in CHANNELS)]].sum()
            n, d, dd = columns[f"bench_volt_count_{w}d"], sums["day"].to_numpy(), sums["day2"].to_numpy()
            spread = n * dd - d * d
            for c in CHANNELS:
                slope = (n * sums[f"day_{c}"].to_numpy() - d * sums[c].to_numpy()) / pd.Series(spread).where(
                    spread > 0
                ).to_numpy()
                columns[f"bench_{c}_slope_{w}d"] = slope
                columns[f"bench_{c}_last_minus_mean_{w}d"] = frame[c].to_numpy() - columns[f"bench_{c}_mean_{w}d"]
    columns |= {f"bench_{c}_last_1d": frame[c].to_numpy() for c in CHANNELS}
    rows = pd.DataFrame({"asset_id": frame["asset_id"], "event_time": frame["event_time"], **columns})
    instants = pd.Series(list(cutoffs), dtype="datetime64[us, UTC]", name="as_of").to_frame()
    spine = instants.merge(frame[["asset_id"]].drop_duplicates().sort_values("asset_id"), how="cross")
    spine["asset_id"] = spine["asset_id"].astype(rows["asset_id"].dtype)
    made = pd.merge_asof(spine, rows.sort_values("event_time"), left_on="as_of", right_on="event_time", by="asset_id",
                         allow_exact_matches=False)  # fmt: skip
    made["bench_silence_hours"] = (made["as_of"] - made["event_time"]).dt.total_seconds() / 3600.0
    made["bench_rate_1d_30d"] = made["bench_volt_count_1d"] * 30.0 / made["bench_volt_count_30d"]
    return made.drop(columns="event_time")


def brute(frame: pd.DataFrame, cutoff: datetime) -> pd.DataFrame:
    """The definitions, for one cut-off, over rows with `known_at`; late rows included. A part of the features."""
    import pandas as pd

    at = pd.Timestamp(cutoff)
    seen = frame[(frame["known_at"] < at) & (frame["event_time"] < at)]
    found = {}
    for w in WINDOWS:
        groups = seen[seen["event_time"] >= at - pd.Timedelta(days=w)].groupby("asset_id")
        for c in CHANNELS:
            for stat in ("count", "mean", "std", "min", "max"):
                found[f"bench_{c}_{stat}_{w}d"] = getattr(groups[c], stat)()
    last = seen.loc[seen.groupby("asset_id")["event_time"].idxmax()].set_index("asset_id")
    found["bench_silence_hours"] = (at - last["event_time"]).dt.total_seconds() / 3600.0
    return pd.DataFrame(found).rename_axis("asset_id").reset_index().assign(as_of=at)
