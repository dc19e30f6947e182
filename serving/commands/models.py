"""``foremend models``, ``promote``, ``rollback``: which versions there are, who is champion, and how that changes."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from serving import console

if TYPE_CHECKING:
    from ml.history import Change
    from ml.registry import Registry, Version

__all__ = ["models", "promote", "rollback"]

MODEL = "risk"
FIGURES = ("average_precision", "brier", "observed_over_expected")
"""What the table shows of a version, at its decision horizon."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print versions and history as JSON.")
@click.option(
    "--card", is_flag=False, flag_value="champion", default=None, metavar="[VERSION]",
    help="Print the model card of a version, by default the champion's, instead.",
)  # fmt: skip
@click.pass_obj
def models(folder: Path, as_json: bool, card: str | None) -> None:
    """List the versions of the risk model, and who was champion, when, why and by whom.

    \b
    foremend models
    foremend models --json           gates with their reasons, challengers too
    foremend models --card           what the champion is for, and how good it is
    foremend models --card 3

    Figures are those of the decision horizon on the version's own test window: two versions were
    compared on the same rows only by the gate `not_worse`.
    """  # noqa: D301
    registry, _ = _open(folder)
    versions = registry.versions(MODEL)
    if card is not None:
        click.echo(_card(registry, versions, card), nl=False)
        return
    history = registry.history(MODEL)
    if as_json:
        console.to_json({"model": MODEL, "versions": [_as_data(one) for one in versions],
                         "history": [asdict(one) | {"at": one.at and one.at.isoformat()} for one in history]})  # fmt: skip
    elif versions:
        _print(versions, history)
    else:
        console.say(f"No version of the model '{MODEL}' is registered. Next: {console.command(folder, 'train risk')}")


@click.command()
@click.argument("version")
@click.option("--reason", default="", help="Why, for the history.")
@click.pass_obj
def promote(folder: Path, version: str, reason: str) -> None:
    """Make VERSION champion, whatever its gates said; `foremend rollback` takes that back.

    \b
    foremend promote 3
    foremend promote 3 --reason "agreed with the branch of the east"

    Its files are checked first. The history names the operating system's user, or FOREMEND_USER
    where that is set.
    """  # noqa: D301
    from ml.champion import promote as make_champion

    registry, user = _open(folder)
    _tell(folder, registry, make_champion(registry, MODEL, version, reason=reason, by=user))


@click.command()
@click.option("--reason", default="", help="Why, for the history.")
@click.pass_obj
def rollback(folder: Path, reason: str) -> None:
    """Give the place back to the champion before; done twice, to the one before that.

    \b
    foremend rollback
    foremend rollback --reason "twice as many visits as the crews can do"

    Scores and proposals that the champion has made stay as they are; `foremend score` asks the
    other one from now on.
    """  # noqa: D301
    from ml.champion import roll_back

    registry, user = _open(folder)
    _tell(folder, registry, roll_back(registry, MODEL, reason=reason, by=user))


def _open(folder: Path) -> tuple[Registry, str]:
    """The registry of a workspace, and who is named in its history."""
    from features.workspace import Workspace
    from ml.registry import Registry
    from serving.settings import load_settings

    settings = load_settings()
    return Registry(Workspace.open(folder).mlflow, settings.mlflow_uri), settings.user


def _tell(folder: Path, registry: Registry, change: Change) -> None:
    """What a promotion or a way back did, and what the gates had said of whom it made champion."""
    from ml.gates import Judgement

    console.say(
        f"Model {MODEL} version {change.to_version} is champion"
        + (f", before it was version {change.from_version}" if change.from_version else "")
        + f"; kept in the history as by {change.by}."
    )
    words = console.words()
    tags = next(one.tags for one in registry.versions(MODEL) if one.version == change.to_version)
    for name, verdict in Judgement.of_tags(tags).verdicts.items():
        if not verdict.passed:
            console.say(f"Note: it failed the gate {words.cell(name)}: {words.said(verdict.reason)}.")
    console.say(f"Next: {console.command(folder, 'score')}")


def _card(registry: Registry, versions: tuple[Version, ...], wanted: str) -> str:
    from features.errors import ModelError
    from ml.card import CARD

    chosen = [one for one in versions if wanted in (one.version, *one.aliases)]
    if not chosen:
        found = f"no {wanted}" if wanted == "champion" else f"no version {wanted}"
        known = ", ".join(one.version for one in versions)
        todo = f"Name one: {known}" if known else "Train one with `foremend train risk`"
        raise ModelError(found, where=f"model '{MODEL}'", todo=todo)
    card = registry.artifact(chosen[0].run_id, CARD)
    if card is None:
        where = f"{MODEL} version {chosen[0].version}"
        raise ModelError("no card lies beside it", where=where, todo="Train again with `foremend train risk`")
    return card.decode("utf-8", "replace")


def _print(versions: tuple[Version, ...], history: tuple[Change, ...]) -> None:
    from ml.history import ROLLBACK, champions

    columns = ("version", "alias", "trained until", "expires", "within", "AP", "Brier", "obs/exp", "gates")
    console.table(columns, [_row(one) for one in reversed(versions)])
    rows = [
        (_day(change.at, "%Y-%m-%d %H:%M:%S"), change.to_version, change.from_version, console.worded(change.how), change.by,
         console.words().said(change.reason) if change.how not in {"promote", ROLLBACK} else change.reason)
        for change in reversed(champions(history))
    ]  # fmt: skip
    if rows:
        console.table(("since (UTC)", "champion", "before", "how", "by", "why"), rows, title="Who was champion")
    now = next((one.version for one in versions if "champion" in one.aliases), "")
    last = next((change.to_version for change in reversed(champions(history)) if change.to_version), "")
    if not now:
        console.say("There is no champion: `foremend promote VERSION` makes one.")
    elif now != last:
        console.say(
            f"Note: the history does not say how version {now} became champion: it was changed past foremend, "
            "or a command was interrupted."
        )


def _row(one: Version) -> tuple[str, ...]:
    data, words = _as_data(one), console.words()
    figures = (data[name] for name in FIGURES)
    days = data["decision_days"]
    failed = [words.cell(name) for name, verdict in data["gates"].items() if not verdict["passed"]]
    passed = words.cell("passed") if data["gates"] else "–"
    gates = console.worded(f"failed: {', '.join(failed)}") if failed else passed
    return (
        one.version, ", ".join(map(words.cell, one.aliases)), data["trained_until"][:10] or "–",
        _day(one.expires_at, "%Y-%m-%d"), "–" if days is None else words.cell("{days:g} d", days=days),
        *("–" if figure is None else f"{figure:.4f}" for figure in figures), gates,
    )  # fmt: skip


def _as_data(one: Version) -> dict[str, Any]:
    """A version as plain data; null where its run does not say."""
    from ml.gates import Judgement

    days = one.parameters.get("risk.decision_days")
    stem = "" if days is None else f"model_{float(days):g}d_"
    return {
        "version": one.version, "aliases": list(one.aliases), "run_id": one.run_id, "created_at": one.created_at.isoformat(),
        "trained_until": one.parameters.get("split.train_until", "").strip('"').replace(" ", "T"),
        "expires_at": one.expires_at and one.expires_at.isoformat(),
        "decision_days": None if days is None else float(days),
        **{name: one.metrics.get(f"{stem}{name}") for name in FIGURES},
        "gates": {name: asdict(verdict) for name, verdict in Judgement.of_tags(one.tags).verdicts.items()},
    }  # fmt: skip


def _day(at: datetime | None, form: str) -> str:
    return f"{at:{form}}" if at else "–"
