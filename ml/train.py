"""The recipe: tables → cut-offs → features → labels → split → fit → judge once → register.

Training walks the same road as tonight's scoring, with another spine (many past cut-offs) and
labels beside. The model that is registered is the one that was judged: it is not fitted again on
the test window, so the figures printed are the figures of what serves.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from features.ingest.commits import stale_since
from features.workspace import Snapshot, Workspace
from ml.answers import Answers
from ml.audit import Audit, audit
from ml.backtest import Backtest, as_data, backtest
from ml.card import CARD, expiry, model_card
from ml.champion import examine, settle
from ml.choice import Choice, choose
from ml.gates import Judgement, Verdict, misses
from ml.material import ANY, Material, gather
from ml.policy import PolicyConfig, placeholders
from ml.quality import flat
from ml.registry import Registry, Run
from ml.risk import RiskConfig, RiskModel
from ml.risk_report import RiskPage, artifacts
from ml.stored import write
from ml.tuning import tune

__all__ = ["MODEL", "TrainingReport", "audit_leaks", "backtest_risk", "train_risk"]

MODEL = "risk"
"""Name of the registered model."""

CHANCE = 0.5
"""ROC AUC of a ranking by lot."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class TrainingReport:
    """What a training found.

    Attributes
    ----------
    verdict
        Why it has its alias.
    gates
        What every gate said.
    kind
        What serves: ``blend``, ``trees``, ``logistic`` or ``baseline``.
    tested
        The model on the last window, beside its baseline; see :mod:`ml.backtest`.
    audited
        What the leak audit looked at.
    notes
        What a reader must know: fallbacks, thinning, features left out.
    """

    version: str
    run_id: str
    alias: str
    verdict: str
    gates: Mapping[str, Verdict]
    kind: str
    features: int
    tested: Backtest
    audited: Audit
    notes: tuple[str, ...]
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data: the backtest's, and what became of the model."""
        own = {
            name: getattr(self, name)
            for name in ("version", "run_id", "alias", "verdict", "kind", "features", "seconds")
        }
        own |= {"gates": {name: asdict(one) for name, one in self.gates.items()}}
        return as_data(self.tested) | own | {"notes": list(self.notes), "audit": asdict(self.audited)}


