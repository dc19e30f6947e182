"""Reasons in words, for people: in the language that they asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

from ml.health import GRADES

__all__ = [
    "Language", "health_in_words", "language_of", "reason_in_words", "reasons_in_words", "unit_in_words", "why_in_words",
]  # fmt: skip

Language = Literal["en", "zh-CN"]

_PHRASES: Mapping[Language, Mapping[str, str]] = MappingProxyType(
    {
        "en": {
            "reason": "{meaning}: {value} ({direction} the risk)",
            "raises": "raises", "lowers": "lowers", "missing": "not known", "between": "; ",
            "why": "{probability:.0%} within {days:g} d ({mode}); a visit is expected to save {value:,.2f}",
        },
        "zh-CN": {
            "reason": "{meaning}：{value}（{direction}风险）",
            "raises": "升高", "lowers": "降低", "missing": "未知", "between": "；",
            "why": "{days:g} 天内故障概率 {probability:.0%}（{mode}）；上门预防预计节省 {value:,.2f}",
        },
    }
)  # fmt: skip


_UNITS: Mapping[Language, Mapping[str, str]] = MappingProxyType(
    {
        "en": {"ratio": ""},
        "zh-CN": {
            "d": "天", "h": "小时", "events": "次", "readings": "条", "tickets": "张", "ratio": "倍",
            "standard deviations": "个标准差", "/d": "/天",
        },
    }
)  # fmt: skip
"""Units that features of the house have, where they are said otherwise; others stand as they are."""


def language_of(accepted: str) -> Language:
    """The language of an ``Accept-Language`` header that we speak; English where none.

    >>> language_of("zh-CN,zh;q=0.9,en;q=0.8"), language_of("de")
    ('zh-CN', 'en')
    """
    wishes = []
    for place, part in enumerate(accepted.split(",")[:20]):
        name, _, quality = part.strip().partition(";q=")
        wishes.append((-_number(quality), place, name.strip().lower()))
    for weight, _, name in sorted(wishes):
        if weight < 0 and name.startswith(("zh", "en")):
            return "zh-CN" if name.startswith("zh") else "en"
    return "en"


def unit_in_words(unit: str, language: Language) -> str:
    """A unit that stands alone, as in a column of its own; in English a ratio is called so there."""
    return unit if language == "en" else _UNITS[language].get(unit, unit)


def reason_in_words(reason: Mapping[str, Any], language: Language) -> str:
    """One reason as a sentence: its ``text``, by language; reasons of older runs have a ``meaning`` and a value.

    Of these, `meaning` is by language, or English text.
    """
    if said := (reason.get("text") or {}).get(language):
        return str(said)
    phrases, meaning, unit = _PHRASES[language], reason.get("meaning"), reason.get("unit") or ""
    if isinstance(meaning, Mapping):
        meaning = meaning.get(language)
    return phrases["reason"].format(
        meaning=meaning or reason["feature"],
        value=_amount(reason["value"], _UNITS[language].get(unit, unit), phrases["missing"]),
        direction=phrases["raises" if reason["contribution"] > 0 else "lowers"],
    )


def reasons_in_words(reasons: Sequence[Mapping[str, Any]], language: Language) -> str:
    """Some reasons in one line."""
    return _PHRASES[language]["between"].join(reason_in_words(reason, language) for reason in reasons)


def health_in_words(letter: str, language: Language) -> str:
    """What people call a grade of health."""
    return next(grade.words.said(language) for grade in GRADES if grade.letter == letter)


def why_in_words(proposal: Mapping[str, Any], language: Language) -> str:
    """Why a visit is proposed: the probability that carries it, its horizon, and the expected saving."""
    return _PHRASES[language]["why"].format(
        probability=proposal["probability"], days=proposal["horizon_days"], mode=proposal["failure_mode"],
        value=proposal["value"],
    )  # fmt: skip


def _amount(value: Any, unit: str, missing: str) -> str:
    if value is None:
        return missing
    text = f"{value:.4g}" if isinstance(value, float | int) else str(value)
    return f"{text} {unit}".strip()


def _number(quality: str) -> float:
    try:
        return min(max(float(quality), 0.0), 1.0) if quality else 1.0
    except ValueError:
        return 0.0
