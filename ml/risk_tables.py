"""The figures of a risk backtest as tables of text, declared once for the terminal and the page."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ml.audit import Audit
from ml.backtest import Backtest
from ml.quality import Quality
from ml.report import Wording

__all__ = ["Table", "advantage_line", "audit_line", "leaks_table", "tables"]


@dataclass(frozen=True)
class Table:
    """A table in one language.

    Attributes
    ----------
    names
        How many of its first columns hold names; the others hold figures.
    note
        How to read it; may be empty.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    names: int = 1
    note: str = ""


def tables(tested: Backtest, words: Wording) -> Iterator[Table]:
    """Figures by horizon and model, by failure mode, by month, of remaining life, and what visits would have cost.

    None that is empty.
    """
    made = (_qualities, _components, _months, _life, _economics)
    yield from (table for table in (make(tested, words) for make in made) if table.rows)


def advantage_line(tested: Backtest, words: Wording) -> str:
    """How much better than age alone the model ranks, and whether that is sure."""
    if math.isnan(tested.advantage.low):
        return words.cell(
            "No failure within {days:g} d is in the test window: no AP can be told.", days=tested.decision_days
        )
    pattern = (
        "AP within {days:g} d less that of age alone: {low:+.3f} to {high:+.3f} (95 %, bootstrap over assets); it may be none."
        if tested.advantage.holds_zero
        else "AP within {days:g} d less that of age alone: {low:+.3f} to {high:+.3f} (95 %, bootstrap over assets)."
    )
    return words.cell(pattern, days=tested.decision_days, low=tested.advantage.low, high=tested.advantage.high)


def audit_line(audited: Audit, words: Wording) -> str:
    """What an audit looked at, and how much it found."""
    pattern = (
        "Leak audit: {found}; {values:,} values of {features} features were built again at {instants} cut-offs from "
        "what was known before them."
    )
    found = words.cell("{leaks} leaks", leaks=len(audited.leaks)) if audited.leaks else words.cell("no leak")
    return words.cell(pattern, found=found, values=audited.values, features=audited.features, instants=audited.instants)


def leaks_table(audited: Audit, words: Wording) -> Table:
    """Every leak, with the row in which it shows."""
    rows = tuple(
        (words.cell(one.kind), one.feature or words.cell("split"),
         words.cell("{rows:,} of {of:,}", rows=one.rows, of=one.of), words.said(one.sentence))
        for one in audited.leaks
    )  # fmt: skip
    return Table("", _heads(words, "audit", "feature", "rows", "what was found"), rows, names=4)


def _qualities(tested: Backtest, words: Wording) -> Table:
    first, last = tested.split.ends("test")
    pattern = "Test window {first:%Y-%m-%d} to {last:%Y-%m-%d} ({protocol})"
    title = words.cell(pattern, first=first, last=last, protocol=words.cell(tested.protocol))
    heads = (
        "horizon", "model", "rows", "positive", "AP", "95 %", "ROC", "Brier", "ECE", "obs/exp",
        "at K a day: recall, caught",
    )  # fmt: skip
    ordered = sorted(tested.qualities, key=lambda quality: quality.horizon_days)
    note = "AP of a random ranking is positive / rows; caught: failures met at least once, with the lead named."
    rows = tuple(_quality(quality, words) for quality in ordered)
    return Table(title, _heads(words, *heads), rows, names=2, note=words.cell(note))


def _quality(quality: Quality, words: Wording) -> tuple[str, ...]:
    crews = "  ".join(f"{at.k}: {_figure(at.recall, 2)}, {_figure(at.caught, 2)}" for at in quality.at_capacity)
    lead = quality.at_capacity[0].min_lead_days if quality.at_capacity else 0.0
    sure = quality.intervals["average_precision"]
    return (
        words.cell("{days:g} d", days=quality.horizon_days), words.cell(quality.model),
        f"{quality.rows:,}", f"{quality.positives:,}",
        _figure(quality.average_precision), f"{_figure(sure.low, 3)}–{_figure(sure.high, 3)}",
        *map(_figure, (quality.roc_auc, quality.brier, quality.ece, quality.observed_over_expected)),
        words.cell("{crews} (lead > {lead:g} d)", crews=crews, lead=lead) if crews else "",
    )  # fmt: skip


def _components(tested: Backtest, words: Wording) -> Table:
    rows = tuple(
        (one.component, f"{one.positives:,}", *map(_figure, (one.average_precision, one.roc_auc, one.brier)),
         _figure(one.observed_over_expected, 2))
        for one in tested.components if one.horizon_days == tested.decision_days
    )  # fmt: skip
    title = words.cell("Each failure mode alone, within {days:g} d", days=tested.decision_days)
    return Table(title, _heads(words, "mode", "positive", "AP", "ROC", "Brier", "obs/exp"), rows)


def _months(tested: Backtest, words: Wording) -> Table:
    quality = tested.quality("model", tested.decision_days)
    rows = tuple(
        (one.month, f"{one.rows:,}", f"{one.observed:,}", f"{one.expected:,.1f}",
         _figure(one.observed_over_expected, 2))
        for one in quality.months
    )  # fmt: skip
    pattern = "Observed and expected failures within {days:g} d, by month of the cut-off"
    heads = _heads(words, "month", "rows", "observed", "expected", "obs/exp")
    return Table(words.cell(pattern, days=tested.decision_days), heads, rows)


def _life(tested: Backtest, words: Wording) -> Table:
    rows = tuple(
        (words.cell(one.model), f"{one.rows:,}", _figure(one.rmse, 2), _figure(one.nasa_score, 0),
         f"{_figure(one.explained.low, 2)}–{_figure(one.explained.high, 2)}")
        for one in tested.life
    )  # fmt: skip
    limit = tested.rul.limit_days
    title = words.cell("Remaining life, restricted to {days:g} d", days=limit)
    reason = words.said(tested.rul.reason)
    unsaid = words.cell("It is not told of single assets: {reason}.", reason=reason)
    note = words.cell("It is told of every asset.") if tested.rul.estimable else unsaid
    heads = _heads(words, "model", "rows", "RMSE, d", "NASA score", "explained, 95 %")
    return Table(title, heads, rows, note=note)


def _economics(tested: Backtest, words: Wording) -> Table:
    rows = tuple(
        (f"{one.capacity}", words.cell(one.rule), "" if one.parameter is None else f"{one.parameter:g}",
         f"{one.replayed.visits:,}", f"{one.replayed.prevented:,}", f"{one.replayed.failures:,}",
         f"{one.replayed.relative:.3f}")
        for one in tested.economics
    )  # fmt: skip
    title = "Cost of visits and failures over that of running to failure, if a visit protects as [policy] says"
    heads = _heads(words, "K", "rule", "tuned to", "visits", "prevented", "failures", "cost")
    return Table(words.cell(title), heads, rows, names=2)


def _heads(words: Wording, *english: str) -> tuple[str, ...]:
    return tuple(words.cell(head) for head in english)


def _figure(value: float, digits: int = 4) -> str:
    """A figure; a dash where it is not defined."""
    return "–" if value != value else f"{value:.{digits}f}"  # noqa: PLR0124 - not a number
