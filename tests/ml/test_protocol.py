"""By asset: every asset in one slice, whatever the order, as declared or by its hash."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pytest

from features.errors import DataError
from ml.protocol import SLICES, by_asset
from ml.risk import RiskConfig

T0, END = datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 12, 1, tzinfo=UTC)


def divide(declared):
    config = RiskConfig(protocol="by_asset")
    return by_asset(config, declared, recorded_from=T0, observed_until=END, cutoff_utc="00:00")


def test_by_hash_every_slice_has_its_share_and_the_order_changes_nothing() -> None:
    assets = [f"A-{i}" for i in range(2_000)]
    found = divide(dict.fromkeys(assets)).owners
    assert found == divide(dict.fromkeys(reversed(assets))).owners
    shares = [sum(owner == name for owner in found.values()) / len(found) for name in SLICES]
    assert shares == pytest.approx([0.55, 0.20, 0.25], abs=0.03)


def test_a_declared_test_is_kept_and_a_fifth_of_the_others_calibrates() -> None:
    declared = {f"A-{i}": "test" if i % 2 else "train" for i in range(1_000)}
    found = divide(declared).owners
    assert {asset for asset, name in found.items() if name == "test"} == {a for a, v in declared.items() if v == "test"}
    assert sum(name == "calibrate" for name in found.values()) == pytest.approx(100, abs=25)


def test_a_declared_calibration_is_kept_too() -> None:
    declared = {"a": "train", "b": "calibrate", "c": "test", "d": "train"}
    assert divide(declared).owners == declared


def test_rows_of_an_asset_are_in_one_slice_over_all_time() -> None:
    split = divide({"a": "train", "b": "calibrate", "c": "test"})
    frame = pd.DataFrame(
        [(asset, at) for asset in "cba" for at in pd.date_range(T0, END, freq="30D", inclusive="left")],
        columns=["asset_id", "as_of"],
    )
    rows = [split.rows(frame, name) for name in SLICES]
    assert [set(part["asset_id"]) for part in rows] == [{"a"}, {"b"}, {"c"}]
    inside = (frame["as_of"] >= split.start) & (frame["as_of"] < END)
    assert {len(part) for part in rows} == {inside.sum() // 3}
    assert split.ends("train") == split.ends("test") == (split.start, END)
    assert split.as_dict()["assets"] == {"train": 1, "calibrate": 1, "test": 1}


def test_no_asset_for_a_slice_is_an_error() -> None:
    with pytest.raises(DataError, match="none to test on"):
        divide({"a": "train", "b": "calibrate"})


def test_an_asset_whose_record_stops_healthy_is_censored_there_and_no_row_lies_after_a_failure() -> None:
    from ml.material import _finals, _recorded

    day = pd.Timestamp("2025-01-01", tz="UTC")
    at = [day + pd.Timedelta(days=d) for d in range(60)]
    grid = pd.DataFrame([(asset, one) for asset in ("healthy", "fails") for one in at], columns=["asset_id", "as_of"])
    ends = pd.DataFrame(
        {"asset_id": ["healthy", "fails"], "ended_at": [day + pd.Timedelta(days=40.5), day + pd.Timedelta(days=29.9)]}
    )
    failures = pd.DataFrame({"asset_id": ["fails"], "event_time": [day + pd.Timedelta(days=29.95)]})
    ends = ends.merge(_finals(ends, failures), how="left", on="asset_id")
    split = divide({"healthy": "train", "fails": "calibrate", "c": "test"})
    kept = _recorded(grid, ends, split, last=False).groupby("asset_id")["as_of"].max()
    assert kept["healthy"] == day + pd.Timedelta(days=41)
    assert kept["fails"] == day + pd.Timedelta(days=29)
    assert ends.set_index("asset_id")["failed_at"].isna()["healthy"]


def test_training_shorter_than_the_last_edge_is_an_error_not_a_half() -> None:
    config = RiskConfig(protocol="by_asset")
    with pytest.raises(DataError, match="training covers 19 days"):
        by_asset(config, {"a": "train", "b": "calibrate", "c": "test"}, recorded_from=T0,
                 observed_until=datetime(2025, 1, 21, tzinfo=UTC), cutoff_utc="00:00")  # fmt: skip
