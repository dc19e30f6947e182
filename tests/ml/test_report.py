"""Reports speak both languages completely."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import ml
import serving
from features.validation.readiness import FALLBACKS
from features.validation.reasons import REASONS
from ml.report import Wording, wording

TEMPLATE = Path(ml.__file__).parent / "templates" / "validation.html.j2"


def test_every_code_and_fallback_is_worded_in_chinese():
    words = wording("zh-CN")
    assert set(words["meaning"]) == set(words["advice"]) == set(REASONS)
    assert set(words["fallback"]) == set(FALLBACKS)
    chinese = [text for kind in ("meaning", "advice") for text in words[kind].values()]
    assert all(re.search("[一-鿿]", text) for text in chinese)


def test_every_heading_of_the_template_is_worded_in_chinese():
    headings = set(re.findall(r't\("([^"]+)"\)', TEMPLATE.read_text(encoding="utf-8")))
    assert len(headings) > 30
    assert headings <= set(wording("zh-CN")["text"])


def test_every_line_of_the_terminal_is_worded_in_chinese_with_the_same_figures():
    from string import Formatter

    root = Path(serving.__file__).parent
    source = "".join((root / name).read_text(encoding="utf-8") for name in ("quality_text.py", "commands/data.py"))
    said = wording("zh-CN")["terminal"]
    used = set(re.findall(r'(?:line\(\s*|pattern = )["\']([^"]+?)["\'](?:,|\)|\n)', source))
    assert used == set(said)
    for english, chinese in said.items():
        named = ({name for _, name, *_ in Formatter().parse(text) if name} for text in (english, chinese))
        fields = [{name.partition("[")[0] for name in names} for names in named]  # {unit[0]} is the measure word
        assert fields[0] == fields[1], english
    heads = set(re.findall(r'words\.text\("([^"]+)"\)', source))
    assert {*heads, "table", "rows", "from", "to", "sources", "class", "assets", "failures"} <= set(
        wording("zh-CN")["text"]
    )


def test_every_word_of_the_tables_on_a_terminal_is_chinese_with_the_same_figures():
    from string import Formatter

    from ml.policy import WHY_NOT
    from ml.volume import FORECASTERS
    from serving.store.work import STATES

    said = wording("zh-CN")["tables"]
    assert {*WHY_NOT, *WHY_NOT.values(), *STATES, "calibrated", "as_fitted", "baseline"} <= set(said)
    assert set(FORECASTERS) <= set(wording("zh-CN")["volume"])
    for english, chinese in said.items():
        fields = [{(name, form) for _, name, form, _ in Formatter().parse(text) if name} for text in (english, chinese)]
        assert fields[0] == fields[1], english
        assert re.search("[一-鿿]", chinese), english
    assert not set(said) & set(wording("zh-CN")["volume"]), "a word in two places"


SENTENCES = [
    "228 failures in 717 days on 60 assets", "8 failures in 717 days on 60 assets, < 10",
    "48 failures in 717 days on 60 assets, < 50 failures", "48 failures in 80 days on 60 assets, < 120 days",
    "3 of 4 failure modes with 50 failures or more", "2,557 organic tickets in 722 days, < 730 days",
    "7 organic tickets in 722 days, < 50 tickets", "no organic tickets",
    "60 of 60 assets, 3% of asset-days, 20,450 days, < 10%", "50 of 110 ids are not in assets",
    "3 times unchanged for 72 h or longer", "against opened_at", "none in the last 3 days of readings",
    "half within 2.0 h, 99 % within 30.5 h, the last after 1,200.0 h", "stored as INTEGER, expected VARCHAR",
    "no assets: connect a source", "no failures: declare [[failures]] in foremend.toml",
    "no failures: rule version 3 finds none", "no failures: none is of an asset that stands in `assets`",
    "no organic tickets: connect a source", "9 complete days of tickets, fewer than 14: load a longer history",
]  # fmt: skip
KEPT = {"assets", "tickets", "opened_at", "INTEGER", "VARCHAR", "foremend", "toml", "failures", "ingest", "labels"}


@pytest.mark.parametrize("sentence", SENTENCES)
def test_sentences_with_figures_are_said_in_chinese(sentence):
    from ml.report import _said

    said = _said(wording("zh-CN")["phrase"], sentence)
    assert re.search("[一-鿿]", said)
    assert set(re.findall("[A-Za-z_]{2,}", said)) <= KEPT
    assert sorted(re.findall(r"\d[\d,.]*", sentence)) == sorted(re.findall(r"\d[\d,.]*", said))


def test_a_finding_counts_in_the_measure_word_of_its_unit():
    words = Wording("zh-CN")
    told = {"place": "readings", "count": "1", "of": "39", "meaning": "在役"}
    said = {unit: words.line("{place}: {count} of {of} {unit}: {meaning}", unit=words.unit(unit), **told)
            for unit in ("assets", "tickets", "rows")}  # fmt: skip
    assert said == {
        "assets": "readings：共 39 台设备，其中 1 台：在役", "tickets": "readings：共 39 张工单，其中 1 张：在役",
        "rows": "readings：共 39 行，其中 1 行：在役",
    }  # fmt: skip


def test_an_unknown_language_is_refused():
    from ml.report import validation_page

    with pytest.raises(ValueError, match="fr"):
        validation_page(None, "fr")  # type: ignore[arg-type]
