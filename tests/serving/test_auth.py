"""Keys: a slip is found without the store, only digests are kept, and scopes and time bound what a key is good for."""

from __future__ import annotations

import hashlib
import string
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, select

from serving.auth import SCOPES, Identity, create_key, digest, end_key, new_token, well_formed
from serving.commands import service
from serving.store.keys import any_key, find_key, list_keys
from serving.store.tables import api_keys, audit

NOW = datetime.now(UTC)
ALPHABET = string.digits + string.ascii_letters


def test_every_slip_of_one_character_is_found_without_the_store() -> None:
    checked = 0
    for _ in range(3):
        token = new_token()
        assert well_formed(token)
        for at, right in enumerate(token):
            for wrong in ALPHABET + "_-.":
                if wrong != right:
                    assert not well_formed(token[:at] + wrong + token[at + 1 :])
                    checked += 1
    assert checked == 3 * 42 * 64


@pytest.mark.parametrize(
    "token", ["", "fmk_", "fmk_" + "0" * 38, "fmk_" + "é" * 38, "Bearer", "x" * 42, "fmk_" + "0" * 100]
)
def test_what_is_no_key_is_found_without_the_store(token: str) -> None:
    assert not well_formed(token)


def test_a_slip_of_two_neighbours_changing_places_is_found() -> None:
    token = new_token()
    swapped = [token[:at] + token[at + 1] + token[at] + token[at + 2 :] for at in range(len(token) - 1)]
    assert not any(well_formed(one) for one in swapped if one != token)


def test_keys_differ_and_are_long_enough_to_need_no_slow_hash() -> None:
    tokens = {new_token() for _ in range(200)}
    assert len(tokens) == 200
    assert len(ALPHABET) ** 32 > 2**190


def test_only_the_digest_of_a_key_is_kept(engine: Engine) -> None:
    key_id, token = create_key(engine, "planner", ["read"])
    assert digest(token) == hashlib.sha256(token.encode()).hexdigest()
    with engine.connect() as connection:
        everything = str(connection.execute(select(api_keys)).all()) + str(connection.execute(select(audit)).all())
        found = find_key(connection, digest(token))
    assert found is not None
    assert (found["key_id"], found["scopes"]) == (key_id, ["read"])
    assert token not in everything
    assert token[4:20] not in everything


def test_a_store_knows_whether_any_key_works(engine: Engine) -> None:
    def works() -> bool:
        with engine.connect() as connection:
            return any_key(connection, NOW)

    assert not works()
    create_key(engine, "old", ["read"], expires_at=NOW - timedelta(seconds=1))
    assert not works()
    key_id, _ = create_key(engine, "new", ["read"], expires_at=NOW + timedelta(days=1))
    assert works()
    assert end_key(engine, key_id)
    assert not works()


def test_a_key_is_revoked_once_and_the_log_says_so(engine: Engine) -> None:
    key_id, _ = create_key(engine, "planner", ["read"])
    assert [end_key(engine, key_id), end_key(engine, key_id), end_key(engine, "nope")] == [True, False, False]
    with engine.connect() as connection:
        actions = connection.execute(select(audit.c.action, audit.c.object).order_by(audit.c.audit_id)).all()
        revoked = [row["revoked_at"] for row in list_keys(connection)]
    assert [tuple(one) for one in actions] == [("key.created", key_id), ("key.revoked", key_id)]
    assert len(revoked) == 1
    assert revoked[0] is not None


def test_admin_is_good_for_everything_and_nothing_else_is() -> None:
    assert all(Identity("i", "n", ("admin",)).may(scope) for scope in SCOPES)
    granted = [(has, asked) for has in SCOPES for asked in SCOPES if Identity("i", "n", (has,)).may(asked)]
    assert sorted(granted) == sorted({(s, s) for s in SCOPES} | {("admin", s) for s in SCOPES})


def test_the_command_offers_the_scopes_that_exist() -> None:
    assert service.SCOPES == SCOPES
