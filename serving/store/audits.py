"""The audit log: every change, who made it, and to what."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert

from serving.store.tables import audit

__all__ = ["note"]


def note(connection: Connection, at: datetime, actor: str, action: str, on: str, **detail: Any) -> None:
    """Write one line of the log in the caller's transaction; secrets are no detail."""
    entry: Mapping[str, Any] = {"at": at, "actor": actor, "action": action, "object": on, "detail": detail}
    connection.execute(insert(audit).values(entry))
