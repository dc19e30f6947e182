"""Why a probability is what it is: additive, merged by quantity, and the very hazard that is served."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from features.labels import label
from features.point_in_time import Baseline, Events, Feature, FeatureSet, Since, Statistics
from features.wording import Words
from ml.reasons import contributions, explain, merge
from ml.risk import RiskConfig, RiskModel, Slice
from ml.stored import read, write

MODES = ("pump", "valve")
CONFIG = RiskConfig(horizons_days=(1, 7, 14), edges_days=(0, 1, 7, 14), threads=1)
SERVICES = Events("service", "services", by="component")
TOLD = (
    *Since(SERVICES, MODES).features(),
    *Statistics("reading", "readings", "heat", ("mean",), (1, 7)).features(),
    *Baseline("reading", "readings", "heat", 14, (7,)).features(),
)


@pytest.fixture(scope="module")
def rows(fleet) -> pd.DataFrame:
    """The fleet's features with further views of the heat, some of them missing."""
    rng = np.random.default_rng(1)
    heat = fleet.features["reading_heat_mean_7d"]
    return fleet.features.assign(
        reading_heat_mean_1d=heat + rng.normal(0, 2, len(heat)),
        reading_heat_z_7d=np.where(rng.random(len(heat)) < 0.1, np.nan, (heat - 35) / 3),
    )


@pytest.fixture(scope="module")
def model(rows, fleet) -> RiskModel:
    until = rows["as_of"].min() + timedelta(days=110)
    taught = rows[rows["as_of"] < until].reset_index(drop=True)
    seen = label(
        taught, fleet.failures, modes=MODES, until=until.to_pydatetime(), edges_days=CONFIG.edges_days,
        horizons_days=CONFIG.horizons_days,
    )  # fmt: skip
    fitted = RiskModel.fit(
        Slice(taught, seen.at_risk, seen.event),
        modes=MODES,
        config=CONFIG,
        feature_set=FeatureSet(TOLD),
        clocks={mode: f"service_days_since_last_{mode}" for mode in MODES},
    )
    return replace(fitted, hazards=tuple(replace(h, slope=1.3, intercept=-0.2) for h in fitted.hazards))


def test_merged_reasons_and_the_base_are_the_log_odds_of_the_hazard_that_is_served_on_every_row(model, rows):
    served, checks = model.hazard(rows), 0
    for mode in range(len(MODES)):
        for interval in range(len(CONFIG.edges_days) - 1):
            merged = merge(*contributions(model, rows, mode, interval), TOLD)
            hazard = served[:, mode, interval]
            np.testing.assert_allclose(merged.log_odds, np.log(hazard) - np.log1p(-hazard), atol=1e-6)
            checks += len(rows)
    assert checks == 6 * len(rows)
    assert model.layout.telling.lines, "what the channels say together is among them"


def test_a_model_that_knows_nothing_but_age_gives_its_clock_as_the_reason(model, rows):
    aged, some = replace(model, hazards=()), rows.tail(60).copy()
    some.loc[some.index[0], "service_days_since_last_pump"] = np.nan  # never replaced: as old as the asset
    served = aged.hazard(some)
    for mode, name in enumerate(MODES):
        names, parts = contributions(aged, some, mode, 1)
        hazard = served[:, mode, 1]
        np.testing.assert_allclose(parts.sum(axis=1), np.log(hazard) - np.log1p(-hazard), atol=1e-9)
        assert set(names) <= {f"service_days_since_last_{name}", "asset_age_days", "base"}
    found = explain(aged, some, told=TOLD)
    first = found[found["rank"] == 1]
    assert len(first) == len(some)
    assert (first["contribution"] != 0).all()


def test_all_reasons_of_a_score_add_up_and_name_the_hazard_that_carries_most_of_it(model, rows):
    some = rows.iloc[::97]
    found = explain(model, some, told=TOLD, top=1_000)
    served, burden = model.hazard(some), 0
    by_row = found.groupby(["as_of", "asset_id"], sort=False)
    assert len(by_row) == len(some)
    for (as_of, asset), mine in by_row:
        row = np.flatnonzero((some["as_of"] == as_of) & (some["asset_id"] == asset))[0]
        first = mine.iloc[0]
        assert mine["contribution"].sum() + first["base"] == pytest.approx(first["log_odds"], abs=1e-6)
        mode, interval = MODES.index(first["failure_mode"]), CONFIG.edges_days.index(first["from_days"])
        hazard = served[row, mode, interval]
        assert 1 / (1 + np.exp(-first["log_odds"])) == pytest.approx(hazard, abs=1e-9)
        parts = -np.log1p(-served[row, :, :2])
        assert parts[mode, interval] == parts.max()
        assert first["share"] == pytest.approx(parts.max() / parts.sum())
        assert first["to_days"] == CONFIG.edges_days[interval + 1]
        burden += 1
    assert burden == len(some)


