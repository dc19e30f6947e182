"""Which model serves: the simplest that no other surely beats.

Age alone, a line over all features, boosted trees and the mean of the last two are fitted on the same rows. In that
order each takes the place of the one before only where it surely loses less on the calibration slice: where the
95 % interval of the log loss that it saves, by bootstrap over assets, lies above 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from features.point_in_time import FeatureSet
from ml.baseline import AGE, SERVICED
from ml.hazard import Learner, lined
from ml.intervals import Interval, difference
from ml.material import Material
from ml.remaining import Rul, days_left, learnable
from ml.risk import RiskModel, Slice
from ml.stacking import about

__all__ = ["LEARNERS", "Choice", "choose"]

Numbers = NDArray[np.float64]

LEARNERS: tuple[Learner, ...] = ("logistic", "trees", "blend")
"""From the simpler to the less simple."""


@dataclass(frozen=True)
class Choice:
    """The model that serves, and those that were fitted beside it.

    Attributes
    ----------
    beside
        Learners that do not serve, by name; the baseline is part of every model.
    notes
        Why a simpler one serves, if it does.
    """

    model: RiskModel
    beside: Mapping[str, RiskModel]
    notes: tuple[str, ...]


def choose(material: Material, *, rebuilt: Mapping[str, datetime], failure_rule: str) -> Choice:
    """Fit every learner on the training slice, calibrate it, and choose on the calibration slice.

    Parameters
    ----------
    rebuilt, failure_rule
        As :class:`ml.risk.RiskModel` keeps them.
    """
    fitted = _fit_all(material, rebuilt, failure_rule)
    age = replace(fitted["trees"], hazards=())
    if not fitted["trees"].hazards:
        note = f"{material.taught()} failures in training teach no more than the age-only baseline, which serves alone"
        return Choice(replace(age, rul=_rul(age, material)), {}, (note,))
    chosen, simpler, notes = age, _comparable(age, material), []
    for learner, model in fitted.items():
        ours = _comparable(model, material)
        gained = _gained(ours, simpler, material)
        if gained.low > 0:  # 0 where none failed, NaN of a single asset: the simpler one
            chosen, simpler = model, ours
        else:
            notes.append(_why_not(learner, chosen, gained))
    chosen = replace(chosen, rul=_rul(chosen, material))
    beside: dict[str, RiskModel] = {name: model for name, model in fitted.items() if name != chosen.kind}
    return Choice(chosen, beside, tuple(notes))


def _fit_all(material: Material, rebuilt: Mapping[str, datetime], failure_rule: str) -> dict[Learner, RiskModel]:
    later = material.slice("calibrate")
    trees = replace(_fit(material, later), rebuilt=rebuilt, failure_rule=failure_rule, base_rates=_base_rates(material))
    line = trees.taught("logistic", material.slice("train"), later)
    return {"logistic": line, "trees": trees, "blend": line.blended(trees, later)}


def _why_not(learner: Learner, chosen: RiskModel, gained: Interval) -> str:
    serves = "age alone" if chosen.kind == "baseline" else chosen.kind
    return (
        f"on the calibration slice {learner} moves the log loss of {serves} by {-gained.high:+.4f} to {-gained.low:+.4f} "
        f"(95 %; less is better), not surely down: the simpler one, {serves}, is kept"
    )


def _comparable(model: RiskModel, material: Material) -> Numbers:
    """What a model says on the calibration slice within every horizon, each on the Platt line that fits these rows best.

    Lines of the hazards were fitted on these very rows too, and age has none: so all are without, and then each has
    the same two parameters. What is compared is how rows are told apart, not a level that calibration mends.

    Returns
    -------
    numpy.ndarray
        Of the horizons one after the other: the rows whose window was seen.
    """
    rows, labels = material.rows["calibrate"], material.labels["calibrate"]
    within = model.uncalibrated().answers(rows).within
    seen = zip(within.T, labels.failed.T, labels.known.T, strict=True)
    return np.concatenate([lined(p[known], failed[known]) for p, failed, known in seen])


def _gained(ours: Numbers, theirs: Numbers, material: Material) -> Interval:
    """Log loss that one saves against the other on the calibration slice, over all horizons."""
    labels, assets = material.labels["calibrate"], material.rows["calibrate"]["asset_id"].to_numpy(dtype=object)
    known = labels.known.T.ravel()
    failed = labels.failed.T.ravel()[known]
    return difference("log_loss", failed, theirs, ours, np.tile(assets, len(labels.horizons_days))[known])


def _rul(model: RiskModel, material: Material) -> Rul:
    rows, labels, config = material.rows["calibrate"], material.labels["calibrate"], material.config
    limit, seen = config.horizons_days[-1], labels.known[:, -1]
    left = days_left(rows, material.failures, limit)
    return learnable(
        model.answers(rows).remaining[seen], left[seen], rows.loc[seen, "asset_id"].tolist(),
        limit_days=limit, beyond_days=config.decision_days,
    )  # fmt: skip


def _fit(material: Material, calibration: Slice) -> RiskModel:
    return RiskModel.fit(
        material.slice("train"),
        modes=material.modes,
        config=material.config,
        calibration=calibration,
        clocks={mode: _clock(material.feature_set, mode) for mode in material.modes},
        feature_set=material.feature_set,
        trained_until=material.split.train_until.isoformat(),
    )


def _base_rates(material: Material) -> dict[str, float]:
    """Share of the training rows that failed within each horizon, by its days; none where no window was seen."""
    labels = material.labels["train"]
    seen = dict(zip(labels.horizons_days, zip(labels.known.T, labels.failed.T, strict=True), strict=True))
    return {
        f"{days:g}": float(np.average(failed[known], weights=material.weight[known]))
        for days, (known, failed) in seen.items()
        if known.any()
    }


def _clock(told: FeatureSet, mode: str) -> str:
    """A mode's clock for the baseline: its component's last service, else the asset's age, else none."""
    serviced = about([f for f in told.features if f.family == SERVICED], mode)
    if serviced:
        return serviced.name
    return AGE if AGE in told.names else ""
