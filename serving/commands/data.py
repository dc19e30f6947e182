"""``foremend init`` and ``foremend ingest``: a company's tables in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from serving.console import command, cut, say, table, to_json, words
from serving.quality_text import blamed

if TYPE_CHECKING:
    from features.ingest import Ingested

__all__ = ["ingest", "init"]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--name", help="Name of the workspace, for reports.  [default: the folder's name]")
def init(folder: Path, name: str | None) -> None:
    """Make a workspace: FOLDER with a commented foremend.toml.

    \b
    foremend init fleet
    foremend init fleet --name "Service, East"

    Nothing is overwritten. Edit the file: it shows how CSV, Excel, Parquet and
    databases are connected, with SQL alone.
    """  # noqa: D301
    from features.template import make_workspace

    path = make_workspace(folder, name or folder.resolve().name)
    click.echo(f"Wrote {path}: say there where your tables come from.", err=True)  # it has no language yet
    click.echo(f"Then: {command(folder, 'ingest --dry-run')}", err=True)


@click.command()
@click.argument("sources", nargs=-1)
@click.option(
    "--rebuild",
    multiple=True,
    metavar="SOURCE",
    help="Replace the stored rows of SOURCE in one commit, after its query or mapping changed. Repeatable.",
)
@click.option("--dry-run", is_flag=True, help="Read and check everything, report every trouble, write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@click.pass_obj
def ingest(folder: Path, sources: tuple[str, ...], rebuild: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Read SOURCES (default: all) into the canonical tables.

    \b
    foremend ingest                       everything that foremend.toml declares
    foremend ingest --dry-run             read, report, write nothing
    foremend ingest machines tickets      these two
    foremend ingest --rebuild tickets     after its query was changed

    Run it as often as you like: only what is new is written. Rows that cannot
    be used go to quarantine with their reasons; `foremend validate` shows them.
    Exit code: 0 done, 2 something to mend in files, settings or data, 1 a fault.
    """  # noqa: D301
    from features.ingest import ingest as run
    from features.workspace import Workspace
    from serving.sections import check_sections

    workspace = Workspace.open(folder)
    if dry_run:
        check_sections(workspace.config)
    results: list[Ingested] = []
    try:
        run(workspace, sources or None, rebuild=rebuild, dry_run=dry_run, say=say, done=results.append)
    finally:  # what was committed before a trouble is told as well
        if results:
            _print_results(results, dry_run=dry_run, as_json=as_json)
    _say_next(folder, sources, results, dry_run=dry_run)


def _print_results(results: Sequence[Ingested], *, dry_run: bool, as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        to_json([asdict(result) for result in results])
        return
    counts = [(r.read, r.written, r.quarantined, r.unchanged) for r in results]
    table(
        ("source", "table", "read", "would write" if dry_run else "written", "quarantined", "unchanged", "version", "s"),
        [(r.source, r.table, *(f"{n:,}" for n in four), r.version, f"{r.seconds:.1f}")
         for r, four in zip(results, counts, strict=True)],
    )  # fmt: skip
    for result in results:
        for why in result.reasons:
            click.echo("\n" + words().line(
                "{source}: {code}: {rows} rows: {meaning}",
                source=result.source, code=why.code, rows=f"{why.rows:,}", meaning=words().meaning(why),
            ))  # fmt: skip
            example = blamed(result.table, why.code, why.columns) + cut(why.example)
            click.echo("  " + words().line("e.g. {example}", example=example))


def _say_next(folder: Path, sources: Sequence[str], results: Sequence[Ingested], *, dry_run: bool) -> None:
    quarantined = sum(r.quarantined for r in results)
    if quarantined:
        say(f"{quarantined:,} rows {'would go' if dry_run else 'went'} to quarantine, for the reasons above.")
    if dry_run:
        say(f"Nothing was written. Then: {command(folder, _in_earnest(sources, results))}")
        return
    if not any(r.written for r in results):
        say("Nothing new: the tables are as they were.")
    say(f"Then: {command(folder, 'validate')}")


def _in_earnest(sources: Sequence[str], results: Sequence[Ingested]) -> str:
    """The command that does what a dry run tried; sources beside a rebuilt one must be named."""
    rebuilt = [f"--rebuild {r.source}" for r in results if r.rebuilt]
    named = [r.source for r in results if not r.rebuilt] if rebuilt else sources
    return " ".join(["ingest", *rebuilt, *named])
