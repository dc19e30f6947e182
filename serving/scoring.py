"""The nightly job: who may fail, and who gets a visit. Read this file first.

::

    cohort → features → risk → open work → proposals → one transaction

Training goes the same road with many past cut-offs instead of tonight's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from features.errors import DataError, ModelError
from ml.health import grades
from ml.policy import PROPOSED, PolicyConfig, placeholders, propose
from serving.explaining import Explained, explained
from serving.store.audits import note
from serving.store.engine import writing
from serving.store.scores import ScoringRun, run_is_stored, save_scores
from serving.store.work import end_expired, held_assets, nights_after, proposals_made, save_proposals

if TYPE_CHECKING:
    import pandas as pd

    from features.freshness import Freshness
    from features.point_in_time import FeatureSet
    from features.workspace import Snapshot, Workspace
    from ml.registry import Registry
    from ml.risk import RiskModel

__all__ = ["Scored", "answer", "score", "settle"]


@dataclass(frozen=True)
class Scored:
    """What a run of the job did.

    Attributes
    ----------
    assets
        How many were scored.
    decisions
        How many of them were proposed, and how many passed over for which reason.
    best_value
        The highest value of a visit that any free asset offered; None where none was free.
    repeated
        The run had been committed before: nothing was written.
    notes
        What a planner should know before using it.
    health, bases
        How many assets have which grade, and how many scores rest on what.
    """

    run: ScoringRun
    assets: int
    decisions: Mapping[str, int]
    best_value: float | None = None
    repeated: bool = False
    notes: tuple[str, ...] = ()
    health: Mapping[str, int] = field(default_factory=dict)
    bases: Mapping[str, int] = field(default_factory=dict)

    @property
    def pays_from(self) -> float | None:
        """From which cost of a failure on the best visit would pay; None where none was free.

        A visit's value is F·x − V, with x the failures that it is expected to prevent.
        """
        if self.best_value is None or self.best_value + self.run.policy.visit_cost <= 0:
            return None
        prevented = (self.best_value + self.run.policy.visit_cost) / self.run.policy.failure_cost
        return self.run.policy.visit_cost / prevented

    @property
    def nothing_pays(self) -> bool:
        """Whether the best visit of any free asset costs more than it saves; full crews are another matter."""
        return self.best_value is not None and self.best_value <= 0

    @property
    def proposed(self) -> int:
        """How many visits were proposed."""
        return self.decisions.get(PROPOSED, 0)


def score(
    workspace: Workspace, engine: Engine, registry: Registry, *,
    as_of: datetime | None = None, say: Callable[[str], None] = lambda _: None,
) -> Scored:  # fmt: skip
    """Score every asset in service at a cut-off, and propose visits, in one transaction.

    Parameters
    ----------
    as_of
        The cut-off; the last one not after the workspace's clock by default.

    Raises
    ------
    ConfigError
        ``[policy]`` holds something that cannot be meant.
    DataError
        The cut-off lies in the future, or no asset was in service at it.
    ModelError
        There is no champion, or it was made for other features or another failure rule.
    """
    from features.assets import build_point, feature_set
    from features.freshness import freshness
    from ml.stored import read

    cutoff = _past(workspace, as_of or workspace.last_cutoff())
    policy = workspace.config.section("policy", PolicyConfig)
    stored = registry.load("risk")
    model = read(stored.files)
    snapshot = workspace.pin()
    data = freshness(snapshot, cutoff)
    meanings = feature_set(snapshot, keep=model.uses)
    _refuse_other(model, meanings, workspace, stored.version)
    say(f"Scoring at {cutoff:%Y-%m-%d %H:%M} UTC with risk version {stored.version}")
    features = build_point(snapshot, cutoff, keep=model.uses).to_pandas()
    if features.empty:
        raise DataError(f"no asset was in service at {cutoff:%Y-%m-%d %H:%M} UTC", where="assets")
    run = ScoringRun(
        as_of=cutoff, data_as_of=data.known_at, data_committed_at=data.committed_at, data_versions=snapshot.versions,
        model_version=f"risk/{stored.version}", calibration_status=_calibration(model),
        feature_fingerprint=meanings.fingerprint, policy=policy,
        horizons=model.config.horizons_days, decision_days=model.config.decision_days, base_rate=_base_rate(model),
        rul_reason=model.rul.reason,
    )  # fmt: skip
    scored = settle(engine, run, answer(model, features, meanings), workspace.config.workspace.id, now=workspace.now())
    told = (*_stale(data, cutoff), *placeholders(workspace.config), *_outdated(model, snapshot), *stored.notes(cutoff))
    return replace(scored, notes=told)


def answer(model: RiskModel, features: pd.DataFrame, meanings: FeatureSet) -> pd.DataFrame:
    """What the model says of every asset.

    Returns
    -------
    pandas.DataFrame
        One row per asset: ``asset_id, asset_model, region, failure_mode``; ``p_{h}d`` for every horizon;
        ``reasons, explanation`` (:mod:`serving.explaining`), ``basis`` (:mod:`ml.basis`), ``health`` (:mod:`ml.health`)
        and ``rul_days``.
    """
    import pandas as pd

    from ml.basis import basis

    said = model.answers(features)
    answered = said.probabilities.copy()
    why = explained(model, features, meanings)
    each = [why.get(asset, Explained()) for asset in answered["asset_id"]]
    answered["asset_model"] = features.get("asset_asset_model")
    answered["region"] = features.get("asset_region")
    answered["reasons"] = pd.Series([one.reasons for one in each], dtype=object)
    answered["explanation"] = pd.Series([one.explanation for one in each], dtype=object)
    answered["basis"] = basis(features, meanings.features, model.layout.categories if model.hazards else {})
    answered["health"] = grades(answered[f"p_{model.config.decision_days:g}d"], _base_rate(model))
    answered["rul_days"] = said.remaining if model.rul.estimable else math.nan
    return answered


def settle(
    engine: Engine, run: ScoringRun, answered: pd.DataFrame, workspace_id: str, *, now: datetime | None = None
) -> Scored:
    """Decide and write: scores, episodes and proposals stand together or not at all.

    The writer's turn is taken before open work is read, so that two jobs at once cannot propose the
    same asset, nor spend the same crew. A night before one that has been scored gets scores and no
    proposals: what was spent and opened later cannot be undone.

    Parameters
    ----------
    now
        The workspace's clock, by which proposals of a past cut-off may have expired at once; the
        cut-off by default.
    """
    with writing(engine) as connection:
        if run_is_stored(connection, run.run_id):
            return Scored(run, len(answered), {}, repeated=True)
        end_expired(connection, run.as_of, run.policy)
        held = held_assets(connection, run.as_of)
        if nights_after(connection, run.as_of):
            held = dict.fromkeys(map(str, answered["asset_id"]), "later_night")
        crews = run.policy.capacity_per_run - proposals_made(connection, run.as_of)
        decided = propose(answered, run.policy, horizons=_first_two(run.horizons), held=held, capacity=crews)
        scored = answered.assign(**decided.drop(columns="asset_id"))
        at = datetime.now(UTC)
        save_scores(connection, run, scored, at=at)
        save_proposals(connection, run, workspace_id, scored[scored["decision"] == PROPOSED].sort_values("rank"))
        end_expired(connection, max(now or run.as_of, run.as_of), run.policy)
        decisions = {str(name): int(count) for name, count in scored["decision"].value_counts().items()}
        note(connection, at, "score", "run.scored", run.run_id, decisions=decisions)
    health, bases = _counts(scored, "health"), _counts(scored, "basis")
    return Scored(run, len(scored), decisions, _best(scored, held), health=health, bases=bases)


def _counts(scored: pd.DataFrame, name: str) -> dict[str, int]:
    if name not in scored:
        return {}
    return {str(value): int(count) for value, count in scored[name].value_counts().sort_index().items()}


def _best(scored: pd.DataFrame, held: Mapping[str, str]) -> float | None:
    free = scored.loc[~scored["asset_id"].isin(list(held)), "value"]
    return float(free.max()) if len(free) else None


def _past(workspace: Workspace, cutoff: datetime) -> datetime:
    if cutoff > workspace.now():
        raise DataError(
            f"{cutoff:%Y-%m-%d %H:%M} UTC has not come yet", where="--as-of",
            expected=f"at most the workspace's clock, {workspace.now():%Y-%m-%d %H:%M} UTC",
        )  # fmt: skip
    return cutoff.astimezone(UTC)


def _refuse_other(model: RiskModel, meanings: FeatureSet, workspace: Workspace, version: str) -> None:
    """Stop where the model would answer for what it was not trained on."""
    changed = model.unlike(meanings, workspace.config.failure_rule.fingerprint() if workspace.config.failures else "")
    if changed:
        raise ModelError(
            changed, where=f"risk version {version}", expected="what it was trained on",
            todo="Train again with `foremend train risk`, or take the change in foremend.toml back",
        )  # fmt: skip


def _stale(data: Freshness, cutoff: datetime) -> Iterator[str]:
    """A note where the scores rest on old data: nobody would see it in the figures."""
    if data.stale_at(cutoff):
        yield (
            f"the newest row known by this cut-off is of {data.known_at:%Y-%m-%d %H:%M} UTC, "
            f"{(cutoff - data.known_at).days:,} days before it: risks and proposals rest on old data. Run `foremend "
            "ingest` and check that the sources still deliver, or name the day that you mean with --as-of"
        )


def _outdated(model: RiskModel, snapshot: Snapshot) -> Iterator[str]:
    """A note for every source whose rows were replaced after the model was trained: its scores rest on the old ones."""
    from features.ingest.commits import stale_since

    if model.definitions is None:
        yield (
            "an older foremend stored this model without what its features were: whether they or its sources changed "
            "since cannot be told; train again with `foremend train risk`"
        )
    for name, at in model.outdated(stale_since(snapshot)).items():
        yield (
            f"the source '{name}' was rebuilt at {at:%Y-%m-%d %H:%M} UTC, after this model was trained on its old "
            "rows: train again with `foremend train risk`"
        )


def _calibration(model: RiskModel) -> str:
    """``calibrated`` on a later slice, ``as_fitted`` where that would not have helped, or ``baseline``."""
    if not model.hazards:
        return "baseline"
    lined = any((hazard.slope, hazard.intercept) != (1.0, 0.0) for hazard in model.hazards)
    return "calibrated" if lined else "as_fitted"


def _first_two(horizons: tuple[float, ...]) -> tuple[float, float]:
    return horizons[0], horizons[min(1, len(horizons) - 1)]


def _base_rate(model: RiskModel) -> float | None:
    """Share of the training rows that failed within the horizon that decides; None where the model did not keep it."""
    return model.base_rates.get(f"{model.config.decision_days:g}")
