"""Scores say what they rest on, how they compare with the fleet, and which hazard their reasons explain."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"

# All may be missing: scores of before know nothing of them.
COLUMNS: dict[str, tuple[tuple[str, sa.types.TypeEngine[Any]], ...]] = {
    "scoring_runs": (("decision_days", sa.Double()), ("base_rate", sa.Double()), ("rul_reason", sa.Text())),
    "scores": (
        ("explanation", sa.JSON().with_variant(JSONB(), "postgresql")),
        ("basis", sa.Text()),
        ("health", sa.Text()),
        ("rul_days", sa.Double()),
    ),
}


def upgrade() -> None:
    """Add the columns."""
    for table, columns in COLUMNS.items():
        for name, kind in columns:
            op.add_column(table, sa.Column(name, kind, nullable=True))
