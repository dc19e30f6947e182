"""Reports speak both languages completely."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import ml
from features.readiness import FALLBACKS
from features.reasons import REASONS
from ml.report import wording

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


def test_an_unknown_language_is_refused():
    from ml.report import validation_page

    with pytest.raises(ValueError, match="fr"):
        validation_page(None, "fr")  # type: ignore[arg-type]
