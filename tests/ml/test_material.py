"""What a training learns from where its past is an odd one: who failed, when, and to when it was seen."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from features.errors import ConfigError, DataError
from features.ingest import ingest
from features.workspace import Workspace
from ml.backtest import as_data, backtest
from ml.choice import choose
from ml.material import ANY, OTHER, gather
from ml.policy import PolicyConfig
from ml.risk import RiskConfig

SMALL = {"assets": 6, "days": 80}
HORIZONS = ("p_1d", "p_7d", "p_14d")


def gathered(workspace):
    return gather(workspace.pin(), workspace.config.section("risk", RiskConfig), lambda _line: None)


def chosen(material):
    return choose(material, rebuilt={}, failure_rule="")


def days_of(fleet, column="event_time"):
    """Days since the fleet's first, of its failures."""
    return (fleet.failures[column] - fleet.features["as_of"].min()) / timedelta(days=1)


def test_where_all_assets_fail_every_day_age_alone_says_so(make_fleet, connect_fleet, tmp_path):
    fleet = make_fleet(assets=2, days=70)
    spine = fleet.features[["asset_id", "as_of"]]
    daily = spine.assign(failure_mode="pump", event_time=spine["as_of"] + timedelta(hours=5)).drop(columns="as_of")
    material = gathered(connect_fleet(replace(fleet, failures=daily), tmp_path))
    assert all((labels.failed == labels.known).all() for labels in material.labels.values())
    choice = chosen(material)
    assert (choice.model.kind, len(choice.notes)) == ("baseline", 3)
    p = choice.model.probabilities(material.rows["test"])[[*HORIZONS]].to_numpy()
    assert p.min() > 0.99
    assert backtest(choice.model, material, PolicyConfig()).quality("model", 7).observed_over_expected < 1.01


def test_where_all_assets_failed_and_are_gone_it_is_said_which_slice_has_no_row(make_fleet, connect_fleet, tmp_path):
    fleet = make_fleet(**SMALL)
    lived = replace(fleet, failures=fleet.failures[days_of(fleet) < 35])
    workspace = connect_fleet(lived, tmp_path)
    toml = workspace.root / "foremend.toml"
    gone = "AS installed_at, TIMESTAMPTZ '2024-02-05 00:00+00' AS retired_at"
    toml.write_text(toml.read_text().replace("AS installed_at", gone))
    workspace = Workspace.open(workspace.root)
    ingest(workspace, rebuild=["machines"])
    with pytest.raises(
        DataError, match=r"no asset was in service .* to calibrate on, 2024-02-\d\d.*retired_at"
    ) as said:
        gathered(workspace)
    assert said.value.exit_code == 2


def test_a_calibration_and_a_test_without_a_failure_leave_the_simplest_model(make_fleet, connect_fleet, tmp_path):
    fleet = make_fleet(**SMALL, scale=12.0)
    material = gathered(connect_fleet(replace(fleet, failures=fleet.failures[days_of(fleet) < 35]), tmp_path))
    assert material.taught() > material.config.min_failures
    assert not material.labels["calibrate"].failed.any()
    choice = chosen(material)
    assert (choice.model.kind, len(choice.notes)) == ("baseline", 3)
    tested = backtest(choice.model, material, PolicyConfig(), choice.beside)
    assert np.isfinite(tested.quality("model", 7).brier)
    assert {quality["average_precision"] for quality in as_data(tested)["qualities"]} == {None}


def test_failures_that_all_come_after_the_training_teach_nothing_and_it_is_said(make_fleet, connect_fleet, tmp_path):
    fleet = make_fleet(**SMALL)
    late = replace(fleet, failures=fleet.failures[days_of(fleet) > 60])
    material = gathered(connect_fleet(late, tmp_path, "start = 2024-01-03"))
    assert (material.modes, material.taught()) == ((ANY,), 0)
    choice = chosen(material)
    assert (choice.model.kind, choice.notes[0][:22]) == ("baseline", "0 failures in training")
    p = choice.model.probabilities(material.rows["test"])[[*HORIZONS]].to_numpy()
    assert 0 < p.min() <= p.max() < 0.01


@pytest.mark.parametrize("beside", [("pump", "valve"), ("pump",)])
def test_a_component_with_three_events_is_not_told_apart(make_fleet, connect_fleet, tmp_path, beside):
    fleet = make_fleet(**SMALL, scale=20.0)
    often = fleet.failures[fleet.failures["failure_mode"].isin(beside)]
    rare = fleet.failures.iloc[5:8].assign(failure_mode="seal")
    rare["event_time"] += timedelta(minutes=7)
    material = gathered(connect_fleet(replace(fleet, failures=pd.concat([often, rare])), tmp_path))
    assert material.modes == ((*beside, OTHER) if len(beside) == 2 else (ANY,))
    assert (material.failures["failure_mode"] == material.modes[-1]).sum() == (
        3 if len(beside) == 2 else len(often) + 3
    )
    answers = chosen(material).model.answers(material.rows["test"])
    assert answers.by_mode.shape == (len(material.rows["test"]), len(material.modes), 3)
    assert (np.diff(answers.within, axis=1) >= 0).all()
    assert set(answers.probabilities["failure_mode"]) <= set(material.modes)


def test_labels_that_would_end_ahead_of_the_clock_are_refused(make_fleet, connect_fleet, tmp_path):
    workspace = connect_fleet(make_fleet(**SMALL), tmp_path, "observed_until = 2025-01-01")
    with pytest.raises(
        ConfigError, match=r"observed_until is 2025-01-01 00:00 UTC.*at most .* 2024-12-31 00:00"
    ) as said:
        gathered(workspace)
    assert said.value.exit_code == 2
