"""Episodes and proposals: the stretch of work on an asset, and the ticket that was proposed for it.

An episode opens with its proposal and holds the asset: nothing else is proposed for it until the
episode has ended and the cool-down is over. All clocks are the workspace's.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Select, func, insert, or_, select, update

from ml.policy import PROPOSED, PolicyConfig
from serving.store.digests import digest
from serving.store.scores import ScoringRun, records
from serving.store.tables import episodes, proposals, scores, scoring_runs

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "STATES",
    "end_expired",
    "external_key",
    "held_assets",
    "nights_after",
    "proposals_made",
    "save_proposals",
    "select_proposals",
]

STATES = (PROPOSED, "expired")
"""The states of a proposal."""

AUTOMATION = "shadow"
"""Proposals are listed and nothing is sent."""


def external_key(workspace_id: str, asset_id: str, failure_mode: str, first_as_of: datetime) -> str:
    """The key under which an episode is known outside.

    The same after a re-run or a restored backup: it is never made from scores or model versions.
    """
    return "fm-" + digest(workspace_id, asset_id, failure_mode, first_as_of.astimezone(UTC).isoformat())


def end_expired(connection: Connection, as_of: datetime, policy: PolicyConfig) -> int:
    """End the episodes whose proposal nobody took in time; returns how many."""
    life, rest = timedelta(days=policy.expires_days), timedelta(days=policy.cool_down_days)
    due = select(episodes.c.external_key, episodes.c.opened_as_of).where(
        episodes.c.ended_at.is_(None), episodes.c.opened_as_of <= as_of - life
    )
    ended = connection.execute(due).all()
    for key, opened in ended:
        end = {"ended_at": opened + life, "cool_until": opened + life + rest, "end_reason": "expired"}
        connection.execute(update(episodes).where(episodes.c.external_key == key).values(end))
        connection.execute(update(proposals).where(proposals.c.external_key == key).values(state="expired"))
    return len(ended)


def held_assets(connection: Connection, as_of: datetime) -> dict[str, str]:
    """Assets that may get no second visit, with the policy's reason: ``open_episode`` or ``cooling_down``."""
    query = select(episodes.c.asset_id, episodes.c.ended_at).where(
        or_(episodes.c.ended_at.is_(None), episodes.c.ended_at > as_of, episodes.c.cool_until > as_of)
    )
    held: dict[str, str] = {}
    for asset, ended_at in connection.execute(query):
        still_open = ended_at is None or ended_at > as_of
        if still_open or asset not in held:
            held[asset] = "open_episode" if still_open else "cooling_down"
    return held


def nights_after(connection: Connection, as_of: datetime) -> bool:
    """True where a later cut-off has been scored: its crews and its episodes are spent, whatever an earlier one says."""
    later = select(scoring_runs.c.run_id).where(scoring_runs.c.as_of > as_of).limit(1)
    return connection.scalar(later) is not None


def proposals_made(connection: Connection, as_of: datetime) -> int:
    """How many visits this cut-off has spent already: a re-run on newer data has only the rest of the crews."""
    return connection.scalar(select(func.count()).select_from(proposals).where(proposals.c.as_of == as_of)) or 0


def save_proposals(connection: Connection, run: ScoringRun, workspace_id: str, chosen: pd.DataFrame) -> None:
    """Open an episode and write its proposal for every row of `chosen`.

    Parameters
    ----------
    chosen
        One row per proposal: ``asset_id, asset_model, region, failure_mode, rank, value, probability,
        horizon_days, reasons`` and ``p_{h}d`` for every horizon of the run.
    """
    for row in records(chosen, list(chosen.columns)):
        key = external_key(workspace_id, row["asset_id"], row["failure_mode"], run.as_of)
        opened = {"asset_id": row["asset_id"], "failure_mode": row["failure_mode"], "opened_as_of": run.as_of}
        connection.execute(insert(episodes).values(external_key=key, **opened))
        chances = [{"horizon_days": h, "probability": row[f"p_{h:g}d"]} for h in run.horizons]
        named = {c.name: row[c.name] for c in proposals.c if c.name in row}
        connection.execute(
            insert(proposals).values(
                named | {"external_key": key, "run_id": run.run_id, "as_of": run.as_of, "probabilities": chances,
                         "state": PROPOSED, "automation": AUTOMATION}
            )
        )  # fmt: skip


def list_proposals(connection: Connection, states: Sequence[str] = (), run_id: str = "") -> list[dict[str, Any]]:
    """Proposals in these states (all by default) and of this run (any by default), newest and most valuable first."""
    query = select_proposals().order_by(proposals.c.as_of.desc(), proposals.c.rank, proposals.c.external_key)
    if states:
        query = query.where(proposals.c.state.in_(states))
    if run_id:
        query = query.where(proposals.c.run_id == run_id)
    return [dict(row) for row in connection.execute(query).mappings()]


def select_proposals() -> Select[Any]:
    """Proposals beside the run and the score that made them: one row per proposal."""
    of_run = (
        "scored_at",
        "data_as_of",
        "model_version",
        "calibration_status",
        "decision_days",
        "base_rate",
        "rul_reason",
    )
    of_score = ("explanation", "basis", "health", "rul_days")
    same = (proposals.c.run_id == scores.c.run_id) & (proposals.c.asset_id == scores.c.asset_id)
    joined = proposals.join(scoring_runs, proposals.c.run_id == scoring_runs.c.run_id).outerjoin(scores, same)
    kept = [*(scoring_runs.c[name] for name in of_run), *(scores.c[name] for name in of_score)]
    return select(*proposals.c, *kept).select_from(joined)
