"""Why a probability is what it is: the hazard that carries most of it, feature by feature.

The probability within H is made of one hazard per failure mode and interval. The one that carries
the largest part of it is explained, calibration included: what is explained is the very hazard
that stands inside the probability served, and how large its part is stands beside.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml.risk import RiskModel
from ml.stacking import MODE

__all__ = ["COLUMNS", "explain"]

COLUMNS: tuple[str, ...] = (
    "asset_id", "as_of", "rank", "feature", "value", "contribution", "failure_mode", "from_days", "to_days", "share",
)  # fmt: skip

BASE = "base"
"""The name of what is not a feature: where the log-odds of a mode start."""

Numbers = NDArray[np.float64]
Places = NDArray[np.intp]


def explain(
    model: RiskModel, features: pd.DataFrame, *, horizon_days: float | None = None, top: int = 5
) -> pd.DataFrame:
    """The strongest reasons of every row.

    Parameters
    ----------
    horizon_days
        H; one of the model's horizons, by default the one that decides.
    top
        Reasons per row.

    Returns
    -------
    pandas.DataFrame
        `top` rows per row of `features`, strongest first: ``asset_id``, ``as_of``, ``rank``;
        ``feature`` and its ``value`` (number or text; None where missing); ``contribution`` in
        log-odds against the base; and the hazard that is explained: ``failure_mode``,
        ``from_days``, ``to_days``, and ``share``, the part of P(H) that it carries, in (0, 1].
        No rows from a model that is only the baseline: it has nothing but a clock.
    """
    if not model.hazards or features.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    horizon = model.config.decision_days if horizon_days is None else horizon_days
    mode, interval, share = _heaviest(model, features, horizon)
    parts = []
    for m, k in sorted(set(zip(mode.tolist(), interval.tolist(), strict=True))):
        mine = (mode == m) & (interval == k)
        parts.append(_reasons(model, features[mine], m, k, top).assign(share=share[mine].repeat(_width(model, m, top))))
    return pd.concat(parts, ignore_index=True).sort_values(["as_of", "asset_id", "rank"], ignore_index=True)


def contributions(model: RiskModel, features: pd.DataFrame, mode: int, interval: int) -> tuple[list[str], Numbers]:
    """What every feature adds to the log-odds of one hazard, for every row.

    A feature that stands in the matrix under its own name and as the mode's *own* is one feature:
    its two parts are summed. What the mode itself adds belongs to the base: it is no reason.

    Returns
    -------
    list of str, numpy.ndarray
        Features, with ``base`` last, and an array of shape (rows, features + 1); its rows sum to
        the log-odds of the calibrated hazard.
    """
    layout = model.layout
    matrix = layout.matrix(features).reshape(len(layout.modes), len(features), -1)[mode]
    parts = model.hazards[interval].contributions(np.ascontiguousarray(matrix), model.config.threads)
    names = [*_features(model, mode), BASE]
    distinct = [*dict.fromkeys(name for name in names if name != BASE), BASE]
    summed = np.zeros((len(features), len(distinct)))
    for place, name in enumerate(names):
        summed[:, distinct.index(name)] += parts[:, place]
    return distinct, summed


def _features(model: RiskModel, mode: int) -> list[str]:
    """What each column of the matrix says of a mode: a feature, or the base where it names the mode."""
    layout = model.layout
    sources = [layout.source(column, layout.modes[mode]) or column for column in layout.columns]
    return [BASE if column == MODE else source for column, source in zip(layout.columns, sources, strict=True)]


def _heaviest(
    model: RiskModel, features: pd.DataFrame, horizon_days: float
) -> tuple[NDArray[np.intp], NDArray[np.intp], Numbers]:
    """Mode and interval of the hazard that carries most of P(H) in each row, and its part.

    Parts are measured in −log(1 − hazard), which adds up over modes and intervals.
    """
    spans = model.config.edges_days.index(horizon_days)
    burden = -np.log1p(-model.hazard(features)[:, :, :spans])
    flat = burden.reshape(len(features), -1)
    mode, interval = np.unravel_index(flat.argmax(axis=1), burden.shape[1:])
    return mode, interval, flat.max(axis=1) / flat.sum(axis=1)


def _reasons(model: RiskModel, features: pd.DataFrame, mode: int, interval: int, top: int) -> pd.DataFrame:
    names, parts = contributions(model, features, mode, interval)
    order = np.argsort(-np.abs(parts[:, :-1]), axis=1, kind="stable")[:, :top]
    rows, taken = np.arange(len(features)).repeat(order.shape[1]), order.ravel()
    chosen = [names[place] for place in taken]
    values = [_value(features, int(row), name) for row, name in zip(rows, chosen, strict=True)]
    return pd.DataFrame(
        {
            "asset_id": features["asset_id"].to_numpy()[rows],
            "as_of": features["as_of"].array[rows],
            "rank": np.tile(np.arange(1, order.shape[1] + 1), len(features)),
            "feature": chosen,
            "value": pd.Series(values, dtype=object),
            "contribution": parts[rows, taken],
            "failure_mode": model.layout.modes[mode],
            "from_days": model.config.edges_days[interval],
            "to_days": model.config.edges_days[interval + 1],
        }
    )


def _width(model: RiskModel, mode: int, top: int) -> int:
    """Reasons per row: `top`, or all features where there are fewer."""
    return min(top, len({*_features(model, mode)} - {BASE}))


def _value(features: pd.DataFrame, row: int, name: str) -> object:
    value: object = features[name].iloc[row] if name in features.columns else None
    return None if value is None or value != value else value  # noqa: PLR0124 - NaN, whatever its type
