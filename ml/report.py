"""One-file HTML reports: no script, no font, no picture from elsewhere; readable in ten years; and their wording.

Texts come in English and Simplified Chinese. What a code means is worded beside the code
(:mod:`features.validation.reasons`); the Chinese wording of codes and headings lies in
``templates/zh-CN.toml``. A company's own rules are shown as it wrote them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import TYPE_CHECKING, Any

from features.wording import AsIs, singular

if TYPE_CHECKING:
    from features.ingest.quarantine import Why
    from features.validation import Report
    from features.validation.findings import Finding
    from features.validation.readiness import Capability
    from features.validation.report import SetAside

__all__ = ["LANGUAGES", "Wording", "rendered", "validation_page", "wording"]

LANGUAGES: tuple[str, ...] = ("en", "zh-CN")

LONGEST = 500
"""Letters of a line of progress that is worded: what is longer holds more of the data than of ours."""

BY_HAND = "promoted by hand"
"""What is ours of the reason that a person gave for a promotion; the rest is kept letter by letter."""

_FIGURES = frozenset({
    "age", "all", "assets", "calibrate", "count", "days", "done", "enough", "every", "failure", "failures", "figure",
    "features", "folded", "high", "incomplete", "instants", "loss", "low", "machines", "minutes", "missing",
    "moved", "naive", "new", "nodes", "number", "of", "old", "others", "port", "renamed", "rows", "same", "series",
    "share", "test", "tickets", "train", "version", "visit", "visits",
})  # fmt: skip
"""Values of a pattern that hold a figure or a day, and no other text."""

_HOLDS = {**dict.fromkeys(_FIGURES, r"(?:[-+\d.,%–]|(?<=\d)e)+|nan%?"), "instant": r"[-\d: ]+", "table": r"\w+"}
"""What a value of a pattern may be; anything where its name is not among these."""


@dataclass(frozen=True)
class Wording:
    """What a report says, in one language.

    Raises
    ------
    ValueError
        `language` is not one of :data:`LANGUAGES`.
    """

    language: str = "en"

    def __post_init__(self) -> None:
        if self.language not in LANGUAGES:
            raise ValueError(f"language {self.language!r}; expected one of {', '.join(LANGUAGES)}")

    @cached_property
    def _words(self) -> Mapping[str, Any]:
        return wording(self.language)

    def text(self, english: str) -> str:
        """A heading or a single word."""
        return self._done(str(self._words["text"].get(english, english)))

    def line(self, english: str, **values: object) -> str:
        """A line of the terminal's report; `english` is its pattern. The values stand as they are."""
        if self.language != "en":
            return AsIs(str(self._words["terminal"].get(english, english)).format(**values))
        for name in (name for name, value in values.items() if str(value) == "1"):
            english = english.replace(f"{{{name}}}", "1")
        return singular(english).format(**values)

    def cell(self, english: str, **values: object) -> str:
        """A title, heading or word of a table on the terminal, or a line beside it; `english` is its pattern."""
        known = (self._words.get(kind, {}).get(english) for kind in ("tables", "volume", "risk"))
        return self._done(str(next(filter(None, known), english)).format(**values))

    def told(self, english: str, kind: str = "lines") -> str:
        """A line that holds its values already, or a heading; its leading blanks are kept.

        A line is found by its pattern in a section of the file, ``[lines]`` or ``[card]``; a value of it that is called
        ``said`` is worded in turn. What no pattern fits is said as it is, and so is what is long, or worded already.
        """
        if isinstance(english, AsIs):
            return english
        if self.language == "en":
            return singular(english)
        line = english.lstrip()
        return AsIs(
            english[: len(english) - len(line)] + (self._heading(line, kind) or self._filled(line, kind) or line)
        )

    def _done(self, text: str) -> str:
        """A text that is worded, and not again; in English one of a thing may still be called so."""
        return text if self.language == "en" else AsIs(text)

    def _heading(self, english: str, kind: str) -> str:
        known = (self._words[one].get(english) for one in (kind, "text", "tables", "volume", "risk"))
        return next(filter(None, known), "")

    def _filled(self, line: str, kind: str) -> str:
        if len(line) > LONGEST and kind == "lines":
            return ""
        for pattern, other in _patterns(self.language, kind):
            if found := pattern.fullmatch(line):
                values = found.groupdict()
                return other.format(**values | {k: self.told(values[k], kind) for k in values if k.startswith("said")})
        return ""

    def unit(self, english: str) -> str:
        """What the figures of a finding count."""
        return str(self._words["unit"].get(english, english))

    def meaning(self, one: Finding | SetAside | Why) -> str:
        """What a finding's code means."""
        return _worded(self._words, "meaning", one.code, one.meaning)

    def advice(self, one: Finding | SetAside) -> str:
        """What to do about it."""
        return _worded(self._words, "advice", one.code, one.advice)

    def instead(self, one: Capability) -> str:
        """What happens instead of a capability that is not ready."""
        return str(self._words["fallback"].get(one.fallback, one.instead))

    def said(self, sentence: str) -> str:
        """A sentence with figures in it; of a person's reason for a promotion only what is ours."""
        if self.language != "en" and (by_hand := re.fullmatch(f"{BY_HAND}(?:[:,] (.+))?", sentence, re.DOTALL)):
            return "：".join(filter(None, (self.text(BY_HAND), by_hand[1])))
        return _said(self._words["phrase"], sentence)


