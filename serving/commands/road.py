"""``foremend demo``: the whole road, by the commands that a user would type."""

from __future__ import annotations

import shlex
import shutil
import time
from pathlib import Path

import click

from features.errors import ForemendError, UserError
from serving.console import command, say, speak, table, worded

__all__ = ["demo"]

MARK = ".foremend-demo"
"""Stands in a folder that ``demo`` made, and may therefore replace."""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path("demo"))
@click.option("--assets", default=160, show_default=True, help="Machines.")
@click.option("--days", default=760, show_default=True, help="Length of their history.")
@click.option("--seed", default=7, type=click.IntRange(0), show_default=True, help="Another seed is another fleet.")
@click.option(
    "--language", type=click.Choice(["en", "zh-CN"]), default="en", show_default=True, help="Of the workspace."
)
def demo(folder: Path, assets: int, days: int, seed: int, language: str) -> None:
    """Walk the whole road on a made-up fleet in FOLDER (default: demo).

    \b
    foremend demo                        160 machines over two years and a month
    foremend demo bigger --assets 1000   a larger one

    Every step is a command that you can type yourself; it is shown before it runs. The fleet's
    truth is known and lies in FOLDER/truth, which no source reads. A folder that an earlier demo
    made is replaced; any other is left alone.
    """  # noqa: D301
    from features.demo import check_sizes

    speak(language)
    check_sizes(assets, days)
    _clear(folder)
    fleet = ["fleet", str(folder), "--assets", str(assets), "--days", str(days), "--seed", str(seed)]
    inside = ["-w", str(folder)]
    road = (
        (worded("Make a fleet whose truth is known"), [*fleet, "--language", language]),
        (worded("Read its exports into the canonical tables"), [*inside, "ingest"]),
        (worded("Check every rule"), [*inside, "validate"]),
        (worded("Build what was known tonight"), [*inside, "features", "--out", str(folder / "features.parquet")]),
        (worded("Train the risk model and judge it once"), [*inside, "train", "risk"]),
        (worded("Score tonight and propose visits"), [*inside, "score"]),
        (worded("Forecast the tickets to come"), [*inside, "forecast"]),
    )
    times = [(title, _walk(title, words, folder)) for title, words in road]
    say("")
    table(("step", "s"), [*((title, f"{seconds:.1f}") for title, seconds in times),
                          (worded("all"), f"{sum(seconds for _, seconds in times):.1f}")])  # fmt: skip
    first, then = command(folder, "keys create me"), command(folder, "serve")
    say(f"\nThe workspace is {folder}. Next: {first}, then {then}")


def _clear(folder: Path) -> None:
    """Make the folder new; only what an earlier demo made is removed."""
    if (folder / MARK).exists():
        say(f"{folder} holds an earlier demo: it is replaced.")
        shutil.rmtree(folder)
    elif folder.exists() and any(folder.iterdir()):
        raise UserError("the folder is not empty and no demo made it", where=str(folder), todo="Name another folder")


def _walk(title: str, words: list[str], folder: Path) -> float:
    """Run one command in this process; its seconds.

    Raises
    ------
    ForemendError
        The command failed; it has said why.
    """
    from serving.cli import run

    say(f"\n── {title}")
    say(f"$ foremend {shlex.join(words)}")
    started = time.monotonic()
    code = run(words)
    if folder.exists():
        (folder / MARK).touch()
    if code:
        raise ForemendError(f"the demo ends here: exit code {code} of the step above", where=title)
    return time.monotonic() - started
