"""The risk model of demo fleets against their truth, and a fleet whose failures are rare."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from features.workspace import Workspace
from ml import metrics

pytestmark = pytest.mark.proof

SEEDS = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Said:
    """Test rows whose week was seen: what happened, what was said, by whom."""

    outcome: np.ndarray
    model: np.ndarray
    age: np.ndarray
    oracle: np.ndarray


def judged(folder, max_rows=40_000, **sizes) -> tuple[Said, object, object]:
    from features.demo import make_fleet
    from features.ingest import ingest
    from ml.choice import choose
    from ml.material import gather
    from ml.risk import RiskConfig

    make_fleet(folder, language="en", **sizes)
    toml = folder / "foremend.toml"
    toml.write_text(toml.read_text().replace("max_rows = 21_000", f"max_rows = {max_rows}"))
    workspace = Workspace.open(folder)
    ingest(workspace)
    material = gather(workspace.pin(), workspace.config.section("risk", RiskConfig), lambda _line: None)
    model = choose(material, rebuilt={}, failure_rule="").model
    rows, labels = material.rows["test"], material.labels["test"]
    known = labels.known[:, labels.horizons_days.index(7)]
    truth = pd.read_parquet(folder / "truth" / "hazard.parquet", columns=["asset_id", "as_of", "p_7d"])
    oracle = rows[["asset_id", "as_of"]].merge(truth, how="left", on=["asset_id", "as_of"])["p_7d"].to_numpy()
    known &= ~np.isnan(oracle)
    said = Said(
        labels.failed[known, labels.horizons_days.index(7)],
        model.probabilities(rows)["p_7d"].to_numpy()[known],
        model.baseline_probabilities(rows)["p_7d"].to_numpy()[known],
        oracle[known],
    )
    return said, model, material


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    found = []
    for seed in SEEDS:
        said, _, _ = judged(
            tmp_path_factory.mktemp("seed") / "fleet", assets=200, days=620, seed=seed, readings_per_day=2
        )
        ap, best, age = (metrics.average_precision(said.outcome, p) for p in (said.model, said.oracle, said.age))
        found.append((ap / best, age / best, slope(said), metrics.observed_over_expected(said.outcome, said.model)))
        print(f"seed {seed}: {said.outcome.sum()} of {len(said.outcome)}; AP {ap:.3f}, of the oracle's {ap / best:.2f}, "
              f"age {age / best:.2f}; slope {found[-1][2]:.2f}, observed/expected {found[-1][3]:.2f}")  # fmt: skip
    return np.array(found)


def slope(said: Said) -> float:
    """Of a logistic regression of what happened on the log-odds that were said: 1 is calibrated."""
    from sklearn.linear_model import LogisticRegression

    odds = np.log(said.model / (1 - said.model))[:, None]
    return float(LogisticRegression(C=1e6).fit(odds, said.outcome).coef_[0, 0])


def test_it_knows_most_of_what_can_be_known(seeds):
    assert seeds[:, 0].mean() >= 0.85


def test_its_probabilities_can_be_believed(seeds):
    assert 0.8 <= seeds[:, 2].mean() <= 1.2
    assert 0.9 <= seeds[:, 3].mean() <= 1.1


def test_age_alone_is_clearly_worse(seeds):
    assert (seeds[:, 1] < 0.5 * seeds[:, 0]).all()


def test_rare_failures_of_a_large_fleet_keep_their_rate(tmp_path):
    said, _, material = judged(
        tmp_path / "fleet", assets=20_000, days=150, seed=3, readings_per_day=1, failure_rate=0.04
    )
    share = said.outcome.mean()
    ratio = metrics.observed_over_expected(said.outcome, said.model)
    order = np.argsort(-said.model, kind="stable")
    met = {
        part: said.outcome[order[: round(part * len(order))]].sum() / said.outcome.sum() for part in (0.001, 0.01, 0.05)
    }
    print(f"{share:.3%} of {len(said.outcome):,} rows positive; observed/expected {ratio:.2f}; recall "
          + ", ".join(f"{part:.1%}: {recall:.2f}" for part, recall in met.items()))  # fmt: skip
    assert 0.001 <= share <= 0.002
    assert 0.7 <= ratio <= 1.4
    assert met[0.05] > 0.05  # better than chance
    assert (material.weight > 1).any()
