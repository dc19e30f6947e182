"""The risk model: how likely does an asset fail within each horizon, by which mode, and why.

Discrete-time hazards, stacked by failure mode: trees or a line per interval on rows
(asset, cut-off, mode) at risk at its start. Survival is multiplied up over the intervals, and
over the modes: ``P(any within H) = 1 − Π over modes (1 − P(mode within H))``. So probabilities
cannot fall as the horizon grows, whatever was learnt, and whatever calibration did.

With few failures the model is its own baseline: a Weibull on age (:mod:`ml.baseline`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as checked

from features.point_in_time import FeatureSet
from ml.answers import Answers
from ml.baseline import AGE, Weibull, fit_weibulls, weibull_hazards
from ml.hazard import Blend, Hazard, Later, Learner, Lesson, calibrate, fit_hazards
from ml.logistic import Linear
from ml.prior import Prior
from ml.remaining import Rul
from ml.stacking import Layout
from ml.trees import TreeConfig, Trees

__all__ = ["RiskConfig", "RiskModel", "Slice", "lessons"]

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]

_Positive = Annotated[float, Field(gt=0)]


@checked(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class RiskConfig:
    """``[risk]`` of ``foremend.toml``.

    Attributes
    ----------
    horizons_days
        Horizons H of the probabilities; each must be an edge.
    edges_days
        Bounds of the hazard's intervals, rising from 0.
    groups
        Feature groups that it learns from, the house's and your own; all where none is named.
    protocol
        How the past is divided (:mod:`ml.protocol`): ``by_time``, or ``by_asset`` for assets that each ran to their
        end on a clock of their own.
    split_by, test_rows
        By asset: the attribute of an asset that says ``train``, ``calibrate`` or ``test`` (by hash without it), and
        whether a test asset is judged at ``all`` of its rows or at its ``last``.
    decision_days
        The horizon whose leading failure mode names the ticket, and that judges a challenger.
    start
        First cut-off; by default the first after which everything was being recorded.
    train_until
        End of the view of the training rows. Without it and `calibrate_until` the past is divided
        by shares. A day without a time means its cut-off.
    calibrate_until
        End of the view of the calibration rows, and first cut-off of the test window.
    observed_until
        To when the record of failures is complete; by default as :func:`features.labels.data_end` says.
    every_days
        Days between cut-offs; 0 chooses so many that the whole grid has at most `max_rows` rows.
    max_rows
        Rows (asset, cut-off) that `every_days = 0` allows.
    max_modes, min_mode_failures
        Failure modes told apart: the most frequent, with so many failures; the rest is ``other``.
    min_failures
        Failures in training below which only the baseline is fitted.
    capacities
        K of recall at capacity.
    owner
        Who answers for the model, for its card; by default the workspace's name.
    expires_days
        How long after the last data that it was judged on a model may be relied on.
    threads, seed
        Intervals fitted side by side, each by one thread of LightGBM; and its seed. The same rows,
        configuration and seed give the same bytes, whatever the threads.
    trees
        ``[risk.trees]``: hyper-parameters; the defaults go by the number of failures, ``--tune`` searches.
    """

    horizons_days: tuple[_Positive, ...] = (1, 7, 14, 30)
    edges_days: tuple[float, ...] = (0, 1, 3, 7, 14, 30)
    decision_days: float = 7
    groups: tuple[str, ...] = ()
    protocol: Literal["by_time", "by_asset"] = "by_time"
    split_by: str = ""
    test_rows: Literal["all", "last"] = "all"
    start: datetime | date | None = None
    train_until: datetime | date | None = None
    calibrate_until: datetime | date | None = None
    observed_until: datetime | date | None = None
    every_days: Annotated[int, Field(ge=0)] = 0
    max_rows: Annotated[int, Field(ge=1_000)] = 30_000
    max_modes: Annotated[int, Field(ge=1)] = 8
    min_mode_failures: Annotated[int, Field(ge=1)] = 10
    min_failures: Annotated[int, Field(ge=1)] = 20
    capacities: tuple[Annotated[int, Field(ge=1)], ...] = (1, 2, 5)
    threads: Annotated[int, Field(ge=1)] = 2
    seed: int = 1
    trees: TreeConfig = field(default_factory=TreeConfig)
    owner: str = ""
    expires_days: _Positive = 180

    def __post_init__(self) -> None:
        edges, horizons = self.edges_days, self.horizons_days
        if len(edges) < 2 or edges[0] != 0 or list(edges) != sorted(set(edges)):
            raise ValueError(f"edges_days = {list(edges)} must rise from 0")
        if not horizons or list(horizons) != sorted(set(horizons)) or not set(horizons) <= set(edges[1:]):
            raise ValueError(f"horizons_days = {list(horizons)} must rise and be edges ({list(edges[1:])})")
        if self.decision_days not in horizons:
            raise ValueError(f"decision_days = {self.decision_days:g} is not one of the horizons {list(horizons)}")


@dataclass(frozen=True)
class Slice:
    """Rows to learn from, in order of time.

    Attributes
    ----------
    features
        One row per (``asset_id``, ``as_of``).
    at_risk, event
        Shape (rows, modes, intervals), as :mod:`features.labels` defines them.
    weight
        How many rows each stands for, shape (rows,); None where each is one.
    """

    features: pd.DataFrame
    at_risk: Flags
    event: Flags
    weight: Numbers | None = None


@dataclass(frozen=True)
class RiskModel:
    """A fitted model: what is stored (:mod:`ml.stored`), what serves, and what is explained (:mod:`ml.reasons`).

    Attributes
    ----------
    hazards
        One per interval; empty where the baseline alone stands.
    learner
        What the hazards were fitted by.
    baseline
        One Weibull per mode.
    feature_set
        Fingerprint of the feature set that it was trained on; empty where it has none.
    trained_until
        End of the view of its training rows, ISO 8601.
    rebuilt
        Sources that had been rebuilt when it was trained, and when for the last time (UTC); None where
        that is not known.
    definitions
        Fingerprints of its features and of the baseline's clocks, by name; None where they are not known.
    failure_rule
        Fingerprint of the rule that said what it learnt to foresee; empty where that is not known.
    rul
        Whether remaining life may be said; see :mod:`ml.remaining`.
    base_rates
        Share of the training rows that failed within a horizon, by its days (``7``): the measure of a high risk.
    prior
        What answers for assets of which nothing is recorded, where training met none such; None where features say
        nothing of themselves.
    """

    config: RiskConfig
    layout: Layout
    hazards: tuple[Hazard, ...]
    baseline: tuple[Weibull, ...]
    learner: Learner = "trees"
    feature_set: str = ""
    trained_until: str = ""
    rebuilt: Mapping[str, datetime] | None = None
    definitions: Mapping[str, str] | None = None
    failure_rule: str = ""
    base_rates: Mapping[str, float] = field(default_factory=dict)
    rul: Rul = field(default_factory=lambda: Rul(False, "it was not judged", 0.0))
    prior: Prior | None = None

    @classmethod
    def fit(
        cls,
        train: Slice,
        *,
        modes: Sequence[str],
        config: RiskConfig,
        learner: Learner = "trees",
        calibration: Slice | None = None,
        clocks: Mapping[str, str] | None = None,
        feature_set: FeatureSet | None = None,
        trained_until: str = "",
    ) -> RiskModel:
        """Fit baseline and hazards, then calibrate on a later slice.

        Parameters
        ----------
        modes
            The failure modes, second axis of the slices' flags.
        clocks
            Mode → the feature that is its clock in the baseline; none by default.
        feature_set
            What the features say of themselves: which belong to which mode.
        """
        soon = np.asarray(train.event[:, :, : config.edges_days.index(config.decision_days)].any(axis=2))
        layout = Layout.of(train.features, modes, feature_set.features if feature_set else (), soon, train.weight)
        baseline = fit_weibulls(
            train.features, train.at_risk, train.event,
            clocks=clocks or dict.fromkeys(modes, ""), edges_days=config.edges_days, weight=train.weight,
        )  # fmt: skip
        model = cls(config, layout, (), baseline, trained_until=trained_until)
        if feature_set is not None:
            read = {*layout.numbers, *layout.categories, *(weibull.clock for weibull in baseline), AGE}
            model = replace(
                model, feature_set=feature_set.fingerprint,
                definitions={f.name: f.fingerprint for f in feature_set.features if f.name in read},
                prior=Prior.of(train.features, train.at_risk, train.event, feature_set.features, train.weight),
            )  # fmt: skip
        return model.taught(learner, train, calibration)

    def taught(self, learner: Learner, train: Slice, calibration: Slice | None = None) -> RiskModel:
        """The same model with hazards that another learner fitted on the same rows."""
        hazards = _fit_hazards(train, self.layout, self.config, learner)
        return self._calibrated(hazards, learner, calibration)

    def _calibrated(self, hazards: tuple[Hazard, ...], learner: Learner, calibration: Slice | None) -> RiskModel:
        if hazards and calibration is not None and len(calibration.features):
            hazards = _calibrate(hazards, calibration, self.layout, self.config)
        return replace(self, hazards=hazards, learner=learner)

    def blended(self, other: RiskModel, calibration: Slice) -> RiskModel:
        """The mean of this line's log-odds and those of another's trees, calibrated anew."""
        hazards = tuple(
            Hazard(Blend(line.scorer, trees.scorer))
            if isinstance(line.scorer, Linear) and isinstance(trees.scorer, Trees)
            else Hazard(trees.scorer)
            for line, trees in zip(self.hazards, other.hazards, strict=True)
        )
        return other._calibrated(hazards, "blend", calibration)

    def uncalibrated(self) -> RiskModel:
        """The same without its Platt lines."""
        return replace(self, hazards=tuple(Hazard(hazard.scorer) for hazard in self.hazards))

    @property
    def kind(self) -> str:
        """``logistic``, ``trees`` or ``blend``; ``baseline`` where too few failures or no feature could teach more."""
        return self.learner if self.hazards else "baseline"

    def outdated(self, rebuilt: Mapping[str, datetime]) -> dict[str, datetime]:
        """Sources whose rows were replaced since: it was trained on the old ones.

        Parameters
        ----------
        rebuilt
            As :func:`features.ingest.commits.stale_since` gives them now. The instants are compared
            as marks, not with a clock: a training may pin its tables while a rebuild is under way.
        """
        if self.rebuilt is None:
            return {}
        return {name: at for name, at in rebuilt.items() if self.rebuilt.get(name) != at}

    @property
    def uses(self) -> frozenset[str]:
        """The features that its answers rest on."""
        if self.hazards:
            return frozenset({*self.layout.numbers, *self.layout.categories})
        return frozenset({*(weibull.clock for weibull in self.baseline), AGE})

    def unlike(self, feature_set: FeatureSet, failure_rule: str) -> str:
        """What changed since it was trained, so that its answers would be of something else; empty where nothing did.

        Features that it does not rest on may come, go and change.

        Parameters
        ----------
        feature_set, failure_rule
            What the features are now, and the fingerprint of the rule in force.
        """
        if self.failure_rule not in {"", failure_rule}:
            return "the failure rule is not the one that it was trained on"
        now = {feature.name: feature.fingerprint for feature in feature_set.features}
        uses = self.uses
        then = {name: fingerprint for name, fingerprint in (self.definitions or {}).items() if name in uses}
        changed = [name for name in then if now.get(name) != then[name]]
        if not changed:
            return ""
        what = "defined otherwise now" if changed[0] in now else "gone"
        return (
            f"{len(changed)} of the {len(then)} features that it rests on changed: the first, {changed[0]}, is {what}"
        )

    def answers(self, features: pd.DataFrame) -> Answers:
        """What it says of every row of `features`.

        Raises
        ------
        ModelError
            A feature is missing.
        """
        return self._answers(features, self.hazard(features))

    def baseline_answers(self, features: pd.DataFrame) -> Answers:
        """The same from the age-only baseline."""
        return self._answers(features, weibull_hazards(self.baseline, features, self.config.edges_days))

    def probabilities(self, features: pd.DataFrame) -> pd.DataFrame:
        """Probability of a failure within each horizon: see :attr:`ml.answers.Answers.probabilities`."""
        return self.answers(features).probabilities

    def hazard(self, features: pd.DataFrame) -> Numbers:
        """Calibrated hazards, those of :attr:`prior` where it applies: shape (rows, modes, intervals)."""
        if not self.hazards:
            return weibull_hazards(self.baseline, features, self.config.edges_days)
        matrix, modes = self.layout.matrix(features), len(self.layout.modes)
        columns = [h.probability(matrix, self.config.threads).reshape(modes, -1).T for h in self.hazards]
        hazards = np.stack(columns, axis=2)
        return self.prior.instead(features, hazards) if self.prior else hazards

    def _answers(self, features: pd.DataFrame, hazards: Numbers) -> Answers:
        keys, asked = features[["asset_id", "as_of"]].reset_index(drop=True), self.config
        return Answers(keys, hazards, self.layout.modes, asked.edges_days, asked.horizons_days, asked.decision_days)


def _fit_hazards(train: Slice, layout: Layout, config: RiskConfig, learner: Learner) -> tuple[Hazard, ...]:
    taught = lessons(train, layout, config)
    if max(lesson.events for lesson in taught) < config.min_failures or not layout.columns:
        return ()
    matrix = layout.matrix(train.features, learning=True)
    return fit_hazards(
        matrix, taught, learner=learner, categorical=layout.categorical, threads=config.threads, seed=config.seed,
        trees=config.trees,
    )  # fmt: skip


def lessons(train: Slice, layout: Layout, config: RiskConfig) -> list[Lesson]:
    """What each interval learns from: places in the stacked matrix, and what happened there."""
    step, widths = _step_days(train.features), np.diff(np.asarray(config.edges_days))
    # Daily rows see one failure as often as the interval has days: so many failures are told apart.
    counts = np.ones(len(train.features)) if train.weight is None else train.weight
    distinct = np.tensordot(counts, train.event, axes=1).sum(axis=0) * np.minimum(1.0, step / widths)
    found = []
    for k, events in enumerate(distinct.tolist()):
        rows, event = _interval(train, k)
        taken = np.flatnonzero(rows & np.tile(_thinned(train.features, widths[k] / 8), len(layout.modes)))
        weight = None if train.weight is None else np.tile(train.weight, len(layout.modes))[taken]
        found.append(Lesson(taken, event[taken], events, weight))
    return found


def _thinned(features: pd.DataFrame, days: float) -> Flags:
    """Rows whose cut-offs lie at least so many days apart.

    Windows of neighbouring cut-offs overlap almost wholly where the interval is wide: eight looks at
    a failure teach what sixteen do, at half the cost.
    """
    instants = np.sort(features["as_of"].unique())
    every = max(1, int(days / _step_days(features)))
    return np.asarray(features["as_of"].isin(instants[::every]))


def _first_half(rows: pd.DataFrame, config: RiskConfig) -> Flags:
    """Half of the rows: the earlier ones; by asset, where all begin at once, those of every other asset."""
    if config.protocol == "by_asset":
        return np.asarray(pd.factorize(rows["asset_id"], sort=True)[0] % 2 == 0)
    as_of = rows["as_of"]
    return np.asarray(as_of < as_of.min() + (as_of.max() - as_of.min()) / 2)


def _calibrate(hazards: tuple[Hazard, ...], later: Slice, layout: Layout, config: RiskConfig) -> tuple[Hazard, ...]:
    matrix = layout.matrix(later.features)
    early = np.tile(_first_half(later.features, config), len(layout.modes))
    slices = []
    for k, hazard in enumerate(hazards):
        rows, event = _interval(later, k)
        slices.append(Later(hazard.raw(matrix[rows], config.threads), event[rows], early[rows]))
    return calibrate(hazards, slices)


def _interval(rows: Slice, k: int) -> tuple[Flags, Flags]:
    """At risk and event of interval `k`, stacked mode by mode like :meth:`Layout.matrix`."""
    return rows.at_risk[:, :, k].T.ravel(), rows.event[:, :, k].T.ravel()


def _step_days(features: pd.DataFrame) -> float:
    """Days between the cut-offs."""
    instants = np.sort(features["as_of"].unique())
    return float(np.diff(instants).min() / np.timedelta64(1, "D")) if len(instants) > 1 else 1.0
