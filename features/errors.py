"""Errors that a user can act on.

::

    ForemendError
    ├── UserError          the user can mend it: exit 2, HTTP 4xx
    │   ├── ConfigError    foremend.toml: a key, a value, a missing ${VAR}
    │   ├── SourceError    a file, a query or a database that cannot be read
    │   ├── DataError      rows that cannot be used as they are
    │   ├── WorkspaceError a folder that is missing, locked, newer or unfinished
    │   └── ModelError     a model that is missing, stale or made for other features
    └── Fault              the world failed, not the user: exit 1, HTTP 5xx

Every message says what was found, what was expected, where, and what to do.
Programmer's misuse stays ``ValueError`` or ``TypeError``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class ForemendError(Exception):
    """The root: a sentence for a person, built from up to four parts.

    Parameters
    ----------
    found
        What is wrong, with the numbers: ``"37 of 1,204 rows precede opened_at"``.
    expected
        What would have been right.
    where
        The file, table, column or source it is about; opens the sentence.
    todo
        What to do now, as an imperative.
    """

    exit_code = 1

    def __init__(self, found: str, *, expected: str = "", where: str = "", todo: str = "") -> None:
        self.found, self.expected, self.where, self.todo = found, expected, where, todo
        super().__init__(self._sentence())

    def _sentence(self) -> str:
        parts = [f"{self.where}: {self.found}" if self.where else self.found]
        if self.expected:
            parts.append(f"Expected {self.expected}")
        if self.todo:
            parts.append(self.todo)
        parts = [re.sub(r"\s*\n\s*", " ", part.strip()) for part in parts]  # one line, whatever others say
        return " ".join(part if part.endswith((".", "?", "!")) else f"{part}." for part in parts)


class UserError(ForemendError):
    """The user can mend it."""

    exit_code = 2


class ConfigError(UserError):
    """``foremend.toml`` holds something that cannot be meant."""


class SourceError(UserError):
    """A file, a query or a database cannot be read."""


class DataError(UserError):
    """Rows cannot be used as they are."""


class WorkspaceError(UserError):
    """The workspace is missing, locked, newer than this program, or unfinished."""


class ModelError(UserError):
    """A model is missing, stale, or was made for other features."""


class Fault(ForemendError):
    """The world failed: a full disk, a broken file, a service that is down."""


def phrase(sentence: str) -> str:
    """A library's sentence as a part of ours: its first letter small, the names in it as they are.

    >>> phrase("Input should be 'en' or 'zh-CN'")
    "input should be 'en' or 'zh-CN'"
    """
    return sentence[:1].lower() + sentence[1:]


def nearest(name: str, known: Iterable[str]) -> str:
    """Suggest the known name closest to `name`.

    Returns
    -------
    str
        ``"Did you mean 'delay'?"``, or a sorted list of the known names where none is near.
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"Did you mean '{close[0]}'?" if close else f"Known: {', '.join(names) or 'none'}"
