"""``foremend backtest risk`` and ``foremend audit leaks``: how good a model is, and whether it may be believed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from serving import console

if TYPE_CHECKING:
    from ml.audit import Audit
    from ml.backtest import Backtest
    from ml.quality import Quality

__all__ = ["audit", "backtest", "print_audit", "print_backtest"]


@click.group()
def backtest() -> None:
    """Judge a recipe on the past; nothing is registered.

    \b
    foremend backtest risk          as `train risk` would, and what it would be worth
    foremend backtest risk --json   the same as data; docs/backtest.md describes it
    """  # noqa: D301


@backtest.command()
@click.option("--json", "as_json", is_flag=True, help="Print the backtest as JSON.")
@click.pass_obj
def risk(folder: Path, as_json: bool) -> None:
    """Fit on the past, calibrate on a later slice, judge on the last window; register nothing.

    \b
    foremend backtest risk
    foremend -w fleet backtest risk --json > backtest.json

    Printed per horizon: the model beside the age-only baseline, each failure mode alone, what was observed
    against what was expected by month, and what visits by several rules would have cost, relative to
    running to failure. Intervals hold 95 % of fleets like this one (bootstrap over assets).
    """  # noqa: D301
    from features.workspace import Workspace
    from ml.backtest import as_data
    from ml.train import backtest_risk

    tested, audited, notes = backtest_risk(Workspace.open(folder), say=console.say)
    if as_json:
        console.to_json(as_data(tested) | {"notes": list(notes)})
    else:
        print_backtest(tested)
        for note in notes:
            console.say(f"Note: {note}.")
    print_audit(audited)
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
    from ml.train import audit_leaks

    audited = audit_leaks(Workspace.open(ctx.obj), say=console.say)
    if as_json:
        console.to_json(asdict(audited) | {"passed": audited.passed})
    else:
        rows = [
            (one.kind, one.feature or "split", f"{one.rows:,} of {one.of:,}", one.sentence) for one in audited.leaks
        ]
        if rows:
            console.table(("audit", "feature", "rows", "what was found"), rows)
        print_audit(audited)
    if not audited.passed:
        ctx.exit(2)


def print_backtest(tested: Backtest) -> None:
    """Print a backtest for people: figures, months, components, economics."""
    split = tested.split
    title = f"Test window {split.calibrate_until:%Y-%m-%d} to {split.observed_until:%Y-%m-%d} ({tested.protocol})"
    columns = (
        "horizon",
        "",
        "rows",
        "positive",
        "AP",
        "95 %",
        "ROC",
        "Brier",
        "ECE",
        "obs/exp",
        "at K a day: recall, caught",
    )
    ordered = sorted(tested.qualities, key=lambda q: (q.horizon_days, q.model != "model"))
    console.table(columns, [_row(quality) for quality in ordered], title=title)
    console.say("AP of a random ranking is positive / rows; caught: failures met at least once, with the lead named.")
    low, high = tested.advantage.low, tested.advantage.high
    console.say(
        f"AP within {tested.decision_days:g} d less that of age alone: {low:+.3f} to {high:+.3f} (95 %, bootstrap over assets)"
        + ("; it may be none." if tested.advantage.holds_zero else ".")
    )
    _print_components(tested)
    _print_months(tested)
    _print_economics(tested)


def _row(quality: Quality) -> Sequence[str]:
    crews = "  ".join(f"{at.k}: {at.recall:.2f}, {at.caught:.2f}" for at in quality.at_capacity)
    lead = quality.at_capacity[0].min_lead_days if quality.at_capacity else 0.0
    sure = quality.intervals["average_precision"]
    return (
        f"{quality.horizon_days:g} d", quality.model, f"{quality.rows:,}", f"{quality.positives:,}",
        _figure(quality.average_precision), f"{_figure(sure.low, 3)}–{_figure(sure.high, 3)}",
        *map(_figure, (quality.roc_auc, quality.brier, quality.ece, quality.observed_over_expected)),
        f"{crews} (lead > {lead:g} d)",
    )  # fmt: skip


def _print_components(tested: Backtest) -> None:
    rows = [
        (one.component, f"{one.positives:,}", *map(_figure, (one.average_precision, one.roc_auc, one.brier)),
         _figure(one.observed_over_expected, 2))
        for one in tested.components if one.horizon_days == tested.decision_days
    ]  # fmt: skip
    if rows:
        title = f"Each failure mode alone, within {tested.decision_days:g} d"
        console.table(("mode", "positive", "AP", "ROC", "Brier", "obs/exp"), rows, title=title)


def _print_months(tested: Backtest) -> None:
    quality = tested.quality("model", tested.decision_days)
    rows = [
        (
            one.month,
            f"{one.rows:,}",
            f"{one.observed:,}",
            f"{one.expected:,.1f}",
            _figure(one.observed_over_expected, 2),
        )
        for one in quality.months
    ]
    title = f"Observed and expected failures within {tested.decision_days:g} d, by month of the cut-off"
    console.table(("month", "rows", "observed", "expected", "obs/exp"), rows, title=title)


def _print_economics(tested: Backtest) -> None:
    rows = [
        (f"{one.capacity}", one.rule, "" if one.parameter is None else f"{one.parameter:g}",
         f"{one.replayed.visits:,}", f"{one.replayed.prevented:,}", f"{one.replayed.failures:,}",
         f"{one.replayed.relative:.3f}")
        for one in tested.economics
    ]  # fmt: skip
    title = "Cost of visits and failures over that of running to failure, if a visit protects as [policy] says"
    console.table(("K", "rule", "tuned to", "visits", "prevented", "failures", "cost"), rows, title=title)


def print_audit(audited: Audit) -> None:
    """Print what an audit looked at."""
    found = f"{len(audited.leaks)} leaks" if audited.leaks else "no leak"
    console.say(
        f"Leak audit: {found}; {audited.values:,} values of {audited.features} features were built again "
        f"at {audited.instants} cut-offs from what was known before them."
    )


def _figure(value: float, digits: int = 4) -> str:
    return "–" if value != value else f"{value:.{digits}f}"  # noqa: PLR0124 - not a number
