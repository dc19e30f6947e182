"""Whatever a command says has a Chinese wording: every text that the sources hand to ``say`` and its kin."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from string import Formatter

import pytest

from features.wording import AsIs
from ml.report import Wording, wording

ROOT = Path(__file__).parents[2]
SOURCES = [path for package in ("features", "ml", "serving") for path in sorted((ROOT / package).rglob("*.py"))]
BENCHES = {path for path in SOURCES if "bench" in path.name or "benchmarks" in path.parts}
"""Benchmarks are said in English."""

SAID = {"say", "step", "table", "worded", "warn", "_examples"}
OWNERS = {"", "console", "task", "words", "warnings"}
"""Functions that word what they are given, and whose they are: a table of Arrow's is no table of ours."""

KEPT = {"", "7", "7 …", "── 7", "$ foremend 7", "AP", "Brier", "| 7 | 7 | 7 / 7 | 7 |"}
"""Kept as they are, with 7 for every value: names, figures, commands, what has no other name."""

CHINESE = re.compile("[一-鿿。：]")

DROPPED = {"{source}: {column}: {naive} of {all} stamps have no zone and are {said}. {advice}": {"advice"}}
"""Values that a translation leaves out: the advice of this line is always the same, and part of the Chinese one."""


def said(node: ast.expr | None) -> Iterator[str]:
    """The texts that an expression may be, with 7 for every value; none where it holds no text of ours."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp(body=body, orelse=other):
            yield from (*said(body), *said(other))
        case ast.BinOp(op=ast.Add(), left=left, right=right) if [*said(left), *said(right)]:
            yield from map("".join, product([*said(left)] or ["7"], [*said(right)] or ["7"]))
        case ast.JoinedStr(values=values):
            yield from (re.sub("7+", "7", "".join(parts)) for parts in product(*([*said(value)] for value in values)))
        case ast.FormattedValue(value=value):
            yield from list(said(value)) or ["7"]
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            yield from (text for part in parts for text in said(part))


def calls(path: Path) -> Iterator[str]:
    """Texts that a module hands to a function which words them."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            owner, _, name = ast.unparse(node.func).rpartition(".")
            if name in SAID and owner in OWNERS:
                yield from (text for arg in (node.args[:1] + [k.value for k in node.keywords if k.arg == "title"])
                            for text in said(arg))  # fmt: skip


