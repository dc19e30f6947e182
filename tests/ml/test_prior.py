"""Assets of which nothing is recorded: observed hazards of their model, drawn towards the fleet's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.point_in_time import Events, Feature, Since, Statistics
from features.wording import Words
from ml.prior import ENOUGH_ROWS, STRENGTH, Prior

MODEL = Feature("asset_asset_model", "category", "", Words("m", "m"), "assets", quantity="assets.asset_model")
AGE = Feature("asset_age_days", "number", "d", Words("a", "a"), "assets")
TOLD = (
    MODEL, AGE, *Since(Events("service", "services")).features(),
    *Statistics("reading", "readings", "heat", ("mean",), (7,)).features(),
)  # fmt: skip
SILENT = {
    "asset_id": "x", "asset_asset_model": "often", "asset_age_days": 900.0, "service_days_since_last": np.nan,
    "reading_heat_mean_7d": np.nan,
}  # fmt: skip


def rows(*changes: dict[str, object]) -> pd.DataFrame:
    return pd.DataFrame([SILENT | change for change in changes])


@pytest.fixture(scope="module")
def prior() -> Prior:
    """40,000 rows of a model that fails often (4 %), as many of one that seldom does (1 %), 20 of a third that always did."""
    rng = np.random.default_rng(0)
    names = np.repeat(["often", "seldom", "few"], [40_000, 40_000, 20])
    features = pd.DataFrame(
        {
            "asset_asset_model": names, "asset_age_days": 500.0, "reading_heat_mean_7d": 60.0,
            "service_days_since_last": 9.0,
        }
    )  # fmt: skip
    rate = np.select([names == "often", names == "seldom"], [0.04, 0.01], 1.0)
    event = (rng.random(len(names)) < rate)[:, None, None] & np.array([[[True, False]]])
    return Prior.of(features, np.ones_like(event), event, TOLD)


def test_a_model_of_machine_answers_by_what_was_observed_of_it_and_a_rare_one_nearly_as_the_fleet(prior):
    asked = rows({}, {"asset_asset_model": "seldom"}, {"asset_asset_model": "few"}, {"asset_asset_model": "unheard of"})
    answered = prior.instead(asked, np.full((4, 1, 2), 0.5))
    often, seldom, few, unheard = answered[:, 0, 0]
    assert often == pytest.approx(0.04, rel=0.05)
    assert seldom == pytest.approx(0.01, rel=0.1)
    assert unheard == pytest.approx(0.025, rel=0.05)
    assert unheard < few < 0.04  # 20 of 20, against the weight of the fleet
    assert ((answered > 0) & (answered < 1)).all()
    assert (answered[:, 0, 1] < 0.001).all()  # none was seen to fail there


@pytest.mark.parametrize(
    "recorded",
    [{"service_days_since_last": 4.0}, {"reading_heat_mean_7d": 55.0}, {"asset_age_days": 3.0}],
    ids=["serviced", "read", "young"],
)
def test_assets_with_a_record_and_young_ones_keep_their_hazards(prior, recorded):
    asked, hazards = rows({}, recorded, {"asset_age_days": np.nan}), np.full((3, 1, 2), 0.5)
    assert prior.applies(asked).tolist() == [True, False, True]
    assert (prior.instead(asked, hazards)[1] == 0.5).all()
    assert (hazards == 0.5).all()


def test_where_training_met_such_assets_the_hazards_know_what_silence_means(prior):
    assert prior.met == 0
    learnt = replace(prior, met=ENOUGH_ROWS)
    assert not learnt.applies(rows({})).any()
    quiet = pd.concat([rows({})] * 7, ignore_index=True)
    flags = np.zeros((7, 1, 2), dtype=bool)
    assert Prior.of(quiet, ~flags, flags, TOLD).met == 7


def test_a_row_that_stands_for_many_counts_as_many():
    features = rows({"service_days_since_last": 1.0}, {"service_days_since_last": 1.0})
    flags = np.array([[[True]], [[False]]])
    weighted = Prior.of(features, np.ones_like(flags), flags, TOLD, np.array([1.0, 9.0]))
    many = features.iloc[[0, *[1] * 9]].reset_index(drop=True)
    spelt_out = Prior.of(many, np.ones((10, 1, 1), bool), np.arange(10)[:, None, None] == 0, TOLD)
    assert weighted == spelt_out


def test_without_a_column_that_names_the_model_there_is_the_fleet(prior):
    flags = np.zeros((3, 1, 2), dtype=bool)
    bare = Prior.of(rows({}, {}, {}).drop(columns="asset_asset_model"), ~flags, flags, TOLD)
    asked = rows({}).drop(columns=["asset_asset_model", "asset_age_days"])
    assert bare.by_model == {}
    assert bare.instead(asked, np.full((1, 1, 2), 0.5)).ravel() == pytest.approx(0.125)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans()), min_size=1, max_size=60))
def test_what_was_observed_of_a_model_lies_between_its_own_rate_and_the_fleets(seen):
    features = rows(*({"asset_asset_model": name, "service_days_since_last": 1.0} for name, _ in seen))
    event = np.array([[[failed]] for _, failed in seen])
    found = Prior.of(features, np.ones_like(event), event, TOLD)
    for name in {name for name, _ in seen}:
        own = float(np.mean([failed for other, failed in seen if other == name]))
        low, high = sorted((own, found.fleet[0][0]))
        assert low - 1e-12 <= found.by_model[name][0][0] <= high + 1e-12
    assert STRENGTH > 0
