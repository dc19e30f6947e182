"""The look of the house for charts, and how one is drawn without a browser and without a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import altair as alt
from altair.utils.schemapi import debug_mode

from ml.backtest import without_nan

__all__ = ["BLUE", "GREY", "INK", "OTHERS", "PALE", "SOFT", "colour", "data", "house", "svg"]

BLUE, INK, SOFT, GREY, PALE = "#2563a8", "#1d2433", "#5a6475", "#8793a7", "#c3ccd9"
OTHERS = ("#d07a1c", "#2f7d5b", "#8e4a9e", "#b3261e", "#0d8a9c")
"""Colours of what stands beside: what a chart is about is blue, what it is measured against is grey."""


def house(
    chart: Any, title: str, beneath: str, legend: Iterable[str] = (), *, axis: Iterable[str] = (),
    size: Mapping[str, int] = MappingProxyType({}),
) -> alt.TopLevelMixin:  # fmt: skip
    """A chart in the look of the house, with its title and how to read it.

    Parameters
    ----------
    legend, axis
        Names in the legend, and beside the vertical axis. Letters are measured where a chart is drawn, perhaps
        without a Chinese font: what such names need beyond what was measured is kept free, or they would be cut.
    size
        ``width`` and ``height`` of what is not put together from several.
    """
    padding = {"left": 5 + _unmeasured(axis), "top": 5, "bottom": 5, "right": 5 + _unmeasured(legend)}
    head = alt.TitleParams(
        title, subtitle=beneath, anchor="start", frame="bounds", fontSize=14, subtitleFontSize=12,
        subtitleColor=SOFT, color=INK, offset=10,
    )  # fmt: skip
    # In one call: Altair copies the whole chart, data and all, at every further one.
    made: alt.TopLevelMixin = chart.properties(title=head, padding=padding, config=_look(), **size)
    return made


def _look() -> alt.Config:
    axis = alt.AxisConfig(
        labelColor=SOFT, titleColor=SOFT, titleFontWeight="normal", labelFontSize=12, titleFontSize=12, titlePadding=9,
        gridColor="#e8ecf2", domainColor=PALE, tickColor=PALE, labelAngle=0,
    )  # fmt: skip
    legend = alt.LegendConfig(labelFontSize=12, labelColor=INK, symbolStrokeWidth=0, symbolOpacity=1)
    return alt.Config(
        font="system-ui, sans-serif", view=alt.ViewConfig(stroke=None), axis=axis, axisX=alt.AxisConfig(grid=False),
        legend=legend, concat=alt.CompositionConfig(spacing=24),
    )  # fmt: skip


def colour(names: Sequence[str], colours: Sequence[str]) -> alt.Color:
    """Colours of the field ``series``, by its values."""
    scale = alt.Scale(domain=list(names), range=list(colours))
    return alt.Color("series:N", scale=scale, legend=alt.Legend(title=None, symbolType="circle", orient="right"))


def data(rows: Iterable[Mapping[str, object]]) -> alt.Data:
    """Rows as a chart holds them; what is not defined is left out of it."""
    return alt.Data(values=without_nan([dict(row) for row in rows]))  # type: ignore[no-untyped-call]


def svg(declare: Callable[[], alt.TopLevelMixin | None]) -> str:
    """Draw a chart as SVG; empty where there is nothing to draw.

    Altair checks every part against its schema, which takes longer than the drawing does. The charts are the
    house's own and the tests check them; here they are not checked again.
    """
    import vl_convert

    with debug_mode(False):
        chart = declare()
        return "" if chart is None else str(vl_convert.vegalite_to_svg(chart.to_dict(validate=False)))


def _unmeasured(names: Iterable[str]) -> float:
    """What names may need beyond what was measured; a Chinese letter is a square."""
    widths = (sum(6 if ord(letter) > 0x2E7F else 1 for letter in name) for name in names)
    return float(max(widths, default=0))
