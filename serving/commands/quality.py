"""``foremend validate`` and ``foremend labels``: what the data are worth, and what counts as a failure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from serving import console, quality_text
from serving.files import as_cell, written, written_if_asked

if TYPE_CHECKING:
    from features.config import Config, FailureRule
    from features.failures import Failures
    from features.validation import Report
    from features.workspace import Snapshot
    from ml.report import Wording


NEXT = {"risk": ("labels", "train risk"), "volume": ("forecast",)}
"""The commands that come next, by what the workspace can be used for."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the whole report as JSON (schema: docs/validate.md).")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write a report in one file.")
@click.option("--language", type=click.Choice(["en", "zh-CN"]), help="Of the report.  [default: the workspace's]")
@click.option("--strict", is_flag=True, help="Exit 2 on any error, not only where nothing can be learned.")
@click.option(
    "--sample", type=click.IntRange(min=1), metavar="N", help="Draw N random rows per table for review by hand."
)
@click.option("--seed", default=0, show_default=True, help="Of the sample: the same seed draws the same rows.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Write the sample as CSV files here.")
@click.pass_obj
def validate(
    workspace: Path, as_json: bool, html: Path | None, language: str | None, strict: bool, sample: int | None,
    seed: int, out: Path | None,
) -> int:  # fmt: skip
    """Check every rule over the ingested tables; say what is ready and what is not.

    \b
    foremend validate                           findings, most frequent first
    foremend validate --html report.html        everything, in one file to pass on
    foremend validate --sample 20 --out review  rows to compare with the source by hand
    foremend validate --strict                  in a pipeline: exit 2 on any error

    Exit 0: usable for risk (assets and failures), for volume (tickets alone), or for both.
    Exit 2: for neither, so nothing can be learned; or, with --strict, any error.
    """  # noqa: D301
    from features.validation import validate as check
    from features.workspace import Workspace
    from ml.report import validation_page
    from serving.sections import check_sections

    if language:
        console.speak(language)
    snapshot = Workspace.open(workspace).pin()
    check_sections(snapshot.workspace.config)
    if sample is not None:
        from features.validation import sample as draw

        return _sampled(draw(snapshot, sample, seed), out, as_json=as_json)
    with written_if_asked(html) as page:
        report = check(snapshot, say=console.say)
        if page is not None:
            page.write_text(validation_page(report, language or report.language), encoding="utf-8")
    words = console.words()
    if html is not None:
        console.say(f"Wrote {html}")
    if as_json:
        from features.validation import as_data

        console.to_json(as_data(report))
    elif html is None:
        quality_text.print_report(report, words)
    return _verdict(report, words, workspace, strict=strict)


def _verdict(report: Report, words: Wording, workspace: Path, *, strict: bool) -> int:
    """Say how it ends, and the next command; the exit code."""
    for purpose in report.purposes:
        for line in quality_text.purpose_lines(purpose, words):
            console.say(line)
    console.say(quality_text.count_line(report, words))
    usable = [purpose.name for purpose in report.purposes if purpose.usable]
    if usable:
        console.say(f"Next: {'; '.join(console.command(workspace, name) for name in NEXT[usable[0]])}")
    return 2 if report.blockers or (strict and report.found("error")) else 0


def _sampled(drawn: Mapping[str, list[dict[str, Any]]], out: Path | None, *, as_json: bool) -> int:
    """Print a sample, or write it as one CSV per table."""
    from features.validation.findings import as_text

    texts = {name: [as_text(row) for row in rows] for name, rows in drawn.items()}
    if as_json:
        console.to_json(texts)
    for name, rows in texts.items():
        if out is not None:
            _csv(out / f"{name}.csv", rows)
        elif not as_json:
            quality_text.print_sample(name, rows)
    return 0


