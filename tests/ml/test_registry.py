"""The registry on a real MLflow store in a folder, and against artefacts that somebody changed."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from features.errors import Fault, ModelError
from ml.manifest import MANIFEST, read_checked, write_manifest
from ml.registry import CHALLENGER, CHAMPION, Registry, Run

FILES = {"model.json": b'{"format": 1}', "hazard_0.txt": b"tree\n" * 100}
RUN = Run({"risk.seed": 1, "tables": {"assets": 3}}, {"ap": 0.5, "undefined": math.nan}, {"verdict": "the first"})


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with two versions, the second the champion; read by the tests, changed by none."""
    registry = Registry(tmp_path_factory.mktemp("store") / "mlflow")
    first = registry.log("risk", RUN, FILES)
    registry.alias("risk", CHAMPION, first.version)
    second = registry.log("risk", RUN, {**FILES, "hazard_0.txt": b"other\n"})
    registry.alias("risk", CHAMPION, second.version)
    registry.alias("risk", CHALLENGER, first.version)
    return registry


def test_the_champion_comes_back_byte_for_byte(store):
    loaded = store.load("risk")
    assert loaded.files == {**FILES, "hazard_0.txt": b"other\n"}
    assert (loaded.version, store.load("risk", CHALLENGER).version) == ("2", "1")
    assert store.load("risk", CHALLENGER).files == FILES


def test_a_run_keeps_parameters_figures_and_tags_and_leaves_out_what_is_no_number(store):
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{store.folder}/mlflow.db")
    run = client.get_run(store.load("risk").run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"ap": 0.5}
    assert run.data.params == {"risk.seed": "1", "tables": '{"assets": 3}'}
    assert run.data.tags["verdict"] == "the first"


def test_the_store_lies_in_the_workspace_and_nothing_is_pickled(store):
    names = [p.name for p in store.folder.rglob("*") if p.is_file()]
    assert {"mlflow.db", MANIFEST, "model.json"} <= set(names)
    assert not [n for n in names if n.endswith((".pkl", ".pickle", ".joblib", ".cloudpickle")) or n == "MLmodel"]


def test_mlflow_finds_the_files_where_it_looks_for_them(store):
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{store.folder}/mlflow.db")
    listed = client.list_artifacts(store.load("risk").run_id, "model")
    assert {Path(one.path).name for one in listed} == {MANIFEST, *FILES}


def test_a_moved_store_keeps_its_models_and_takes_new_ones(tmp_path):
    before = Registry(tmp_path / "there" / "mlflow")
    before.alias("risk", CHAMPION, before.log("risk", RUN, FILES).version)
    shutil.move(tmp_path / "there", tmp_path / "here? 100% #1")
    after = Registry(tmp_path / "here? 100% #1" / "mlflow")
    assert after.load("risk").files == FILES
    second = after.log("risk", RUN, {**FILES, "hazard_0.txt": b"other\n"})
    after.alias("risk", CHAMPION, second.version)
    assert second.version == "2"
    assert after.load("risk") == second
    assert [p.name for p in tmp_path.iterdir()] == ["here? 100% #1"]


def test_a_copied_store_stands_by_itself(store, tmp_path):
    original = sorted(store.folder.rglob("*"))
    copy = Registry(Path(shutil.copytree(store.folder, tmp_path / "mlflow")))
    for model in copy.folder.rglob("hazard_0.txt"):
        model.write_bytes(b"changed in the copy")
    with pytest.raises(ModelError, match="refused"):
        copy.load("risk")
    copy.alias("risk", CHAMPION, copy.log("risk", RUN, FILES).version)
    assert copy.load("risk").files == FILES
    assert store.load("risk").version == "2"
    assert sorted(store.folder.rglob("*")) == original


def test_a_store_named_by_its_address_keeps_the_files_where_mlflow_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # this store, like a server, has an artefact root of its own: mlruns
    registry = Registry(tmp_path / "mlflow", f"sqlite:///{tmp_path}/elsewhere.db")
    registry.alias("risk", CHAMPION, registry.log("risk", RUN, FILES).version)
    assert registry.load("risk").files == FILES
    assert not (tmp_path / "mlflow").exists()


def test_no_champion_yet_says_how_to_get_one(tmp_path, store):
    empty = Registry(tmp_path / "mlflow")
    assert not empty.has("risk")
    with pytest.raises(ModelError, match=r"no champion.*foremend train risk"):
        empty.load("risk")
    assert not (tmp_path / "mlflow").exists()
    assert store.has("risk")
    assert not store.has("another")
    assert not store.has("risk", "nobody")


def test_an_interrupted_logging_leaves_a_failed_run_and_no_version(tmp_path):
    from mlflow import MlflowClient

    registry = Registry(tmp_path / "mlflow")
    with pytest.raises(Fault, match="MLflow's store failed"):
        registry.log("risk", RUN, {"no/such/folder.txt": b""})
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("foremend-risk").experiment_id])
    assert run.info.status == "FAILED"
    assert not registry.has("risk")


