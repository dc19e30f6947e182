"""``foremend keys`` and ``foremend serve``, the latter over real HTTP."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from features.workspace import Workspace
from serving.auth import create_key, well_formed
from serving.cli import run
from serving.settings import Settings
from serving.store import open_store


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FOREMEND_DATABASE_URL", raising=False)


def command(workspace: Workspace, *words: str) -> int:
    return run(["-w", str(workspace.root), *words])


def test_a_key_is_printed_alone_on_stdout_and_told_to_be_kept(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(workspace, "keys", "create", "planner", "--scope", "read", "--days", "3") == 0
    said = capsys.readouterr()
    assert well_formed(said.out.strip())
    assert "nobody can show it again" in said.err
    assert said.out.strip() not in said.err


def test_keys_are_listed_with_everything_but_themselves(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    command(workspace, "keys", "create", "planner", "--scope", "read", "--scope", "plan", "--scope", "read", "--json")
    made = json.loads(capsys.readouterr().out)
    assert command(workspace, "keys", "list") == 0
    table = capsys.readouterr().out
    assert made["key_id"] in table
    assert made["key"] not in table
    assert command(workspace, "keys", "list", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert [(row["name"], row["scopes"], row["revoked_at"]) for row in listed] == [("planner", ["plan", "read"], None)]
    assert command(workspace, "keys", "revoke", made["key_id"]) == 0
    command(workspace, "keys", "list", "--json")
    assert json.loads(capsys.readouterr().out)[0]["revoked_at"].endswith("+00:00")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["create"], "Missing argument 'NAME'"),
        (["create", "planner", "--scope", "red"], "'red' is not one of"),
        (["create", "planner", "--scope", "read", "--days", "0"], "--days"),
        (["revoke", "nope"], "no working key has the id 'nope'"),
    ],
)
def test_what_cannot_be_meant_is_told_with_exit_2(
    workspace: Workspace, words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(workspace, "keys", *words) == 2
    assert sentence in capsys.readouterr().err


def test_nothing_is_served_before_there_is_a_key_that_works(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(workspace, "serve") == 2
    told = capsys.readouterr().err
    assert f"foremend -w {workspace.root} keys create planner --scope read" in told
    command(workspace, "keys", "create", "planner", "--scope", "read", "--json")
    key_id = json.loads(capsys.readouterr().out)["key_id"]
    command(workspace, "keys", "revoke", key_id)
    assert command(workspace, "serve") == 2


def test_a_port_in_use_is_told_in_our_words(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    command(workspace, "keys", "create", "planner", "--scope", "read")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert command(workspace, "serve", "--port", str(port)) == 2
    assert f"127.0.0.1:{port}: cannot listen there" in capsys.readouterr().err


@pytest.fixture
def served(workspace: Workspace) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """A service in a process of its own: the process, its address, and a key."""
    engine = open_store(workspace, Settings(database_url=None))
    _, token = create_key(engine, "reader", ["read"])
    engine.dispose()
    start = [sys.executable, "-c", "from serving.cli import main; main()", "-w", str(workspace.root)]
    process = subprocess.Popen(
        [*start, "serve", "--port", "0"],
        stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stderr is not None
    line = process.stderr.readline()
    address = re.search(r"http://\S+", line)
    assert address, line + process.stderr.read()
    yield process, address.group(), token
    process.kill()
    process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_service_answers_over_http_and_ends_gracefully(
    served: tuple[subprocess.Popen[str], str, str], number: signal.Signals
) -> None:
    process, address, token = served
    with httpx.Client(base_url=address, timeout=60) as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        refused = client.get("/v1/risk-scores")
        assert (refused.status_code, refused.headers["content-type"]) == (401, "application/problem+json")
        answer = client.get("/v1/risk-scores", headers={"Authorization": f"Bearer {token}"})
        assert answer.json() == {"data": [], "has_more": False, "next_cursor": None}
        assert "server" not in answer.headers
    process.send_signal(number)
    assert process.stderr is not None
    said = process.stderr.read()
    assert process.wait(timeout=60) == 0
    assert said.endswith("Stopped.\n")
    assert "Traceback" not in said


def test_the_migrations_are_in_the_wheel() -> None:
    """They are files beside the code, so they must be among what is packaged."""
    import tomllib

    root = Path(__file__).parents[2]
    targets = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    assert "serving" in targets["wheel"]["packages"]
    assert (root / "serving" / "migrations" / "env.py").is_file()
    ignored = subprocess.run(
        ["git", "check-ignore", "serving/migrations/versions/0001_first_store.py"],
        cwd=root,
        capture_output=True,
        check=False,
    )
    assert ignored.returncode == 1
