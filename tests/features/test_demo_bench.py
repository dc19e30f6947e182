"""The benchmark fleet has the shape it promises."""

from __future__ import annotations

from pathlib import Path

import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from features.config import load
from features.demo.bench import bench_readings


def readings(folder: Path) -> ds.Dataset:
    return ds.dataset(sorted((folder / "data").glob("readings-*.parquet")))


def test_every_asset_has_one_reading_an_hour_in_each_channel(tmp_path: Path) -> None:
    summary = bench_readings(tmp_path, assets=3, hours=1000, channels=5)
    table = readings(tmp_path).to_table()
    assert table.num_rows == summary.readings == 3000
    assert table.column_names == ["asset_id", "event_time", "volt", "rotate", "pressure", "vibration", "channel5"]
    assert table.group_by(["asset_id", "event_time"]).aggregate([]).num_rows == 3000
    assert sum(column.null_count for column in table.columns) == 0
    assert set(load(tmp_path / "foremend.toml").channels) == set(table.column_names[2:])


def test_the_late_share_is_known_late_and_the_rest_at_once(tmp_path: Path) -> None:
    bench_readings(tmp_path, assets=10, hours=2000, late_share=0.01, late_days=20)
    table = readings(tmp_path).to_table()
    lag = pc.subtract(table["known_at"].cast("int64"), table["event_time"].cast("int64")).to_numpy()
    assert (lag > 0).mean() == pytest.approx(0.01, abs=0.002)
    assert lag.min() == 0
    assert 15 * 86_400e6 < lag.max() <= 20 * 86_400e6
    assert load(tmp_path / "foremend.toml").sources["readings"].known_at == "known_at"


def test_a_failing_component_moves_its_channel_for_two_days_before(tmp_path: Path) -> None:
    bench_readings(tmp_path, assets=40, hours=8760)
    services = pq.read_table(tmp_path / "data/services.parquet").to_pandas()
    volts = readings(tmp_path).to_table(columns=["asset_id", "event_time", "volt"]).to_pandas()
    failed = services.query("component == 'comp1' and reason == 'corrective'")
    joined = failed.merge(volts, on="asset_id")
    ahead = (joined["performed_at"] - joined["event_time"]).dt.total_seconds() / 3600
    before = joined.loc[(ahead > 0) & (ahead <= 48), "volt"].mean()
    assert len(failed) > 40
    assert before > volts["volt"].mean() + 1.5 * 15.5


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        bench_readings(tmp_path / name, assets=4, hours=800, late_share=0.05, seed=3)
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.*"))
    assert len(files) == 6
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
