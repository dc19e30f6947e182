"""Sections of ``foremend.toml`` that only later commands read are checked by the first ones."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from features.config import OWNED_ABOVE, parse
from features.template import make_workspace
from serving.cli import run
from serving.sections import sections

HEAD = '[workspace]\nid = "sections"\n'
TOML = f"""{HEAD}
[sources.machines]
table = "assets"
query = "SELECT 'A1' AS asset_id"
"""
WRONG = {
    "[policy]\nfailure_costs = 3": "foremend.toml [policy]: unknown key 'failure_costs'. Did you mean 'failure_cost'?",
    "[risk]\nhorizon_days = [1]": "foremend.toml [risk]: unknown key 'horizon_days'. Did you mean 'horizons_days'?",
    "[risk]\nhorizons_days = [2]": "foremend.toml [risk]: horizons_days = [2.0] must rise and be edges",
    "[forecast]\ncuntry = 'CN'": "foremend.toml [forecast]: unknown key 'cuntry'. Did you mean 'country'?",
    "[forecast]\nmodels = ['phrophet']": "foremend.toml [forecast] models: the model 'phrophet' is not known. Did you",
    "[features.hot]\nentries = [{kind = 'cuont', table = 'alarms', windows = [7]}]": "[features.hot] entry 1: kind 'cuont'",
    "[features.hot]\nentries = [{kind = 'count', tabel = 'alarms', windows = [7]}]": "'tabel'. Did you mean 'table'?",
    "[features.alarms]\nsql = 'SELECT 1'": "'alarms' is a group of the house",
}  # fmt: skip


def test_every_section_of_the_packages_above_has_its_dataclass() -> None:
    assert set(sections()) == set(OWNED_ABOVE)


@pytest.mark.parametrize(
    "command", [["ingest", "--dry-run"], ["validate"], ["validate", "--sample", "1"]], ids=" ".join
)
@pytest.mark.parametrize("section", WRONG, ids=lambda text: text.partition(" =")[0].replace("\n", " "))
def test_a_section_that_cannot_be_meant_is_told_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], section: str, command: list[str]
) -> None:
    (tmp_path / "foremend.toml").write_text(TOML + section)
    assert run(["-w", str(tmp_path), *command]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert WRONG[section] in line


@pytest.mark.parametrize("name", OWNED_ABOVE)
def test_what_init_writes_of_a_section_are_all_its_keys_with_their_defaults(tmp_path: Path, name: str) -> None:
    text = make_workspace(tmp_path / "fleet", "x").read_text(encoding="utf-8")
    example = re.search(rf"^# \[{name}\]\n(?:# \S.*\n)+", text, re.MULTILINE)
    more = re.search(rf"^# More keys of \[{name}\].*\n((?:#   .*\n)+)", text, re.MULTILINE)
    assert example
    kind = sections()[name]
    written = re.sub("^# ", "", example.group(), flags=re.MULTILINE)
    assert parse(HEAD + written).section(name, kind) == kind()
    further = re.findall(r"^#   (\w+ = \S+)", more.group(1), re.MULTILINE) if more else []
    shown = {line.partition(" =")[0] for line in (*written.splitlines()[1:], *further)}
    assert shown == {field.name for field in fields(kind)}
    parse(HEAD + f"[{name}]\n" + "\n".join(further)).section(name, kind)


def test_a_column_that_a_source_has_yet_to_bring_is_no_error(tmp_path: Path) -> None:
    group = "[features.hot]\nentries = [{kind = 'statistics', column = 'oil', stats = ['mean'], windows = [7]}]\n"
    (tmp_path / "foremend.toml").write_text(TOML + "[channels.oil]\n" + group)
    assert run(["-w", str(tmp_path), "ingest", "--dry-run"]) == 0


def test_a_wrong_policy_is_told_before_a_champion_is_looked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "foremend.toml").write_text(TOML + "[policy]\nvisit_cots = 1")
    assert run(["-w", str(tmp_path), "score"]) == 2
    assert "Did you mean 'visit_cost'?" in capsys.readouterr().err
