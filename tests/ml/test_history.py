"""The history of champions: what is written comes back, and the way back is the way that was come."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.history import CHALLENGER, CHAMPION, Change, champions, one_line, previous, user

AT = datetime(2024, 6, 1, 12, 30, 15, 123456, tzinfo=UTC)
TEN = frozenset(str(n) for n in range(10))


def change(to, before="", how="promote", alias=CHAMPION):
    return Change(AT, "ines", alias, before, to, how, "because")


@given(reason=st.text(), by=st.text(max_size=150))
def test_an_entry_comes_back_as_it_was_written(reason, by):
    entry = Change(AT, by, CHAMPION, "1", "2", "promote", reason[:2000])
    assert Change.of(entry.as_text()) == entry


def test_an_entry_fits_into_a_tag_whatever_the_reason():
    for letter in ("x", "因", '"', "\\", "\0"):
        told = one_line(letter * 9_999)
        assert len(Change(AT, told, CHAMPION, "1", "2", "promote", told).as_text()) < 5_000


def test_a_reason_is_one_line_that_does_nothing_to_a_terminal():
    assert one_line("two\nlines,\t \x1b[31mred\0") == "two lines, [31mred"


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", "no json", '{"at": 3}', '{"at": "2024-06-01", "who": 1}'])
def test_an_entry_that_somebody_spoilt_stays_visible(text):
    spoilt = Change.of(text)
    assert "cannot be read" in spoilt.reason
    assert champions([spoilt, change("1"), change("2", alias=CHALLENGER)]) == (spoilt, change("1"))


WAYS = {
    "nobody before": ([], "1", ""),
    "one before": ([change("1"), change("2", "1")], "2", "1"),
    "challengers do not count": ([change("1"), change("9", alias=CHALLENGER), change("2", "1")], "2", "1"),
    "a rollback leads further back": ([change("1"), change("2", "1"), change("3", "2"), change("2", "3", "rollback")], "2", "1"),
    "and comes to an end": ([change("1"), change("2", "1"), change("1", "2", "rollback")], "1", ""),
    "an older one promoted": ([change("1"), change("2", "1"), change("1", "2")], "1", "2"),
    "and back from there": ([change("1"), change("2", "1"), change("1", "2"), change("2", "1", "rollback")], "2", "1"),
    "changed past foremend at the end": ([change("1"), change("2", "1")], "5", "2"),
    "changed past foremend between": ([change("1"), change("3", "2")], "3", "2"),
    "the one before was deleted": ([change("1"), change("99", "1"), change("3", "99")], "3", "1"),
    "spoilt entries": ([change("1"), Change.of("?"), change("2", "1")], "2", "1"),
    "the same twice": ([change("1"), change("1", "1")], "1", ""),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_the_way_back(way):
    changes, champion, expected = WAYS[way]
    assert previous(changes, champion, TEN) == expected


@given(st.lists(st.sampled_from(["0", "1", "2", "3", "back"]), max_size=30))
def test_rollbacks_undo_promotions_like_a_stack(deeds):
    """Against a plain stack: whoever is promoted lies on top, and a rollback takes it off."""
    stack, changes = [], []
    for deed in deeds:
        now = stack[-1] if stack else ""
        if deed != "back" and deed != now:
            changes.append(change(deed, now))
            stack.append(deed)
        elif deed == "back" and len(stack) > 1:
            stack.pop()
            assert previous(changes, now, TEN) == stack[-1]
            changes.append(change(stack[-1], now, "rollback"))
    assert previous(changes, stack[-1] if stack else "", TEN) == (stack[-2] if len(stack) > 1 else "")


def test_who_runs_a_command_without_a_name_is_unknown(monkeypatch):
    monkeypatch.setenv("LOGNAME", "ines")
    assert user() == "ines"
    monkeypatch.setattr(getpass, "getuser", lambda: (_ for _ in ()).throw(OSError("no such user")))
    assert user() == "unknown"
