"""Which channel tells of which failure mode is learnt from rows, whatever its unit and direction."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from features.groups import SERVICES
from features.point_in_time import Baseline, Feature, Statistics
from ml.stacking import Layout
from ml.telling import FEWEST, TOGETHER, telling

MODES = ("bearing", "seal", "fan")
TOLD: tuple[Feature, ...] = tuple(
    feature
    for channel in ("vibration", "pressure", "current")
    for entry in (
        Statistics("reading", "readings", channel, ("mean", "day_minus_mean"), (7,)),
        Baseline("reading", "readings", channel, 14, (1,), SERVICES),
    )
    for feature in entry.features()
)


@pytest.fixture
def rows() -> tuple[pd.DataFrame, np.ndarray]:
    """Vibration in thousandths rises before bearings fail, pressure in thousands falls before seals do; nothing tells of fans."""
    rng = np.random.default_rng(1)
    failing = rng.random((4000, 3)) < 0.02
    features = pd.DataFrame({f.name: rng.normal(0, 1, 4000) for f in TOLD})
    features["asset_id"] = [f"m{n % 40}" for n in range(4000)]
    for channel, mode, times, way in (("vibration", 0, 1e-3, 1), ("pressure", 1, 1e3, -1)):
        for change in ("z_1d", "day_minus_mean_7d"):
            name = f"reading_{channel}_{change}"
            features[name] = times * (features[name] + 3 * way * failing[:, mode])
    return features, failing


def test_each_mode_finds_its_channel_and_a_mode_of_which_none_tells_has_none(rows):
    own = dict(telling(*rows, MODES, TOLD).own)
    best = own.pop(TOGETHER)
    assert {mode: name.split("_")[1] for mode, name in best.items()} == {"bearing": "vibration", "seal": "pressure"}
    assert own == {
        f"reading_own_{change}": {mode: f"reading_{channel}_{change}" for mode, channel in (("bearing", "vibration"), ("seal", "pressure"))}
        for change in ("z_1d", "day_minus_mean_7d")
    }  # fmt: skip


def test_own_columns_are_alike_for_every_mode_in_spread_and_direction(rows):
    features, failing = rows
    layout = Layout.of(features, MODES, TOLD, failing)
    stacked = pd.DataFrame(layout.matrix(features), columns=layout.columns)
    for change in ("z_1d", "day_minus_mean_7d"):
        by_mode = stacked[f"reading_own_{change}"].to_numpy().reshape(len(MODES), -1)
        for place in (0, 1):
            quiet, loud = (by_mode[place][failing[:, place] == fails] for fails in (False, True))
            assert quiet.std() == pytest.approx(1, abs=0.1)
            assert loud.mean() == pytest.approx(3, abs=0.5)
        assert np.isnan(by_mode[2]).all()
    assert layout.source("reading_own_z_1d", "seal") == "reading_pressure_z_1d"
    assert layout.source("reading_own_z_1d", "fan") == ""


def test_too_few_rows_before_failures_tell_nothing(rows):
    features, failing = rows
    few = failing & (np.cumsum(failing, axis=0) < FEWEST)
    assert not telling(features, few, MODES, TOLD).own


def test_a_channel_that_tells_of_one_mode_only_gets_no_column_of_its_own(rows):
    features, failing = rows
    only = failing & np.array([True, False, False])
    assert not telling(features, only, MODES, TOLD).own


def test_what_is_missing_or_never_moves_tells_nothing_and_breaks_nothing(rows):
    features, failing = rows
    broken = features.assign(reading_vibration_z_1d=np.nan, reading_pressure_z_1d=1.0)
    found = telling(broken, failing, MODES, TOLD)
    assert set(found.own) == {"reading_own_z_1d", "reading_own_day_minus_mean_7d", TOGETHER}
    assert all(np.isfinite(times) and times != 0 for by_mode in found.times.values() for times in by_mode.values())


def test_together_the_channels_tell_wear_from_load(rows):
    """Load moves every channel by two spreads: what is left of one where the others are allowed for ranks better."""
    features, failing = rows
    load = 2 * np.random.default_rng(2).normal(0, 1, len(features))
    times = {"vibration": 1e-3, "pressure": 1e3, "current": 1.0}
    moved = {f.name: features[f.name] + times[f.name.split("_")[1]] * load for f in TOLD}
    loaded = features.assign(**moved)
    layout = Layout.of(loaded, MODES, TOLD, failing)
    stacked = pd.DataFrame(layout.matrix(loaded), columns=layout.columns)
    for place, mode in enumerate(MODES[:2]):
        alone, together = (
            roc_auc_score(failing[:, place], stacked[name].to_numpy().reshape(len(MODES), -1)[place])
            for name in ("reading_own_z_1d", TOGETHER)
        )
        assert together > 0.9 > 0.85 > alone, mode
        assert layout.source(TOGETHER, mode) in features
    assert np.isnan(stacked[TOGETHER].to_numpy().reshape(len(MODES), -1)[2]).all()


def test_rows_that_are_learnt_from_are_told_nothing_that_was_learnt_from_their_asset(rows):
    """Many channels, few failures: a line that had seen them would rank them far better than those to come."""
    rng = np.random.default_rng(3)
    told = [
        f
        for n in range(60)
        for f in Baseline("reading", "readings", f"c{n}", 14, (1,), SERVICES).features()
        if f.change
    ]
    features = pd.DataFrame({f.name: rng.normal(0, 1, 3000) for f in told})
    features["asset_id"] = [f"m{n % 60}" for n in range(3000)]
    failing = rng.random((3000, 2)) < 0.03
    for mode in (0, 1):
        features[f"reading_c{mode}_z_1d"] += 1.5 * failing[:, mode]
    layout = Layout.of(features, MODES[:2], told, failing)
    place = layout.columns.index(TOGETHER)
    seen, unseen = (layout.matrix(features, learning=learning)[:3000, place] for learning in (False, True))
    remembered, known = (roc_auc_score(failing[:, 0], score) for score in (seen, unseen))
    assert remembered > known + 0.1


def test_where_no_channel_has_a_value_they_say_nothing_together(rows):
    features, failing = rows
    layout = Layout.of(features, MODES, TOLD, failing)
    silent = features.assign(**dict.fromkeys(layout.telling.read, np.nan)).head(3)
    stacked = pd.DataFrame(layout.matrix(silent), columns=layout.columns)
    assert stacked[TOGETHER].isna().all()


def test_what_they_say_together_is_divided_among_those_that_pull_its_way(rows):
    found = telling(*rows, MODES, TOLD)
    changes = np.zeros((2, len(found.read)), dtype=np.float32)
    changes[0, found.read.index("reading_vibration_z_1d")] = 4e-3
    divided = found.divided("bearing", changes, np.array([1.5, -1.5]))
    assert found.read[int(divided[0].argmax())] == "reading_vibration_z_1d"
    assert divided[0].sum() == pytest.approx(1.5)
    assert (divided[0] >= 0).all()
    assert (divided[1] <= 0).all()
