"""``foremend train risk``, ``foremend score``, ``foremend tickets``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from serving import console

if TYPE_CHECKING:
    from ml.train import TrainingReport


@click.group()
def train() -> None:
    """Train a model and register it in MLflow.

    \b
    foremend train risk            failure risk over the horizons of [risk]
    foremend train risk --json     the same report as data
    """


@train.command()
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--promote", is_flag=True, help="Make the new version champion whatever the gate says.")
@click.option(
    "--mlflow-uri", envvar="FOREMEND_MLFLOW_URI", default="", help="MLflow server.  [default: the local store]"
)
@click.pass_obj
def risk(workspace: Path, as_json: bool, promote: bool, mlflow_uri: str) -> None:
    """Train the failure-risk model, judge it on the last window, register it.

    \b
    foremend train risk
    foremend -w fleet train risk --promote

    The past is cut in three: training, a later slice for calibration, and a last window that is
    looked at once. The age-only baseline is fitted and printed beside. Settings: [risk] in
    foremend.toml.
    """
    from ml.train import train_risk

    from features.workspace import Workspace

    report = train_risk(Workspace.open(workspace), promote=promote, mlflow_uri=mlflow_uri, say=console.say)
    if as_json:
        console.to_json(report.as_dict())
    else:
        _print(report)
    console.say(f"Next: foremend -w {workspace} score" if workspace != Path() else "Next: foremend score")


def _print(report: TrainingReport) -> None:
    console.table(report.columns, report.table(), title="On the test window")
    for note in report.notes:
        console.say(f"Note: {note}")
    console.say(f"Model risk version {report.version} ({report.alias}): {report.verdict}. Run {report.run_id}.")
