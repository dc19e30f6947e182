"""The page and the charts of a risk backtest: both languages, the figures of the backtest, nothing from elsewhere."""

from __future__ import annotations

import ast
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd
import pytest

import ml
from features.labels import label
from ml.audit import Audit, Leak
from ml.backtest import Backtest
from ml.economics import Nights, compare
from ml.intervals import Interval
from ml.policy import PolicyConfig
from ml.protocol import SliceName, Split
from ml.quality import judge, judge_modes
from ml.remaining import LifeQuality, Rul, learnable
from ml.report import Wording, wording
from ml.risk_charts import CHARTS
from ml.risk_report import RiskPage, artifacts, plots, risk_page, worth
from ml.risk_tables import advantage_line, audit_line, leaks_table, tables

if TYPE_CHECKING:
    from ml.risk import RiskModel

START, DAYS, ASSETS = pd.Timestamp("2024-01-20T16:00Z"), 120, 40
MODES, HORIZONS = ("泵 <pump>", "valve"), (1.0, 7.0, 14.0, 30.0)
LANGUAGES = ("en", "zh-CN")
ELSEWHERE = r'(src|href)="|<script|<link|@import|url\('
NAMES_OF_XML = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


@pytest.fixture(scope="module")
def page() -> RiskPage:
    """A page over 120 days of 40 made-up assets, three models, two failure modes."""
    rng = np.random.default_rng(5)
    names = [f"A{n}" for n in range(ASSETS)]
    spine = pd.DataFrame(
        {"asset_id": np.repeat(names, DAYS), "as_of": np.tile(START + pd.to_timedelta(np.arange(DAYS), unit="D"), ASSETS)}
    )  # fmt: skip
    weak = rng.random(ASSETS) ** 2
    failures = pd.DataFrame(
        {"asset_id": rng.choice(names, 130, p=weak / weak.sum()), "failure_mode": rng.choice(MODES, 130),
         "event_time": START + pd.to_timedelta(rng.uniform(0, DAYS, 130), unit="D")}
    )  # fmt: skip
    end = START + pd.Timedelta(days=DAYS)
    labels = label(spine, failures, modes=MODES, until=end.to_pydatetime(), horizons_days=HORIZONS)
    rate = np.repeat(130 * weak / weak.sum() / DAYS, DAYS) / 2
    answers = {}
    for name, noise in (("model", 0.2), ("logistic", 0.6), ("baseline", 3.0)):
        drawn = rate * np.exp(rng.normal(0, noise, len(spine)))
        by_mode = np.stack([np.stack([1 - np.exp(-drawn * days) for days in HORIZONS], axis=1)] * 2, axis=1)
        anyhow = 1 - np.prod(1 - by_mode, axis=1)
        answers[name] = by_mode, spine.assign(**{f"p_{h:g}d": anyhow[:, j] for j, h in enumerate(HORIZONS)})
    nights = Nights(answers["model"][1], failures)
    tested = Backtest(
        protocol="by_time", kind="trees", modes=MODES, rows={"train": 9000, "calibrate": 3000, "test": len(spine)},
        split=Split(datetime(2023, 1, 1, tzinfo=UTC), datetime(2023, 10, 1, tzinfo=UTC), START.to_pydatetime(),
                    end.to_pydatetime(), 1),
        failures=321, decision_days=7,
        qualities=tuple(q for name, (_, p) in answers.items() for q in judge(name, p, labels, failures, (1, 2, 5))),
        components=judge_modes("model", spine, answers["model"][0], labels),
        advantage=Interval(0.031, 0.172), economics=compare(nights, nights, PolicyConfig(), (1, 2, 5)),
        life=(LifeQuality("model", 77, 30, 5.25, 812.4, Interval(0.41, 0.63)),), rul=Rul(True, "", 30),
    )  # fmt: skip
    audited = Audit(values=12345, instants=3, features=67, leaks=())
    return RiskPage(
        "华东 <fleet>", tested, PolicyConfig(), audited, ("a single asset: what it teaches holds for no other",)
    )


@pytest.fixture(scope="module", params=LANGUAGES)
def drawn(request: pytest.FixtureRequest, page: RiskPage) -> tuple[str, dict[str, str]]:
    """Every chart in a language."""
    return request.param, plots(page.tested, request.param)