def texts(path: Path) -> Iterator[str]:
    """Every text of a module, put together as far as it can be; without its docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    parts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    parts |= {part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.expr) and node not in parts:
            yield from said(node)


def notes() -> set[str]:
    """What a planner is told of a forecast."""
    return {text for text in texts(ROOT / "serving" / "planning.py") if text.endswith(".") and " " in text}


def card() -> set[str]:
    """The lines of the model card."""
    written = texts(ROOT / "ml" / "card.py")
    return {text for text in written if text.startswith(("#", "- ", "| ")) or text.count(" ") > 8}


def handed() -> set[str]:
    return {text.lstrip() for path in SOURCES if path not in BENCHES for text in calls(path)} | notes()


def test_whatever_a_command_says_is_worded_in_chinese() -> None:
    words = Wording("zh-CN")
    for kind, found in (("lines", handed() - KEPT), ("card", card() - KEPT)):
        assert len(found) > {"lines": 100, "card": 15}[kind]
        assert sorted(text for text in found if not CHINESE.search(words.told(text, kind))) == []


def test_every_chinese_line_is_of_a_text_that_is_said_and_has_its_values() -> None:
    lines = wording("zh-CN")["lines"] | wording("zh-CN")["card"]
    sources = {text.lstrip() for path in SOURCES for text in texts(path)}
    unsaid = [line for line in lines if re.sub(r"\{\w+\}", "7", line) not in sources]
    assert unsaid == []
    for english, chinese in lines.items():
        assert CHINESE.search(chinese) or english == "── {said}", english


@pytest.mark.parametrize("kind", ["lines", "card"])
def test_a_translation_keeps_every_value_of_its_pattern(kind: str) -> None:
    for english, chinese in wording("zh-CN")[kind].items():
        assert values(chinese) == values(english) - DROPPED.get(english, set()), english


def values(text: str) -> set[str]:
    return {name for _, name, *_ in Formatter().parse(text) if name}


def test_every_unit_of_a_finding_has_a_measure_word_in_chinese() -> None:
    units = {
        keyword.value.value
        for path in (ROOT / "features" / "validation").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "unit" and isinstance(keyword.value, ast.Constant)
    }
    assert {*units, "rows"} == set(wording("zh-CN")["unit"])


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("  alarms: 1,000 rows read", "  alarms：已读取 1,000 行"),
        ("alarms: 1,000 rows", "alarms：1,000 行"),
        ("Wrote my demo/b.csv: 12 rows", "已写入 my demo/b.csv：12 行"),
        ("Nothing was written. Then: foremend ingest", "没有写入任何数据。下一步：foremend ingest"),
        ("── Check every rule", "── 检查全部规则"),
        ("x: 'UTC+8' (3 rows) is no time zone. Did you mean 'UTC'?", "x：“UTC+8”（3 行）不是时区名。是否应为“UTC”？"),
        ("Next: foremend -w '{x} readiness' score", "下一步：foremend -w '{x} readiness' score"),
        ("nobody's line", "nobody's line"),
    ],
)
def test_the_pattern_with_most_of_a_line_words_it_and_names_stay_as_they_are(english: str, chinese: str) -> None:
    assert Wording("zh-CN").told(english) == chinese
    assert Wording().told(english) == english


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("Note: hello (1 of 2)", "注意：hello (1 of 2)"),
        ("Note: the query gives 7 (expected 1 to 3 columns)", "注意：the query gives 7 (expected 1 to 3 columns)"),
        ("the query gives 7 (expected 1 to 3 columns)", "the query gives 7 (expected 1 to 3 columns)"),
        ("0.4 (0.3 to 0.5)", "0.4 (0.3 to 0.5)"),
        ("2024-03-01 08:30 (1 of 2)", "2024-03-01 08:30（第 1 个，共 2 个）"),
        ("Wrote /tmp/a: b/c.csv: 12 rows", "已写入 /tmp/a: b/c.csv：12 行"),
        ("my own words: 12 rows", "my own words: 12 rows"),
        (f"Note: {'x' * 500}", f"Note: {'x' * 500}"),
        (AsIs("  pumps: Note: hello"), "  pumps: Note: hello"),
    ],
)
def test_a_pattern_takes_only_what_is_its_own(english: str, chinese: str) -> None:
    told = Wording("zh-CN").told(english)
    assert told == chinese
    assert Wording("zh-CN").told(told) is told
    assert Wording().told(english) == english


def test_patterns_of_the_model_card_are_the_cards_alone() -> None:
    assert Wording("zh-CN").told("0.4 (0.3 to 0.5)", "card") == "0.4（0.3 至 0.5）"
    assert Wording("zh-CN").told("12 (expected 1 to 3 columns)", "card") == "12 (expected 1 to 3 columns)"


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_data_in_a_line_of_the_report_stand_as_they_are(language: str) -> None:
    example = '{"note":"serial: pump A: 3 rows: see 1 tickets"}'
    for pattern in ("e.g. {example}", "first: {example}"):
        assert Wording(language).line(pattern, example=example).endswith(example)
    assert Wording().line("{checks} checks: {errors} errors", checks=1, errors=11) == "1 check: 11 errors"


@pytest.mark.parametrize(
    ("reason", "chinese"),
    [
        ("promoted by hand", "人工提升"),
        ("promoted by hand: sold to Foo, stored as spare, expected back",
         "人工提升：sold to Foo, stored as spare, expected back"),
        ("promoted by hand, although it failed calibrated: promises too much: observed over expected 0.40, 95 % 0.3 to 0.5",
         "人工提升：although it failed calibrated: promises too much: observed over expected 0.40, 95 % 0.3 to 0.5"),
    ],
)  # fmt: skip
def test_the_reason_that_a_person_gave_is_kept_letter_by_letter(reason: str, chinese: str) -> None:
    assert Wording("zh-CN").said(reason) == chinese
    assert Wording().said(reason) == reason
