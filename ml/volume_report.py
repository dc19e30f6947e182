"""A volume forecast for planners on one page: a sentence, the picture, a table, how good the models were."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import pandas as pd

from ml.report import LANGUAGES, Wording, rendered, wording

if TYPE_CHECKING:
    import altair as alt

__all__ = ["VolumePage", "fan_chart", "volume_page"]

SHOWN_BEFORE = pd.Timedelta(weeks=8)
"""How much of the past stands before the forecast in the picture."""


@dataclass(frozen=True)
class VolumePage:
    """What the page shows.

    Attributes
    ----------
    history
        Daily series: ``unique_id, ds, y``.
    days
        One row per series and day: `ml.forecasters.COLUMNS` with ``region`` and ``ticket_type``.
    compared
        One row per model: see :func:`ml.volume_backtest.compare`.
    """

    name: str
    as_of: datetime
    history: pd.DataFrame
    days: pd.DataFrame
    compared: pd.DataFrame
    held_out_days: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Line:
    """One row of the table: a series, and its sum with the 80 % range over each span of days."""

    region: str | None
    ticket_type: str | None
    sums: tuple[tuple[float, float, float], ...]
    model: str


def volume_page(page: VolumePage, language: str = "en") -> str:
    """Render the page as HTML that needs nothing from elsewhere.

    Raises
    ------
    ValueError
        `language` is not one of :data:`ml.report.LANGUAGES`.
    """
    if language not in LANGUAGES:
        raise ValueError(f"language {language!r}; expected one of {', '.join(LANGUAGES)}")
    words, told = wording(language).get("volume", {}), Wording(language).told
    spans = sorted({min(7, page.days["ds"].nunique()), page.days["ds"].nunique()})
    return rendered(
        "volume.html.j2", page=page, language=language, t=lambda text: words.get(text, text), told=told, spans=spans,
        lines=_lines(page.days, spans), first=page.days["ds"].min(), last=page.days["ds"].max(), before=_sum_before(page),
        models=page.compared.to_dict("records"), picture=fan_chart(page, words.get("tickets a day", "tickets a day")),
    )  # fmt: skip


def fan_chart(page: VolumePage, axis: str) -> str:
    """Draw all tickets, past and to come with both ranges, as SVG.

    Parameters
    ----------
    axis
        Title of the vertical axis.
    """
    from ml.charts import svg

    return svg(lambda: _fan(page, axis))


def _fan(page: VolumePage, axis: str) -> alt.TopLevelMixin:
    import altair as alt

    from ml.charts import BLUE, INK

    total = page.days[page.days["unique_id"] == "total"]
    past = page.history[
        (page.history["unique_id"] == "total") & (page.history["ds"] > total["ds"].min() - SHOWN_BEFORE)
    ]
    day, scale = (
        alt.X("ds:T", title=None, axis=alt.Axis(format="%Y-%m-%d", labelAngle=0, tickCount=8)),
        alt.Scale(zero=True),
    )
    line = alt.Chart(past).mark_line(color=INK, strokeWidth=1.5).encode(day, alt.Y("y:Q", title=axis, scale=scale))
    fans = [
        alt.Chart(total)
        .mark_area(color=BLUE, opacity=shade)
        .encode(day, alt.Y(f"{low}:Q", title=axis), alt.Y2(f"{high}:Q"))
        for low, high, shade in (("lo95", "hi95", 0.15), ("lo80", "hi80", 0.25))
    ]
    ahead = alt.Chart(total).mark_line(color=BLUE, strokeWidth=2).encode(day, alt.Y("yhat:Q", title=axis))
    chart = alt.layer(*fans, line, ahead).properties(width=980, height=320)
    made: alt.TopLevelMixin = chart.configure(font="system-ui, sans-serif").configure_view(stroke=None)
    return made


def _lines(days: pd.DataFrame, spans: list[int]) -> list[_Line]:
    """All, then types, then regions, then each of both; the largest first."""
    level = days["ticket_type"].notna() * 1 + days["region"].notna() * 2
    volume = days.groupby("unique_id")["yhat"].transform("sum")
    ordered = days.assign(level=level, volume=-volume).sort_values(["level", "volume", "unique_id", "ds"])
    return [_line(part, spans) for _, part in ordered.groupby("unique_id", sort=False)]


def _line(part: pd.DataFrame, spans: list[int]) -> _Line:
    node, sums = part.iloc[0], part["yhat"].cumsum()
    tags = [name if isinstance(name, str) else None for name in (node["region"], node["ticket_type"])]
    ends = [(sums.iloc[n - 1], part["sum_lo80"].iloc[n - 1], part["sum_hi80"].iloc[n - 1]) for n in spans]
    return _Line(tags[0], tags[1], tuple((float(a), float(b), float(c)) for a, b, c in ends), str(node["model"]))


def _sum_before(page: VolumePage) -> float | None:
    """All tickets in as many days before as are forecast; None where a day of them is missing."""
    past = page.history.loc[page.history["unique_id"] == "total", "y"].tail(page.days["ds"].nunique())
    return None if past.isna().any() or len(past) < page.days["ds"].nunique() else float(past.sum())
