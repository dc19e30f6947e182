"""A fleet of any size is made in the memory of a block."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import resource, sys
from features.demo import make_fleet
make_fleet(sys.argv[1], assets=int(sys.argv[2]), days=30, readings_per_day=1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.proof
def test_ten_times_the_machines_need_at_most_a_tenth_more_memory(tmp_path: Path) -> None:
    """Both are made at once, one per core; each says its own peak of resident memory."""
    runs = {
        assets: subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(tmp_path / str(assets)), str(assets)], stdout=subprocess.PIPE
        )
        for assets in (2_000, 20_000)
    }
    peak = {assets: int(run.communicate()[0]) for assets, run in runs.items()}
    assert peak[20_000] <= 1.1 * peak[2_000]
