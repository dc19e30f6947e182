"""What each kind of table adds, on azure-pdm under P0: tickets and assets, then alarms, then services, then sensors."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("FOREMEND_DATA", REPOSITORY.parent / "shared" / "data"))
STEPS = ("errors", "maintenance", "daily_means")
"""Sources that are added to machines and failures, one after the other."""

pytestmark = [
    pytest.mark.proof,
    pytest.mark.skipif(not (DATA / "azure-pdm").is_dir(), reason="the azure-pdm tables are not here (FOREMEND_DATA)"),
]


def without(toml: str, sources: tuple[str, ...]) -> str:
    """The configuration without some of its sources."""
    kept, dropping = [], False
    for line in toml.splitlines():
        if line.startswith("["):
            dropping = line in {f"[sources.{name}]" for name in sources}
        if not dropping:
            kept.append(line)
    return "\n".join(kept)


@pytest.fixture(scope="module")
def ladder(tmp_path_factory):
    """Average precision by horizon on every step, from the lowest."""
    from features.ingest import ingest
    from features.workspace import Workspace
    from ml.train import backtest_risk

    example = (REPOSITORY / "docs" / "examples" / "azure-pdm" / "foremend.toml").read_text()
    found = []
    for count in range(len(STEPS) + 1):
        folder = tmp_path_factory.mktemp("step")
        (folder / "foremend.toml").write_text(without(example, STEPS[count:]))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("FOREMEND_DATA", str(DATA))
            workspace = Workspace.open(folder)
            ingest(workspace)
        tested, _, _ = backtest_risk(workspace)
        found.append({days: tested.quality("model", days).average_precision for days in (1, 7, 14, 30)})
        print("machines, failures", *STEPS[:count], {days: round(ap, 4) for days, ap in found[-1].items()})
    return found


def test_it_works_from_tickets_and_assets_alone(ladder):
    assert ladder[0][7] > 0.126 + 0.02  # a random ranking has the base rate


def test_every_kind_of_table_makes_the_week_better_or_leaves_it(ladder):
    for less, more in pairwise(ladder):
        assert more[7] >= less[7] - 0.01


def test_without_telemetry_tomorrow_is_seen_and_the_week_ranked(ladder):
    assert ladder[2][1] >= 0.99
    assert ladder[2][7] >= 0.50
