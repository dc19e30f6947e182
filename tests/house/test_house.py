"""The rules of the house, checked: imports, licences, lock files, documents."""

from __future__ import annotations

import graphlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from serving.cli import COMMANDS

ROOT = Path(__file__).parents[2]


def _run(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_import_contracts_hold() -> None:
    out = _run(str(Path(sys.executable).with_name("lint-imports")), "--no-cache")
    kept = re.search(r"Contracts: (\d+) kept, 0 broken", out)
    assert kept
    assert int(kept.group(1)) == 3


def test_no_module_imports_itself_by_way_of_others() -> None:
    import grimp

    graph = grimp.build_graph("features", "ml", "serving", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    graphlib.TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle
    assert "ml.risk" in imports["ml.stored"]


def test_no_runtime_dependency_is_gpl_or_agpl() -> None:
    out = _run(sys.executable, "scripts/licences.py")
    assert int(re.search(r"(\d+) runtime packages, 0 refused", out).group(1)) > 80  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("expression", "wrong"),
    [
        ("MIT", False), ("LGPL-3.0-only", False), ("GPL-3.0-only", True), ("AGPL-3.0-or-later", True),
        ("MIT OR GPL-2.0-only", False), ("MIT AND GPL-2.0-only", True), ("(MIT OR Apache-2.0) AND BSD-3-Clause", False),
    ],
)  # fmt: skip
def test_the_licence_check_reads_spdx_expressions(expression: str, wrong: bool) -> None:
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        import licences
    finally:
        sys.path.pop(0)
    assert licences.refused(expression) is wrong


@pytest.mark.parametrize("name", ["run", "dev", "uv"])
def test_the_locks_pin_by_hash_and_name_no_host(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.lock").read_text()
    pins = re.findall(r"^[A-Za-z0-9._-]+==", text, flags=re.MULTILINE)
    assert pins
    assert text.count("--hash=sha256:") >= len(pins)
    assert "://" not in text


def test_the_runtime_lock_holds_every_dependency_that_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[\[<>=]", line)[0] for line in project["dependencies"]}
    pinned = set(re.findall(r"^([a-z0-9._-]+)==", (ROOT / "requirements" / "run.lock").read_text(), flags=re.MULTILINE))
    assert names <= pinned, names - pinned


def test_the_readme_names_the_two_commands_and_every_command() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "make demo" in readme
    assert "make test" in readme
    guide = readme + (ROOT / "docs" / "commands.md").read_text()
    assert [name for name in COMMANDS if f"foremend {name}" not in guide] == []


def test_the_readme_puts_foremend_on_the_path_once_and_make_demo_reminds_of_it() -> None:
    readme, makefile = (ROOT / "README.md").read_text(), (ROOT / "Makefile").read_text()
    assert readme.index("make test") < readme.index("source .venv/bin/activate") < readme.index("$ foremend init")
    assert ".venv/bin/foremend" not in readme
    demo = makefile[makefile.index("\ndemo:") : makefile.index("\ntest:")]
    assert "activate" in demo.strip().splitlines()[-1]


def test_the_readmes_python_runs_on_a_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from features.demo import make_fleet
    from features.ingest import ingest
    from features.workspace import Workspace

    make_fleet(tmp_path / "fleet", assets=3, days=240, readings_per_day=1)
    ingest(Workspace.open(tmp_path / "fleet"))
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    found: dict[str, Any] = {}
    exec(block, found)
    assert found["frame"]["asset_id"].is_unique
    assert set(found["frame"]["as_of"].astype(str)) == {"2025-06-01 16:00:00+00:00"}


def test_every_relative_link_of_the_documents_leads_somewhere() -> None:
    broken, links = [], 0
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text()):
            links += 1
            if not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)} -> {target}")
    assert broken == []
    assert links > 10


def test_no_pickle_is_imported_anywhere() -> None:
    guilty = [
        str(path)
        for package in ("features", "ml", "serving")
        for path in (ROOT / package).rglob("*.py")
        if re.search(
            r"^\s*(import|from) (pickle|cloudpickle|joblib|dill|marshal|shelve)\b", path.read_text(), re.MULTILINE
        )
    ]
    assert guilty == []


def test_every_proof_is_run_by_exactly_one_part() -> None:
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        import proof
    finally:
        sys.path.pop(0)
    marked = {path for path in (ROOT / "tests").rglob("test_*.py") if "mark.proof" in path.read_text()}
    homes = [
        {path for pattern in part.paths for found in ROOT.glob(pattern) for path in (found, *found.rglob("test_*.py"))}
        for part in proof.PARTS.values()
    ]
    assert len(marked) > 8
    lost = {str(p.relative_to(ROOT)) for p in marked - {Path(__file__)} if sum(p in home for home in homes) != 1}
    assert lost == set()