class Reader(HTMLParser):
    """Cells of tables, tiles and headings as text, and whether what is opened is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells: list[str] = []
        self.titles: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in {"meta", "br"}:
            self.open.append(tag)
        if tag in {"td", "b"}:
            self.cells.append("")
        if tag in {"h1", "h2", "h3"}:
            self.titles.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in {"td", "b"}:
            self.cells[-1] += data
        if self.open and self.open[-1] in {"h1", "h2", "h3"}:
            self.titles[-1] += data


def test_every_chart_is_drawn_and_needs_nothing_from_elsewhere(drawn: tuple[str, dict[str, str]]) -> None:
    language, pictures = drawn
    assert set(pictures) == set(CHARTS)
    for name, picture in pictures.items():
        root = ET.fromstring(picture)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        marks = [*root.iter("{http://www.w3.org/2000/svg}path"), *root.iter("{http://www.w3.org/2000/svg}line")]
        assert len(marks) > 10, name
        texts = "".join(root.itertext())
        assert bool(re.search("[一-鿿]", re.sub("泵", "", texts))) == (language == "zh-CN"), name
        assert not re.search(ELSEWHERE, picture), name
        assert set(re.findall(r"https?://[^\s\"'<]+", picture)) <= NAMES_OF_XML


def test_charts_show_every_model_and_every_rule_that_was_compared(drawn: tuple[str, dict[str, str]]) -> None:
    language, pictures = drawn
    words = Wording(language)
    texts = {name: "|".join(ET.fromstring(picture).itertext()) for name, picture in pictures.items()}
    for name in ("precision", "caught", "reliability"):
        assert all(words.cell(model) in texts[name] for model in ("model", "logistic", "baseline")), name
    assert all(words.cell(rule).replace("_", " ") in texts["costs"] for rule in ("index", "top_k", "periodic"))
    assert all(mode in texts["components"] for mode in MODES)
    assert "2024-02" in texts["months"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_is_whole_and_shows_the_figures_of_the_backtest(page: RiskPage, language: str) -> None:
    text = risk_page(replace(page, language=language), dict.fromkeys(CHARTS, "<svg></svg>"))
    read = Reader()
    read.feed(text)
    assert read.open == []
    assert f'<html lang="{language}">' in text
    assert text.count("<svg>") == len(CHARTS)
    assert "华东 &lt;fleet&gt;" in text
    assert "<fleet>" not in text
    assert "<pump>" not in text
    words, quality = Wording(language), page.tested.quality("model", 7)
    assert f"{quality.average_precision:.2f}" in read.cells
    shown = 0
    for table in tables(page.tested, words):
        assert table.title in read.titles
        for row in table.rows:
            assert all(cell in read.cells for cell in row)
            shown += 1
    assert shown == len(page.tested.qualities) + 2 + 5 + 1 + len(page.tested.economics)
    for quality in page.tested.qualities:
        assert f"{quality.brier:.4f}" in read.cells
    for one in page.tested.economics:
        assert f"{one.replayed.relative:.3f}" in read.cells
    assert "12,345" in text
    assert "9,000" in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_chinese_page_has_no_english_sentence_left(page: RiskPage, language: str) -> None:
    text = re.sub("<style>.*</style>", "", risk_page(replace(page, language=language), {}), flags=re.DOTALL)
    words = set(re.findall("[A-Za-z_]{4,}", re.sub("<[^>]*>", " ", text)))
    if language == "zh-CN":
        assert words <= {"fleet", "pump", "valve", "Brier", "policy", "NASA", "RMSE"}
    else:
        assert {"failures", "probabilities", "calibration", "Notes"} <= words


def test_the_sentence_says_what_the_policy_would_have_done_and_whether_it_pays(page: RiskPage) -> None:
    followed = page.followed
    assert followed is not None
    assert (followed.rule, followed.capacity) == ("index", 5)
    done = followed.replayed
    assert f"{done.prevented} of {done.prevented + done.failures} failures" in worth(page)
    assert f"{done.relative:.0%}" in worth(replace(page, language="zh-CN"))
    dear = replace(followed, replayed=replace(done, cost=2 * done.run_to_failure))
    lost = replace(page, tested=replace(page.tested, economics=(dear,)))
    assert "would not have paid" in worth(lost)
    assert "并不划算" in worth(replace(lost, language="zh-CN"))
    spared = replace(followed, replayed=replace(done, prevented=0, failures=0, run_to_failure=0.0))
    assert "No failure" in worth(replace(page, tested=replace(page.tested, economics=(spared,))))


def test_a_division_by_asset_has_no_economics_and_counts_assets(page: RiskPage) -> None:
    owners: dict[str, SliceName] = {"A1": "train", "A2": "train", "A3": "calibrate", "A4": "test"}
    tested = replace(page.tested, protocol="by_asset", economics=(), split=replace(page.tested.split, owners=owners))
    by_asset = replace(page, tested=tested)
    assert f"an average precision of {page.decisive.average_precision:.2f} (" in worth(by_asset)
    text = risk_page(by_asset, {})
    assert "2 assets" in text
    assert "No asset is in two parts." in text
    assert "ticket policy" not in text


def test_a_window_without_failures_still_makes_a_page(page: RiskPage) -> None:
    none = float("nan")
    empty = [
        replace(q, positives=0, base_rate=0.0, average_precision=none, roc_auc=none, observed_over_expected=none,
                intervals={name: Interval(none, none) for name in q.intervals}, months=(), reliability=(), at_capacity=())
        for q in page.tested.qualities
    ]  # fmt: skip
    tested = replace(
        page.tested, qualities=tuple(empty), components=(), economics=(), advantage=Interval(none, none), life=()
    )
    pictures = plots(tested)
    assert set(pictures) == {"precision"}
    text = risk_page(replace(page, tested=tested), pictures)
    assert "nan" not in re.sub("<style>.*</style>", "", text, flags=re.DOTALL).lower()


@pytest.mark.parametrize("language", LANGUAGES)
def test_artifacts_are_the_page_and_its_pictures(page: RiskPage, language: str) -> None:
    files = artifacts(replace(page, language=language))
    assert set(files) == {"report.html", *(f"plots/{name}.svg" for name in CHARTS)}
    text = files["report.html"].decode()
    for name in CHARTS:
        assert files[f"plots/{name}.svg"].decode() in text
    assert not re.search(ELSEWHERE, text)
    assert set(re.findall(r"https?://[^\s\"'<]+", text)) <= NAMES_OF_XML


def test_a_chart_is_a_valid_altair_chart_for_notebooks(page: RiskPage) -> None:
    import altair as alt

    checked = 0
    for declare in CHARTS.values():
        chart = declare(page.tested, Wording())  # checked against the schema part by part, and whole
        assert isinstance(chart, alt.TopLevelMixin)
        chart.to_dict()
        checked += 1
    assert checked == len(CHARTS) == 6


def test_what_the_trees_and_the_line_do_not_gain_is_told_without_a_number_that_is_none(page: RiskPage) -> None:
    unsure = replace(page.tested, advantage=Interval(-0.01, 0.02))
    assert advantage_line(unsure, Wording()).endswith("it may be none.")
    assert "+0.031 至 +0.172" in advantage_line(page.tested, Wording("zh-CN"))


LEAKS = (
    Leak("rebuild", "after_tickets", 3, 90, "A 1", datetime(2024, 1, 2, tzinfo=UTC),
         "after_tickets of A 1 at 2024-01-02 00:00 UTC is 3; from what was known before it is missing"),
    Leak("presence", "asset_x", 8, 9, "A2", datetime(2024, 1, 2, tzinfo=UTC),
         "asset_x is there for 92% of the rows that fail within 7 days and for 10% of the others: its presence alone "
         "ranks them (ROC 0.91), e.g. A2 at 2024-01-02 00:00 UTC"),
    Leak("split", "", 1, 9, "A2", datetime(2024, 1, 2, tzinfo=UTC),
         "a label of train, A2 at 2024-01-02 00:00 UTC + 30 days, ends after calibrate begins"),
    Leak("split", "", 4, 9, "A2", None, "4 assets are in train and in test, A2 among them"),
)  # fmt: skip


def test_leaks_are_said_in_chinese_with_every_figure() -> None:
    audited = Audit(99, 3, 67, LEAKS)
    words = Wording("zh-CN")
    table = leaks_table(audited, words)
    assert [row[0] for row in table.rows] == ["重建对比", "缺失审计", "数据划分", "数据划分"]
    for leak, row in zip(LEAKS, table.rows, strict=True):
        assert set(re.findall("[A-Za-z_]{4,}", row[3])) <= {"after_tickets", "asset_x"}
        numbers = r"\d[\d,.:%-]*(?<![.,:])"
        assert sorted(re.findall(numbers, row[3])) == sorted(re.findall(numbers, leak.sentence))
    assert "发现 4 处泄漏" in audit_line(audited, words)
    assert "4 leaks" in audit_line(audited, Wording())


def _patterns(module: str) -> set[str]:
    """Patterns that a module words: strings given to `cell`, or put together for it."""
    tree = ast.parse((Path(ml.__file__).parent / module).read_text(encoding="utf-8"))
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    documents = {node.value.value for node in ast.walk(tree)
                 if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)}  # fmt: skip
    return {text for text in texts - documents if "{" in text or text.count(" ") > 1}


def test_every_text_of_page_and_charts_is_worded_in_chinese_with_the_same_figures() -> None:
    from string import Formatter

    words = wording("zh-CN")
    said = words["risk"] | words["tables"] | words["volume"]
    page = (Path(ml.__file__).parent / "templates" / "risk.html.j2").read_text(encoding="utf-8")
    used = set(re.findall(r'\bt\("([^"]+)"', page))
    assert len(used) > 15
    for module in ("risk_charts.py", "risk_tables.py", "risk_report.py"):
        used |= {text for text in _patterns(module) if not text.startswith((" ", "\n"))} - {"system-ui, sans-serif"}
    assert {text for text in used if text not in said} == set()
    for english, chinese in words["risk"].items():
        fields = [{(name, form) for _, name, form, _ in Formatter().parse(text) if name} for text in (english, chinese)]
        assert fields[0] == fields[1], english
        assert re.search("[一-鿿]", chinese), english
    assert not set(words["risk"]) & (set(words["tables"]) | set(words["volume"])), "a word in two places"


def _sentences(module: str, told: str) -> set[str]:
    """Sentences that a module yields, appends or gives to `told`, with 7 for every figure."""
    tree = ast.parse((Path(ml.__file__).parent / module).read_text(encoding="utf-8"))
    found: set[str] = set()
    for node in ast.walk(tree):
        said = node.value if isinstance(node, ast.Yield) else None
        if isinstance(node, ast.Call) and ast.unparse(node.func) == told and len(node.args) > 1:
            said = node.args[1]
        for part in [said.body, said.orelse] if isinstance(said, ast.IfExp) else [said]:
            if isinstance(part, ast.JoinedStr):
                values = [str(v.value) if isinstance(v, ast.Constant) else _figure(v) for v in part.values]
                found.add("".join(values))
            elif isinstance(part, ast.Constant) and isinstance(part.value, str):
                found.add(part.value)
    return {sentence for sentence in found if sentence.count(" ") > 1}


def _figure(value: ast.expr) -> str:
    """What stands for a figure of a sentence; some are pieces of sentence themselves."""
    inner = value.value if isinstance(value, ast.FormattedValue) else value
    if isinstance(inner, ast.IfExp) and isinstance(inner.body, ast.Constant):
        return str(inner.body.value)
    return "of 7 test rows" if ast.unparse(inner) == "rows" else "7"


@pytest.mark.parametrize(("module", "least"), [("train.py", 3), ("gates.py", 10), ("champion.py", 4)])
def test_every_note_and_verdict_of_a_training_is_said_in_chinese(module: str, least: int) -> None:
    sentences = _sentences(module, "Verdict")
    assert len(sentences) >= least
    for sentence in sentences:
        assert re.search("[一-鿿]", Wording("zh-CN").said(sentence)), sentence


def test_why_a_simpler_model_is_kept_is_said_in_chinese() -> None:
    from ml.choice import LEARNERS, _why_not

    assert {*LEARNERS, "baseline"} <= set(wording("zh-CN")["tables"])
    for learner in LEARNERS:
        for serves in ("baseline", *LEARNERS[: LEARNERS.index(learner)]):
            kept = cast("RiskModel", SimpleNamespace(kind=serves))
            said = Wording("zh-CN").said(_why_not(learner, kept, Interval(-0.0012, 0.0034)))
            assert "-0.0034 至 +0.0012" in said
            assert not re.search("[a-z]{4,}", said)


def test_why_remaining_life_is_not_told_is_said_in_chinese() -> None:
    rng = np.random.default_rng(1)
    left, assets = rng.uniform(0, 30, 60), [f"A{n}" for n in range(60)]
    for said in (
        learnable(rng.uniform(0, 30, 60), left, assets, limit_days=30, beyond_days=days) for days in (7, 29.9)
    ):
        assert not said.estimable
        assert not re.search("[a-z]{4,}", Wording("zh-CN").said(said.reason))
