"""One-file HTML reports: no script, no font, no picture from elsewhere; readable in ten years.

Texts come in English and Simplified Chinese. What a code means is worded beside the code
(:mod:`features.validation.reasons`); the Chinese wording of codes and headings lies in
``templates/zh-CN.toml``. A company's own rules are shown as it wrote them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from features.validation import Report

__all__ = ["LANGUAGES", "validation_page", "wording"]

LANGUAGES: tuple[str, ...] = ("en", "zh-CN")


def validation_page(report: Report, language: str = "en") -> str:
    """The report of ``foremend validate`` as one HTML page.

    Raises
    ------
    ValueError
        `language` is not one of :data:`LANGUAGES`.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    if language not in LANGUAGES:
        raise ValueError(f"language {language!r}; expected one of {', '.join(LANGUAGES)}")
    words = wording(language)
    rooms = Environment(
        loader=PackageLoader("ml"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    rooms.filters["n"] = lambda number: f"{number:,}"
    return rooms.get_template("validation.html.j2").render(
        report=report, language=language, t=lambda text: words["text"].get(text, text),
        meaning=lambda one: _worded(words, "meaning", one.code, one.meaning),
        advice=lambda one: _worded(words, "advice", one.code, one.advice),
        instead=lambda one: words["fallback"].get(one.fallback, one.instead),
        said=lambda sentence: _said(words["phrase"], sentence),
    )  # fmt: skip


@cache
def wording(language: str) -> Mapping[str, Any]:
    """Wording by kind (``text``, ``meaning``, ``advice``, ``fallback``, ``phrase``); empty for English."""
    if language == "en":
        return {"text": {}, "meaning": {}, "advice": {}, "fallback": {}, "phrase": {}}
    return tomllib.loads(resources.files("ml").joinpath(f"templates/{language}.toml").read_text(encoding="utf-8"))


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
