"""Who was champion, when, why and by whom: one entry for every change of an alias, written once, never rewritten.

An entry stands in the registry as a tag of the registered model (:mod:`ml.registry`): where the
models are, their history is. It is written after the alias was given, so that it says only what came to pass;
what was changed past Foremend leaves a gap that the next entry's `from_version` shows.
"""

from __future__ import annotations

import getpass
import json
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime

__all__ = ["CHALLENGER", "CHAMPION", "ROLLBACK", "Change", "champions", "one_line", "previous", "user"]

CHAMPION, CHALLENGER = "champion", "challenger"

ROLLBACK = "rollback"
"""How a change came about that took the one before back; the others are ``train`` and ``promote``."""

LETTERS = 2_000
"""Letters of a reason that are kept: with its other fields an entry fits the 5,000 of MLflow's table of tags."""


@dataclass(frozen=True)
class Change:
    """A version was given an alias.

    Attributes
    ----------
    at
        By the machine's own clock, UTC.
    by
        Who ran the command.
    alias
        ``champion`` or ``challenger``; empty where the entry cannot be read.
    from_version
        Who had the alias before; empty where nobody had.
    how
        ``train``, ``promote`` or ``rollback``.
    """

    at: datetime | None
    by: str
    alias: str
    from_version: str
    to_version: str
    how: str
    reason: str

    def as_text(self) -> str:
        """The entry as JSON."""
        plain = asdict(self) | {"at": self.at and self.at.isoformat()}
        plain |= {"by": self.by[:200], "reason": self.reason[:LETTERS]}
        return json.dumps(plain, ensure_ascii=False)

    @classmethod
    def of(cls, text: str) -> Change:
        """Read :meth:`as_text`; an entry that somebody spoilt is kept and says so, for the rest is still worth reading."""
        try:
            content = json.loads(text)
            at = datetime.fromisoformat(content.pop("at"))
            return cls(at, **{name: str(value) for name, value in content.items()})
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls(None, "", "", "", "", "", f"this entry cannot be read: {text[:80]}")


def champions(changes: Iterable[Change]) -> tuple[Change, ...]:
    """The changes of the champion, and what cannot be read: it may have been one."""
    return tuple(change for change in changes if change.alias in {CHAMPION, ""})


def previous(changes: Iterable[Change], champion: str, known: Collection[str]) -> str:
    """The version that a rollback leads to; empty where there is none.

    A rollback takes the last step back: two of them lead two steps back, never to and fro.

    Parameters
    ----------
    changes
        From the oldest on.
    champion
        Who is champion now.
    known
        Versions that still exist.
    """
    line: list[str] = []
    for change in changes:
        if change.alias != CHAMPION:
            continue
        _reach(line, change.from_version)
        if change.how == ROLLBACK and change.to_version in line:
            while line[-1] != change.to_version:
                line.pop()
        else:
            _reach(line, change.to_version)
    _reach(line, champion)
    return next((version for version in reversed(line) if version != champion and version in known), "")


def _reach(line: list[str], version: str) -> None:
    """Add a version to the line of champions, unless it is the last already."""
    if version and line[-1:] != [version]:
        line.append(version)


def one_line(text: str) -> str:
    """A text of somebody's as one line without control characters: it goes to terminals."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def user() -> str:
    """The operating system's name of who runs this; ``unknown`` where it has none, as in some containers."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"
