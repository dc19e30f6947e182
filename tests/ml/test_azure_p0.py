"""Protocol P0 on the shipped azure-pdm example: connected, trained and judged as a user would; and what each table adds."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("FOREMEND_DATA", REPOSITORY.parent / "shared" / "data"))

pytestmark = [
    pytest.mark.proof,
    pytest.mark.skipif(not (DATA / "azure-pdm").is_dir(), reason="the azure-pdm tables are not here (FOREMEND_DATA)"),
]

ROWS = {1: (9_200, 171), 7: (8_600, 1_083), 14: (7_900, 2_030), 30: (6_300, 3_098)}
"""Rows and positives of the test window by horizon: a run that counts others is not P0."""


STEPS = ("errors", "maintenance", "daily_means")
"""Sources that are added to machines and failures, one after the other; with all of them it is the example."""


def connected(folder: Path, sources_left_out: tuple[str, ...] = ()):
    """The example in a folder, ingested."""
    from features.ingest import ingest
    from features.workspace import Workspace

    example = (REPOSITORY / "docs" / "examples" / "azure-pdm" / "foremend.toml").read_text()
    (folder / "foremend.toml").write_text(without(example, sources_left_out))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOREMEND_DATA", str(DATA))
        workspace = Workspace.open(folder)
        ingest(workspace)
    return workspace


def without(toml: str, sources: tuple[str, ...]) -> str:
    """The configuration without some of its sources."""
    kept, dropping = [], False
    for line in toml.splitlines(keepends=True):
        if line.startswith("["):
            dropping = line.strip() in {f"[sources.{name}]" for name in sources}
        if not dropping:
            kept.append(line)
    return "".join(kept)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return connected(tmp_path_factory.mktemp("azure"))


@pytest.fixture(scope="module")
def report(workspace):
    from ml.train import train_risk

    return train_risk(workspace)


@pytest.fixture(scope="module")
def ladder(tmp_path_factory, report):
    """Average precision by horizon on every step, from the lowest: tickets and assets, alarms, services, sensors."""
    found = []
    for count in range(len(STEPS)):
        found.append(precisions(connected(tmp_path_factory.mktemp("step"), STEPS[count:])))
    found.append({days: report.tested.quality("model", days).average_precision for days in ROWS})
    for count, step in enumerate(found):
        print("machines, failures", *STEPS[:count], {days: round(ap, 4) for days, ap in step.items()})
    return found


def precisions(workspace):
    """As a training chooses and judges it, without the audit and the baselines."""
    from ml.choice import choose
    from ml.material import gather
    from ml.quality import judge
    from ml.risk import RiskConfig

    material = gather(workspace.pin(), workspace.config.section("risk", RiskConfig), lambda _line: None)
    said = choose(material, rebuilt={}, failure_rule="").model.probabilities(material.rows["test"])
    judged = judge("model", said, material.labels["test"], material.failures, ())
    return {quality.horizon_days: quality.average_precision for quality in judged}


@pytest.mark.parametrize("days", ROWS)
def test_the_test_window_is_that_of_p0(report, days):
    for name in ("model", "baseline"):
        quality = report.tested.quality(name, days)
        assert (quality.rows, quality.positives) == ROWS[days]


def test_a_failure_tomorrow_is_seen(report):
    day = report.tested.quality("model", 1)
    assert day.average_precision >= 0.99
    assert day.brier <= 0.001
    assert day.ece <= 0.005
    assert {at.k: at.recall for at in day.at_capacity}[5] >= 0.975


def test_a_failure_this_week_is_ranked_well_and_its_probability_can_be_trusted(report):
    week = report.tested.quality("model", 7)
    assert week.average_precision >= 0.53
    assert week.roc_auc >= 0.885
    assert week.brier <= 0.078
    assert week.ece <= 0.03
    assert 0.85 <= week.observed_over_expected <= 1.15


def test_the_longer_horizons_keep_their_floors(report):
    fortnight, month = report.tested.quality("model", 14), report.tested.quality("model", 30)
    assert fortnight.average_precision >= 0.45
    assert fortnight.brier <= 0.172
    assert month.brier <= 0.235


def test_a_fortnight_is_ranked_better_than_by_the_line(report):
    logistic = report.tested.quality("logistic", 14)
    assert report.tested.quality("model", 14).average_precision > logistic.average_precision


@pytest.mark.parametrize(("capacity", "floor"), [(2, 0.32), (5, 0.14)])
def test_visits_by_the_index_cost_a_part_of_running_to_failure(report, capacity, floor):
    relative = {(one.rule, one.capacity): one.replayed.relative for one in report.tested.economics}
    assert relative["run_to_failure", capacity] == 1
    assert relative["index", capacity] <= floor
    assert relative["index", 1] <= 1


@pytest.mark.parametrize("days", ROWS)
def test_age_alone_is_clearly_worse(report, days):
    ours, age = report.tested.quality("model", days), report.tested.quality("baseline", days)
    assert ours.average_precision > age.average_precision + 0.1
    assert ours.brier < age.brier


def test_the_age_only_baseline_is_the_one_that_was_published(report):
    """Figures of another implementation on the same protocol (docs/decisions/0008): the labels are the same."""
    published = {1: 0.032, 7: 0.174, 14: 0.289, 30: 0.488}
    ours = [report.tested.quality("baseline", days).average_precision for days in published]
    np.testing.assert_allclose(ours, list(published.values()), atol=0.01)


def test_the_registered_champion_is_coherent_on_every_row_of_the_year_and_explains_itself(workspace, report):
    from ml.material import gather
    from ml.reasons import explain
    from ml.registry import Registry
    from ml.stored import read

    champion = read(Registry(workspace.mlflow).load("risk").files)
    material = gather(workspace.pin(), champion.config, lambda _line: None)
    p = champion.probabilities(material.grid)[["p_1d", "p_7d", "p_14d", "p_30d"]].to_numpy()
    assert len(p) == 35_800
    assert (np.diff(p, axis=1) >= 0).all()
    last = material.grid[material.grid["as_of"] == material.grid["as_of"].max()]
    reasons = explain(champion, last, top=3)
    assert len(reasons) == 300
    assert reasons["feature"].isin(material.grid.columns).all()


def test_it_works_from_tickets_and_assets_alone(ladder):
    assert ladder[0][7] > 0.126 + 0.02  # a random ranking has the base rate


def test_every_kind_of_table_makes_the_week_better_or_leaves_it(ladder):
    for less, more in pairwise(ladder):
        assert more[7] >= less[7] - 0.01


def test_without_telemetry_tomorrow_is_seen_and_the_week_ranked(ladder):
    assert ladder[2][1] >= 0.99
    assert ladder[2][7] >= 0.50
