"""The order of the files: the long ones first, so that two workers end together."""

from __future__ import annotations

from pathlib import Path

import pytest

LONG = (
    "test_point_in_time.py", "test_train.py", "test_commands_risk.py", "test_notebooks.py", "test_commands_judging.py",
    "test_champion.py", "test_audit.py", "test_material.py", "test_definitions.py", "test_failure_spells.py",
    "test_rare_failures.py", "test_demo_truth.py", "test_azure_p0.py", "test_demo_memory.py", "test_databases.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort, and leave the order within a file as it is; xdist keeps it with ``--no-loadscope-reorder``."""
    places = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(Path(item.path).name, len(LONG)))
