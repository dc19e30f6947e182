"""The whole recipe on real tables: connected, ingested, built, trained, judged, registered."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from features.errors import ConfigError, DataError, Fault
from features.ingest import ingest
from features.workspace import Workspace
from ml.choice import LEARNERS
from ml.material import gather
from ml.protocol import LONGEST_STEP, SLICES, by_time
from ml.registry import CHALLENGER, CHAMPION, Registry
from ml.risk import RiskConfig
from ml.stored import read, write
from ml.train import MODEL, train_risk

SILENT = lambda _line: None  # noqa: E731
T0 = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def workspace(fleet, connect_fleet, tmp_path_factory):
    return connect_fleet(fleet, tmp_path_factory.mktemp("pumps"))


@pytest.fixture(scope="module")
def report(workspace):
    return train_risk(workspace)


def test_the_first_model_becomes_champion_and_beats_age_by_far(report):
    ours, age = report.tested.quality("model", 7), report.tested.quality("baseline", 7)
    assert (report.alias, report.version) == (CHAMPION, "1")
    assert report.kind in LEARNERS
    assert {quality.model for quality in report.tested.qualities} == {"model", "baseline", *LEARNERS} - {report.kind}
    assert report.tested.modes == ("pump", "valve")
    assert ours.positives == age.positives > 100
    assert ours.average_precision > age.average_precision
    assert ours.brier < age.brier
    assert 0.8 < ours.observed_over_expected < 1.25


def test_the_registered_model_is_the_one_that_was_judged(workspace, report):
    from ml import metrics

    stored = Registry(workspace.mlflow).load(MODEL)
    model = read(stored.files)
    material = gather(workspace.pin(), model.config, SILENT)
    known, failed = material.labels["test"].known[:, 1], material.labels["test"].failed
    p = model.probabilities(material.rows["test"])["p_7d"].to_numpy()
    assert stored.version == report.version
    assert metrics.brier(failed[known, 1], p[known]) == pytest.approx(
        report.tested.quality("model", 7).brier, abs=1e-12
    )
    assert model.feature_set == material.feature_set.fingerprint != ""
    clock = {mode: f"service_days_since_last_{mode}" for mode in ("pump", "valve")}
    assert model.layout.own["service_days_since_last_own"] == clock


def test_no_label_of_one_slice_reaches_into_the_next(workspace, report):
    material = gather(workspace.pin(), RiskConfig(horizons_days=(1, 7, 14), edges_days=(0, 1, 7, 14)), SILENT)
    for name, later in pairwise(SLICES):
        rows, labels = material.rows[name], material.labels[name]
        for place, days in enumerate(labels.edges_days[1:]):
            ends = rows["as_of"][labels.at_risk[:, :, place].any(axis=1)] + pd.Timedelta(days=days)
            assert ends.max() <= material.rows[later]["as_of"].min()
        for place, days in enumerate(labels.horizons_days):
            ends = rows["as_of"][labels.known[:, place]] + pd.Timedelta(days=days)
            assert ends.max() <= material.rows[later]["as_of"].min()
    assert sum(len(rows) for rows in material.rows.values()) == len(material.grid)


def test_training_again_on_the_same_data_gives_the_same_model_and_it_takes_over(workspace, report):
    again = train_risk(workspace)
    registry = Registry(workspace.mlflow)
    assert again.version == "2"
    assert again.alias == CHAMPION
    assert "not worse" in again.verdict
    assert [q for q in again.tested.qualities if q.model == "model"][1] == report.tested.quality("model", 7)
    assert registry.load(MODEL).files == write(read(registry.load(MODEL).files))


def test_a_worse_model_stays_challenger_unless_it_is_promoted(workspace, report, tmp_path):
    text = (workspace.root / "foremend.toml").read_text()
    worse = replace(workspace, config=_config(text + "min_failures = 100000\n"))
    registry = Registry(workspace.mlflow)
    before = registry.load(MODEL).version
    beaten = train_risk(worse)
    assert (beaten.kind, beaten.alias) == ("baseline", CHALLENGER)
    assert "worse than the champion" in beaten.verdict
    assert registry.load(MODEL).version == before
    assert registry.load(MODEL, CHALLENGER).version == beaten.version
    forced = train_risk(worse, promote=True)
    assert (forced.alias, registry.load(MODEL).version) == (CHAMPION, forced.version)


def test_a_champion_of_rows_that_were_replaced_gives_way_whatever_the_gate_says(workspace, report, tmp_path):
    root = shutil.copytree(workspace.root, tmp_path / "pumps")
    ingest(Workspace.open(root), rebuild=["work"])
    toml = root / "foremend.toml"
    toml.write_text(toml.read_text() + "min_failures = 100000\n")
    worse = train_risk(Workspace.open(root))
    assert (worse.kind, worse.alias) == ("baseline", CHAMPION)
    assert worse.verdict == "the champion was trained on rows of work that were replaced since"
    assert "not worse" in train_risk(Workspace.open(root)).verdict  # the new champion knows the rebuild


def test_the_baseline_runs_on_the_clock_of_the_mode_however_the_rule_writes_it(workspace, tmp_path):
    root = shutil.copytree(workspace.root, tmp_path / "pumps")
    toml = root / "foremend.toml"
    shouted = toml.read_text().replace("component AS failure_mode", "upper(component) AS failure_mode")
    toml.write_text(shouted + "min_failures = 100000\nevery_days = 7\n")
    report = train_risk(Workspace.open(root))
    model = read(Registry(root / "mlflow").load(MODEL).files)
    assert report.tested.modes == model.layout.modes == ("PUMP", "VALVE")
    assert report.verdict == "the champion serves no more: the failure rule is not the one that it was trained on"
    assert [weibull.clock for weibull in model.baseline] == [
        "service_days_since_last_pump", "service_days_since_last_valve",
    ]  # fmt: skip


@pytest.mark.parametrize(("decision", "verdict"), [(7, "worse than the champion"), (30, "says nothing of 30 d")])
def test_a_champion_that_was_not_asked_for_a_new_horizon_still_stands_against_a_worse_model(
    workspace, report, tmp_path, decision, verdict
):
    root = shutil.copytree(workspace.root, tmp_path / "pumps")
    toml = root / "foremend.toml"
    Registry(root / "mlflow").alias(MODEL, CHAMPION, report.version)  # whatever other tests promoted
    further = toml.read_text().replace("[1, 7, 14]", "[1, 7, 14, 30]").replace("[0, 1, 7, 14]", "[0, 1, 7, 14, 30]")
    toml.write_text(further + f"min_failures = 100000\nevery_days = 7\ndecision_days = {decision}\n")
    worse = train_risk(Workspace.open(root))
    assert worse.alias == CHALLENGER
    assert verdict in worse.verdict
    assert {quality.horizon_days for quality in worse.tested.qualities} == {1, 7, 14, 30}


def _config(text):
    from features.config import parse

    return parse(text)


def test_the_run_says_what_it_was_made_of(workspace, report):
    from mlflow import MlflowClient

    run = MlflowClient(tracking_uri=f"sqlite:///{workspace.mlflow}/mlflow.db").get_run(report.run_id)
    assert json.loads(run.data.params["tables"]) == workspace.pin().versions
    assert run.data.params["risk.seed"] == "1"
    assert len(run.data.params["data_fingerprint"]) == 16
    assert run.data.metrics["model_7d_brier"] == pytest.approx(report.tested.quality("model", 7).brier)


def test_the_page_and_its_pictures_lie_beside_the_model_in_its_run(workspace, report):
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{workspace.mlflow}/mlflow.db")
    assert {"report.html", "plots"} <= {file.path for file in client.list_artifacts(report.run_id)}
    pictures = {file.path: file.file_size for file in client.list_artifacts(report.run_id, "plots")}
    assert {"plots/precision.svg", "plots/reliability.svg", "plots/costs.svg"} <= set(pictures)
    assert min(pictures.values()) > 3000
    page = (workspace.mlflow / "artifacts" / report.run_id / "artifacts" / "report.html").read_text(encoding="utf-8")
    assert f"{report.tested.quality('model', 7).average_precision:.4f}" in page


def test_the_command_prints_model_and_baseline_and_the_next_command_and_writes_a_page(
    workspace, report, capsys, tmp_path
):
    from serving.cli import run

    file = tmp_path / "risk.html"
    page = ["--html", str(file), "--language", "zh-CN"]
    assert run(["-w", str(workspace.root), "train", "risk", *page]) == 0
    out, err = capsys.readouterr()
    assert '<html lang="zh-CN">' in file.read_text(encoding="utf-8")
    assert f"Wrote {file}" in err
    assert [word in out for word in ("7 d", "model", "baseline", "AP")] == [True] * 4
    assert f"foremend -w {workspace.root} score" in err
    assert run(["-w", str(workspace.root), "train", "risk", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert int(data["version"]) > int(report.version)
    assert {q["horizon_days"] for q in data["qualities"]} == {1, 7, 14}
    assert data["split"]["train_until"] == report.tested.split.train_until.isoformat()


def test_no_failures_is_an_error_that_names_the_rule(make_fleet, connect_fleet, tmp_path):
    healthy = make_fleet(assets=3, days=80)
    healthy = replace(healthy, failures=healthy.failures.head(0))
    with pytest.raises(DataError, match=r"no failure .* rule 1"):
        train_risk(connect_fleet(healthy, tmp_path))
    assert not Registry(tmp_path / "mlflow").has(MODEL)


@pytest.mark.parametrize("count", [1, 4])
def test_a_few_failures_leave_the_baseline_and_say_so(make_fleet, connect_fleet, tmp_path, count):
    few = make_fleet(assets=4, days=90)
    late = few.failures["event_time"] > T0 + timedelta(days=20)
    few = replace(few, failures=few.failures[late].head(count))
    report = train_risk(connect_fleet(few, tmp_path, "start = 2024-01-03"))
    assert report.kind == "baseline"
    assert any("baseline" in note for note in report.notes)
    assert np.isfinite(report.tested.quality("model", 7).brier)
    caveats = Registry(tmp_path / "mlflow").load(MODEL, version="1").caveats
    assert set(caveats) <= set(report.notes)
    assert not any("times as many failed" in one for one in caveats)  # so few failures cannot tell
    for days in (1, 7):
        ranked = report.tested.quality("model", days).intervals["roc_auc"]
        assert any(f"within {days} d it may rank no better" in one for one in caveats) == (ranked.low <= 0.5)


def test_a_single_asset_trains_and_says_that_it_holds_for_no_other(make_fleet, connect_fleet, tmp_path):
    report = train_risk(connect_fleet(make_fleet(assets=1, days=120, scale=6.0), tmp_path))
    assert any("single asset" in note for note in report.notes)
    assert report.tested.rows["train"] > 0


def test_too_little_history_says_how_much_is_wanted(make_fleet, connect_fleet, tmp_path):
    with pytest.raises(DataError, match=r"history covers \d+ days.*at least 56.*horizons_days"):
        train_risk(connect_fleet(make_fleet(assets=5, days=40), tmp_path))


def test_constant_and_all_null_channels_are_left_out_and_counted(make_fleet, connect_fleet, tmp_path):
    dull = make_fleet(assets=20, days=120)
    dull = replace(dull, features=dull.features.assign(reading_heat_mean_7d=7.0))
    report = train_risk(connect_fleet(dull, tmp_path))
    model = read(Registry(tmp_path / "mlflow").load(MODEL).files)
    assert any("constant or missing" in note for note in report.notes)
    assert "reading_heat_mean_7d" not in model.layout.columns
    assert "service_days_since_last_pump" in model.layout.columns


def test_a_store_that_cannot_be_written_is_told_before_anything_is_fitted(workspace, report):
    said = []
    with pytest.raises(Fault, match="127"):
        train_risk(workspace, mlflow_uri="http://127.0.0.1:9", say=said.append)
    assert not any("Fitting" in line for line in said)


# --- the division by time -----------------------------------------------------------------------


def split(config=None, days=365, assets=10):
    config = config or RiskConfig()
    return by_time(
        config, recorded_from=T0, observed_until=T0 + timedelta(days=days), cutoff_utc="16:00", assets=assets
    )


def test_every_slice_has_room_for_the_longest_horizon():
    for days in (122, 150, 200, 365, 1000):
        found = split(days=days)
        for name in SLICES:
            first, end = found.ends(name)
            assert end - first > timedelta(days=30), (days, name)


def test_cut_offs_lie_on_the_daily_instant_inside_the_window():
    found = split()
    cutoffs = found.cutoffs()
    assert {(c.hour, c.minute) for c in cutoffs} == {(16, 0)}
    assert cutoffs[0] >= T0 + timedelta(days=1)
    assert cutoffs[-1] < T0 + timedelta(days=365)
    assert {b - a for a, b in pairwise(cutoffs)} == {timedelta(days=1)}


def test_a_large_fleet_thins_its_cut_offs_to_keep_within_max_rows():
    found = split(RiskConfig(max_rows=10_000), assets=500)
    assert found.every_days == LONGEST_STEP
    assert split(RiskConfig(max_rows=30_000), assets=500).every_days == 8


@pytest.mark.parametrize(("max_rows", "days"), [(26_000, 8), (30_500, 6), (20_300, 9), (13_500, 15), (400_000, 1)])
def test_cut_offs_never_lie_whole_weeks_apart(max_rows, days):
    assert split(RiskConfig(max_rows=max_rows), assets=500).every_days == days


@pytest.mark.parametrize(("name", "day"), [("train_until", -1), ("calibrate_until", 700), ("calibrate_until", 20)])
def test_instants_out_of_order_are_refused_by_name(name, day):
    with pytest.raises(ConfigError, match="train_until"):
        split(RiskConfig(**{name: T0 + timedelta(days=day)}))
