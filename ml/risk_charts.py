"""Charts of a risk backtest, declared once for notebooks, reports and pages.

Each is a function of a backtest and a wording, and draws its figures as they are. None knows which
models were fitted or which rules compared: it draws what is there, and None where nothing is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import altair as alt

from ml.backtest import Backtest
from ml.charts import BLUE, GREY, INK, OTHERS, PALE, SOFT, colour, data, house
from ml.economics import RULES
from ml.quality import Quality
from ml.report import Wording

__all__ = ["CHARTS", "caught", "components", "costs", "months", "precision", "reliability"]

Drawn = alt.TopLevelMixin | None
ENGLISH = Wording()
WIDTH, HEIGHT = 400, 250
SIZE: Mapping[str, int] = MappingProxyType({"width": WIDTH, "height": HEIGHT})
UNIT = alt.Scale(domain=[0, 1])
SHARES = (0, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1)


def precision(tested: Backtest, words: Wording = ENGLISH) -> Drawn:
    """Average precision of every model at every horizon with its interval, and what a random ranking has."""
    first = tested.qualities[0].model
    rows = [
        {"x": words.cell("{days:g} d", days=q.horizon_days), "series": _named(q.model, words), "y": q.average_precision,
         "random": q.base_rate, **_ends(q), "said": f"{q.average_precision:.2f}" if q.model == first else ""}
        for q in tested.qualities
    ]  # fmt: skip
    x, y = alt.X("x:N", title=None, sort=None), alt.Y("y:Q", title=words.cell("average precision"))
    chart = alt.Chart(data(rows)).encode(x, xOffset=alt.XOffset("series:N", sort=None), color=_by_model(tested, words))
    drawn = alt.layer(
        alt.Chart(data(row for row in rows if row["said"])).mark_tick(color=INK, thickness=1.5).encode(x, y="random:Q"),
        chart.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q", title=words.cell("average precision")), y2="high:Q"),
        chart.mark_point(filled=True, size=70, opacity=1).encode(y=y),
        chart.mark_text(dy=-9, fontSize=11).encode(y="high:Q", text="said:N"),
    )
    beneath = words.cell("lines: 95 % intervals; black: a random ranking")
    return house(drawn, words.cell("Average precision by horizon"), beneath, _models(tested, words), size=SIZE)


def reliability(tested: Backtest, words: Wording = ENGLISH) -> Drawn:
    """What was promised and what came, in bins of equal mass, of every model at the decision horizon."""
    found = [(_named(q.model, words), one) for q in reversed(_decisive(tested)) for one in q.reliability]
    if not found:
        return None
    most = min(1.0, 1.05 * max(max(one.predicted, one.observed) for _, one in found)) or 1.0
    axis = alt.Axis(values=[at for at in SHARES if at == 0 or at >= most / 30], format=".2~%", labelOverlap=True)
    scale = alt.Scale(type="sqrt", domain=[0, most], nice=False)  # most rows have small probabilities
    rows = ({"series": name, "x": one.predicted, "y": one.observed} for name, one in found)
    chart = alt.Chart(data(rows)).encode(
        alt.X("x:Q", scale=scale, axis=axis, title=words.cell("predicted probability")),
        alt.Y("y:Q", scale=scale, axis=axis, title=words.cell("share that failed")),
        _by_model(tested, words),
    )
    even = alt.Chart(data({"x": at, "y": at} for at in (0, most))).encode(x="x:Q", y="y:Q")
    drawn = alt.layer(
        even.mark_line(color=INK, strokeDash=[4, 3], strokeWidth=1), chart.mark_line(strokeWidth=1.5, opacity=0.4),
        chart.mark_point(filled=True, size=40, opacity=1),
    )  # fmt: skip
    title = words.cell("Promised and observed within {days:g} d", days=tested.decision_days)
    beneath = words.cell("15 groups of rows; on the line: as promised")
    return house(drawn, title, beneath, _models(tested, words), size=SIZE)


def months(tested: Backtest, words: Wording = ENGLISH) -> Drawn:
    """Failed rows of the model at the decision horizon by month, and how many it expected."""
    of_model = _decisive(tested)[0].months
    if not of_model:
        return None
    seen, promised = names = words.cell("observed"), words.cell("expected")
    turned = alt.Axis(labelAngle=-40 if len(of_model) > 6 else 0, labelOverlap=True)
    x, y = alt.X("x:N", title=None, axis=turned), alt.Y("y:Q", title=words.cell("rows with a failure ahead"))
    bars, line = (
        alt.Chart(data(rows)).encode(x, y, colour(names, (PALE, BLUE)))
        for rows in (
            [{"x": one.month, "series": seen, "y": one.observed} for one in of_model],
            [{"x": one.month, "series": promised, "y": one.expected} for one in of_model],
        )
    )
    marked = bars.mark_bar(), line.mark_line(strokeWidth=1.5), line.mark_point(filled=True, size=80, opacity=1)
    title = words.cell("Observed and expected within {days:g} d", days=tested.decision_days)
    return house(alt.layer(*marked), title, words.cell("by month of the cut-off"), names, size=SIZE)


def caught(tested: Backtest, words: Wording = ENGLISH) -> Drawn:
    """Share of positive rows and of failures that K visits a day would have met, at the decision horizon."""
    found = _decisive(tested)
    rows = [
        {"x": f"{at.k}", "series": _named(q.model, words), "recall": at.recall, "caught": at.caught}
        for q in found for at in q.at_capacity
    ]  # fmt: skip
    if not rows:
        return None
    x = alt.X("x:N", sort=None, title=words.cell("K visits a day"), axis=alt.Axis(labelAngle=0))
    chart = alt.Chart(data(rows)).encode(x, xOffset=alt.XOffset("series:N", sort=None), color=_by_model(tested, words))
    leads = [
        {"x": f"{at.k}", "said": words.cell("{days:.1f} d", days=at.median_lead_days)}
        for at in found[0].at_capacity if at.caught > 0
    ]  # fmt: skip
    above = alt.Chart(data(leads)).mark_text(fontSize=11, color=BLUE).encode(x, y=alt.value(9), text="said:N")
    least = words.cell("failures, lead > {lead:g} d", lead=found[0].at_capacity[0].min_lead_days)
    sides = [
        _panel(alt.layer(chart.mark_bar().encode(y=_share(figure)), *beside), panel)
        for figure, panel, beside in (("recall", words.cell("recall of rows"), ()), ("caught", least, (above,)))
    ]
    title = words.cell("Met by K visits a day, within {days:g} d", days=tested.decision_days)
    beneath = words.cell("above: median lead of the model")
    return house(alt.hconcat(*sides), title, beneath, _models(tested, words))


def costs(tested: Backtest, words: Wording = ENGLISH) -> Drawn:
    """Cost of every rule for visits by capacity, as a share of what doing nothing costs."""
    compared = [one for one in tested.economics if one.rule != "run_to_failure"]
    if not compared:
        return None
    order = [name for name in reversed(tuple(RULES)) if any(one.rule == name for one in compared)]
    names, others = [_named(name, words) for name in order], iter(OTHERS * len(order))
    rows = [
        {"x": f"{one.capacity}", "series": _named(one.rule, words), "y": one.replayed.relative}
        for name in reversed(order) for one in compared if one.rule == name
    ]  # fmt: skip
    chart = alt.Chart(data(rows)).encode(
        alt.X("x:N", sort=None, title=words.cell("K visits a night"), axis=alt.Axis(labelAngle=0)),
        alt.Y("y:Q", axis=alt.Axis(format=".0%"), title=None, scale=alt.Scale(zero=True)),
        colour(names, [BLUE if name == "index" else next(others) for name in order]),
    )
    nothing = alt.Chart(data([{"y": 1.0}])).encode(y="y:Q").mark_rule(color=INK, strokeDash=[4, 3])
    drawn = alt.layer(nothing, chart.mark_line(strokeWidth=2), chart.mark_point(filled=True, size=60, opacity=1))
    beneath = words.cell("dashes: doing nothing, 100 %")
    return house(drawn, words.cell("Cost of visits and failures"), beneath, names, size=SIZE)


def components(tested: Backtest, words: Wording = ENGLISH) -> Drawn:
    """Average precision, and observed over expected, of each failure mode at the decision horizon."""
    found = [one for one in tested.components if one.horizon_days == tested.decision_days and one.positives]
    rows = [
        {"x": one.component, "ap": one.average_precision, "random": one.base_rate, "said": f"{one.average_precision:.2f}",
         "ratio": one.observed_over_expected, "even": 1.0}
        for one in sorted(found, key=lambda one: -one.positives)
    ]  # fmt: skip
    if not rows:
        return None
    few, named = alt.Axis(tickCount=3), alt.Y("x:N", sort=None, title=None, axis=alt.Axis(labelLimit=160))
    bare = alt.Y("x:N", sort=None, title=None, axis=alt.Axis(labels=False))
    chart, size = alt.Chart(data(rows)), {"width": WIDTH // 2 - 25, "height": alt.Step(28)}
    bars = chart.encode(alt.X("ap:Q", title=words.cell("average precision"), scale=UNIT, axis=few), named)
    ratio = alt.X("ratio:Q", title=words.cell("observed / expected"), scale=alt.Scale(zero=True), axis=few)
    ranked = alt.layer(
        bars.mark_bar(color=BLUE), bars.mark_text(align="left", dx=4, fontSize=11).encode(text="said:N"),
        chart.mark_tick(color=INK, thickness=1.5).encode(x="random:Q", y=named),
    )  # fmt: skip
    held = alt.layer(
        chart.mark_rule(color=INK, strokeDash=[4, 3]).encode(x="mean(even):Q"),
        chart.mark_point(filled=True, size=80, opacity=1, color=BLUE).encode(ratio, bare),
    )
    title = words.cell("Each failure mode alone, within {days:g} d", days=tested.decision_days)
    both = alt.hconcat(ranked.properties(**size), held.properties(**size))
    beneath = words.cell("black: a random ranking; dashes: as expected")
    return house(both, title, beneath, axis=[one.component for one in found])


CHARTS: Mapping[str, Callable[[Backtest, Wording], Drawn]] = MappingProxyType(
    {
        "precision": precision, "caught": caught, "reliability": reliability, "months": months, "costs": costs,
        "components": components,
    }
)  # fmt: skip
"""Every chart, by the name of its file."""


def _panel(chart: Any, title: str) -> Any:
    """One of two beside each other."""
    head = alt.TitleParams(title, fontSize=12, fontWeight="normal", color=SOFT)
    return chart.properties(width=WIDTH // 2 - 25, height=HEIGHT - 25, title=head)


def _share(figure: str) -> alt.Y:
    """A share up to 100 %, and room above for what is said of it."""
    axis = alt.Axis(format=".0%", values=[0, 0.2, 0.4, 0.6, 0.8, 1])
    return alt.Y(f"{figure}:Q", title=None, scale=alt.Scale(domain=[0, 1.14]), axis=axis)


def _models(tested: Backtest, words: Wording) -> list[str]:
    """Models as people call them, in the order of the report; the one that serves comes first."""
    return [_named(name, words) for name in dict.fromkeys(quality.model for quality in tested.qualities)]


def _by_model(tested: Backtest, words: Wording) -> alt.Color:
    """The model that serves is blue, age alone is grey."""
    names, age = _models(tested, words), _named("baseline", words)
    others = iter(OTHERS * len(names))
    return colour(names, [BLUE if n == 0 else GREY if name == age else next(others) for n, name in enumerate(names)])


def _decisive(tested: Backtest) -> list[Quality]:
    return [quality for quality in tested.qualities if quality.horizon_days == tested.decision_days]


def _ends(quality: Quality) -> dict[str, float]:
    """The ends of the average precision's interval; the figure itself where it has none."""
    sure, value = quality.intervals.get("average_precision"), quality.average_precision
    return {"low": sure.low, "high": sure.high} if sure else {"low": value, "high": value}


def _named(name: str, words: Wording) -> str:
    """A model or a rule as people call it."""
    return words.cell(name).replace("_", " ")
