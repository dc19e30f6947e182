"""The tables of the service store.

One metadata for SQLite and PostgreSQL. The schema is made by the migrations alone; a test
compares them with what is declared here, on both databases.

::

    scoring_runs ─┬─ scores ── probabilities     one row per asset, and per asset × horizon
                  └─ proposals ── episodes       what was offered, and the stretch of work it opened
    forecast_runs ── forecasts                   one row per series × model × period
    api_keys, audit                              who may call, and what was changed by whom
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    DateTime,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    text,
)  # fmt: skip
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect

__all__ = [
    "METADATA", "Document", "Instant", "api_keys", "audit", "episodes", "forecast_runs", "forecasts", "probabilities",
    "proposals", "scores", "scoring_runs",
]  # fmt: skip


class Instant(TypeDecorator[datetime]):
    """An instant in UTC. SQLite keeps no zone, so it is taken off on the way in and put back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    @property
    def python_type(self) -> type[datetime]:  # noqa: D102
        return datetime

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: D102
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"an instant needs a zone: {value!r}")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002, D102
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


Document = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
"""A JSON document: reasons, versions, scopes. Never searched inside."""

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _id(name: str, **options: Any) -> Column[str]:
    return Column(name, String(64), nullable=False, **options)


def _text(name: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, Text, nullable=nullable)


def _number(name: str, *, nullable: bool = False) -> Column[float]:
    return Column(name, Double, nullable=nullable)


def _whole(name: str, **options: Any) -> Column[int]:
    return Column(name, Integer, nullable=False, **options)


def _instant(name: str, *, nullable: bool = False) -> Column[datetime]:
    return Column(name, Instant, nullable=nullable)


def _document(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, Document, nullable=nullable)


scoring_runs = Table(
    "scoring_runs",
    METADATA,
    _id("run_id", primary_key=True),  # hash of what decides the result: see ScoringRun.run_id
    _instant("as_of"),
    _instant("scored_at"),
    _instant("data_as_of"),  # the newest row that was visible
    _instant("data_committed_at"),  # the commit that the versions name: after a vacuum, ingested_at <= this
    _document("data_versions"),  # Delta version by table
    _text("model_version"),
    _text("calibration_status"),
    _text("feature_fingerprint"),
    _text("policy_fingerprint"),
    _document("policy"),
    _whole("assets"),
    _number("decision_days", nullable=True),  # the horizon that is graded; null in runs of before it was kept
    _number("base_rate", nullable=True),  # share of the training rows that failed within it
    _text("rul_reason", nullable=True),  # why remaining life is not told; empty where it is
    Index("ix_scoring_runs_as_of", "as_of", "scored_at"),
)
"""One row per run of the scoring job."""

scores = Table(
    "scores",
    METADATA,
    _id("run_id", primary_key=True),
    Column("asset_id", Text, primary_key=True, nullable=False),
    _text("asset_model", nullable=True),
    _text("region", nullable=True),
    _text("failure_mode"),  # the leading one, 'any' where modes are not told apart
    _number("value"),  # expected saving of a visit tonight, currency of the workspace
    _text("decision"),  # proposed, or why not
    _document("reasons"),  # [{quantity, feature, value, unit, contribution, merged, text by language}], largest first
    _document("explanation", nullable=True),  # of which hazard: see serving.explaining; null where only age is known
    _text("basis", nullable=True),  # asset, asset_model or fleet
    _text("health", nullable=True),  # A to E; null where the model knows no base rate
    _number("rul_days", nullable=True),  # remaining life; null where it is not estimable
    ForeignKeyConstraint(["run_id"], ["scoring_runs.run_id"], ondelete="CASCADE"),
)
"""One row per run × asset in service."""

probabilities = Table(
    "probabilities",
    METADATA,
    _id("run_id", primary_key=True),
    Column("asset_id", Text, primary_key=True, nullable=False),
    Column("horizon_days", Double, primary_key=True, nullable=False),
    _number("probability"),
    ForeignKeyConstraint(["run_id", "asset_id"], ["scores.run_id", "scores.asset_id"], ondelete="CASCADE"),
    Index("ix_probabilities_ranked", "run_id", "horizon_days", "probability", "asset_id"),
)
"""One row per run × asset × horizon; probability in [0, 1]."""

episodes = Table(
    "episodes",
    METADATA,
    _id("external_key", primary_key=True),  # short hash of workspace, asset, mode, first as_of: see data.md
    _text("asset_id"),
    _text("failure_mode"),
    _instant("opened_as_of"),
    _instant("ended_at", nullable=True),
    _instant("cool_until", nullable=True),
    _text("end_reason", nullable=True),
    Index(
        "uq_episodes_open", "asset_id", unique=True,
        sqlite_where=text("ended_at IS NULL"), postgresql_where=text("ended_at IS NULL"),
    ),
)  # fmt: skip
"""One row per stretch of work on an asset; at most one is open per asset, and the database sees to it."""

proposals = Table(
    "proposals",
    METADATA,
    _id("external_key", primary_key=True),
    _id("run_id"),
    _text("asset_id"),
    _text("asset_model", nullable=True),
    _text("region", nullable=True),
    _text("failure_mode"),
    _instant("as_of"),
    _whole("rank"),  # 1 is the most valuable of its run
    _number("value"),
    _number("probability"),
    _number("horizon_days"),
    _document("probabilities"),  # [{horizon_days, probability}]
    _document("reasons"),
    _text("state"),
    _text("automation"),
    ForeignKeyConstraint(["external_key"], ["episodes.external_key"]),
    ForeignKeyConstraint(["run_id"], ["scoring_runs.run_id"]),
    Index("ix_proposals_state_as_of", "state", "as_of"),
)
"""One row per proposed preventive ticket; the proposal of an episode is made once."""

forecast_runs = Table(
    "forecast_runs",
    METADATA,
    _id("run_id", primary_key=True),
    _instant("as_of"),
    _instant("created_at"),
    _text("frequency"),
    _text("champion"),
    _document("data_versions"),
    _document("settings"),
    Index("ix_forecast_runs_as_of", "as_of", "created_at"),
)
"""One row per forecast of all series from one origin."""

forecasts = Table(
    "forecasts",
    METADATA,
    Column(
        "run_id", String(64), ForeignKey("forecast_runs.run_id", ondelete="CASCADE"), primary_key=True, nullable=False
    ),
    Column("unique_id", Text, primary_key=True, nullable=False),
    Column("model", Text, primary_key=True, nullable=False),
    Column("ds", DateTime, primary_key=True, nullable=False),
    _text("region", nullable=True),
    _text("ticket_type", nullable=True),
    _number("yhat"),
    _number("lo80", nullable=True),
    _number("hi80", nullable=True),
    _number("lo95", nullable=True),
    _number("hi95", nullable=True),
)
"""One row per run × series × model × period; tickets per period.

`ds` is the start of the period on the site's own clock, so it carries no zone.
"""

api_keys = Table(
    "api_keys",
    METADATA,
    _id("key_id", primary_key=True),
    _text("name"),
    Column("digest", String(64), nullable=False, unique=True),  # SHA-256 of the key; the key itself is kept nowhere
    _document("scopes"),
    _instant("created_at"),
    _instant("expires_at", nullable=True),
    _instant("last_used_at", nullable=True),
    _instant("revoked_at", nullable=True),
)
"""One row per API key."""

audit = Table(
    "audit",
    METADATA,
    Column("audit_id", Integer, primary_key=True, nullable=False),
    _instant("at"),
    _text("actor"),
    _text("action"),
    _text("object"),
    _document("detail"),
)
"""One row per change that a person or a job made."""
