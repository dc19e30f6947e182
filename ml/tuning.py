"""Hyper-parameters of the trees by inner splits: the training slice alone, never a later one.

Twice the training slice is cut in time: fit on its first half (then three quarters), judge on the quarter
that follows, labels as they were known at each cut. The form with the smallest mean log loss at the decision
horizon is taken. By asset, a third of the training assets judges instead, in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from datetime import datetime

import numpy as np
import pandas as pd

from features.labels import Labels, label
from ml.material import Material
from ml.risk import RiskModel, Slice
from ml.trees import TreeConfig

__all__ = ["CANDIDATES", "tune"]

CANDIDATES: tuple[TreeConfig, ...] = (
    TreeConfig(),
    TreeConfig(rounds=200, learning_rate=0.03),
    TreeConfig(rounds=300, learning_rate=0.05),
    TreeConfig(leaves=4, rounds=150),
    TreeConfig(leaves=15, rounds=100, learning_rate=0.05),
    TreeConfig(min_leaf=20),
    TreeConfig(min_leaf=200, l2=1.0),
    TreeConfig(l2=20.0, feature_fraction=0.6),
)
"""Asked after the form that stands in foremend.toml, which is kept where nothing is better."""

Say = Callable[[str], None]


def tune(material: Material, say: Say) -> Material:
    """The material with the candidate that lost least; as it was where no inner split holds a failure to judge by."""
    splits = list(_inner(material))
    if not splits:
        say("Tuning: no inner split of the training slice holds a failure to judge by; [risk.trees] stays")
        return material
    losses = []
    candidates = tuple(dict.fromkeys((material.config.trees, *CANDIDATES)))
    for number, trees in enumerate(candidates, 1):
        losses.append(float(np.mean([_loss(material, trees, *split) for split in splits])))
        say(f"Tuning {number} of {len(candidates)}: log loss {losses[-1]:.5f} with {_said(trees)}")
    best = candidates[int(np.argmin(losses))]
    say(f"Tuned: {_said(best)}. Write it under [risk.trees] to keep it.")
    return replace(material, config=replace(material.config, trees=best))


def _said(trees: TreeConfig) -> str:
    """What differs from the defaults, as foremend.toml writes it."""
    return (
        ", ".join(f"{name} = {value}" for name, value in asdict(trees).items() if value != getattr(TreeConfig(), name))
        or "the defaults"
    )


def _loss(material: Material, trees: TreeConfig, taught: Slice, judged: Slice, labels: Labels) -> float:
    config = replace(material.config, trees=trees)
    model = RiskModel.fit(taught, modes=material.modes, config=config, feature_set=material.feature_set)
    place = labels.horizons_days.index(config.decision_days)
    known = labels.known[:, place]
    p = model.probabilities(judged.features)[f"p_{config.decision_days:g}d"].to_numpy()[known]
    outcome = labels.failed[known, place]
    weight = np.ones(len(known)) if judged.weight is None else judged.weight
    return float(np.average(-np.where(outcome, np.log(p), np.log1p(-p)), weights=weight[known]))


def _inner(material: Material) -> Iterator[tuple[Slice, Slice, Labels]]:
    """Inner training slices, each with rows to judge on and what happened after them; rows keep what they stand for."""
    rows, (first, end) = material.rows["train"], material.split.ends("train")
    for part in range(2):
        if material.split.owners:
            judges = pd.Series(pd.factorize(rows["asset_id"], sort=True)[0] % 3 == part)
            taught, judged, seen, until = ~judges, judges, end, end
        else:
            seen, until = (first + (end - first) * share for share in (0.5 + part / 4, 0.75 + part / 4))
            taught, judged = rows["as_of"] < seen, (rows["as_of"] >= seen) & (rows["as_of"] < until)
        (lesson, _), (test, labels) = _slice(material, taught, seen), _slice(material, judged, until)
        place = labels.horizons_days.index(material.config.decision_days)
        if lesson.event.any() and labels.failed[:, place].any():
            yield lesson, test, labels


def _slice(material: Material, chosen: pd.Series[bool], until: datetime) -> tuple[Slice, Labels]:
    config, rows = material.config, material.rows["train"][chosen].reset_index(drop=True)
    labels = label(
        rows, material.failures, modes=material.modes, until=until, censored=material.censored,
        edges_days=config.edges_days, horizons_days=config.horizons_days,
    )  # fmt: skip
    return Slice(rows, labels.at_risk, labels.event, material.weight[chosen.to_numpy()]), labels
