"""``foremend backtest risk`` and ``foremend audit leaks``: how good a model is, and whether it may be believed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from serving import console
from serving.files import written_if_asked

if TYPE_CHECKING:
    from features.workspace import Workspace
    from ml.audit import Audit
    from ml.backtest import Backtest
    from ml.report import Wording
    from ml.risk_tables import Table

__all__ = ["audit", "backtest", "print_audit", "print_backtest", "print_notes", "write_page"]


@click.group()
def backtest() -> None:
    """Judge a recipe on the past; nothing is registered.

    \b
    foremend backtest risk          as `train risk` would, and what it would be worth
    foremend backtest risk --json   the same as data; docs/backtest.md describes it
    foremend backtest risk --html risk.html
    """  # noqa: D301


@backtest.command()
@click.option("--json", "as_json", is_flag=True, help="Print the backtest as JSON.")
@click.option("--tune", is_flag=True, help="Search [risk.trees] first, on inner splits of the training slice.")
@click.option("--html", "html_file", type=click.Path(dir_okay=False, path_type=Path), help="Also write a page to FILE.")
@click.option("--language", type=click.Choice(["en", "zh-CN"]), help="Of the page.  [default: the workspace's]")
@click.pass_obj
def risk(folder: Path, as_json: bool, tune: bool, html_file: Path | None, language: str | None) -> None:
    """Fit on the past, calibrate on a later slice, judge on the last window; register nothing.

    \b
    foremend backtest risk
    foremend -w fleet backtest risk --json > backtest.json
    foremend backtest risk --html risk.html        charts and tables on one page, to pass on

    Printed per horizon: the model beside the age-only baseline, each failure mode alone, what was observed
    against what was expected by month, and what visits by several rules would have cost, relative to
    running to failure. Intervals hold 95 % of fleets like this one (bootstrap over assets).
    """  # noqa: D301
    from features.workspace import Workspace
    from ml.backtest import as_data
    from ml.report import Wording
    from ml.train import backtest_risk

    workspace = Workspace.open(folder)
    words = Wording(workspace.config.workspace.language)
    with written_if_asked(html_file) as html:
        tested, audited, notes = backtest_risk(workspace, tuned=tune, say=console.say)
        if html:
            write_page(html, workspace, tested, audited, notes, language)
    if html_file:
        console.say(f"Wrote {html_file}")
    if as_json:
        console.to_json(as_data(tested) | {"notes": list(notes)})
    else:
        print_backtest(tested, words)
        print_notes(notes, words)
    print_audit(audited, words)
    console.say(f"Next: {console.command(folder, 'train risk')}")


@click.group()
def audit() -> None:
    """Look for what must not be.

    \b
    foremend audit leaks     features that have seen the future
    """  # noqa: D301


@audit.command()
@click.option("--json", "as_json", is_flag=True, help="Print the audit as JSON.")
@click.pass_context
def leaks(ctx: click.Context, as_json: bool) -> None:
    """Build features again from what was known, and compare; exit code 2 where a leak is found.

    \b
    foremend audit leaks
    foremend audit leaks --json

    At some cut-offs every source is cut to what was known before, and all features are built again: a value
    that differs has seen the future. Values of your own SQL and attributes whose mere presence tells the
    outcome are accused too, and labels that reach into the next slice. `train risk` runs the same audit and
    registers nothing that fails it.
    """  # noqa: D301
    from dataclasses import asdict

    from features.workspace import Workspace
    from ml.report import Wording
    from ml.risk_tables import leaks_table
    from ml.train import audit_leaks

    workspace = Workspace.open(ctx.obj)
    words = Wording(workspace.config.workspace.language)
    audited = audit_leaks(workspace, say=console.say)
    if as_json:
        console.to_json(asdict(audited) | {"passed": audited.passed})
    else:
        if audited.leaks:
            _print(leaks_table(audited, words))
        print_audit(audited, words)
    if not audited.passed:
        ctx.exit(2)


def write_page(
    file: Path, workspace: Workspace, tested: Backtest, audited: Audit, notes: tuple[str, ...], language: str | None
) -> None:
    """Write a backtest as a page, in the workspace's language where none is named."""
    from ml.risk_report import RiskPage, risk_page

    page = RiskPage.of(workspace, tested, audited, notes, language or "")
    file.write_text(risk_page(page), encoding="utf-8")


def print_backtest(tested: Backtest, words: Wording) -> None:
    """Print a backtest for people: figures, components, months, remaining life, economics."""
    from ml.risk_tables import advantage_line, tables

    for place, table in enumerate(tables(tested, words)):
        _print(table)
        if place == 0:
            console.say(advantage_line(tested, words))


def print_notes(notes: Sequence[str], words: Wording) -> None:
    """Print what a reader of the figures must know."""
    for note in notes:
        console.say(words.cell("Note: {note}.", note=words.said(note)))


def print_audit(audited: Audit, words: Wording) -> None:
    """Print what an audit looked at."""
    from ml.risk_tables import audit_line

    console.say(audit_line(audited, words))


def _print(table: Table) -> None:
    console.table(table.heads, table.rows, title=table.title)
    if table.note:
        console.say(table.note)
