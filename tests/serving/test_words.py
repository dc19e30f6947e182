"""Reasons in words, in English and in Chinese."""

from __future__ import annotations

from typing import Any

import pytest

from serving.words import Language, health_in_words, reason_in_words, reasons_in_words

PRESSURE = {"en": "mean of pressure over the last 7d", "zh-CN": "压力 7 天均值"}


def test_a_reason_is_said_as_it_was_stored() -> None:
    told = reason(text={"en": "pressure is high", "zh-CN": "压力偏高"})
    assert [reason_in_words(told, language) for language in ("en", "zh-CN")] == ["pressure is high", "压力偏高"]


@pytest.mark.parametrize(("letter", "english", "chinese"), [("A", "good", "良好"), ("E", "critical", "危险")])
def test_grades_are_called_by_a_word(letter: str, english: str, chinese: str) -> None:
    assert (health_in_words(letter, "en"), health_in_words(letter, "zh-CN")) == (english, chinese)


def reason(**changes: Any) -> dict[str, Any]:
    return {"feature": "f", "value": 3.5, "unit": "bar", "meaning": PRESSURE, "contribution": 1.0} | changes


@pytest.mark.parametrize(
    ("changes", "english", "chinese"),
    [
        ({}, "mean of pressure over the last 7d: 3.5 bar (raises the risk)", "压力 7 天均值：3.5 bar（升高风险）"),
        ({"contribution": -1.0}, "mean of pressure over the last 7d: 3.5 bar (lowers the risk)", "压力 7 天均值：3.5 bar（降低风险）"),
        ({"value": None}, "mean of pressure over the last 7d: not known (raises the risk)", "压力 7 天均值：未知（升高风险）"),
        ({"meaning": "an older run's"}, "an older run's: 3.5 bar (raises the risk)", "an older run's：3.5 bar（升高风险）"),
        ({"meaning": ""}, "f: 3.5 bar (raises the risk)", "f：3.5 bar（升高风险）"),
        ({"meaning": {}}, "f: 3.5 bar (raises the risk)", "f：3.5 bar（升高风险）"),
        ({"value": "LG-37A", "unit": ""}, "mean of pressure over the last 7d: LG-37A (raises the risk)", "压力 7 天均值：LG-37A（升高风险）"),
    ],
)  # fmt: skip
def test_a_reason_of_an_older_run_is_said_in_either_language(
    changes: dict[str, Any], english: str, chinese: str
) -> None:
    assert reason_in_words(reason(**changes), "en") == english
    assert reason_in_words(reason(**changes), "zh-CN") == chinese


@pytest.mark.parametrize(
    ("unit", "language", "amount"),
    [
        ("d", "en", "3.5 d"), ("d", "zh-CN", "3.5 天"), ("h", "zh-CN", "3.5 小时"), ("events", "zh-CN", "3.5 次"),
        ("standard deviations", "zh-CN", "3.5 个标准差"), ("ratio", "en", "3.5"), ("ratio", "zh-CN", "3.5 倍"),
        ("bar/d", "zh-CN", "3.5 bar/d"), ("", "zh-CN", "3.5"),
    ],
)  # fmt: skip
def test_units_of_the_house_are_said_in_the_language_and_others_stand(
    unit: str, language: Language, amount: str
) -> None:
    said = reason_in_words(reason(unit=unit, meaning={"en": "x", "zh-CN": "x"}), language)
    assert said.removeprefix("x").lstrip(":： ").startswith((f"{amount} (", f"{amount}（"))


def test_reasons_stand_in_one_line() -> None:
    two = [reason(), reason(value=None)]
    assert reasons_in_words(two, "zh-CN") == "压力 7 天均值：3.5 bar（升高风险）；压力 7 天均值：未知（升高风险）"
    assert reasons_in_words(two[:1], "en") == reason_in_words(two[0], "en")
