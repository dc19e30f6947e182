"""``foremend fleet``: a made-up fleet with known truth, as a workspace."""

from __future__ import annotations

from pathlib import Path

import click

from features.errors import UserError
from serving.console import command, say, speak, step, table, to_json, worded

__all__ = ["fleet"]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--assets", default=160, show_default=True, help="Machines.")
@click.option("--days", default=760, show_default=True, help="Length of the history.")
@click.option(
    "--seed", default=7, type=click.IntRange(0), show_default=True, help="The same seed writes the same bytes."
)
@click.option("--readings-per-day", default=4, show_default=True, help="Sensor readings per machine and day.")
@click.option(
    "--failure-rate", default=1.0, show_default=True, help="Multiplies every hazard: .04 makes failures rare."
)
@click.option("--defect", "defects", multiple=True, metavar="NAME", help="Plant a fault in the data; may be repeated.")
@click.option(
    "--language", type=click.Choice(["zh-CN", "en"]), default="en", show_default=True, help="Of the workspace."
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def fleet(
    folder: Path,
    assets: int,
    days: int,
    seed: int,
    readings_per_day: int,
    failure_rate: float,
    defects: tuple[str, ...],
    language: str,
    as_json: bool,
) -> None:
    """Make a demo fleet in FOLDER, as a workspace: foremend.toml, data/*.parquet, and truth/ that no source reads.

    \b
    foremend fleet demo                                  160 machines, 25 months, 4 readings a day
    foremend fleet big --assets 5000 --days 365          any size; memory stays small
    foremend fleet bad --defect late_rows --defect leak  faults as real exports have them

    \b
    Defects: clock_errors, contradictions, duplicates, late_rows, leak, mixed_zones, nan_values,
             silent_sensors, unknown_assets
    """  # noqa: D301
    from features.demo import make_fleet

    speak(language)
    if folder.exists() and any(folder.iterdir()):
        raise UserError("the folder is not empty", where=str(folder), todo="Name a new folder, or empty this one")
    with step(f"fleet of {assets:,} machines over {days:,} days"):
        summary = make_fleet(
            folder, assets=assets, days=days, seed=seed, readings_per_day=readings_per_day,
            failure_rate=failure_rate, defects=defects, language=language, say=say,
        )  # fmt: skip
    if as_json:
        to_json({name: value for name, value in vars(summary).items() if name != "folder"} | {"folder": str(folder)})
    else:
        table(("what", "count"), [
            (worded("machines"), f"{summary.assets:,}"), (worded("sensor readings"), f"{summary.readings:,}"),
            (worded("tickets"), f"{summary.tickets:,}"), (worded("failures"), f"{summary.failures:,}"),
            (worded("failures without a sensor's warning"), f"{summary.without_precursor:.0%}" if summary.failures else "–"),
            (worded("ROC of the true 7-day probability"), f"{summary.roc_7d:.3f}"),
            (worded("planted defects"), ", ".join(summary.defects) or worded("none")),
        ])  # fmt: skip
    say(f"Next: {command(folder, 'ingest')}")
