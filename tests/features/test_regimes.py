"""A channel within its regime; that it equals the reference of all features: ``test_point_in_time``."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from features.assets import build, build_grid, build_point, feature_set, rebuild
from features.config import parse
from features.errors import ConfigError
from features.regimes import FEWEST
from features.workspace import Workspace

Made = Callable[..., Workspace]
Rows = dict[str, list[dict[str, Any]]]
DAY = timedelta(days=1)
START = datetime(2024, 1, 1, 16, tzinfo=UTC)
AS_OF = START + 60 * DAY
CHANNELS = """
[channels.speed]
[channels.height]
[channels.flow]
[channels.pressure]
unit = "bar"
label = {"zh-CN" = "压力"}
"""
REGIME = 'regime = ["round(speed)", "height > 10"]'
WITHIN = CHANNELS + REGIME


def fleet() -> Rows:
    """Three assets that run at two speeds and two heights, which decide the pressure; one reading in ten is late."""
    rng = random.Random(1)
    readings = []
    for n in range(360):
        speed, height, at = rng.choice([1.0, 2.0]), rng.choice([5.0, 20.0]), START + n * DAY / 6
        readings.append(
            {"asset_id": f"M{n % 3}", "event_time": at, "known_at": at + rng.choice([0] * 9 + [20]) * DAY,
             "speed": speed + rng.uniform(-0.4, 0.4), "height": height, "flow": rng.gauss(3, 1),
             "pressure": 100 * speed + height + rng.gauss(0, speed)}
        )  # fmt: skip
    return {"assets": [{"asset_id": f"M{n}", "installed_at": START - DAY} for n in range(3)], "readings": readings}


def test_a_channel_within_its_regime_does_not_tell_which_regimes_there_were(committed: Made) -> None:
    cutoffs = [AS_OF - n * DAY for n in range(20)]
    raw = build_grid(committed(CHANNELS, **fleet()).pin(), cutoffs).to_pandas()["reading_pressure_mean_1d"]
    found = build_grid(committed(WITHIN).pin(), cutoffs).to_pandas()["reading_pressure_mean_1d"]
    assert raw.std() > 20
    assert 0.3 < found.std() < 1.2  # of the mean of two


@pytest.mark.parametrize(
    ("change", "z"),
    [
        ({}, 2.0),
        ({"speed": 1.9}, None),  # nobody ran so before
        ({"speed": None}, None),
        ({"pressure": None}, None),
        ({"known_at": AS_OF - DAY}, 2.0),
        ({"known_at": AS_OF - DAY - timedelta(microseconds=1)}, None),  # the others became known on that day
    ],
    ids=["known", "another regime", "no regime", "no value", "at the cut-off", "before it"],
)
@pytest.mark.parametrize("others", [FEWEST, FEWEST - 1])
def test_z_is_null_where_the_regime_says_too_little(
    committed: Made, change: dict[str, Any], z: float | None, others: int
) -> None:
    before = [
        {"asset_id": "M2", "event_time": AS_OF - 2 * DAY + n * DAY / 99, "speed": 1.2, "pressure": 100.0 + (-1) ** n}
        for n in range(others)
    ]
    spread = statistics.stdev(r["pressure"] for r in before)
    row = {"asset_id": "M1", "event_time": AS_OF - DAY / 2, "speed": 0.9, "pressure": 100 + 2 * spread} | change
    mean = statistics.mean(r["pressure"] for r in before)
    row["pressure"] = None if row["pressure"] is None else mean + 2 * spread
    rows = {"assets": [{"asset_id": "M1", "installed_at": START}], "readings": [*before, row]}
    workspace = committed(CHANNELS + 'regime = ["round(speed)"]', **rows)
    (found,) = build_point(workspace.pin(), AS_OF, derived=False)["reading_pressure_last_1d"].to_pylist()
    assert found == pytest.approx(z if others == FEWEST else None)


def test_readings_that_are_all_alike_have_no_spread_to_be_seen_in(committed: Made) -> None:
    rows = fleet()
    alike = [r | {"pressure": 1e6 + 0.1} for r in rows["readings"]]
    (first, *_) = build_point(committed(WITHIN, assets=rows["assets"], readings=alike).pin(), AS_OF).to_pylist()
    assert first["reading_pressure_mean_30d"] is None
    assert first["reading_flow_mean_30d"] is not None


def test_a_condition_that_fails_on_a_row_is_an_unknown_regime(committed: Made) -> None:
    rows = fleet()
    rows["readings"][-1] |= {"height": 1e9, "known_at": AS_OF - DAY / 2}
    workspace = committed(CHANNELS + 'regime = ["CAST(height AS TINYINT)"]', **rows)
    found = build_point(workspace.pin(), AS_OF, groups=["sensors"]).to_pandas().set_index("asset_id").loc["M2"]
    assert found["reading_pressure_count_7d"] == found["reading_flow_count_7d"] - 1 > 5


# ── point in time ───────────────────────────────────────────────────────────────────────────────


def test_grid_and_point_and_what_is_built_again_from_what_was_known_agree(committed: Made) -> None:
    snapshot = committed(WITHIN, **fleet()).pin()
    cutoffs = [START + n * DAY for n in (9, 30, 31, 60)]
    grid = build_grid(snapshot, cutoffs).to_pandas()
    assert grid["reading_pressure_mean_7d"].isna().mean() < 0.5
    for as_of, again in zip(cutoffs, rebuild(snapshot, cutoffs), strict=True):
        built = grid[grid["as_of"] == as_of].reset_index(drop=True)
        pd.testing.assert_frame_equal(again.to_pandas(), built, rtol=1e-9, atol=1e-9)
        pd.testing.assert_frame_equal(build_point(snapshot, as_of).to_pandas(), built, rtol=1e-9, atol=1e-9)


def test_a_z_is_the_same_at_any_hour_and_in_any_shard(committed: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = committed(WITHIN, **fleet())
    hours = pd.DataFrame({"asset_id": ["M0"] * 9, "as_of": [AS_OF - DAY + timedelta(hours=n) for n in range(9)]})
    assert build(workspace, hours)["reading_pressure_max_30d"].nunique() == 1
    cutoffs = [AS_OF - n * DAY for n in range(10)]
    whole = build_grid(workspace.pin(), cutoffs).to_pandas()
    monkeypatch.setattr("features.assets.CELLS_A_SHARD", 10)
    pd.testing.assert_frame_equal(build_grid(workspace.pin(), cutoffs).to_pandas(), whole, rtol=1e-9, atol=1e-9)


def test_a_kept_month_is_computed_anew_where_its_readings_are_seen_among_others(committed: Made) -> None:
    rows = fleet()
    workspace = committed(WITHIN, **rows)

    def compared(workspace: Workspace) -> set[str]:
        kept, full = (build_point(workspace.pin(), AS_OF, derived=d).to_pandas() for d in (True, False))
        pd.testing.assert_frame_equal(kept, full, rtol=1e-9, atol=1e-9)
        return {path.name for path in workspace.derived.rglob("*.parquet")}

    first = compared(workspace)
    later = [rows["readings"][0] | {"event_time": AS_OF - DAY / 2, "known_at": AS_OF + 30 * DAY}]
    after = compared(committed(WITHIN, readings=later))
    assert {name[:7] for name in after - first} == {"2024-03"}, "what is known later decides no earlier month"
    missed = [rows["readings"][0] | {"event_time": START - 90 * DAY, "pressure": 150.0, "known_at": START}]
    again = compared(committed(WITHIN, readings=missed))
    assert {name[:7] for name in again - after} == {"2023-10", "2024-01", "2024-02", "2024-03"}


# ── declarations ────────────────────────────────────────────────────────────────────────────────


def test_only_features_of_the_channel_are_defined_otherwise(committed: Made) -> None:
    def prints(toml: str) -> dict[str, str]:
        return {f.name: f.fingerprint for f in feature_set(committed(toml).pin()).features}

    committed(CHANNELS, **fleet())
    raw, within = prints(CHANNELS), prints(WITHIN)
    pressure = {name for name in raw if name.startswith("reading_pressure")}
    assert raw.keys() == within.keys()
    assert {name for name in raw if raw[name] != within[name]} == pressure
    for other in (WITHIN.replace("> 10", "> 9"), WITHIN + '\n[time]\ncutoff_utc = "00:00"'):
        assert {name for name in raw if prints(other)[name] != within[name]} == pressure


def test_features_say_that_they_are_within_the_regime(committed: Made) -> None:
    found = {f.name: f for f in feature_set(committed(WITHIN, **fleet()).pin()).features}
    mean, shift = found["reading_pressure_mean_7d"], found["reading_pressure_z_1d"]
    assert (mean.unit, mean.quantity) == ("σ", "readings.pressure")
    assert mean.meaning.en == "mean of pressure within its regime over the last 7d"
    assert mean.meaning.zh == "压力（工况内） 7 天均值"
    assert mean.say(1.23).en == "mean of pressure within its regime over 7 d is 1.23σ"
    assert shift.say(-2.0).zh == "压力（工况内）1 天均值比自身基线低 2σ"


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("round(sped)", 'Referenced column "sped" not found'),
        ("round(speed", "syntax error"),
        ("speed, height", "Wrong number of arguments"),
        ("avg(speed)", "aggregates are not allowed"),
        ("avg(speed) OVER ()", "window functions are not allowed"),
        ("(SELECT max(x) FROM range(3) AS r(x))", "subquery"),
        ("random() > 0.5", "volatile"),
        ("", "'' fails"),
    ],
)
def test_a_condition_that_cannot_be_told_from_a_row_is_an_error_that_names_the_channel(
    committed: Made, condition: str, said: str
) -> None:
    snapshot = committed(CHANNELS + f'regime = ["height > 10", "{condition}"]', **fleet()).pin()
    for make in (lambda: feature_set(snapshot), lambda: build_point(snapshot, AS_OF)):
        with pytest.raises(ConfigError, match=r"foremend.toml \[channels.pressure\] regime: ") as error:
            make()
        assert said in str(error.value)
        assert "TRY(speed" not in str(error.value)


def test_a_regime_is_a_list() -> None:
    with pytest.raises(ConfigError, match=r"\[channels.pressure\]: regime = 'speed': expected a list"):
        parse('[workspace]\nid = "x"\n[channels.pressure]\nregime = "speed"')
