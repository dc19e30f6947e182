"""Stored API keys: their digests, never the keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping, func, insert, or_, select, update

from serving.store.tables import api_keys

__all__ = ["any_key", "find_key", "list_keys", "note_use", "revoke_key", "save_key"]

USE_IS_NOTED_EVERY = timedelta(minutes=1)
"""How exact `last_used_at` is: a write for every read would make the store's writer the bottleneck."""


def save_key(
    connection: Connection, *, key_id: str, name: str, digest: str, scopes: Sequence[str],
    at: datetime, expires_at: datetime | None,
) -> None:  # fmt: skip
    """Store a new key by its digest."""
    connection.execute(
        insert(api_keys).values(
            key_id=key_id, name=name, digest=digest, scopes=list(scopes), created_at=at, expires_at=expires_at
        )
    )


def find_key(connection: Connection, digest: str) -> RowMapping | None:
    """The key with this digest, whatever its state; None where there is none."""
    return connection.execute(select(api_keys).where(api_keys.c.digest == digest)).mappings().first()


def list_keys(connection: Connection) -> Sequence[RowMapping]:
    """All keys, oldest first."""
    return connection.execute(select(api_keys).order_by(api_keys.c.created_at, api_keys.c.key_id)).mappings().all()


def any_key(connection: Connection, at: datetime) -> bool:
    """True where at least one key works at the instant `at`."""
    works = api_keys.c.revoked_at.is_(None) & or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > at)
    return bool(connection.scalar(select(func.count()).select_from(api_keys).where(works)))


def revoke_key(connection: Connection, key_id: str, at: datetime) -> bool:
    """Make a key useless from now on; False where no key that still works has this id."""
    query = update(api_keys).where(api_keys.c.key_id == key_id, api_keys.c.revoked_at.is_(None)).values(revoked_at=at)
    return connection.execute(query).rowcount == 1


def note_use(connection: Connection, key_id: str, at: datetime) -> None:
    """Remember that a key was used."""
    connection.execute(update(api_keys).where(api_keys.c.key_id == key_id).values(last_used_at=at))
