"""``foremend bench risk``: the risk model beside bare LightGBM on the same matrices.

Bare is what somebody would write who had the stacked matrix already: one dataset and one training for
each interval, by the very parameters, then one prediction for each. What ours does besides (the age-only
baseline, stacking, binning once, combining intervals and modes to probabilities that are coherent) is the
overhead. Repeats are interleaved, so that a busy machine is busy for both; medians are compared.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml.risk import RiskConfig, RiskModel, Slice, lessons
from ml.stacking import Matrix
from ml.trees import BINNING, boosting

__all__ = ["RiskRace", "race"]

MODES = ("bearing", "seal", "motor", "valve")
EDGES = (0.0, 1.0, 3.0, 7.0, 14.0, 30.0)

Say = Callable[[str], None]
T = TypeVar("T")


@dataclass(frozen=True)
class RiskRace:
    """Medians of interleaved repeats, in seconds.

    Attributes
    ----------
    rows, features, scored
        Training rows (asset, cut-off), features, and assets that were scored.
    """

    rows: int
    features: int
    scored: int
    train_ours: float
    train_bare: float
    score_ours: float
    score_bare: float


def race(*, assets: int = 100, days: int = 365, features: int = 100, scored: int = 10_000, repeats: int = 3,
         say: Say = lambda _: None) -> RiskRace:  # fmt: skip
    """Train and score both ways, `repeats` times in turn."""
    train, tonight = _slice(assets, days, features, seed=1), _features(scored, 1, features, seed=2)
    config = RiskConfig(edges_days=EDGES, horizons_days=EDGES[1:])
    seconds: dict[str, list[float]] = {name: [] for name in ("train_ours", "train_bare", "score_ours", "score_bare")}
    for turn in range(repeats):
        say(f"turn {turn + 1} of {repeats}")
        model = _timed(seconds["train_ours"], partial(RiskModel.fit, train, modes=MODES, config=config))
        _timed(seconds["score_ours"], partial(model.probabilities, tonight))
        matrix, asked = model.layout.matrix(train.features), model.layout.matrix(tonight)
        boosters = _timed(seconds["train_bare"], partial(_bare, matrix, train, model))
        _timed(seconds["score_bare"], partial(_predict, boosters, asked, config.threads))
    return RiskRace(len(train.features), features, scored, *(statistics.median(taken) for taken in seconds.values()))


def _timed(seconds: list[float], work: Callable[[], T]) -> T:
    started = time.perf_counter()
    answer = work()
    seconds.append(time.perf_counter() - started)
    return answer


def _bare(matrix: Matrix, train: Slice, model: RiskModel) -> list[Any]:
    import lightgbm

    fitted = []
    for lesson in lessons(train, model.layout, model.config):
        trees, parameters = boosting(lesson.events, len(lesson.rows), seed=model.config.seed, config=model.config.trees)
        threaded = {**parameters, "num_threads": model.config.threads}
        data = lightgbm.Dataset(
            matrix[lesson.rows], lesson.event, categorical_feature=model.layout.categorical,
            params={**BINNING, "num_threads": model.config.threads},
        )  # fmt: skip
        fitted.append(lightgbm.train(threaded, data, trees))
    return fitted


def _predict(boosters: list[Any], matrix: Matrix, threads: int) -> list[Any]:
    return [booster.predict(matrix, num_threads=threads) for booster in boosters]


def _slice(assets: int, days: int, features: int, *, seed: int) -> Slice:
    """Rows whose hazard hangs on the first two features, by mode more or less."""
    frame = _features(assets, days, features, seed=seed)
    rng = np.random.default_rng(seed)
    pull = frame["f0"].to_numpy()[:, None] * np.linspace(0.5, 1.5, len(MODES)) + 0.5 * frame["f1"].to_numpy()[:, None]
    hazard = np.clip(0.002 * np.exp(pull), 0, 0.5)[:, :, None] * np.diff(EDGES)
    event = rng.random(hazard.shape) < hazard
    reached: NDArray[np.bool_] = np.cumsum(event, axis=2) - event == 0
    return Slice(frame, reached, event & reached)


def _features(assets: int, days: int, features: int, *, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    at = pd.date_range("2025-01-01", periods=days, tz="UTC")
    values = pd.DataFrame(rng.normal(size=(assets * days, features)), columns=[f"f{i}" for i in range(features)])
    values.insert(0, "as_of", np.repeat(at.array, assets))
    values.insert(0, "asset_id", np.tile([f"A-{i}" for i in range(assets)], days))
    return values
