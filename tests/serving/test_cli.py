"""The command line starts at once, teaches, and fails in one line."""

from __future__ import annotations

import errno
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import serving
from features.errors import ConfigError, Fault, nearest
from serving.cli import COMMANDS, cli, disk_full, run
from serving.console import command

HEAVY = {"pandas", "numpy", "duckdb", "mlflow", "sqlalchemy", "fastapi", "rich", "deltalake", "pyarrow", "sklearn",
         "lightgbm", "prophet", "pydantic", "altair"}  # fmt: skip


def test_a_fresh_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from serving.cli import run; "
        "code = run(['--help']); print('MODULES', *sorted({m.partition('.')[0] for m in sys.modules})); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(done.stdout.rpartition("MODULES ")[2].split())
    assert "click" in modules
    assert modules.isdisjoint(HEAVY), modules & HEAVY


@pytest.mark.parametrize("folder", ["a fleet", "it's", "泵站", "plain", "-w"])
def test_a_command_to_come_next_can_be_pasted_whatever_the_folder_is_called(folder: str) -> None:
    said = command(Path(folder), "keys create me")
    assert shlex.split(said) == ["foremend", "-w", folder, "keys", "create", "me"]
    assert command(Path(), "score") == "foremend score"


def test_no_message_makes_a_command_line_by_hand() -> None:
    sources = [path for path in Path(serving.__file__).parent.rglob("*.py") if path.name != "console.py"]
    assert len(sources) > 30
    by_hand = re.compile(r"-w \{|(Next|Then): foremend")
    assert [str(path) for path in sources if by_hand.search(path.read_text(encoding="utf-8"))] == []


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"\n  {name} " in text for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_that_opens_with_its_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"Usage: foremend {name}")
    assert len(text.splitlines()) > 5


def every_command(command: click.Command = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command and group, depth first."""
    yield path
    if isinstance(command, click.Group):
        with click.Context(command) as ctx:
            for name in command.list_commands(ctx):
                member = command.get_command(ctx, name)
                assert member is not None
                yield from every_command(member, (*path, name))


@pytest.mark.parametrize("path", list(every_command()), ids=lambda path: " ".join(path) or "foremend")
def test_no_help_shows_the_marks_that_it_is_laid_out_with(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*path, "--help"]) == 0
    text = capsys.readouterr().out
    assert "\\b" not in text
    assert "\b" not in text


def test_a_misspelt_command_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ingst"]) == 2
    assert "Did you mean 'ingest'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "meant"),
    [
        (["ingest", "-w", "my demo"], "foremend -w 'my demo' ingest\n"),
        (["train", "risk", "--workspace", "demo", "--json"], "foremend -w demo train risk --json\n"),
        (["ingest", "--workspace=demo"], "foremend --workspace=demo ingest\n"),
        (["ingest", "-wdemo"], "foremend -wdemo ingest\n"),
        (["ingest", "-w"], "foremend -w DIR ingest\n"),
    ],
)
def test_a_workspace_behind_the_command_is_told_its_place(
    args: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(args) == 2
    said = capsys.readouterr().err
    assert "before the command: " in said
    assert said.endswith(meant)


def test_a_folder_that_is_no_workspace_is_the_users_error(tmp_path: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["-w", str(tmp_path), "ingest"]) == 2
    error = capsys.readouterr().err
    assert "foremend.toml: no such file." in error
    assert "foremend init" in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ConfigError("that", where="here", expected="this", todo="Do it"), 2, "here: that. Expected this. Do it."),
        (Fault("the server is down"), 1, "the server is down."),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "The disk is full."),
        (RuntimeError("surprise"), 1, "A fault of foremend's own: RuntimeError: surprise."),
        (KeyboardInterrupt(), 130, "nothing was left half-written"),
    ],
)  # fmt: skip
def test_every_failure_is_one_line_and_the_right_exit_code(
    error: BaseException, code: int, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(cli, "invoke", fails)
    assert run(["init", "somewhere"]) == code
    text = capsys.readouterr().err
    assert words in text
    assert "Traceback" not in text


def test_a_full_disk_is_known_behind_other_errors() -> None:
    outer = RuntimeError("commit failed")
    outer.__cause__ = OSError(errno.ENOSPC, "x")
    assert disk_full(outer)
    assert disk_full(RuntimeError("IO Error: No space left on device (os error 28)"))
    assert not disk_full(RuntimeError("other"))


def test_nearest_suggests_or_lists() -> None:
    assert nearest("delya", ["delay", "zone"]) == "Did you mean 'delay'?"
    assert nearest("x", ["b", "a"]) == "Known: a, b"


def test_brackets_in_a_cell_or_a_title_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    from serving.console import table

    table(("what",), [("[bold]阀[/bold]",)], title="as [policy] says")
    assert capsys.readouterr().out.splitlines()[0].strip() == "as [policy] says"
    table(("what",), [("[bold]阀[/bold]",)])
    assert "[bold]阀[/bold]" in capsys.readouterr().out
