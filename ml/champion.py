"""Champion or challenger: a champion that can serve keeps its place until it is matched on the very same rows."""

from __future__ import annotations

from dataclasses import replace

from features.errors import ModelError
from ml.backtest import Backtest
from ml.gates import Verdict, not_worse
from ml.material import Material
from ml.quality import Quality, judge
from ml.registry import Registry
from ml.risk import RiskModel
from ml.stored import read

__all__ = ["against_champion"]


def against_champion(
    registry: Registry, name: str, model: RiskModel, tested: Backtest, material: Material
) -> Verdict:  # fmt: skip
    """Whether a new model may take the champion's place; one that cannot serve any more gives way.

    Parameters
    ----------
    name
        Of the registered model.
    tested
        The new model on the test window of `material`; the champion is judged on the same rows.
    """
    if not registry.has(name):
        return Verdict(True, "the first version")
    try:
        champion = read(registry.load(name).files)
        if gone := champion.outdated(model.rebuilt or {}):
            return Verdict(True, f"the champion was trained on rows of {', '.join(gone)} that were replaced since")
        if changed := champion.unlike(material.feature_set, model.failure_rule):
            return Verdict(True, f"the champion serves no more: {changed}")
        return _matched(champion, tested.quality("model", material.config.decision_days), material)
    except ModelError as error:
        return Verdict(True, f"the champion cannot be used on the present data: {error}")


def _matched(champion: RiskModel, ours: Quality, material: Material) -> Verdict:
    """Judge the champion at the decision horizon; what it is not asked for otherwise is no reason to pass it over."""
    days, labels = material.config.decision_days, material.labels["test"]
    if days not in champion.config.edges_days[1:]:
        return Verdict(False, f"the champion says nothing of {days:g} d, so that the two cannot be compared")
    asked = replace(champion, config=replace(champion.config, horizons_days=(days,), decision_days=days))
    place = [labels.horizons_days.index(days)]
    seen = replace(labels, horizons_days=(days,), known=labels.known[:, place], failed=labels.failed[:, place])
    (theirs,) = judge("champion", asked.probabilities(material.rows["test"]), seen, material.failures, ())
    return not_worse(_gated(ours), _gated(theirs))


def _gated(quality: Quality) -> dict[str, float]:
    return {"average_precision": quality.average_precision, "brier": quality.brier}
