"""Champion or challenger: what decides it, and what changes it.

A new version is judged by every gate (:mod:`ml.gates`); a champion that can serve keeps its place until
it is matched on the very same rows. What changes the champion, a training, a promotion by hand or a way back,
goes through here and is kept with its reason (:mod:`ml.history`).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pandas as pd

from features.assets import build_grid, feature_set
from features.errors import ModelError
from features.workspace import Snapshot
from ml.answers import Answers
from ml.audit import Audit
from ml.backtest import Backtest
from ml.gates import Candidate, Judgement, Verdict, judge_all
from ml.history import CHALLENGER, CHAMPION, ROLLBACK, Change, previous
from ml.material import Material
from ml.policy import PolicyConfig, Replay
from ml.quality import Quality, judge
from ml.registry import Registry
from ml.risk import RiskModel
from ml.stored import read

__all__ = ["examine", "promote", "roll_back", "settle"]


def examine(
    registry: Registry, name: str, snapshot: Snapshot, model: RiskModel, said: Answers, tested: Backtest, material: Material,
    audited: Audit,
) -> Judgement:  # fmt: skip
    """Ask every gate whether a new model may be champion.

    Parameters
    ----------
    name
        Of the registered model, whose champion is judged on the same rows.
    said, tested
        The new model on the test window of `material`, which was built from `snapshot`: what it said, how good that was.
    """
    return judge_all(
        Candidate(
            quality=tested.quality("model", material.config.decision_days),
            champion=_champion(registry, name, snapshot, model, material),
            probabilities=said.within,
            audit=audited,
            replay=_replay(tested, snapshot.workspace.config.section("policy", PolicyConfig)),
        )
    )


def settle(registry: Registry, name: str, version: str, judged: Judgement, *, by_hand: str | None, by: str) -> Change:
    """Make a new version champion where it passed every gate, or where `by_hand` says why all the same.

    Parameters
    ----------
    by_hand
        The reason of a promotion by hand, which may be empty; None where there is none.
    """
    if by_hand is None:
        alias = CHALLENGER if judged.failed else CHAMPION
        return registry.alias(name, alias, version, how="train", reason=judged.reason, by=by)
    reason = "promoted by hand" + (f": {by_hand}" if by_hand else "")
    reason += f", although it failed {', '.join(judged.failed)}: {judged.reason}" if judged.failed else ""
    return registry.alias(name, CHAMPION, version, how="train", reason=reason, by=by)


def promote(registry: Registry, name: str, version: str, *, reason: str = "", by: str = "") -> Change:
    """Make a version champion by hand, whatever the gates said.

    Raises
    ------
    ModelError
        There is no such version, it is champion already, or its files cannot be used.
    """
    stored = registry.load(name, version=version)
    read(stored.files)  # what cannot be read tonight is told now
    if registry.holder(name) == stored.version:
        raise ModelError(f"version {version} is champion already", where=f"model '{name}'")
    return registry.alias(name, CHAMPION, stored.version, how="promote", reason=reason, by=by)


def roll_back(registry: Registry, name: str, *, reason: str = "", by: str = "") -> Change:
    """Give the place back to the champion before; done twice, to the one before that.

    Raises
    ------
    ModelError
        There is no champion or none before it, or its files cannot be used.
    """
    champion, known = registry.holder(name), {one.version for one in registry.versions(name)}
    before = previous(registry.history(name), champion, known)
    if not champion or not before:
        found = f"nobody was champion before version {champion}" if champion else "no champion"
        raise ModelError(
            found, where=f"model '{name}'", todo="`foremend models` lists the versions; `foremend promote VERSION` chooses one"
        )  # fmt: skip
    read(registry.load(name, version=before).files)
    return registry.alias(name, CHAMPION, before, how=ROLLBACK, reason=reason, by=by)


def _champion(
    registry: Registry, name: str, snapshot: Snapshot, model: RiskModel, material: Material
) -> Quality | Verdict:
    """The champion's figures on the test window, or why the two are not compared."""
    if not registry.has(name):
        return Verdict(True, "the first version" if not registry.versions(name) else "there is no champion")
    try:
        champion = read(registry.load(name).files)
        if gone := champion.outdated(model.rebuilt or {}):
            return Verdict(True, f"the champion was trained on rows of {', '.join(gone)} that were replaced since")
        if changed := champion.unlike(feature_set(snapshot, keep=champion.uses), model.failure_rule):
            return Verdict(True, f"the champion serves no more: {changed}")
        return _matched(champion, snapshot, material)
    except ModelError as error:
        return Verdict(True, f"the champion cannot be used on the present data: {error}")


def _matched(champion: RiskModel, snapshot: Snapshot, material: Material) -> Quality | Verdict:
    """Judge the champion at the decision horizon; what it is not asked for otherwise is no reason to pass it over."""
    days, labels = material.config.decision_days, material.labels["test"]
    if days not in champion.config.edges_days[1:]:
        return Verdict(False, f"the champion says nothing of {days:g} d, so that the two cannot be compared")
    asked = replace(champion, config=replace(champion.config, horizons_days=(days,), decision_days=days))
    place = [labels.horizons_days.index(days)]
    seen = replace(labels, horizons_days=(days,), known=labels.known[:, place], failed=labels.failed[:, place])
    probabilities = asked.probabilities(_rows(champion, snapshot, material))
    (theirs,) = judge("champion", probabilities, seen, material.failures, ())
    return theirs


def _rows(champion: RiskModel, snapshot: Snapshot, material: Material) -> pd.DataFrame:
    """The test rows with all that the champion reads, also about codes that are no longer among the most frequent."""
    rows, keys = material.rows["test"], ["asset_id", "as_of"]
    if champion.uses & {*(champion.definitions or ())} <= {*rows.columns}:
        return rows
    cutoffs: list[datetime] = [moment.to_pydatetime() for moment in sorted(rows["as_of"].unique())]
    built: pd.DataFrame = build_grid(snapshot, cutoffs, keep=champion.uses).to_pandas()
    return rows[keys].merge(built, how="left", on=keys)


def _replay(tested: Backtest, policy: PolicyConfig) -> Replay | None:
    """Visits by the index rule with the crews that there are."""
    crews = policy.capacity_per_run
    return next((one.replayed for one in tested.economics if (one.rule, one.capacity) == ("index", crews)), None)
