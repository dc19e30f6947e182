"""The recipe: tables → cut-offs → features → labels → split → fit → judge once → register.

Training walks the same road as tonight's scoring, with another spine (many past cut-offs) and
labels beside. The model that is registered is the one that was judged: it is not fitted again on
the test window, so the figures printed are the figures of what serves.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd

from features.errors import ModelError
from features.ingest.commits import stale_since
from features.point_in_time import FeatureSet
from features.workspace import Snapshot, Workspace
from ml.baseline import AGE, SERVICED
from ml.gates import Verdict, not_worse
from ml.material import ANY, Material, gather
from ml.protocol import Split
from ml.quality import Quality, flat, judge
from ml.registry import CHALLENGER, CHAMPION, Registry, Run
from ml.risk import RiskConfig, RiskModel
from ml.stacking import about
from ml.stored import read, write

__all__ = ["MODEL", "TrainingReport", "train_risk"]

MODEL = "risk"
"""Name of the registered model."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class TrainingReport:
    """What a training found.

    Attributes
    ----------
    kind
        ``hazard``, or ``baseline`` where too little could be learnt.
    qualities
        The model, then the age-only baseline, at every horizon of the test window.
    rows
        Rows (asset, cut-off) per slice.
    failures
        Failures inside the training slice.
    notes
        What a reader must know: fallbacks, thinning, features left out.
    """

    version: str
    run_id: str
    alias: str
    verdict: str
    kind: str
    modes: tuple[str, ...]
    split: Split
    rows: Mapping[str, int]
    failures: int
    features: int
    qualities: tuple[Quality, ...]
    notes: tuple[str, ...]
    seconds: float

    def quality(self, model: str, horizon_days: float) -> Quality:
        """Figures of ``model`` (``model`` or ``baseline``) at a horizon; KeyError where there are none."""
        for quality in self.qualities:
            if quality.model == model and quality.horizon_days == horizon_days:
                return quality
        raise KeyError((model, horizon_days))

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data; a figure that is not defined is null."""
        plain: dict[str, Any] = _nulled(asdict(self))
        return plain


def train_risk(
    workspace: Workspace, *, promote: bool = False, mlflow_uri: str = "", say: Say = lambda _line: None
) -> TrainingReport:
    """Train, judge and register the failure-risk model of a workspace.

    Parameters
    ----------
    promote
        Make the new version champion whatever the gate says.
    mlflow_uri
        An MLflow server; the workspace's own store by default.
    say
        Takes one line of progress.

    Raises
    ------
    ConfigError
        ``[risk]`` or the failure rule holds something that cannot be meant.
    DataError
        No failure, no asset, or too little history for the longest horizon.
    Fault
        MLflow's store cannot be reached or written.
    """
    started = time.monotonic()
    config = workspace.config.section("risk", RiskConfig)
    snapshot = workspace.pin()
    material = gather(snapshot, config, say)
    say(f"Fitting on {len(material.rows['train']):,} rows with {material.taught():,} failures")
    rule = workspace.config.failure_rule.fingerprint()
    model = replace(_fit(material), rebuilt=stale_since(snapshot), failure_rule=rule)
    say(f"Judging on {len(material.rows['test']):,} later rows")
    qualities = (
        *_judge("model", model.probabilities(material.rows["test"]), material),
        *_judge("baseline", model.baseline_probabilities(material.rows["test"]), material),
    )
    say("Registering in MLflow")
    registry = Registry(workspace.mlflow, mlflow_uri)
    verdict = Verdict(True, "promoted by hand") if promote else _verdict(registry, model, qualities, material)
    stored = registry.log(MODEL, _run(snapshot, material, qualities, verdict), write(model))
    alias = CHAMPION if verdict.passed else CHALLENGER
    registry.alias(MODEL, alias, stored.version)
    return TrainingReport(
        version=stored.version, run_id=stored.run_id, alias=alias, verdict=verdict.reason, kind=model.kind,
        modes=material.modes, split=material.split, rows={name: len(rows) for name, rows in material.rows.items()},
        failures=material.taught(), features=material.grid.shape[1] - 2, qualities=qualities,
        notes=tuple(_notes(model, material)), seconds=time.monotonic() - started,
    )  # fmt: skip


def _fit(material: Material) -> RiskModel:
    train = material.slice("train")
    return RiskModel.fit(
        train,
        modes=material.modes,
        config=material.config,
        calibration=material.slice("calibrate"),
        clocks={mode: _clock(material.feature_set, mode) for mode in material.modes},
        feature_set=material.feature_set,
        trained_until=material.split.train_until.isoformat(),
    )


def _clock(told: FeatureSet, mode: str) -> str:
    """A mode's clock for the baseline: its component's last service, else the asset's age, else none."""
    serviced = about([f for f in told.features if f.family == SERVICED], mode)
    if serviced:
        return serviced.name
    return AGE if AGE in told.names else ""


def _judge(name: str, probabilities: pd.DataFrame, material: Material) -> tuple[Quality, ...]:
    return judge(name, probabilities, material.labels["test"], material.failures, material.config.capacities)


def _verdict(registry: Registry, model: RiskModel, qualities: tuple[Quality, ...], material: Material) -> Verdict:
    """Champion or challenger: a champion that can serve keeps its place until it is matched on the very same rows."""
    if not registry.has(MODEL):
        return Verdict(True, "the first version")
    try:
        champion = read(registry.load(MODEL).files)
        if gone := champion.outdated(model.rebuilt or {}):
            return Verdict(True, f"the champion was trained on rows of {', '.join(gone)} that were replaced since")
        if changed := champion.unlike(material.feature_set, model.failure_rule):
            return Verdict(True, f"the champion serves no more: {changed}")
        place = list(material.config.horizons_days).index(material.config.decision_days)
        return _matched(champion, qualities[place], material)
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


def _run(snapshot: Snapshot, material: Material, qualities: tuple[Quality, ...], verdict: Verdict) -> Run:
    workspace = snapshot.workspace.config
    parameters = {f"risk.{name}": value for name, value in asdict(material.config).items()}
    parameters |= {f"split.{name}": value for name, value in asdict(material.split).items()}
    parameters |= {
        "tables": snapshot.versions,
        "failure_rule": workspace.failure_rule.version,
        "modes": ", ".join(material.modes),
        "feature_set": material.feature_set.fingerprint,
        "data_fingerprint": material.fingerprint(),
        **{f"rows.{name}": len(rows) for name, rows in material.rows.items()},
    }
    return Run(parameters, flat(qualities), {"verdict": verdict.reason, "workspace": workspace.workspace.id})


def _notes(model: RiskModel, material: Material) -> list[str]:
    """What a reader of the figures must know."""
    features, every = material.grid.shape[1] - 2, material.split.every_days
    unused = features - len(model.layout.numbers) - len(model.layout.categories)
    facts = (
        (model.kind == "baseline",
         f"{material.taught()} failures in training teach no more than the age-only baseline, which serves alone"),
        (material.modes == (ANY,), "too few failures of any two modes: all failures are one mode"),
        (unused > 0, f"{unused} of {features} features are constant or missing throughout training and were left out"),
        (every > 1, f"cut-offs every {every} days keep the grid within [risk] max_rows"),
        (material.grid["asset_id"].nunique() == 1, "a single asset: what it teaches holds for no other"),
    )  # fmt: skip
    return [text for holds, text in facts if holds]


def _nulled(data: Any) -> Any:
    """The same data with every NaN as None: JSON has no word for it."""
    if isinstance(data, dict):
        return {key: _nulled(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_nulled(value) for value in data]
    return None if isinstance(data, float) and math.isnan(data) else data
