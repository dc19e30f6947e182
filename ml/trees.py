"""Boosted trees as the log-odds of a hazard: LightGBM, small trees where failures are few."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as checked

from ml.stacking import Matrix

if TYPE_CHECKING:
    import lightgbm

__all__ = ["Binned", "TreeConfig", "Trees", "boosting"]

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Trees:
    """Fitted trees, as LightGBM writes them: what serves is what is stored."""

    text: str

    @cached_property
    def booster(self) -> lightgbm.Booster:
        """The model, read from its text."""
        import lightgbm

        return lightgbm.Booster(model_str=self.text)

    def raw(self, matrix: Matrix, threads: int) -> Numbers:
        """Log-odds, shape (rows,)."""
        return np.asarray(self.booster.predict(matrix, raw_score=True, num_threads=threads), dtype=float)

    def contributions(self, matrix: Matrix, threads: int) -> Numbers:
        """What each column adds (TreeSHAP), shape (rows, columns + 1); the last column is the base."""
        return np.asarray(self.booster.predict(matrix, pred_contrib=True, num_threads=threads), dtype=float)


@checked(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class TreeConfig:
    """``[risk.trees]`` of ``foremend.toml``: what the number of failures need not decide.

    Attributes
    ----------
    rounds, leaves, learning_rate
        Trees, leaves of each, and how much of each is kept; by number of failures where they are 0.
    min_leaf
        Fewest rows of a leaf; a fiftieth of the rows, 20 to 50, where it is 0.
    l2, feature_fraction
        Ridge on leaves, and the share of the features that a tree sees.
    """

    rounds: Annotated[int, Field(ge=0)] = 0
    leaves: Annotated[int, Field(ge=0)] = 0
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.07
    min_leaf: Annotated[int, Field(ge=0)] = 0
    l2: Annotated[float, Field(ge=0)] = 5.0
    feature_fraction: Annotated[float, Field(gt=0, le=1)] = 0.3


def boosting(events: float, rows: int, *, seed: int, config: TreeConfig) -> tuple[int, dict[str, Any]]:
    """Trees and parameters by the number of distinct failures that an interval can teach from.

    Small trees where failures are few (``docs/decisions/0008``). Leaves of at least 50 rows with a ridge of 5 rank
    as leaves of 200 with a ridge of 1 do (azure-pdm .620 and .622, demo fleet .69 and .68 of the oracle), and
    promise no longer too little (demo fleet: observed / expected 1.02 instead of 1.13). Compared before that
    on the calibration slices only, average precision within 7 days, azure-pdm and demo fleet (one seed):

    =============================== ===== =====
    as below                        .629  .191
    150 trees at rate .05           .626  .193
    every tree sees all features    .628  .185
    100 trees at rate .1            .614  .180
    as below, 15 leaves             .616  .165
    =============================== ===== =====

    So a slow rate and small trees help; that a tree sees three features of ten makes no difference
    beyond the noise, and is for speed (by column: by row, every tree would count all features). The
    larger form from 2,000 failures on is a guess: no set here has so many. One thread per fit:
    where cores are shared, threads that wait for each other at every split cost more than they
    save (354 s with two, 80 s with one, on two cores under load).
    """
    leaves, rounds = (7, 100) if events < 2_000 else (15, 200)
    return config.rounds or rounds, {
        **BINNING, "objective": "binary", "num_leaves": config.leaves or leaves, "learning_rate": config.learning_rate,
        "lambda_l2": config.l2, "min_data_in_leaf": config.min_leaf or int(min(50, max(20, rows // 50))),
        "cat_smooth": 10.0, "feature_fraction": config.feature_fraction,
        "seed": seed, "deterministic": True, "force_col_wise": True, "num_threads": 1,
    }  # fmt: skip


BINNING: Mapping[str, Any] = MappingProxyType({"max_bin": 255, "feature_pre_filter": False, "verbosity": -1})
"""How columns are cut into bins: once for all intervals."""


class Binned:
    """A matrix cut into bins once, for the trees of all intervals."""

    def __init__(
        self, matrix: Matrix, *, categorical: Sequence[int], threads: int, seed: int, config: TreeConfig
    ) -> None:
        import lightgbm

        self._seed, self._config = seed, config
        self._data = lightgbm.Dataset(
            matrix, np.zeros(len(matrix)), categorical_feature=list(categorical),
            params={**BINNING, "num_threads": threads},
        )  # fmt: skip
        self._data.construct()

    def fit(self, rows: NDArray[np.intp], event: Flags, events: float, weight: Numbers | None = None) -> Trees:
        """Trees over some of the rows; `events` distinct failures are among them, each row stands for `weight`."""
        import lightgbm

        rounds, parameters = boosting(events, len(event), seed=self._seed, config=self._config)
        data = self._data.subset(rows.tolist(), params=parameters).construct()
        data.set_label(event.astype(np.float32))
        data.set_weight(weight)
        return Trees(lightgbm.train(parameters, data, rounds).model_to_string())
