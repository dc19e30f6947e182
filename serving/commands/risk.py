"""``foremend train risk``, ``foremend score``, ``foremend tickets``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from serving import console
from serving.files import written_if_asked

if TYPE_CHECKING:
    from ml.policy import PolicyConfig
    from ml.report import Wording
    from ml.train import TrainingReport
    from serving.scoring import Scored

REASONS_SHOWN = 2
"""Reasons of a proposal on a terminal, of those that raise its risk; all are in the JSON."""


@click.group()
def train() -> None:
    """Train a model and register it in MLflow.

    \b
    foremend train risk            failure risk over the horizons of [risk]
    foremend train risk --json     the same report as data
    """  # noqa: D301


@train.command()
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--tune", is_flag=True, help="Search [risk.trees] first, on inner splits of the training slice.")
@click.option("--promote", is_flag=True, help="Make the new version champion whatever the gates say.")
@click.option("--reason", default="", help="Why it is promoted, for the history.  [with --promote]")
@click.option(
    "--mlflow-uri", envvar="FOREMEND_MLFLOW_URI", default="", help="MLflow server.  [default: the local store]"
)
@click.option("--html", "html_file", type=click.Path(dir_okay=False, path_type=Path), help="Also write a page to FILE.")
@click.option("--language", type=click.Choice(["en", "zh-CN"]), help="Of the page.  [default: the workspace's]")
@click.pass_obj
def risk(
    folder: Path, *, as_json: bool, tune: bool, promote: bool, reason: str, mlflow_uri: str, html_file: Path | None,
    language: str | None,
) -> None:  # fmt: skip
    """Train the failure-risk model, judge it on the last window, register it.

    \b
    foremend train risk
    foremend -w fleet train risk --promote --reason "the fleet has grown by half"
    foremend train risk --html risk.html           charts and tables on one page, to pass on

    The past is cut in three: training, a later slice for calibration, and a last window that is
    looked at once. The age-only baseline is fitted and printed beside. The new version becomes
    champion where it passes every gate, and challenger elsewhere; `foremend models` shows both.
    Settings: [risk] in foremend.toml.
    """  # noqa: D301
    from features.workspace import Workspace
    from ml.report import Wording
    from ml.train import train_risk
    from serving.commands.judging import write_page
    from serving.settings import load_settings

    if reason and not promote:
        raise click.UsageError("--reason says why a version is promoted: it goes with --promote")
    workspace = Workspace.open(folder)
    with written_if_asked(html_file) as html:
        report = train_risk(
            workspace, tuned=tune, promote=promote, reason=reason, by=load_settings().user, mlflow_uri=mlflow_uri,
            say=console.say,
        )  # fmt: skip
        if html:
            write_page(html, workspace, report.tested, report.audited, report.notes, language)
    if html_file:
        console.say(f"Wrote {html_file}")
    if as_json:
        console.to_json(report.as_dict())
    else:
        _print(report, Wording(workspace.config.workspace.language))
    console.say(f"Next: {console.command(folder, 'score' if report.alias == 'champion' else 'models')}")


def _print(report: TrainingReport, words: Wording) -> None:
    from serving.commands.judging import print_audit, print_backtest, print_notes

    print_backtest(report.tested, words)
    print_audit(report.audited, words)
    print_notes(report.notes, words)
    rows = [
        (words.cell(name), words.cell("passed" if one.passed else "failed"), words.said(one.reason))
        for name, one in report.gates.items()
    ]
    console.table([words.cell(head) for head in ("gate", "", "why")], rows)
    pattern = "Model risk version {version} is {alias}: {verdict}. Run {run}."
    told = {"version": report.version, "alias": words.cell(report.alias), "verdict": words.said(report.verdict)}
    console.say(words.cell(pattern, **told, run=report.run_id))


@click.command()
@click.option(
    "--as-of", default="", metavar="INSTANT",
    help="Score as it would have been done then: an instant, or a day for its cut-off.  [default: last cut-off]",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the run, its decisions and its proposals as JSON.")
@click.pass_obj
def score(folder: Path, as_of: str, as_json: bool) -> None:
    """Score every asset in service tonight, and propose preventive tickets.

    \b
    foremend score
    foremend score --as-of 2024-05-01              at that day's cut-off
    foremend score --as-of 2024-05-01T16:00Z

    Scores, reasons and proposals are committed together, under the versions of tables, features,
    model and policy that made them. Run it twice and nothing is proposed twice: an asset with a
    proposal is left alone until that has ended. A cut-off before the newest scored one gets scores
    and no proposals; proposals of a past cut-off that have expired by the workspace's clock are
    stored as expired. Costs and crews: [policy] in foremend.toml.

    Every asset has a health grade: its failures are expected less than 1 (A), 2 (B), 4 (C) or 8 (D)
    times as fast as the average asset's of the training, or faster still (E). Scores of assets without
    a history of their own say so: they rest on the asset's model, or on the fleet.
    """  # noqa: D301
    from features.errors import ModelError
    from features.spine import instant_of
    from features.workspace import Workspace
    from ml.policy import PolicyConfig
    from ml.registry import Registry
    from ml.report import Wording
    from serving.commands.judging import print_notes
    from serving.scoring import score as score_assets
    from serving.settings import load_settings
    from serving.store import open_store
    from serving.store.work import list_proposals

    workspace, settings = Workspace.open(folder), load_settings()
    cutoff = instant_of(workspace, as_of) if as_of else None
    workspace.config.section("policy", PolicyConfig)  # a slip there is told before anything else
    engine = open_store(workspace, settings)
    registry = Registry(workspace.mlflow, settings.mlflow_uri)
    if not registry.has("risk") and not registry.has("risk", "challenger"):
        todo = console.command(folder, "train risk" if workspace.pin().tables else "ingest")
        raise ModelError("no champion", where="model 'risk'", todo=f"First run `{todo}`")
    scored = score_assets(workspace, engine, registry, as_of=cutoff, say=console.say)
    with engine.connect() as connection:
        proposals = list_proposals(connection, run_id=scored.run.run_id)
    engine.dispose()
    print_notes(scored.notes, Wording(workspace.config.workspace.language))
    if as_json:
        console.to_json(_run_as_data(scored) | {"proposals": [_as_data(row) for row in proposals]})
    else:
        words = Wording(workspace.config.workspace.language)
        _print_run(scored, words)
        _print_proposals(proposals, words)
    console.say(f"Next: {console.command(folder, 'tickets')}")


@click.command()
@click.option("--state", type=click.Choice(["proposed", "expired", "all"]), default="proposed", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
@click.pass_obj
def tickets(folder: Path, state: str, as_json: bool) -> None:
    """List the proposed preventive tickets, with their reasons.

    \b
    foremend tickets
    foremend tickets --state all --json

    The newest cut-off first, the most valuable first. Nothing is sent anywhere.
    """  # noqa: D301
    from features.workspace import Workspace
    from ml.report import Wording
    from serving.settings import load_settings
    from serving.store import open_store
    from serving.store.work import STATES, list_proposals

    workspace = Workspace.open(folder)
    words = Wording(workspace.config.workspace.language)
    engine = open_store(workspace, load_settings())
    with engine.connect() as connection:
        proposals = list_proposals(connection, STATES if state == "all" else (state,))
    engine.dispose()
    if as_json:
        console.to_json([_as_data(row) for row in proposals])
    elif proposals:
        _print_proposals(proposals, words)
    elif state == "all":
        console.say(words.cell("None was ever proposed."))
    else:
        console.say(words.cell("None is {state}.", state=words.cell(state)))
    console.say(f"Next: {console.command(folder, 'serve' if proposals or state != 'proposed' else 'score')}")


def _print_run(scored: Scored, words: Wording) -> None:
    from ml.policy import PROPOSED, WHY_NOT

    run = scored.run
    pattern = "{assets:,} assets at {as_of:%Y-%m-%d %H:%M} UTC; newest data {newest:%Y-%m-%d %H:%M}; model {model} ({status})."
    told = {"as_of": run.as_of, "newest": run.data_as_of, "model": run.model_version}
    console.say(words.cell(pattern, assets=scored.assets, status=words.cell(run.calibration_status), **told))
    if scored.repeated:
        console.say(words.cell("The same run is stored already: nothing was written, nothing is proposed twice."))
        return
    passed_over = {name: words.cell(text) for name, text in WHY_NOT.items()}
    meanings = {PROPOSED: _costs(run.policy, run.horizons[0], words), **passed_over}
    rows = [
        (f"{count:,}", words.cell(name), meaning)
        for name, meaning in meanings.items() if (count := scored.decisions.get(name, 0))
    ]  # fmt: skip
    console.table([words.cell(head) for head in ("assets", "decision", "meaning")], rows)
    if scored.nothing_pays and scored.pays_from is not None:
        pattern = (
            "No visit pays at a failure's cost of {failure}; the best one would from {from_} on. Say your costs "
            "in foremend.toml: [policy] failure_cost and visit_cost."
        )
        console.say(words.cell(pattern, failure=_amount(run.policy.failure_cost), from_=_amount(scored.pays_from)))
    _print_health(scored, words)


def _print_health(scored: Scored, words: Wording) -> None:
    """How the fleet does, and how many assets are scored without a history of their own."""
    from ml.basis import BASES
    from ml.health import GRADES

    run, counts = scored.run, [(grade, scored.health.get(grade.letter, 0)) for grade in GRADES]
    if scored.health:
        pattern = "Health within {days:g} d, against the base rate of {base:.1%}: {grades}."
        told = ("、" if words.language == "zh-CN" else ", ").join(
            f"{grade.letter} {grade.words.said(words.language)} {count:,}" for grade, count in counts
        )
        console.say(words.cell(pattern, days=run.decision_days, base=run.base_rate, grades=told))
    _, by_model, by_fleet = (scored.bases.get(basis, 0) for basis in BASES)
    if new := by_model + by_fleet:
        pattern = (
            "{new:,} of {assets:,} assets have no history of their own yet: {by_model:,} are scored as their model, "
            "{by_fleet:,} as the fleet."
        )
        console.say(words.cell(pattern, new=new, assets=scored.assets, by_model=by_model, by_fleet=by_fleet))


def _costs(policy: PolicyConfig, first: float, words: Wording) -> str:
    pattern = (
        "worth a visit: saving at a failure's cost of {failure} and a visit's of {visit}, if a visit prevents failures "
        "for {days:g} d; a failure after the first {first:g} d counts {later:g}, for a later visit could still prevent it"
    )
    costs = {"failure": _amount(policy.failure_cost), "visit": _amount(policy.visit_cost)}
    return words.cell(pattern, **costs, days=policy.protects_days, first=first, later=policy.later_weight)


def _amount(cost: float) -> str:
    """A cost for a sentence, to three figures at least: 84,700 and never 8.47e+04."""
    return f"{round(cost):,}" if cost >= 100 else f"{cost:.3g}"


def _print_proposals(proposals: Sequence[Mapping[str, Any]], words: Wording) -> None:
    horizons = sorted({chance["horizon_days"] for row in proposals for chance in row["probabilities"]})
    optional = {
        "health": any(row["health"] for row in proposals),
        "basis": any(row["basis"] not in {None, "asset"} for row in proposals),
    }
    shown = [name for name, wanted in optional.items() if wanted]
    days = [words.cell("P({days:g}d)", days=horizon) for horizon in horizons]
    before, after = ("as of", "asset", "region", "mode"), (*shown, "saving", "state", "why")
    if proposals:
        rows = [_proposal_cells(row, horizons, shown, words) for row in proposals]
        console.table([*map(words.cell, before), *days, *map(words.cell, after)], rows)


def _proposal_cells(
    row: Mapping[str, Any], horizons: Sequence[float], shown: Sequence[str], words: Wording
) -> list[object]:
    from serving.words import health_in_words, language_of, reasons_in_words

    language = language_of(words.language)
    chances = {chance["horizon_days"]: f"{chance['probability']:.0%}" for chance in row["probabilities"]}
    raising = [reason for reason in row["reasons"] if reason["contribution"] > 0]
    more = {
        "health": row["health"] and f"{row['health']} {health_in_words(row['health'], language)}",
        "basis": row["basis"] and words.cell(row["basis"]),
    }
    return [
        f"{row['as_of']:%Y-%m-%d}", row["asset_id"], row["region"], row["failure_mode"],
        *(chances.get(days, "") for days in horizons), *(more[name] for name in shown), f"{row['value']:,.2f}",
        words.cell(row["state"]), reasons_in_words(raising[:REASONS_SHOWN], language),
    ]  # fmt: skip


def _run_as_data(scored: Scored) -> dict[str, Any]:
    from dataclasses import asdict

    run = asdict(scored.run) | {"run_id": scored.run.run_id}
    instants = {name: value.isoformat() for name, value in run.items() if isinstance(value, datetime)}
    names = ("assets", "decisions", "repeated", "notes", "health", "bases")
    return run | instants | {name: getattr(scored, name) for name in names}


def _as_data(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
