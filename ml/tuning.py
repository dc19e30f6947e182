"""Hyper-parameters of the trees by inner splits: the training slice alone, never a later one.

Twice the training slice is cut in time: fit on its first half (then three quarters), judge on the quarter
that follows, labels as they were known at each cut. The form with the smallest mean log loss at the decision
horizon is taken. By asset, a third of the training assets judges instead, in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from features.labels import Labels, label
from ml import metrics
from ml.material import Material
from ml.risk import RiskModel, Slice
from ml.trees import TreeConfig

__all__ = ["CANDIDATES", "Tuned", "tune"]

CANDIDATES: tuple[TreeConfig, ...] = (
    TreeConfig(),
    TreeConfig(rounds=200, learning_rate=0.03),
    TreeConfig(rounds=300, learning_rate=0.05),
    TreeConfig(leaves=4, rounds=150),
    TreeConfig(leaves=15, rounds=100, learning_rate=0.05),
    TreeConfig(min_leaf=50),
    TreeConfig(min_leaf=400),
    TreeConfig(l2=20.0, feature_fraction=0.6),
)
"""From careful to bold, the default first: it is kept where nothing is better."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Tuned:
    """What the search found.

    Attributes
    ----------
    losses
        Mean log loss at the decision horizon of every candidate.
    """

    trees: TreeConfig
    losses: tuple[float, ...]


def tune(material: Material, say: Say) -> Tuned:
    """Search the candidates; the default where no inner split holds a failure to judge by."""
    splits = list(_inner(material))
    losses = []
    for number, trees in enumerate(CANDIDATES, 1):
        losses.append(float(np.mean([_loss(material, trees, *split) for split in splits])) if splits else np.nan)
        say(f"Tuning: form {number} of {len(CANDIDATES)}, log loss {losses[-1]:.5f}")
    best = int(np.nanargmin(losses)) if not np.isnan(losses).all() else 0
    return Tuned(CANDIDATES[best], tuple(losses))


def _loss(material: Material, trees: TreeConfig, taught: Slice, rows: pd.DataFrame, labels: Labels) -> float:
    config = replace(material.config, trees=trees)
    model = RiskModel.fit(taught, modes=material.modes, config=config, feature_set=material.feature_set)
    place = labels.horizons_days.index(config.decision_days)
    known = labels.known[:, place]
    p = model.probabilities(rows)[f"p_{config.decision_days:g}d"].to_numpy()[known]
    return metrics.log_loss(labels.failed[known, place], p)


def _inner(material: Material) -> Iterator[tuple[Slice, pd.DataFrame, Labels]]:
    """Inner training slices, each with rows to judge on and what happened after them."""
    rows, (first, end) = material.rows["train"], material.split.ends("train")
    for part in range(2):
        if material.split.owners:
            judges = rows["asset_id"].map(sorted(rows["asset_id"].unique()).index) % 3 == part
            taught, judged, seen, until = rows[~judges], rows[judges], end, end
        else:
            seen, until = (first + (end - first) * share for share in (0.5 + part / 4, 0.75 + part / 4))
            taught = rows[rows["as_of"] < seen]
            judged = rows[(rows["as_of"] >= seen) & (rows["as_of"] < until)]
        lesson, labels = _label(material, taught, seen), _label(material, judged, until)
        place = labels.horizons_days.index(material.config.decision_days)
        if lesson.event.any() and labels.failed[:, place].any():
            yield (
                Slice(taught.reset_index(drop=True), lesson.at_risk, lesson.event),
                judged.reset_index(drop=True),
                labels,
            )


def _label(material: Material, rows: pd.DataFrame, until: pd.Timestamp) -> Labels:
    config = material.config
    return label(
        rows, material.failures, modes=material.modes, until=until, censored=material.censored,
        edges_days=config.edges_days, horizons_days=config.horizons_days,
    )  # fmt: skip
