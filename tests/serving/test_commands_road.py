"""``foremend demo``: what it may replace, and when."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving.cli import run
from serving.commands import road


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """A folder that an earlier demo made, with something in it."""
    folder = tmp_path / "demo"
    folder.mkdir()
    for name in (road.MARK, "kept.txt"):
        (folder / name).touch()
    return folder


@pytest.mark.parametrize("size", [("--days", "0"), ("--days", "29"), ("--assets", "0"), ("--seed", "-1")])
def test_sizes_that_cannot_be_meant_leave_the_earlier_demo_alone(
    size: tuple[str, str], earlier: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["demo", str(earlier), *size]) == 2
    assert size[0].strip("-") in capsys.readouterr().err
    assert (earlier / "kept.txt").exists()


def test_an_earlier_demo_is_replaced_and_it_is_said(earlier: Path, capsys: pytest.CaptureFixture[str]) -> None:
    road._clear(earlier)
    assert not earlier.exists()
    assert f"{earlier} holds an earlier demo: it is replaced." in capsys.readouterr().err


def test_what_no_demo_made_is_left_alone(earlier: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (earlier / road.MARK).unlink()
    assert run(["demo", str(earlier)]) == 2
    assert "no demo made it" in capsys.readouterr().err
    assert (earlier / "kept.txt").exists()
