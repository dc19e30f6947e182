"""``foremend forecast``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from serving import console
from serving.files import as_cell, written_if_asked

if TYPE_CHECKING:
    import pandas as pd

    from ml.report import Wording
    from serving.planning import VolumeForecast

ROWS_SHOWN = 40
"""Series printed on a terminal; all of them are in the store, the CSV and the JSON."""


@click.command()
@click.option(
    "--horizon", type=click.IntRange(1, 400), help="Days to forecast.  [default: [forecast] horizon, else 28]"
)
@click.option("--model", default="", help="Model to use.  [default: the better one on the days held out]")
@click.option(
    "--as-of", default="", metavar="INSTANT",
    help="Use only what was known before: an instant, or a day for its cut-off.  [default: last cut-off]",
)  # fmt: skip
@click.option("--csv", "csv_file", type=click.Path(dir_okay=False, path_type=Path), help="Also write all days to FILE.")
@click.option("--html", "html_file", type=click.Path(dir_okay=False, path_type=Path), help="Also write a page to FILE.")
@click.option("--language", type=click.Choice(["en", "zh-CN"]), help="Of the page.  [default: the workspace's]")
@click.option("--json", "as_json", is_flag=True, help="Print the forecast as JSON.")
@click.pass_obj
def forecast(
    workspace: Path, *, horizon: int | None, model: str, as_of: str, csv_file: Path | None, html_file: Path | None,
    language: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Forecast daily tickets by region and type, with ranges, and store the forecast.

    \b
    foremend forecast                              28 days from the last cut-off
    foremend forecast --as-of 2024-05-01           as it would have been made at that day's cut-off
    foremend forecast --csv volumes.csv            every series and day, for Excel
    foremend forecast --html volumes.html          a page with the picture, for planners

    Organic tickets are forecast; preventive and planned ones are ours and are left out. Models run
    side by side and are compared on the last days, held out. Settings: [forecast] in foremend.toml.
    """  # noqa: D301
    from features.spine import instant_of
    from features.workspace import Workspace
    from ml.report import Wording
    from serving.planning import forecast_volume

    opened = Workspace.open(workspace)
    config, cutoff = opened.config.workspace, instant_of(opened, as_of) if as_of else None
    with written_if_asked(csv_file) as csv, written_if_asked(html_file) as html:
        made = forecast_volume(opened, as_of=cutoff, horizon=horizon, model=_known(model), say=console.say)
        if csv:
            _write_csv(made, csv)
        if html:
            html.write_text(_page(made, config.name, language or config.language), encoding="utf-8")
    for note in made.notes:
        console.say(f"Note: {note}")
    for file in filter(None, (csv_file, html_file)):
        console.say(f"Wrote {file}")
    if as_json:
        console.to_json(_as_data(made))
    else:
        _print(made, Wording(config.language))
    console.say(f"Stored as forecast {made.run_id}; {made.champion} is the one to use.")
    console.say(f"Next: {console.command(workspace, 'serve')}")


def _known(model: str) -> str:
    from features.errors import ConfigError, nearest
    from ml.volume import FORECASTERS

    if model and model not in FORECASTERS:
        raise ConfigError(f"the model '{model}' is not known", where="--model", todo=nearest(model, FORECASTERS))
    return model


def _print(made: VolumeForecast, words: Wording) -> None:
    """The table of series with the next week and the whole horizon, and how the models compare."""
    days = made.chosen()
    spans = sorted({min(7, made.horizon), made.horizon})
    rows = _rows(days, spans, words)
    heads = [words.cell("next {days} days", days=span) for span in spans]
    pattern = "Tickets from {first:%Y-%m-%d} to {last:%Y-%m-%d}, with the range that holds 80 %"
    title = words.cell(pattern, first=days["ds"].min(), last=days["ds"].max())
    console.table(
        [words.cell("region"), words.cell("type"), *heads, words.cell("model")], rows[:ROWS_SHOWN], title=title
    )
    if len(rows) > ROWS_SHOWN:
        more = "… and {more:,} smaller series: --csv FILE writes them all."
        console.say(words.cell(more, more=len(rows) - ROWS_SHOWN))
    if len(made.compared):
        _print_compared(made, words)