def test_views_of_one_quantity_are_one_reason_worded_by_the_strongest_that_pulls_its_way(model, rows):
    some = rows.iloc[::211]
    found = explain(model, some, told=TOLD, top=1_000)
    assert not found.duplicated(["as_of", "asset_id", "quantity"]).any()
    heat = found[found["quantity"] == "readings.heat"]
    assert set(heat["feature"]) <= {"reading_heat_mean_7d", "reading_heat_mean_1d", "reading_heat_z_7d"}
    assert heat["merged"].max() == 3
    alone = explain(model, some, top=1_000).set_index(["as_of", "asset_id", "feature"])
    for row in heat.itertuples():
        parts = [alone.loc[(row.as_of, row.asset_id, name)] for name in TOLD_HEAT]
        own = {part.name[2]: part["contribution"] for part in parts}
        assert row.contribution == pytest.approx(sum(own.values()))
        forward = {name: value for name, value in own.items() if value * row.contribution > 0}
        assert row.feature == max(forward, key=lambda name: abs(forward[name]))
        assert row.merged == sum(value != 0 for value in own.values())


TOLD_HEAT = ("reading_heat_mean_7d", "reading_heat_mean_1d", "reading_heat_z_7d")


def test_the_same_rows_have_the_same_reasons_whatever_stands_beside_them_and_in_whatever_order(model, rows):
    some = rows.tail(60)
    once = explain(model, some, told=TOLD)
    pd.testing.assert_frame_equal(once, explain(model, some.sample(frac=1, random_state=2), told=TOLD))
    alone = pd.concat([explain(model, some.iloc[[n]], told=TOLD) for n in range(5)], ignore_index=True)
    keys = alone[["as_of", "asset_id"]].drop_duplicates()
    pd.testing.assert_frame_equal(once.merge(keys), alone.sort_values(["as_of", "asset_id", "rank"], ignore_index=True))


def test_an_asset_of_which_nothing_is_recorded_is_answered_for_by_its_model_and_without_reasons(model, rows):
    own = [feature.name for feature in TOLD]
    assert {*model.prior.own.counts, *model.prior.own.others} == set(own)
    silent = rows.tail(60).copy()
    silent.loc[silent.index[:20], [name for name in own if name in silent]] = np.nan
    served = model.hazard(silent)
    by_model = model.prior.instead(silent.head(20), np.zeros((20, 2, 3)))
    np.testing.assert_array_equal(served[:20], by_model)
    assert (by_model > 0).all()
    found = explain(model, silent, told=TOLD)
    assert set(found["asset_id"]) == set(silent["asset_id"].iloc[20:])
    p = model.probabilities(silent)[["p_1d", "p_7d", "p_14d"]].to_numpy()
    assert (np.diff(p, axis=1) >= 0).all()
    again = read(write(model))
    assert again.prior == model.prior
    np.testing.assert_array_equal(again.hazard(silent), served)


def test_a_mode_without_a_feature_of_its_own_has_no_reason_of_that_name(model, rows):
    bare = replace(model, layout=replace(model.layout, own={n: {"pump": f} for n, f in pumps(model).items()}))
    names, parts = contributions(bare, rows.head(40), MODES.index("valve"), 1)
    assert set(names) <= {*rows.columns, "base"}
    hazard = bare.hazard(rows.head(40))[:, 1, 1]
    np.testing.assert_allclose(parts.sum(axis=1), np.log(hazard) - np.log1p(-hazard), atol=1e-6)


def pumps(model: RiskModel) -> dict[str, str]:
    return {name: by_mode["pump"] for name, by_mode in model.layout.own.items()}


def test_among_equals_the_one_that_the_model_holds_first_stands_first():
    parts = np.array([[0.5, -0.5, 0.5, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0, 1.0]])
    told = [Feature(n, "number", "", Words(n, n), "t", quantity=q) for n, q in zip("abcd", "xyxy", strict=True)]
    merged = merge([*"abcd", "base"], parts, told)
    assert merged.quantities == ("x", "y")
    assert merged.sums.tolist() == [[1.0, -0.5], [0.0, 0.0]]
    assert merged.features.tolist() == [["a", "b"], ["a", "b"]]
    assert merged.counts.tolist() == [[2, 1], [0, 0]]


@given(
    arrays.arrays(np.float64, (7, 6), elements=st.floats(-5, 5, allow_nan=False)),
    st.lists(st.sampled_from(["", "x", "y"]), min_size=5, max_size=5),
)
def test_merging_loses_nothing_and_words_a_sum_by_what_pulls_its_way(parts, quantities):
    told = [Feature(n, "number", "", Words(n, n), "t", quantity=q) for n, q in zip("abcde", quantities, strict=True)]
    merged = merge([*"abcde", "base"], parts, told)
    np.testing.assert_allclose(merged.log_odds, parts.sum(axis=1), atol=1e-9)
    assert len(merged.quantities) == len({q or n for n, q in zip("abcde", quantities, strict=True)})
    for row in range(len(parts)):
        for column, total in enumerate(merged.sums[row]):
            strongest = parts[row, "abcde".index(merged.features[row, column])]
            assert strongest * total >= 0
            assert merged.counts[row, column] <= 5