def _csv(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    import csv

    marked = "utf-8-sig"  # lets Excel read Chinese
    with written(path) as beside, beside.open("w", newline="", encoding=marked) as file:
        writer = csv.writer(file)
        writer.writerows([map(as_cell, rows[0]), *(map(as_cell, row.values()) for row in rows)])
    console.say(f"Wrote {path}: {len(rows)} rows")


@click.command()
@click.option(
    "--compare",
    "compared",
    is_flag=True,
    help="Compare two versions; default the two highest, or name them: --compare 1 3.",
)
@click.argument("versions", nargs=-1, type=int)
@click.option("--compare-sql", metavar="SQL", help="Compare the rule in force with a query that you are thinking of.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.pass_obj
def labels(workspace: Path, compared: bool, versions: tuple[int, ...], compare_sql: str | None, as_json: bool) -> None:
    """Show which records count as failures, and what a change of the rule changes.

    \b
    foremend labels                            counts per mode and month, first examples
    foremend labels --compare                  the two highest versions of [[failures]]
    foremend labels --compare 1 3              versions 1 and 3
    foremend labels --compare-sql "SELECT asset_id, opened_at AS event_time FROM tickets"

    Write a changed rule as a new version in foremend.toml; the highest version rules.
    """  # noqa: D301
    from features.failures import read_failures
    from features.workspace import Workspace

    snapshot = Workspace.open(workspace).pin()
    config = snapshot.workspace.config
    if compared or versions or compare_sql:
        from features.failure_changes import compare

        old, new = _pair(config, versions, compare_sql)
        changes = compare(read_failures(snapshot, old), read_failures(snapshot, new))
        quality_text.print_changes(changes, as_json=as_json)
        return
    found = read_failures(snapshot)
    quality_text.print_failures(found, as_json=as_json)
    if found.frame.empty:
        console.say(
            "The rule finds nothing: correct its query in [[failures]] of foremend.toml, or try another: "
            + console.command(workspace, 'labels --compare-sql "SELECT …"')
        )
        return
    if lost := _without_asset(snapshot, found):
        shows = console.command(workspace, "validate")
        console.say(
            f"Failures whose asset is not in `assets`, so that they cannot be used: {lost:,}; {shows} shows them."
        )
    console.say(f"Next: {console.command(workspace, 'train risk')}")


def _without_asset(snapshot: Snapshot, found: Failures) -> int:
    """How many failures are of an asset that is not in ``assets``."""
    with snapshot.connect() as con:
        known = {row[0] for row in con.execute("SELECT asset_id FROM assets").fetchall()}
    return int((~found.frame["asset_id"].isin(known)).sum())


def _pair(config: Config, versions: tuple[int, ...], sql: str | None) -> tuple[FailureRule, FailureRule]:
    """The old and the new rule of a comparison."""
    from features.config import FailureRule
    from features.errors import ConfigError

    known = {rule.version: rule for rule in config.failures}
    if sql:
        now = config.failure_rule
        new = {"version": now.version + 1, "query": sql, "repeat_days": now.repeat_days, "note": quality_text.TRIED}
        return now, FailureRule(**new)
    wanted = versions or tuple(sorted(known)[-2:])
    if len(wanted) != 2 or not set(wanted) <= set(known):
        raise ConfigError(
            _why_not(wanted, known), where="foremend.toml [[failures]]",
            expected=f"two of the declared versions ({', '.join(map(str, sorted(known))) or 'none'})",
            todo='Declare the change as a new version, or try it with --compare-sql "SELECT …"',
        )  # fmt: skip
    return known[wanted[0]], known[wanted[1]]


def _why_not(wanted: Sequence[int], known: Collection[int]) -> str:
    """Why these versions cannot be compared."""
    undeclared = [str(version) for version in wanted if version not in known]
    if undeclared:
        return f"version {', '.join(undeclared)} is not declared"
    if len(known) < 2:
        return f"{'only one version is' if known else 'no version is'} declared: there is nothing to compare"
    return f"a comparison takes two versions, and {len(wanted)} {'is' if len(wanted) == 1 else 'are'} named"
