"""A large fleet whose failures are rare: training rows are sampled, and the rate stays what it is."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.proof


def test_rare_failures_of_a_large_fleet_keep_their_rate(tmp_path):
    from features.demo import make_fleet
    from features.ingest import ingest
    from features.workspace import Workspace
    from ml.backtest import backtest
    from ml.choice import choose
    from ml.material import gather
    from ml.policy import PolicyConfig
    from ml.risk import RiskConfig

    sizes = {"assets": 20_000, "days": 135, "readings_per_day": 1}
    make_fleet(tmp_path / "fleet", seed=3, failure_rate=0.04, language="en", **sizes)
    workspace = Workspace.open(tmp_path / "fleet")
    ingest(workspace)
    material = gather(workspace.pin(), workspace.config.section("risk", RiskConfig), lambda _line: None)
    tested = backtest(choose(material, rebuilt={}, failure_rule="").model, material, PolicyConfig())
    week = tested.quality("model", 7)
    recall = {at.k: at.recall for at in week.at_capacity}
    print(
        f"{week.base_rate:.3%} of {week.rows:,} rows positive; observed/expected {week.observed_over_expected:.2f}; "
        f"recall at {', '.join(f'{k:,}: {share:.2f}' for k, share in recall.items())} of 20,000"
    )
    assert 0.001 <= week.base_rate <= 0.002
    assert 0.7 <= week.observed_over_expected <= 1.4
    thousandth, hundredth, twentieth = list(recall.values())[-3:]
    assert thousandth <= hundredth <= twentieth
    assert twentieth >= 0.05  # no worse than chance: with 240 failures to learn from, age alone may be what serves
    assert (material.weight > 1).any()
