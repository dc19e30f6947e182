"""Stored scores: what a run saw, what it answered, and the pages that requests read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, RowMapping, Select, func, insert, select

from ml.policy import PolicyConfig
from serving.store.digests import digest
from serving.store.tables import probabilities, scores, scoring_runs

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ScoringRun",
    "horizons_of",
    "newest_run",
    "probabilities_of",
    "run_is_stored",
    "save_scores",
    "scoring_run",
    "select_scores",
]


@dataclass(frozen=True)
class ScoringRun:
    """Everything that decides a night's scores; whoever has it can compute them again.

    Attributes
    ----------
    as_of
        The cut-off: only rows known before it were used.
    data_as_of
        When the newest row that was used became known.
    data_committed_at
        When the newest row of these versions was committed.
    data_versions
        Delta version by table.
    model_version
        Name and version in the registry.
    calibration_status
        Whether, and on what, the probabilities were calibrated.
    feature_fingerprint
        Of the feature set.
    policy
        The ticket policy, whole.
    horizons
        In days, ascending.
    decision_days, base_rate
        The horizon that is graded, and the share of the training rows that failed within it; None where it is not known.
    rul_reason
        Why remaining life is not told; empty where it is.
    """

    as_of: datetime
    data_as_of: datetime
    data_committed_at: datetime
    data_versions: Mapping[str, int]
    model_version: str
    calibration_status: str
    feature_fingerprint: str
    policy: PolicyConfig
    horizons: tuple[float, ...]
    decision_days: float | None = None
    base_rate: float | None = None
    rul_reason: str | None = None

    @property
    def run_id(self) -> str:
        """The same for the same cut-off, data, features, model and policy."""
        as_of = self.as_of.astimezone(UTC).isoformat()
        return digest(
            as_of, dict(self.data_versions), self.model_version, self.feature_fingerprint, asdict(self.policy)
        )


def run_is_stored(connection: Connection, run_id: str) -> bool:
    """True where a run with the same inputs has been committed."""
    return connection.scalar(select(scoring_runs.c.run_id).where(scoring_runs.c.run_id == run_id)) is not None


def save_scores(connection: Connection, run: ScoringRun, scored: pd.DataFrame, *, at: datetime) -> None:
    """Write a run with its scores; the caller's transaction commits them together with the proposals.

    Parameters
    ----------
    scored
        One row per asset: ``asset_id, asset_model, region, failure_mode, value, decision, reasons``, and where they
        are known ``explanation, basis, health, rul_days``; and ``p_{h}d`` for every horizon of the run.
    at
        When it was scored, by the real clock.
    """
    values = {
        "run_id": run.run_id, "as_of": run.as_of, "scored_at": at, "data_as_of": run.data_as_of,
        "data_committed_at": run.data_committed_at, "data_versions": dict(run.data_versions),
        "model_version": run.model_version, "calibration_status": run.calibration_status,
        "feature_fingerprint": run.feature_fingerprint, "policy_fingerprint": digest(asdict(run.policy)),
        "policy": asdict(run.policy), "assets": len(scored), "decision_days": run.decision_days,
        "base_rate": run.base_rate, "rul_reason": run.rul_reason,
    }  # fmt: skip
    connection.execute(insert(scoring_runs).values(values))
    rows = records(scored, [c.name for c in scores.c if c.name != "run_id"])
    if not rows:
        return
    connection.execute(insert(scores), [{"run_id": run.run_id, **row} for row in rows])
    for horizon in run.horizons:
        chances = zip(scored["asset_id"], scored[f"p_{horizon:g}d"], strict=True)
        connection.execute(
            insert(probabilities),
            [
                {"run_id": run.run_id, "asset_id": asset, "horizon_days": horizon, "probability": float(p)}
                for asset, p in chances
            ],
        )


def newest_run(connection: Connection) -> RowMapping | None:
    """The run with the latest cut-off, and of these the one scored last; None before the first."""
    order = (scoring_runs.c.as_of.desc(), scoring_runs.c.scored_at.desc())
    return connection.execute(select(scoring_runs).order_by(*order).limit(1)).mappings().first()


def scoring_run(connection: Connection, run_id: str) -> RowMapping | None:
    """The run with this id, as a row of ``scoring_runs``; None where there is none."""
    return connection.execute(select(scoring_runs).where(scoring_runs.c.run_id == run_id)).mappings().first()


def horizons_of(connection: Connection, run_id: str) -> tuple[float, ...]:
    """The horizons of a run, in days, ascending; every asset has them all, so the first one is asked."""
    first = select(func.min(scores.c.asset_id)).where(scores.c.run_id == run_id).scalar_subquery()
    query = select(probabilities.c.horizon_days).where(
        probabilities.c.run_id == run_id, probabilities.c.asset_id == first
    )
    return tuple(sorted(connection.scalars(query)))


def select_scores(run_id: str, horizon_days: float) -> Select[Any]:
    """The scores of a run beside the probability within one horizon: one row per asset."""
    same = (probabilities.c.run_id == scores.c.run_id) & (probabilities.c.asset_id == scores.c.asset_id)
    joined = scores.join(probabilities, same)
    return (
        select(*scores.c, probabilities.c.horizon_days, probabilities.c.probability)
        .select_from(joined)
        .where(probabilities.c.run_id == run_id, probabilities.c.horizon_days == horizon_days)
    )


def probabilities_of(connection: Connection, run_id: str, assets: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Every horizon's probability of some assets: asset → ``[{horizon_days, probability}]``, ascending."""
    query = (
        select(probabilities.c.asset_id, probabilities.c.horizon_days, probabilities.c.probability)
        .where(probabilities.c.run_id == run_id, probabilities.c.asset_id.in_(assets))
        .order_by(probabilities.c.horizon_days)
    )
    found: dict[str, list[dict[str, Any]]] = {asset: [] for asset in assets}
    for asset, horizon, probability in connection.execute(query):
        found[asset].append({"horizon_days": horizon, "probability": probability})
    return found


def records(frame: pd.DataFrame, columns: Sequence[str]) -> list[dict[str, Any]]:
    """The frame's rows as the database takes them: plain Python values, null for what is missing."""
    kept = frame.reindex(columns=list(columns)).astype(object)
    kept = kept.where(kept.notna(), None)
    return [{str(name): value for name, value in row.items()} for row in kept.to_dict("records")]
