"""The risk model on a fleet whose hazards are known."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from features.config import parse
from features.errors import ConfigError, ModelError
from features.labels import label
from features.point_in_time import Counts, Events, FeatureSet, Since, Statistics
from ml import metrics
from ml.baseline import fit_weibulls
from ml.hazard import Hazard, Later, Lesson, _platt, calibrate, combine, fit_hazards
from ml.reasons import contributions, explain
from ml.risk import RiskConfig, RiskModel, Slice
from ml.stacking import Layout, _todo, own_features
from ml.stored import read, write
from ml.telling import FOLDS, TOGETHER

MODES = ("pump", "valve")
CONFIG = RiskConfig(horizons_days=(1, 7, 14), edges_days=(0, 1, 7, 14), threads=1)
CLOCKS = {mode: f"service_days_since_last_{mode}" for mode in MODES}
SERVICES = Events("service", "services", by="component")
TOLD = FeatureSet(Since(SERVICES, MODES).features())


def cut(fleet, first, last):
    """Rows of some days, labelled as the world was known at their end."""
    start = fleet.features["as_of"].min()
    low, high = start + timedelta(days=first), start + timedelta(days=last)
    inside = (fleet.features["as_of"] >= low) & (fleet.features["as_of"] < high)
    rows = fleet.features[inside].reset_index(drop=True)
    found = label(
        rows, fleet.failures, modes=MODES, until=high.to_pydatetime(), edges_days=CONFIG.edges_days,
        horizons_days=CONFIG.horizons_days,
    )  # fmt: skip
    return Slice(rows, found.at_risk, found.event), found, inside.to_numpy()


def train(fleet, config=CONFIG, **changes):
    learnt, _, _ = cut(fleet, 0, 100)
    later, _, _ = cut(fleet, 100, 125)
    options = {"calibration": later, "feature_set": TOLD, **changes}
    return RiskModel.fit(learnt, modes=MODES, config=config, clocks=CLOCKS, **options)


@pytest.fixture(scope="module")
def model(fleet):
    return train(fleet)


@pytest.fixture(scope="module")
def test_window(fleet):
    return cut(fleet, 125, 160)


def probabilities(frame, config=CONFIG):
    return frame[[f"p_{h:g}d" for h in config.horizons_days]].to_numpy()


def test_no_probability_falls_as_the_horizon_grows_on_any_row(model, fleet):
    p = probabilities(model.probabilities(fleet.features))
    assert len(p) == len(fleet.features)
    assert (np.diff(p, axis=1) >= 0).all()
    assert ((p > 0) & (p < 1)).all()


def test_calibration_keeps_the_horizons_coherent(model, fleet):
    bent = replace(model, hazards=tuple(replace(h, slope=0.4, intercept=-1.0) for h in model.hazards))
    p = probabilities(bent.probabilities(fleet.features))
    assert (np.diff(p, axis=1) >= 0).all()


def test_the_model_ranks_nearly_as_well_as_the_true_hazard_and_far_better_than_age(model, test_window, fleet):
    rows, labels, inside = test_window
    known, y = labels.known[:, 1], labels.failed[labels.known[:, 1], 1]
    truth = metrics.average_precision(y, fleet.truth[inside][known])
    ours = metrics.average_precision(y, model.probabilities(rows.features)["p_7d"].to_numpy()[known])
    age_only = model.baseline_answers(rows.features).probabilities["p_7d"].to_numpy()[known]
    assert ours >= 0.85 * truth
    assert ours > metrics.average_precision(y, age_only)
    expected = metrics.observed_over_expected(y, model.probabilities(rows.features)["p_7d"].to_numpy()[known])
    assert 0.8 <= expected <= 1.25


def test_the_same_rows_and_seed_give_the_same_bytes_whatever_the_threads(model, fleet):
    again, side_by_side = train(fleet), train(fleet, replace(CONFIG, threads=3))
    assert write(again) == write(model)
    assert side_by_side.hazards == model.hazards


def test_a_stored_model_gives_the_same_probabilities_to_the_last_bit(model, fleet):
    again = read(write(model))
    pd.testing.assert_frame_equal(
        again.probabilities(fleet.features), model.probabilities(fleet.features), check_exact=True
    )
    assert write(again) == write(model)


def test_the_leading_mode_is_the_one_with_the_larger_probability(model, fleet):
    rows = fleet.features.head(300)
    by_mode = combine(model.hazard(rows), CONFIG.edges_days, CONFIG.horizons_days)
    out = model.probabilities(rows)
    assert (out["failure_mode_7d"] == np.array(MODES)[by_mode[:, :, 1].argmax(axis=1)]).all()
    assert (out["failure_mode"] == out["failure_mode_7d"]).all()
    assert set(out["failure_mode"]) == set(MODES)


def test_survival_is_multiplied_over_intervals():
    hazards = np.array([[[0.1, 0.2, 0.5]]])
    assert combine(hazards, (0, 1, 7, 14), (1, 14))[0, 0].tolist() == pytest.approx([0.1, 1 - 0.9 * 0.8 * 0.5])


def test_contributions_add_up_to_the_calibrated_log_odds(model, fleet):
    bent = replace(model, hazards=tuple(replace(h, slope=1.7, intercept=0.3) for h in model.hazards))
    rows = fleet.features.iloc[5000:5050]
    for mode in range(len(MODES)):
        for interval in range(len(CONFIG.edges_days) - 1):
            _, parts = contributions(bent, rows, mode, interval)
            hazard = bent.hazard(rows)[:, mode, interval]
            np.testing.assert_allclose(parts.sum(axis=1), np.log(hazard / (1 - hazard)), atol=1e-6)


def test_the_reason_of_a_worn_pump_is_its_own_clock(model, fleet):
    worn = fleet.features.tail(60).assign(service_days_since_last_pump=55.0, service_days_since_last_valve=1.0)
    reasons = explain(model, worn, top=3)
    assert len(reasons) == 3 * len(worn)
    first = reasons[reasons["rank"] == 1]
    assert (first["failure_mode"] == "pump").all()
    assert (first["feature"] == "service_days_since_last_pump").mean() > 0.9
    assert (first["value"] == 55.0).mean() > 0.9
    assert ((reasons["share"] > 0) & (reasons["share"] <= 1)).all()
    pd.testing.assert_frame_equal(reasons, explain(model, worn, top=3))


def test_an_unseen_category_and_missing_values_are_scored(model, fleet):
    rows = fleet.features.head(5).assign(asset_asset_model="new", reading_heat_mean_7d=np.nan)
    p = probabilities(model.probabilities(rows))
    assert np.isfinite(p).all()


def test_a_missing_feature_is_named(model, fleet):
    with pytest.raises(ModelError, match="reading_heat_mean_7d"):
        model.probabilities(fleet.features.drop(columns="reading_heat_mean_7d"))


def test_constant_and_empty_channels_are_left_out(fleet):
    odd = replace(fleet, features=fleet.features.assign(reading_stuck_mean_7d=4.0, reading_gone_mean_7d=np.nan))
    layout = train(odd).layout
    assert "reading_heat_mean_7d" in layout.numbers
    assert not {"reading_stuck_mean_7d", "reading_gone_mean_7d"} & set(layout.columns)


def test_no_failure_of_a_mode_leaves_it_a_small_hazard(fleet):
    pumps = replace(fleet, failures=fleet.failures[fleet.failures["failure_mode"] == "pump"])
    fitted = train(pumps)
    by_mode = combine(fitted.hazard(fleet.features.tail(60)), CONFIG.edges_days, CONFIG.horizons_days)
    assert by_mode[:, 1, 2].mean() < 0.15 * by_mode[:, 0, 2].mean()


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_handful_of_failures_leaves_the_baseline_alone(fleet, count):
    few = replace(fleet, failures=fleet.failures.head(count))
    fitted = train(few)
    assert fitted.kind == "baseline"
    p = probabilities(fitted.probabilities(fleet.features))
    assert (np.diff(p, axis=1) >= 0).all()
    assert 0 < p[:, 2].mean() < 0.1
    assert set(explain(fitted, fleet.features.head(3))["feature"]) <= {*CLOCKS.values(), "asset_age_days"}
    assert write(read(write(fitted))) == write(fitted)


def test_every_row_failing_is_no_crash(fleet):
    learnt, _, _ = cut(fleet, 0, 40)
    everything = replace(learnt, event=learnt.at_risk)
    fitted = RiskModel.fit(everything, modes=MODES, config=CONFIG, clocks=CLOCKS)
    assert probabilities(fitted.probabilities(learnt.features)).min() > 0.9


def test_one_mode_is_not_stacked(fleet):
    learnt, _, _ = cut(fleet, 0, 100)
    one = Slice(learnt.features, learnt.at_risk[:, :1], learnt.event[:, :1])
    fitted = RiskModel.fit(one, modes=("any",), config=CONFIG)
    assert "failure_mode" not in fitted.layout.columns
    assert (fitted.probabilities(learnt.features)["failure_mode"] == "any").all()


def test_calibration_is_kept_only_where_it_helps_later_rows():
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1.5, (20_000, 1)).astype(np.float32)
    trees = _trees_of_a_line(x, rng)
    honest = rng.random(len(x)) < trees.probability(x, 1)
    early = np.arange(len(x)) < len(x) / 2
    (kept,) = calibrate([trees], [Later(trees.raw(x, 1), honest, early)])
    assert abs(kept.slope - 1) < 0.15
    overconfident = rng.random(len(x)) < 1 / (1 + np.exp(-0.4 * trees.raw(x, 1) + 1.0))
    (bent,) = calibrate([trees], [Later(trees.raw(x, 1), overconfident, early)])
    assert bent.slope == pytest.approx(0.4, abs=0.06)
    assert bent.intercept == pytest.approx(-1.0, abs=0.1)
    upside_down = rng.random(len(x)) < trees.probability(-x, 1)
    assert calibrate([trees], [Later(trees.raw(x, 1), upside_down, early)]) == (trees,)


def test_an_interval_of_few_failures_takes_the_line_of_all():
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1.5, (20_000, 1)).astype(np.float32)
    trees = _trees_of_a_line(x, rng)
    raw = trees.raw(x, 1)
    event = rng.random(len(x)) < 1 / (1 + np.exp(-2 * raw))
    many = Later(raw, event, np.arange(len(x)) % 2 == 0)
    few = Later(*(values[:60] for values in (raw, event, many.early)))
    assert not few.enough
    _, lined = calibrate([trees, trees], [many, few])
    assert lined.slope == pytest.approx(2, abs=0.2)
    assert calibrate([trees], [few]) == (trees,)


def _trees_of_a_line(x, rng) -> Hazard:
    event = rng.random(len(x)) < 1 / (1 + np.exp(-x[:, 0]))
    lesson = Lesson(np.arange(len(x)), event, 5_000)
    return fit_hazards(x, [lesson], learner="trees", categorical=(), threads=1, seed=1)[0]


def test_the_weibull_finds_the_shape_and_scale_it_was_drawn_from():
    rng = np.random.default_rng(1)
    age, edges = rng.uniform(0, 80, 40_000), np.array([0.0, 1.0, 7.0, 14.0])
    cumulative = ((age[:, None] + edges) / 60.0) ** 2.5
    hazard = 1 - np.exp(-np.diff(cumulative, axis=1))
    event = rng.random(hazard.shape) < hazard
    at_risk = np.concatenate([np.ones((len(age), 1), bool), ~np.cumsum(event, axis=1).astype(bool)[:, :-1]], axis=1)
    frame = pd.DataFrame({"clock": age})
    (found,) = fit_weibulls(
        frame, at_risk[:, None], (event & at_risk)[:, None], clocks={"pump": "clock"}, edges_days=edges.tolist()
    )
    assert found.shape == pytest.approx(2.5, rel=0.03)
    assert found.scale == pytest.approx(60.0, rel=0.03)
    np.testing.assert_allclose(found.hazard(age[:50], edges.tolist()), hazard[:50], rtol=0.15)


def test_the_weibull_is_the_same_survival_however_the_intervals_are_cut(model):
    weibull = model.baseline[0]
    fine = weibull.hazard(np.array([30.0]), (0, 1, 2, 3, 5, 7))
    assert 1 - np.prod(1 - fine) == pytest.approx(weibull.hazard(np.array([30.0]), (0, 7))[0, 0])


def test_own_features_are_families_of_components_told_apart_by_what_features_say_and_not_by_their_names():
    clock, alarms = "service_days_since_last", Events("alarm", "alarms", by="code")
    told = [
        *Since(SERVICES, ("Pump", "pump_2", "rotor")).features(),
        *Counts(alarms, (7,), ("E1", "pump")).features(),  # one mode alone is no family
        *Statistics("reading", "readings", "pump", ("mean",), (7,)).features(),  # a channel that is called like a mode
    ]
    own = own_features(told, ["pump", "pump_2", "fan"])
    assert own == {f"{clock}_own": {"pump": f"{clock}_pump", "pump_2": f"{clock}_pump_2"}}


def test_a_component_that_is_written_like_the_mode_goes_before_one_that_is_spelt_alike():
    clocks = [Since(SERVICES, (value,)).features()[1] for value in ("PUMP", "Pump", "fan")]
    told = [replace(f, name=f"clock_{f.component}") for f in clocks]
    assert own_features(told, ["Pump", "FAN"])["service_days_since_last_own"] == {
        "Pump": "clock_Pump",
        "FAN": "clock_fan",
    }


def test_alarm_codes_are_own_features_where_the_failure_rule_takes_them_as_modes():
    told = Counts(Events("alarm", "alarms", by="code"), (7,), ("E 1", "E 2", "E 3")).features()
    own = own_features(told, ["E 1", "E 2"])
    assert own == {"alarm_count_own_7d": {"E 1": "alarm_count_e_1_7d", "E 2": "alarm_count_e_2_7d"}}


def test_a_stacked_row_carries_its_own_clock(fleet):
    rows = fleet.features.tail(60)
    layout = Layout.of(fleet.features, MODES, TOLD.features)
    matrix = layout.matrix(rows).reshape(2, len(rows), -1)
    own = layout.columns.index("service_days_since_last_own")
    for place, mode in enumerate(MODES):
        np.testing.assert_array_equal(
            matrix[place][:, own], rows[f"service_days_since_last_{mode}"].to_numpy(dtype=np.float32)
        )
        assert (matrix[place][:, -1] == place).all()


@pytest.mark.parametrize(
    ("section", "complaint"),
    [
        ("horizons_days = [1, 5]", "edges"),
        ("edges_days = [0, 3, 1]", "rise from 0"),
        ("decision_days = 2", "decision_days"),
        ("horizon_days = [1]", "horizons_days"),
        ("threads = 0", "threads"),
    ],
)
def test_a_wrong_setting_names_itself(section, complaint):
    config = parse(f'[workspace]\nid = "x"\n[risk]\n{section}\n')
    with pytest.raises(ConfigError, match=complaint):
        config.section("risk", RiskConfig)


@pytest.mark.parametrize(
    "damage",
    [
        lambda files: {"model.json": files["model.json"]},
        lambda files: {**files, "model.json": b"{"},
        lambda files: {**files, "model.json": files["model.json"].replace(b'"format": ', b'"format": 9')},
        lambda files: {**files, "hazard_0.txt": b"tree\nnonsense"},
        lambda files: {**files, "model.json": _without(files, "baseline")},
        lambda files: {**files, "model.json": _without(files, "layout")},
        lambda files: {**files, "model.json": _telling(files, feature="nowhere")},
        lambda files: {**files, "model.json": _telling(files, slopes=0)},
        lambda files: {**files, "model.json": _telling(files, flag=7)},
        lambda files: {**files, "model.json": _telling(files, lines=2)},
        lambda files: {**files, "model.json": _telling(files, name="reading_own_z_1d")},
        lambda files: {},
    ],
)
def test_a_damaged_stored_form_is_refused_in_a_sentence(model, damage):
    with pytest.raises(ModelError, match=r"risk model: .*foremend train risk"):
        read(damage(write(model)))


def _without(files, key) -> bytes:
    content = json.loads(files["model.json"])
    content[key] = [] if isinstance(content[key], list) else {}
    return json.dumps(content).encode()


def _telling(files, *, name=TOGETHER, feature="", slopes=1, flag=0, lines=FOLDS) -> bytes:
    """The stored model with lines over one change, for one mode; by default they fit it."""
    content = json.loads(files["model.json"])
    layout = content["layout"]
    line = {"intercept": 0.0, "means": [0.0], "spreads": [1.0], "slopes": [1.0] * slopes, "flags": [[flag, None, 1.0]]}
    mode, read = layout["modes"][0], layout["numbers"][0]
    layout["telling"] = {
        "own": {name: {mode: feature or read}}, "times": {}, "read": [read], "lines": {mode: [line] * lines}
    }  # fmt: skip
    return json.dumps(content).encode()


# --- what it rests on, and whether that is still so -----------------------------------------------


def test_a_model_knows_which_of_its_features_changed_and_minds_no_others(fleet):
    told = FeatureSet(
        (
            *(replace(f, definition="as it was") for f in TOLD.features),
            *Statistics("reading", "readings", "heat", ("mean",), (7,)).features(),
        )
    )
    model = replace(train(fleet, feature_set=told, config=replace(CONFIG, threads=2)), failure_rule="r1")
    assert set(model.definitions) == {"reading_heat_mean_7d", *CLOCKS.values()}
    assert model.definitions["reading_heat_mean_7d"] == told.features[-1].fingerprint

    def now(*features, rule="r1"):
        return model.unlike(FeatureSet(features), rule)

    more = Statistics("reading", "readings", "new", ("mean",), (7,)).features()
    changed = tuple(replace(f, definition="otherwise") if f.component == "valve" else f for f in told.features)
    gone = told.features[:-1]
    assert now(*told.features, *more) == now(*reversed(told.features)) == ""
    assert now(*changed) == (
        "1 of the 3 features that it rests on changed: the first, service_days_since_last_valve, is defined otherwise now"
    )
    assert now(*gone).endswith("reading_heat_mean_7d, is gone")
    assert "failure rule" in now(*told.features, rule="r2")


def test_a_baseline_rests_on_its_clocks_alone(model):
    def without(name):
        return FeatureSet(tuple(f for f in TOLD.features if f.name != name))

    baseline, valve = replace(model, hazards=()), "service_days_since_last_valve"
    unused = replace(baseline, baseline=tuple(replace(w, clock=CLOCKS["pump"]) for w in baseline.baseline))
    assert f"{valve}, is gone" in model.unlike(without(valve), "")
    assert f"{valve}, is gone" in baseline.unlike(without(valve), "")
    assert unused.unlike(without(valve), "") == ""


def test_what_it_rests_on_is_kept_and_a_rebuild_outdates_it(model):
    at = {"work": datetime(2024, 5, 1, tzinfo=UTC)}
    known = replace(model, rebuilt=at, failure_rule="r1")
    assert read(write(known)) == known
    assert known.outdated(at) == {}
    assert replace(model, rebuilt={}).outdated(at) == at


def test_a_lost_feature_is_not_taken_for_a_key() -> None:
    assert _todo("asset_model", ["reading_bar_mean_7d"]) == "Train again with `foremend train risk`."
    assert _todo("bar_mean_7d", ["bar_mean_7", "x"]).endswith("Did you mean 'bar_mean_7'?")


def test_sums_in_another_order_give_the_same_matrix():
    rng = np.random.default_rng(4)
    values = np.append(
        rng.normal(size=2_000) * 10.0 ** rng.integers(-6, 6, size=2_000), [np.nan, np.inf, 0.0, 131_071.0]
    )
    other = values * (1 + 1e-13 * rng.normal(size=len(values)))
    frames = [pd.DataFrame({"asset_id": "a", "as_of": 0, "x": x}) for x in (values, other)]
    layout = Layout(("x",), {}, {}, ("any",))
    one, two = (layout.matrix(frame)[:, 0] for frame in frames)
    np.testing.assert_array_equal(one, two)
    np.testing.assert_allclose(one, values, rtol=2**-17)
    assert one[-1] == 131_071.0


@pytest.mark.parametrize("learner", ["trees", "logistic", "blend"])
def test_every_learner_is_coherent_additive_and_comes_back_from_its_files(fleet, learner):
    later, _, _ = cut(fleet, 100, 125)
    line, trees = (train(fleet, learner=name) for name in ("logistic", "trees"))
    fitted = {"logistic": line, "trees": trees, "blend": line.blended(trees, later)}[learner]
    found = read(write(fitted))
    assert (found.kind, found) == (learner, fitted)
    answers = probabilities(found.probabilities(fleet.features))
    np.testing.assert_array_equal(answers, probabilities(fitted.probabilities(fleet.features)))
    assert (np.diff(answers, axis=1) >= 0).all()
    names, parts = contributions(found, fleet.features, 0, 0)
    hazard = found.hazard(fleet.features)[:, 0, 0]
    assert names[-1] == "base"
    np.testing.assert_allclose(parts.sum(axis=1), np.log(hazard) - np.log1p(-hazard), atol=1e-6)


@pytest.mark.parametrize("learner", ["trees", "logistic"])
def test_rows_that_stand_for_others_give_the_rate_of_all(fleet, learner):
    whole, _, _ = cut(fleet, 0, 100)
    quiet = np.flatnonzero(~whole.event.any(axis=(1, 2)))
    kept = np.ones(len(whole.features), dtype=bool)
    kept[np.delete(quiet, slice(None, None, 4))] = False
    weight = np.where(whole.event.any(axis=(1, 2)), 1.0, len(quiet) / len(quiet[::4]))[kept]
    some = Slice(whole.features[kept].reset_index(drop=True), whole.at_risk[kept], whole.event[kept], weight)
    one, other = (
        RiskModel.fit(rows, modes=MODES, config=CONFIG, clocks=CLOCKS, learner=learner, feature_set=TOLD)
        for rows in (whole, some)
    )
    for answers in (RiskModel.probabilities, lambda *asked: RiskModel.baseline_answers(*asked).probabilities):
        assert answers(other, whole.features)["p_7d"].mean() == pytest.approx(
            answers(one, whole.features)["p_7d"].mean(), rel=0.1
        )


@pytest.mark.parametrize(
    ("slope", "intercept", "mean", "spread"), [(0.5, 0, -4, 2), (0.5, -1, -2, 6), (0.4, -2, -2, 4), (1, 4, -8, 2)]
)
def test_the_line_is_found_wherever_the_log_odds_lie(slope, intercept, mean, spread):
    rng = np.random.default_rng(5)
    raw = rng.normal(mean, spread, 40_000)
    event = rng.random(len(raw)) < 1 / (1 + np.exp(-(slope * raw + intercept)))
    found = _platt(raw, event)
    assert found == pytest.approx((slope, intercept), abs=0.15)