def validation_page(report: Report, language: str = "en") -> str:
    """The report of ``foremend validate`` as one HTML page.

    Raises
    ------
    ValueError
        `language` is not one of :data:`LANGUAGES`.
    """
    words = Wording(language)
    return rendered(
        "validation.html.j2", report=report, language=language, t=words.text, unit=words.unit, meaning=words.meaning,
        advice=words.advice, instead=words.instead, said=words.said,
    )  # fmt: skip


def rendered(template: str, **values: object) -> str:
    """A page of ``ml/templates``; whatever stands in `values` is text there, unless the template says that it is safe."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    rooms = Environment(
        loader=PackageLoader("ml"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    rooms.filters["n"] = lambda number: f"{number:,}"
    return rooms.get_template(template).render(**values)


@cache
def wording(language: str) -> Mapping[str, Any]:
    """Wording by kind, as the sections of the file are called; empty for English."""
    if language == "en":
        return {kind: {} for kind in ("text", "terminal", "meaning", "advice", "fallback", "phrase", "unit")}
    return tomllib.loads(resources.files("ml").joinpath(f"templates/{language}.toml").read_text(encoding="utf-8"))


@cache
def _patterns(language: str, kind: str) -> Sequence[tuple[re.Pattern[str], str]]:
    """Patterns of a section as regular expressions, with their wording; the more of a line stands in one, the sooner."""
    brace = re.compile(r"\{(\w+)\}")
    ordered = sorted(wording(language)[kind].items(), key=lambda pair: -len(brace.sub("", pair[0])))
    parts = ((brace.split(english), other) for english, other in ordered)  # text and names take turns
    return [
        (re.compile("".join(f"(?P<{part}>{_HOLDS.get(part, '.*?')})" if n % 2 else re.escape(part) for n, part in enumerate(pieces)), re.DOTALL), other)
        for pieces, other in parts
    ]  # fmt: skip


def _worded(words: Mapping[str, Any], kind: str, code: str, english: str) -> str:
    """The wording of a code, where the text is the code's own; a company's advice stays as it is."""
    from features.validation.reasons import REASONS

    known = REASONS.get(code)
    own = known is None or getattr(known, kind) != english
    return english if own else str(words[kind].get(code, english))


def _said(phrases: Mapping[str, str], sentence: str) -> str:
    """A sentence with figures in it, by its English pattern."""
    for english, other in phrases.items():
        sentence = re.sub(english, other, sentence)
    return sentence
