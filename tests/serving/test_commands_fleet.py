"""``foremend fleet``: a workspace in one command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from features.demo.defects import DEFECTS
from features.workspace import Workspace
from serving.cli import run

SMALL = ("--assets", "12", "--days", "60", "--readings-per-day", "1")


def test_a_fleet_is_a_workspace_and_says_what_is_in_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fleet", str(tmp_path / "demo"), *SMALL, "--defect", "late_rows", "--language", "zh-CN"]) == 0
    said = capsys.readouterr()
    assert "传感器读数" in said.out
    assert "late_rows" in said.out
    assert "已生成 12 / 12 台设备\n生成 12 台设备、60 天的演示数据 … " in said.err
    assert f"foremend -w {tmp_path / 'demo'} ingest" in said.err
    workspace = Workspace.open(tmp_path / "demo")
    assert workspace.last_cutoff() == workspace.now()
    assert workspace.config.workspace.language == "zh-CN"


def test_a_fleet_is_told_in_english_by_default(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fleet", str(tmp_path / "demo"), *SMALL]) == 0
    said = capsys.readouterr()
    assert "sensor readings" in said.out
    assert "12 of 12 assets" in said.err


def test_the_summary_comes_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fleet", str(tmp_path / "demo"), *SMALL, "--json", "--language", "en"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["assets"], summary["days"], summary["defects"]) == (12, 60, [])
    assert summary["rows"]["assets"] == 12


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    assert run(["fleet", str(tmp_path), *SMALL]) == 2
    assert "not empty" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["precious.txt"]


def test_an_unknown_defect_names_the_nearest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fleet", str(tmp_path / "x"), *SMALL, "--defect", "clock_error"]) == 2
    assert "Did you mean 'clock_errors'" in capsys.readouterr().err


def test_the_help_lists_every_defect(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fleet", "--help"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in DEFECTS)


def test_a_folder_that_cannot_be_made_is_the_users_to_mend(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert run(["fleet", str(tmp_path / "file" / "demo"), *SMALL]) == 2
    assert "cannot be made" in capsys.readouterr().err