def train_risk(
    workspace: Workspace, *, tuned: bool = False, promote: bool = False, reason: str = "", by: str = "",
    mlflow_uri: str = "", say: Say = lambda _line: None,
) -> TrainingReport:  # fmt: skip
    """Train, judge and register the failure-risk model of a workspace.

    Parameters
    ----------
    tuned
        Search ``[risk.trees]`` on inner splits of the training slice first (:mod:`ml.tuning`).
    promote
        Make the new version champion whatever the gates say.
    reason
        Why it is promoted, for the history.
    by
        Who trains; the operating system's user by default.
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
    registry = Registry(workspace.mlflow, mlflow_uri)
    snapshot, material = _gather(workspace, say)
    with ThreadPoolExecutor(1) as beside:  # MLflow needs seconds to wake up; a store that fails is told before the fit
        prepared = beside.submit(registry.prepare, MODEL)
        audited = audit(snapshot, material, say)
        prepared.result()
    audited.require()
    material = tune(material, say) if tuned else material
    model, said, tested, notes = _learn_and_judge(snapshot, material, say)
    say("Registering in MLflow")
    judged = examine(registry, MODEL, snapshot, model, said, tested, material, audited)
    pictures = artifacts(RiskPage.of(workspace, tested, audited, notes))
    stored = registry.log(MODEL, _run(snapshot, material, tested, judged, notes, pictures), write(model))
    change = settle(registry, MODEL, stored.version, judged, by_hand=reason if promote else None, by=by)
    return TrainingReport(
        version=stored.version, run_id=stored.run_id, alias=change.alias, verdict=change.reason, gates=judged.verdicts,
        kind=model.kind,
        features=material.grid.shape[1] - 2, tested=tested, audited=audited, notes=notes,
        seconds=time.monotonic() - started,
    )  # fmt: skip


def backtest_risk(
    workspace: Workspace, *, tuned: bool = False, say: Say = lambda _line: None
) -> tuple[Backtest, Audit, tuple[str, ...]]:
    """Train and judge as :func:`train_risk` does, and register nothing; with the audit, and what a reader must know."""
    snapshot, material = _gather(workspace, say)
    audited = audit(snapshot, material, say)
    _, _, tested, notes = _learn_and_judge(snapshot, tune(material, say) if tuned else material, say)
    return tested, audited, notes


def audit_leaks(workspace: Workspace, *, say: Say = lambda _line: None) -> Audit:
    """Audit what a training would learn from."""
    return audit(*_gather(workspace, say), say)


def _gather(workspace: Workspace, say: Say) -> tuple[Snapshot, Material]:
    snapshot = workspace.pin()
    return snapshot, gather(snapshot, workspace.config.section("risk", RiskConfig), say)


def _learn_and_judge(
    snapshot: Snapshot, material: Material, say: Say
) -> tuple[RiskModel, Answers, Backtest, tuple[str, ...]]:
    """The model that serves, what it says of the test rows, how good that is, and what a reader of its figures must know."""
    say(f"Fitting on {len(material.rows['train']):,} rows with {material.taught():,} failures")
    config = snapshot.workspace.config
    choice = choose(material, rebuilt=stale_since(snapshot), failure_rule=config.failure_rule.fingerprint())
    say(f"Judging on {len(material.rows['test']):,} later rows")
    said = choice.model.answers(material.rows["test"])
    tested = backtest(choice.model, material, config.section("policy", PolicyConfig), choice.beside, said)
    return choice.model, said, tested, (*_notes(choice, material, tested), *placeholders(config))


def _run(
    snapshot: Snapshot, material: Material, tested: Backtest, judged: Judgement, notes: tuple[str, ...],
    pictures: Mapping[str, bytes],
) -> Run:  # fmt: skip
    workspace, fingerprint = snapshot.workspace.config, material.fingerprint()
    parameters = {f"risk.{name}": value for name, value in asdict(material.config).items()}
    parameters |= {f"split.{name}": value for name, value in material.split.as_dict().items()}
    parameters |= {
        "tables": snapshot.versions,
        "failure_rule": workspace.failure_rule.version,
        "modes": ", ".join(material.modes),
        "feature_set": material.feature_set.fingerprint,
        "data_fingerprint": fingerprint,
        **{f"rows.{name}": len(rows) for name, rows in material.rows.items()},
    }
    return Run(
        parameters,
        flat((*tested.qualities, *tested.components)),
        {"verdict": judged.reason, "workspace": workspace.workspace.id} | judged.tags(),
        {CARD: model_card(snapshot, material, tested, judged, notes, fingerprint).encode(), **pictures},
        expiry(material),
        tuple(_caveats(tested, material)),
    )


def _notes(choice: Choice, material: Material, tested: Backtest) -> Iterator[str]:
    """What a reader of the figures must know."""
    layout = choice.model.layout
    features, every = material.grid.shape[1] - 2, material.split.every_days
    unused = features - len(layout.numbers) - len(layout.categories)
    yield from choice.notes
    if material.modes == (ANY,):
        yield "too few failures of any two modes: all failures are one mode"
    if unused > 0:
        yield f"{unused} of {features} features are constant or missing throughout training and were left out"
    if every > 1 and not material.config.every_days:
        yield f"cut-offs every {every} days keep the grid near [risk] max_rows"
    if (material.weight > 1).any():
        yield f"{len(material.weight):,} training rows stand for {material.weight.sum():,.0f}: rows before failures were kept first"
    yield from _caveats(tested, material)
    if material.grid["asset_id"].nunique() == 1:
        yield "a single asset: what it teaches holds for no other"


def _caveats(tested: Backtest, material: Material) -> Iterator[str]:
    """What everybody who uses its scores must know: horizons whose probabilities miss, or hardly rank."""
    for days in material.config.horizons_days:
        quality = tested.quality("model", days)
        ranked = quality.intervals.get("roc_auc")
        if misses(quality):
            times = f"{quality.observed_over_expected:.2f}"
            yield f"within {days:g} d {times} times as many failed as it says: its probabilities of that horizon miss"
        if ranked and ranked.low <= CHANCE:
            yield (
                f"within {days:g} d it may rank no better than chance: ROC AUC {quality.roc_auc:.2f}, 95 % {ranked.low:.2f} "
                f"to {ranked.high:.2f}, on its test window"
            )
