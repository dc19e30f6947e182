"""What a training leaves in the registry: gates, card, history; and what it takes to become champion."""

from __future__ import annotations

import re
import shutil
from datetime import timedelta

import pytest

from features.config import parse
from features.errors import ModelError
from features.workspace import Workspace
from ml.card import CARD
from ml.champion import promote, roll_back
from ml.gates import GATES, Judgement
from ml.history import CHALLENGER, CHAMPION
from ml.registry import Registry
from ml.train import MODEL, train_risk


@pytest.fixture(scope="module")
def workspace(make_fleet, connect_fleet, tmp_path_factory):
    risk = 'owner = "Ines, service east"\nmax_rows = 1500'  # cut-offs some days apart: several trainings follow
    return connect_fleet(make_fleet(assets=40, days=140), tmp_path_factory.mktemp("pumps"), risk)


@pytest.fixture(scope="module")
def report(workspace):
    return train_risk(workspace, by="ines")


@pytest.fixture
def copy(workspace, report, tmp_path):
    """A copy of the workspace with the first version, champion."""
    return Workspace.open(shutil.copytree(workspace.root, tmp_path / "pumps"))


def test_every_gate_is_asked_and_its_verdict_kept_in_the_run(workspace, report):
    (version,) = Registry(workspace.mlflow).versions(MODEL)
    assert set(report.gates) == set(GATES)
    assert Judgement.of_tags(version.tags).verdicts == report.gates
    assert version.aliases == (CHAMPION,)
    assert version.tags["verdict"] == report.verdict == "the first version"
    assert report.as_dict()["gates"]["coherent"]["passed"] is True
    (entry,) = Registry(workspace.mlflow).history(MODEL)
    assert (entry.by, entry.how, entry.to_version, entry.reason) == ("ines", "train", "1", "the first version")


def test_the_card_says_what_the_model_is_for_made_of_and_until_when(workspace, report):
    registry = Registry(workspace.mlflow)
    card = registry.artifact(report.run_id, CARD).decode()
    titles = re.findall("(?m)^## (.*)", card)
    assert titles == ["Intended use", "Data", "Figures", "Gates", "Limits", "Owner and expiry"]
    ours = report.tested.quality("model", 7)
    low, high = ours.intervals["brier"].low, ours.intervals["brier"].high
    assert f"{ours.brier:.4g} ({low:.3g} to {high:.3g})" in card
    versions = workspace.pin().versions
    assert all(f"{table} {number}" in card for table, number in versions.items())
    (version,) = registry.versions(MODEL)
    assert version.parameters["data_fingerprint"] in card
    assert "- Owner: Ines, service east" in card
    assert version.expires_at == report.tested.split.observed_until + timedelta(days=180)
    assert f"- Expires: {version.expires_at:%Y-%m-%d}" in card
    assert all(f"- {name}: passed. " in card for name in GATES)
    assert "nan" not in card.lower().split()


def test_a_model_is_read_without_its_card(copy, report):
    """The card is no part of the model: no manifest covers it, and a changed one refuses nothing."""
    registry = Registry(copy.mlflow)
    (card,) = copy.mlflow.rglob(CARD)
    card.write_text("somebody else's words")
    assert registry.load(MODEL).version == report.version


def test_a_champion_is_matched_on_codes_that_have_become_rare_since(copy, report, monkeypatch):
    """Its features are built with the new ones' rows, so that it is neither passed over nor judged without them."""
    monkeypatch.setattr("features.context.MOST_VALUES", 1)
    again = train_risk(copy)
    theirs = report.tested.quality("model", 7)
    assert again.features < report.features
    assert re.search(rf"against {theirs.average_precision:.3f}, Brier .* against {theirs.brier:.4f}", again.verdict)


def test_a_first_version_that_fails_a_gate_is_challenger_until_it_is_promoted(copy, monkeypatch):
    shutil.rmtree(copy.mlflow)
    monkeypatch.setattr("ml.gates.PROMISED", (50.0, 60.0))
    report, registry = train_risk(copy), Registry(copy.mlflow)
    assert (report.alias, [name for name, one in report.gates.items() if not one.passed]) == (
        CHALLENGER,
        ["calibrated"],
    )
    assert report.verdict == report.gates["calibrated"].reason
    with pytest.raises(ModelError, match=r"no champion; version 1 is challenger.*foremend promote 1"):
        registry.load(MODEL)
    change = promote(registry, MODEL, "1", reason="nothing better", by="omar")
    assert (change.from_version, change.to_version, change.by) == ("", "1", "omar")
    assert [one.aliases for one in registry.versions(MODEL)] == [(CHAMPION,)]
    with pytest.raises(ModelError, match="nobody was champion before version 1"):
        roll_back(registry, MODEL)


def test_a_promotion_at_training_is_kept_with_its_reason_and_what_had_failed(copy, report):
    worse = Workspace(copy.root, parse((copy.root / "foremend.toml").read_text() + "min_failures = 100000\n"))
    forced = train_risk(worse, promote=True, reason="agreed with the east", by="omar")
    registry = Registry(copy.mlflow)
    assert forced.alias == CHAMPION
    assert forced.verdict.startswith("promoted by hand: agreed with the east, although it failed not_worse: worse than")
    assert registry.history(MODEL)[-1].reason == forced.verdict
    back = roll_back(registry, MODEL, by="omar")
    assert (back.to_version, registry.load(MODEL).version) == (report.version, report.version)
    with pytest.raises(ModelError, match="version 1 is champion already"):
        promote(registry, MODEL, "1")


def test_a_training_that_ends_before_the_alias_leaves_the_champion_as_it_was(copy, report, monkeypatch):
    def interrupted(*_args, **_known):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Registry, "alias", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_risk(copy)
    registry = Registry(copy.mlflow)
    assert registry.load(MODEL).version == report.version
    assert [one.aliases for one in registry.versions(MODEL)] == [(CHAMPION,), ()]
    assert len(registry.history(MODEL)) == 1
