"""Tuning: inner splits stay inside the training slice, and the best form is taken."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ml import tuning
from ml.material import gather
from ml.risk import RiskConfig
from ml.trees import TreeConfig


@pytest.fixture(scope="module")
def material(make_fleet, connect_fleet, tmp_path_factory):
    workspace = connect_fleet(make_fleet(), tmp_path_factory.mktemp("tuned"))
    return gather(workspace.pin(), workspace.config.section("risk", RiskConfig), lambda _line: None)


def test_inner_splits_end_before_the_training_slice_does_and_judge_later_rows(material):
    first, end = material.split.ends("train")
    splits = list(tuning._inner(material))
    assert splits
    for taught, judged, labels in splits:
        assert taught.features["as_of"].min() >= first
        assert taught.features["as_of"].max() < judged.features["as_of"].min()
        assert judged.features["as_of"].max() < end
        place = labels.horizons_days.index(7)
        assert (judged.features["as_of"][labels.known[:, place]] + np.timedelta64(7, "D") <= end).all()


def test_by_asset_no_asset_teaches_and_judges(material):
    owners = dict.fromkeys(material.rows["train"]["asset_id"].unique(), "train")
    divided = replace(material, split=replace(material.split, owners=owners))
    for taught, judged, _ in tuning._inner(divided):
        assert not set(taught.features["asset_id"]) & set(judged.features["asset_id"])


def test_the_form_that_loses_least_is_taken(material, monkeypatch):
    monkeypatch.setattr(tuning, "CANDIDATES", (TreeConfig(rounds=1, learning_rate=0.001), TreeConfig(rounds=60)))
    said = []
    found = tuning.tune(replace(material, config=replace(material.config, trees=TreeConfig(rounds=2))), said.append)
    assert found.config.trees == TreeConfig(rounds=60)
    assert "rounds = 60" in said[-1]
    assert found.rows is material.rows


def test_without_a_failure_to_judge_by_it_stays(material):
    quiet = replace(material, failures=material.failures.head(0))
    assert tuning.tune(quiet, lambda _line: None) is quiet
