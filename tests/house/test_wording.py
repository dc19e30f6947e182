"""Whatever a command says has a Chinese wording: every text that the sources hand to ``say`` and its kin."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from string import Formatter

import pytest

from ml.report import Wording, wording

ROOT = Path(__file__).parents[2]
SOURCES = [path for package in ("features", "ml", "serving") for path in sorted((ROOT / package).rglob("*.py"))]
BENCHES = {path for path in SOURCES if "bench" in path.name or "benchmarks" in path.parts}
"""Benchmarks are said in English."""

SAID = {"say", "step", "table", "worded", "warn"}
OWNERS = {"", "console", "task", "words", "warnings"}
"""Functions that word what they are given, and whose they are: a table of Arrow's is no table of ours."""

KEPT = {"", "7", "7 …", "7: 7", "── 7", "$ foremend 7", "AP", "Brier", "| 7 | 7 | 7 / 7 | 7 |"}
"""Kept as they are, with 7 for every value: names, figures, commands, errors of a dry run, what has no other name."""

CHINESE = re.compile("[一-鿿。：]")


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
    """What a planner is told of a forecast, and the lines of the model card."""
    forecast = {text for text in texts(ROOT / "serving" / "planning.py") if text.endswith(".") and " " in text}
    card = {
        text for text in texts(ROOT / "ml" / "card.py") if text.startswith(("#", "- ", "| ")) or text.count(" ") > 8
    }
    return forecast | card


def handed() -> set[str]:
    return {text.lstrip() for path in SOURCES if path not in BENCHES for text in calls(path)} | notes()


def test_whatever_a_command_says_is_worded_in_chinese() -> None:
    found = handed() - KEPT
    assert len(found) > 120
    words = Wording("zh-CN")
    assert sorted(text for text in found if not CHINESE.search(words.told(text))) == []


def test_every_chinese_line_is_of_a_text_that_is_said_and_has_its_values() -> None:
    lines = wording("zh-CN")["lines"]
    sources = {text.lstrip() for path in SOURCES for text in texts(path)}
    unsaid = [line for line in lines if re.sub(r"\{\w+\}", "7", line) not in sources]
    assert unsaid == []
    for english, chinese in lines.items():
        named = [{name for _, name, *_ in Formatter().parse(text) if name} for text in (english, chinese)]
        assert named[1] <= named[0], english
        assert CHINESE.search(chinese) or english == "── {said}", english


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