def _print_compared(made: VolumeForecast, words: Wording) -> None:
    figures = made.compared[["model", "mase", "wape", "coverage80", "coverage95"]]
    forms = (".2f", ".1%", ".0%", ".0%")
    shown = [
        [words.cell(model), *map(_figure, row, forms)] for model, *row in figures.itertuples(index=False, name=None)
    ]
    pattern = "On the last {days} days, held out, over {series:,} series"
    title = words.cell(pattern, days=made.held_out_days, series=made.compared["series"].iloc[0])
    heads = ("model", "scaled error (MASE)", "volume missed (WAPE)", "in 80 % range", "in 95 % range")
    console.table([words.cell(head) for head in heads], shown, title=f"\n{title}")


def _figure(value: float, form: str) -> str:
    """A figure in its format; a dash where too few tickets were held out to tell it."""
    return "–" if value != value else format(value, form)  # noqa: PLR0124 - not a number


def _rows(days: pd.DataFrame, spans: list[int], words: Wording) -> list[list[str]]:
    """One row per series: all, then types, then regions, then each of both, the largest first."""
    by_level = days.assign(level=days["ticket_type"].notna() * 1 + days["region"].notna() * 2)
    series = [(part["level"].iloc[0], -part["yhat"].sum(), part) for _, part in by_level.groupby("unique_id")]
    rows = []
    for _, _, part in sorted(series, key=lambda one: one[:2]):
        node = part.iloc[0]
        names = [
            str(name) if isinstance(name, str) else words.cell("all") for name in (node["region"], node["ticket_type"])
        ]
        rows.append([*names, *(_sum(part, span) for span in spans), words.cell(str(node["model"]))])
    return rows


def _sum(part: pd.DataFrame, span: int) -> str:
    last = part.iloc[span - 1]
    return f"{part['yhat'].iloc[:span].sum():,.0f}  ({last['sum_lo80']:,.0f}–{last['sum_hi80']:,.0f})"


def _as_data(made: VolumeForecast) -> dict[str, object]:
    """The forecast as JSON: what it is, how good the models were, one record per series and day."""
    return {
        "run_id": made.run_id,
        "as_of": made.as_of.isoformat(),
        "champion": made.champion,
        "held_out_days": made.held_out_days,
        "notes": list(made.notes),
        "accuracy": _records(made.compared),
        "forecast": _records(_flat(made)),
    }


def _flat(made: VolumeForecast) -> pd.DataFrame:
    columns = ["unique_id", "region", "ticket_type", "ds", "model", "yhat", "lo80", "hi80", "lo95", "hi95"]
    days = made.chosen()[columns]
    return days.assign(ds=days["ds"].dt.strftime("%Y-%m-%d")).round(3)


def _records(frame: pd.DataFrame) -> list[dict[str, object]]:
    """Rows as plain values; null where there is none, for JSON knows no NaN."""
    plain = frame.astype(object)
    return [{str(k): v for k, v in row.items()} for row in plain.where(plain.notna(), None).to_dict("records")]


def _write_csv(made: VolumeForecast, path: Path) -> None:
    """Write every series and day: UTF-8 with the mark that Chinese Excel needs, no cell that it would run."""
    frame = _flat(made)
    for name in ("unique_id", "region", "ticket_type"):
        frame[name] = frame[name].map(as_cell, na_action="ignore")
    path.write_text(frame.to_csv(index=False), encoding="utf-8-sig")


def _page(made: VolumeForecast, name: str, language: str) -> str:
    from ml.volume_report import VolumePage, volume_page

    page = VolumePage(
        name=name, as_of=made.as_of, history=made.history, days=made.chosen(), compared=made.compared,
        held_out_days=made.held_out_days, notes=made.notes,
    )  # fmt: skip
    return volume_page(page, language)
