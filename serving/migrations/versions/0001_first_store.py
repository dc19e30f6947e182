"""The first store: scoring runs, scores, proposals, episodes, forecasts, keys and the audit log."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

# A migration says what the schema was on its day: it declares its own types and imports none of ours.
INSTANT = sa.DateTime(timezone=True)
DOCUMENT = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    """Make every table."""
    _scoring()
    _work()
    _forecasts()
    _access()


def _id(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(64), nullable=False)


def _column(name: str, kind: sa.types.TypeEngine[Any], *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=nullable)


def _scoring() -> None:
    op.create_table(
        "scoring_runs",
        _id("run_id"),
        _column("as_of", INSTANT),
        _column("scored_at", INSTANT),
        _column("data_as_of", INSTANT),
        _column("data_committed_at", INSTANT),
        _column("data_versions", DOCUMENT),
        _column("model_version", sa.Text()),
        _column("calibration_status", sa.Text()),
        _column("feature_fingerprint", sa.Text()),
        _column("policy_fingerprint", sa.Text()),
        _column("policy", DOCUMENT),
        _column("assets", sa.Integer()),
        sa.PrimaryKeyConstraint("run_id", name="pk_scoring_runs"),
    )
    op.create_index("ix_scoring_runs_as_of", "scoring_runs", ["as_of", "scored_at"])
    op.create_table(
        "scores",
        _id("run_id"),
        _column("asset_id", sa.Text()),
        _column("asset_model", sa.Text(), nullable=True),
        _column("region", sa.Text(), nullable=True),
        _column("failure_mode", sa.Text()),
        _column("value", sa.Double()),
        _column("decision", sa.Text()),
        _column("reasons", DOCUMENT),
        sa.PrimaryKeyConstraint("run_id", "asset_id", name="pk_scores"),
        sa.ForeignKeyConstraint(["run_id"], ["scoring_runs.run_id"], name="fk_scores_scoring_runs", ondelete="CASCADE"),
    )
    op.create_table(
        "probabilities",
        _id("run_id"),
        _column("asset_id", sa.Text()),
        _column("horizon_days", sa.Double()),
        _column("probability", sa.Double()),
        sa.PrimaryKeyConstraint("run_id", "asset_id", "horizon_days", name="pk_probabilities"),
        sa.ForeignKeyConstraint(
            ["run_id", "asset_id"],
            ["scores.run_id", "scores.asset_id"],
            name="fk_probabilities_scores",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_probabilities_ranked", "probabilities", ["run_id", "horizon_days", "probability", "asset_id"])


def _work() -> None:
    op.create_table(
        "episodes",
        _id("external_key"),
        _column("asset_id", sa.Text()),
        _column("failure_mode", sa.Text()),
        _column("opened_as_of", INSTANT),
        _column("ended_at", INSTANT, nullable=True),
        _column("cool_until", INSTANT, nullable=True),
        _column("end_reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("external_key", name="pk_episodes"),
    )
    still_open = sa.text("ended_at IS NULL")
    op.create_index(
        "uq_episodes_open", "episodes", ["asset_id"], unique=True, sqlite_where=still_open, postgresql_where=still_open
    )
    op.create_table(
        "proposals",
        _id("external_key"),
        _id("run_id"),
        _column("asset_id", sa.Text()),
        _column("asset_model", sa.Text(), nullable=True),
        _column("region", sa.Text(), nullable=True),
        _column("failure_mode", sa.Text()),
        _column("as_of", INSTANT),
        _column("rank", sa.Integer()),
        _column("value", sa.Double()),
        _column("probability", sa.Double()),
        _column("horizon_days", sa.Double()),
        _column("probabilities", DOCUMENT),
        _column("reasons", DOCUMENT),
        _column("state", sa.Text()),
        _column("automation", sa.Text()),
        sa.PrimaryKeyConstraint("external_key", name="pk_proposals"),
        sa.ForeignKeyConstraint(["external_key"], ["episodes.external_key"], name="fk_proposals_episodes"),
        sa.ForeignKeyConstraint(["run_id"], ["scoring_runs.run_id"], name="fk_proposals_scoring_runs"),
    )
    op.create_index("ix_proposals_state_as_of", "proposals", ["state", "as_of"])


def _forecasts() -> None:
    op.create_table(
        "forecast_runs",
        _id("run_id"),
        _column("as_of", INSTANT),
        _column("created_at", INSTANT),
        _column("frequency", sa.Text()),
        _column("champion", sa.Text()),
        _column("data_versions", DOCUMENT),
        _column("settings", DOCUMENT),
        sa.PrimaryKeyConstraint("run_id", name="pk_forecast_runs"),
    )
    op.create_index("ix_forecast_runs_as_of", "forecast_runs", ["as_of", "created_at"])
    op.create_table(
        "forecasts",
        _id("run_id"),
        _column("unique_id", sa.Text()),
        _column("model", sa.Text()),
        _column("ds", sa.DateTime()),
        _column("region", sa.Text(), nullable=True),
        _column("ticket_type", sa.Text(), nullable=True),
        _column("yhat", sa.Double()),
        *(_column(name, sa.Double(), nullable=True) for name in ("lo80", "hi80", "lo95", "hi95")),
        sa.PrimaryKeyConstraint("run_id", "unique_id", "model", "ds", name="pk_forecasts"),
        sa.ForeignKeyConstraint(
            ["run_id"], ["forecast_runs.run_id"], name="fk_forecasts_forecast_runs", ondelete="CASCADE"
        ),
    )


def _access() -> None:
    op.create_table(
        "api_keys",
        _id("key_id"),
        _column("name", sa.Text()),
        sa.Column("digest", sa.String(64), nullable=False),
        _column("scopes", DOCUMENT),
        _column("created_at", INSTANT),
        _column("expires_at", INSTANT, nullable=True),
        _column("last_used_at", INSTANT, nullable=True),
        _column("revoked_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("key_id", name="pk_api_keys"),
        sa.UniqueConstraint("digest", name="uq_api_keys_digest"),
    )
    op.create_table(
        "audit",
        sa.Column("audit_id", sa.Integer(), nullable=False),
        _column("at", INSTANT),
        _column("actor", sa.Text()),
        _column("action", sa.Text()),
        _column("object", sa.Text()),
        _column("detail", DOCUMENT),
        sa.PrimaryKeyConstraint("audit_id", name="pk_audit"),
    )