@pytest.fixture
def server(tmp_path):
    """Address of an MLflow server of the test's own, which keeps the artefacts itself."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    command = [
        Path(sys.executable).with_name("mlflow"), "server", "--port", address.rsplit(":", 1)[1], "--workers", "1",
        "--backend-store-uri", f"sqlite:///{tmp_path}/server.db", "--artifacts-destination", tmp_path / "kept",
    ]  # fmt: skip
    with (tmp_path / "log").open("w") as log:
        running = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait(f"{address}/health", 120)
        yield address
    finally:
        os.killpg(running.pid, signal.SIGTERM)
        running.wait(30)


def _wait(url, seconds):
    for _ in range(seconds):
        try:
            return urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            time.sleep(1)
    raise TimeoutError(url)


@pytest.mark.proof
def test_a_server_keeps_the_model_and_prints_nothing_between_our_lines(server, tmp_path, capsys):
    registry = Registry(tmp_path / "mlflow", server)
    registry.alias("risk", CHAMPION, registry.log("risk", RUN, FILES).version)
    assert registry.load("risk").files == FILES
    assert len(list((tmp_path / "kept").rglob("hazard_0.txt"))) == 1
    assert not (tmp_path / "mlflow").exists()
    assert capsys.readouterr().out == ""  # stdout is for --json


def test_a_server_that_does_not_answer_is_a_fault_without_its_password(tmp_path):
    registry = Registry(tmp_path / "mlflow", "http://someone:hunter2@127.0.0.1:9/")
    with pytest.raises(Fault, match=r"http://127\.0\.0\.1:9") as raised:
        registry.log("risk", RUN, FILES)
    assert "hunter2" not in str(raised.value)


def test_a_store_is_made_ready_before_a_run_and_a_second_time_it_changes_nothing(tmp_path):
    registry = Registry(tmp_path / "mlflow")
    registry.prepare("risk")
    registry.prepare("risk")
    assert not registry.has("risk")
    assert registry.log("risk", RUN, FILES).version == "1"


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes read-only folders")
def test_a_read_only_store_is_a_fault(tmp_path):
    (tmp_path / "mlflow").mkdir(mode=0o500)
    with pytest.raises(Fault, match="MLflow's store failed"):
        Registry(tmp_path / "mlflow").log("risk", RUN, FILES)


def test_a_store_that_is_no_database_is_a_fault(tmp_path):
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "mlflow.db").write_bytes(b"this is not SQLite" * 100)
    with pytest.raises(Fault, match="MLflow's store failed"):
        Registry(tmp_path / "mlflow").load("risk")


@pytest.fixture
def written(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    return folder, write_manifest(folder, FILES)


def test_what_was_written_is_read(written):
    folder, digest = written
    assert read_checked(folder, digest) == FILES


def _replace(folder, name, data):
    (folder / name).write_bytes(data)


def _link(path, away):
    path.rename(away)
    path.symlink_to(away)


DAMAGES = {
    "one bit": lambda f: _replace(f, "hazard_0.txt", b"tree\n" * 99 + b"trea\n"),
    "one byte more": lambda f: _replace(f, "hazard_0.txt", b"tree\n" * 100 + b" "),
    "a missing file": lambda f: (f / "hazard_0.txt").unlink(),
    "an unknown file": lambda f: _replace(f, "MLmodel", b"loader_module: os"),
    "an unknown file in a folder": lambda f: ((f / "code").mkdir(), _replace(f, "code/x.py", b"import os")),
    "a link": lambda f: (
        (f / "hazard_0.txt").rename(f.parent / "away"),
        (f / "hazard_0.txt").symlink_to(f.parent / "away"),
    ),
    "no manifest": lambda f: (f / MANIFEST).unlink(),
    "an empty manifest": lambda f: _replace(f, MANIFEST, b""),
    "a manifest of its own": lambda f: write_manifest(f, {**FILES, "hazard_0.txt": b"evil"}),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_any_change_of_the_files_is_refused_as_a_whole(written, damage):
    folder, digest = written
    DAMAGES[damage](folder)
    with pytest.raises(ModelError, match="refused"):
        read_checked(folder, digest)


@pytest.mark.parametrize("name", ["../outside.txt", "/etc/hostname", "sub/../../outside.txt"])
def test_a_manifest_that_points_outside_is_refused(tmp_path, name):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "outside.txt").write_bytes(b"x")
    listing = {"format": 1, "files": {name: {"bytes": 1, "sha256": "0"}}}
    (folder / MANIFEST).write_text(json.dumps(listing))
    with pytest.raises(ModelError, match="refused"):
        read_checked(folder, _sha256(folder / MANIFEST))


def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path):
    write_manifest(tmp_path, FILES)
    listing = json.loads((tmp_path / MANIFEST).read_text())
    listing["files"]["model.json"]["bytes"] = 2**40
    (tmp_path / MANIFEST).write_text(json.dumps(listing))
    with pytest.raises(ModelError, match="1,099,511,"):
        read_checked(tmp_path, _sha256(tmp_path / MANIFEST))


def test_a_champion_whose_files_were_changed_in_the_store_is_refused(tmp_path):
    registry = Registry(tmp_path / "mlflow")
    registry.alias("risk", CHAMPION, registry.log("risk", RUN, FILES).version)
    (model,) = registry.folder.rglob("hazard_0.txt")
    write_manifest(model.parent, {**FILES, "hazard_0.txt": b"evil"})  # files and manifest agree with each other
    with pytest.raises(ModelError, match="not the one that was registered"):
        registry.load("risk")


def _sha256(path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()
