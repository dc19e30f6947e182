"""API keys: made once, shown once, kept as a digest, and good for their scopes only.

A key is ``fmk_`` + 32 random letters and digits + 6 of checksum. The checksum finds every slip of
one character without asking the store; 32 characters of 62 are 190 bits, so a plain SHA-256 is
all that a digest needs.
"""

from __future__ import annotations

import hashlib
import secrets
import string
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from fastapi import BackgroundTasks, Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes
from sqlalchemy import Engine, RowMapping

from features.errors import Fault
from serving.problems import Problem
from serving.store.audits import note
from serving.store.engine import writing
from serving.store.keys import USE_IS_NOTED_EVERY, find_key, note_use, revoke_key, save_key

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SCOPES", "Identity", "Store", "caller", "create_key", "digest", "end_key", "new_token", "well_formed"]

PREFIX = "fmk_"
SCOPES = ("read", "plan", "ticket", "ingest", "admin")
"""What a key may be good for; ``admin`` is good for everything."""

_ALPHABET = string.digits + string.ascii_letters
_RANDOM, _CHECK = 32, 6
_BEARER = HTTPBearer(auto_error=False, scheme_name="ApiKey", description="A key made by `foremend keys create`.")


@dataclass(frozen=True)
class Identity:
    """Who calls, and what for."""

    key_id: str
    name: str
    scopes: tuple[str, ...]

    def may(self, scope: str) -> bool:
        """True where the key is good for `scope`."""
        return scope in self.scopes or "admin" in self.scopes


def new_token() -> str:
    """A fresh key."""
    body = PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))
    return body + _checksum(body)


def well_formed(token: str) -> bool:
    """True where `token` can be a key of ours: its checksum fits. Says nothing about its being known."""
    if len(token) != len(PREFIX) + _RANDOM + _CHECK or not token.startswith(PREFIX):
        return False
    return token.isascii() and token[-_CHECK:] == _checksum(token[:-_CHECK])


def digest(token: str) -> str:
    """What is stored of a key."""
    return hashlib.sha256(token.encode()).hexdigest()


def create_key(
    engine: Engine, name: str, scopes: Sequence[str], *, expires_at: datetime | None = None
) -> tuple[str, str]:
    """Make a key and store its digest; returns the key's id and the key itself, which nobody can show again."""
    token, key_id, at = new_token(), secrets.token_hex(4), datetime.now(UTC)
    with writing(engine) as connection:
        save_key(
            connection, key_id=key_id, name=name, digest=digest(token), scopes=scopes, at=at, expires_at=expires_at
        )
        note(connection, at, "cli", "key.created", key_id, name=name, scopes=list(scopes))
    return key_id, token


def end_key(engine: Engine, key_id: str) -> bool:
    """Revoke a key; False where no working key has this id."""
    at = datetime.now(UTC)
    with writing(engine) as connection:
        revoked = revoke_key(connection, key_id, at)
        if revoked:
            note(connection, at, "cli", "key.revoked", key_id)
    return revoked


def store(request: Request) -> Engine:
    """The store of this service."""
    engine: Engine = request.app.state.engine
    return engine


Store = Annotated[Engine, Depends(store)]


def caller(
    needed: SecurityScopes, engine: Store, after: BackgroundTasks,
    given: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
) -> Identity:  # fmt: skip
    """Who calls, if the key is good for every scope that the route needs.

    Raises
    ------
    Problem
        401 without a key that works, 403 where it lacks a scope. What exactly is wrong with a key
        is told only to who has its checksum right.
    """
    if given is None:
        raise _unauthenticated("Send a key: Authorization: Bearer fmk_…", "")
    if not well_formed(given.credentials):
        raise _unauthenticated("This is no key of ours: it is mistyped or cut off.")
    now = datetime.now(UTC)
    with engine.connect() as connection:
        key = find_key(connection, digest(given.credentials))
    _check_life(key, now)
    assert key is not None  # noqa: S101 - checked above
    identity = Identity(key["key_id"], key["name"], tuple(key["scopes"]))
    for scope in needed.scopes:
        if not identity.may(scope):
            challenge = f'Bearer realm="foremend", error="insufficient_scope", scope="{scope}"'
            raise Problem("forbidden", f"It needs the scope {scope}.", headers={"WWW-Authenticate": challenge})
    if key["last_used_at"] is None or now - key["last_used_at"] >= USE_IS_NOTED_EVERY:
        after.add_task(_remember_use, engine, identity.key_id, now)
    return identity


def _check_life(key: RowMapping | None, now: datetime) -> None:
    if key is None:
        raise _unauthenticated("The key is not known here.")
    if key["revoked_at"] is not None:
        raise _unauthenticated("The key was revoked.")
    if key["expires_at"] is not None and key["expires_at"] <= now:
        raise _unauthenticated("The key has expired.")


def _unauthenticated(detail: str, error: str = ', error="invalid_token"') -> Problem:
    return Problem("unauthenticated", detail, headers={"WWW-Authenticate": f'Bearer realm="foremend"{error}'})


def _remember_use(engine: Engine, key_id: str, at: datetime) -> None:
    """After the answer, and only if the store has time: a read must not wait for a writer."""
    try:
        with writing(engine) as connection:
            note_use(connection, key_id, at)
    except Fault:
        return


def _checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(_CHECK):
        number, rest = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[rest] + digits
    return digits
