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
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from features.errors import Fault, ModelError
from ml.history import CHALLENGER, CHAMPION
from ml.manifest import MANIFEST, read_checked, write_manifest
from ml.registry import Registry
from ml.versions import Run

FILES = {"model.json": b'{"format": 1}', "hazard_0.txt": b"tree\n" * 100}
RUN = Run({"risk.seed": 1, "tables": {"assets": 3}}, {"ap": 0.5, "undefined": math.nan}, {"verdict": "the first"})
EXPIRES = datetime(2025, 1, 31, 16, tzinfo=UTC)
CARD = "# 风险 card\n".encode()
WITH_CARD = replace(RUN, artifacts={"card.md": CARD, "plots/roc.svg": b"<svg/>"}, expires_at=EXPIRES)


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


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A store with three versions: the first was champion, the second is, and the third came after it."""
    registry = Registry(tmp_path_factory.mktemp("told") / "mlflow")
    for _ in range(3):
        registry.log("risk", WITH_CARD, FILES)
    registry.alias("risk", CHAMPION, "1", how="train", reason="the first version", by="ines")
    registry.alias("risk", CHALLENGER, "2", how="train", reason="worse", by="ines")
    registry.alias("risk", CHAMPION, "2", how="promote", reason="agreed\n with the branch", by="omar")
    registry.alias("risk", CHALLENGER, "3", how="train", reason="worse", by="ines")
    return registry


def test_every_change_of_an_alias_is_kept_with_who_and_why(told):
    first, second, third, fourth = told.history("risk")
    assert (first.alias, first.from_version, first.to_version, first.how) == (CHAMPION, "", "1", "train")
    assert (second.alias, second.from_version, second.to_version) == (CHALLENGER, "", "2")
    assert (third.from_version, third.to_version, third.how, third.by) == ("1", "2", "promote", "omar")
    assert third.reason == "agreed with the branch"
    assert fourth.from_version == ""  # whoever becomes champion is challenger no more
    assert first.at < second.at < third.at < fourth.at <= datetime.now(UTC)


def test_the_operating_systems_user_is_named_where_nobody_else_is(tmp_path, monkeypatch):
    monkeypatch.setenv("LOGNAME", "night-job")
    registry = Registry(tmp_path / "mlflow")
    registry.alias("risk", CHAMPION, registry.log("risk", RUN, FILES).version)
    assert [change.by for change in registry.history("risk")] == ["night-job"]


def test_what_everybody_must_know_of_a_version_comes_with_it(tmp_path):
    registry = Registry(tmp_path / "mlflow")
    caveats = ("within 7 d it may rank no better than chance", "风险偏高")
    version = registry.log("risk", replace(RUN, caveats=caveats), FILES).version
    stored = registry.load("risk", version=version)
    assert tuple(stored.notes(EXPIRES)) == caveats


def test_versions_say_what_their_runs_said_and_who_has_which_alias(told):
    first, second, third = told.versions("risk")
    assert [one.version for one in (first, second, third)] == ["1", "2", "3"]
    assert [one.aliases for one in (first, second, third)] == [(), (CHAMPION,), (CHALLENGER,)]
    assert (second.metrics, second.parameters["risk.seed"]) == ({"ap": 0.5}, "1")
    assert second.tags["verdict"] == "the first"
    assert second.expires_at == EXPIRES
    assert told.holder("risk") == "2"


def test_a_version_outlives_its_run(tmp_path):
    from mlflow import MlflowClient

    registry = Registry(tmp_path / "mlflow")
    stored = registry.log("risk", RUN, FILES)
    MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow/mlflow.db").delete_run(stored.run_id)
    (version,) = registry.versions("risk")
    assert (version.version, version.metrics, version.tags) == ("1", {}, {})


def test_more_versions_than_a_page_of_mlflow_are_all_there(told, monkeypatch):
    from mlflow import MlflowClient

    whole = MlflowClient.search_model_versions

    def by_twos(self, filter_string, page_token=None):
        return whole(self, filter_string, max_results=2, page_token=page_token)

    monkeypatch.setattr(MlflowClient, "search_model_versions", by_twos)
    assert len(told.versions("risk")) == 3


def test_further_files_lie_beside_the_model_and_no_manifest_speaks_of_them(told):
    from mlflow import MlflowClient

    run_id = told.load("risk").run_id
    assert told.artifact(run_id, "card.md") == CARD
    assert told.artifact(run_id, "plots/roc.svg") == b"<svg/>"
    assert told.artifact(run_id, "report.html") is None
    listed = MlflowClient(tracking_uri=f"sqlite:///{told.folder}/mlflow.db").list_artifacts(run_id)
    assert {one.path for one in listed} == {"card.md", "plots", "model"}


@pytest.mark.parametrize("name", ["/etc/passwd", "../card.md", "plots/../../card.md", "model/card.md", "model", ""])
def test_a_file_that_would_lie_elsewhere_or_in_the_model_is_refused(name):
    with pytest.raises(ValueError, match="no place for an artifact"):
        replace(RUN, artifacts={name: b""})


def test_a_certain_version_is_loaded_with_its_expiry(told):
    stored = told.load("risk", version="1")
    assert (stored.version, stored.files, stored.expires_at) == ("1", FILES, EXPIRES)
    assert list(stored.notes(EXPIRES)) == []
    (note,) = stored.notes(EXPIRES + timedelta(seconds=1))
    assert "risk version 1 expired at 2025-01-31 16:00 UTC" in note
    for unknown in ("7", "-1", "one", "1.0"):
        with pytest.raises(ModelError, match=f"no version {unknown}.*foremend models"):
            told.load("risk", version=unknown)


def test_a_challenger_without_a_champion_is_told_how_it_becomes_one(tmp_path):
    registry = Registry(tmp_path / "mlflow")
    registry.alias("risk", CHALLENGER, registry.log("risk", RUN, FILES).version)
    with pytest.raises(ModelError, match=r"version 1 is challenger.*`foremend promote 1`"):
        registry.load("risk")


def test_nothing_is_read_from_and_nothing_made_for_a_store_that_does_not_exist(tmp_path):
    registry = Registry(tmp_path / "mlflow")
    assert (registry.versions("risk"), registry.history("risk"), registry.artifact("0", "card.md")) == ((), (), None)
    assert not (tmp_path / "mlflow").exists()


def test_a_read_only_store_is_read_and_gives_no_alias(told):
    registry = Registry(told.folder, f"sqlite:///file:{told.folder}/mlflow.db?mode=ro&uri=true")
    assert [one.version for one in registry.versions("risk")] == ["1", "2", "3"]
    with pytest.raises(Fault, match="MLflow's store failed"):
        registry.alias("risk", CHAMPION, "1")
    assert told.holder("risk") == "2"
    assert len(told.history("risk")) == 4


INTERRUPTED = """
import os, signal, sys
from pathlib import Path
from mlflow import MlflowClient
from ml.registry import Registry
from ml.versions import Run

registry = Registry(Path(sys.argv[1]))
MlflowClient.set_registered_model_alias = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
registry.alias("risk", "champion", registry.log("risk", Run({}, {}), {"model.json": b"{}"}).version)
"""


def test_a_training_that_is_killed_before_the_alias_leaves_the_champion_as_it_was(told, tmp_path):
    folder = Path(shutil.copytree(told.folder, tmp_path / "mlflow"))
    done = subprocess.run([sys.executable, "-c", INTERRUPTED, folder], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    registry = Registry(folder)
    assert registry.load("risk").version == "2"
    assert [one.aliases for one in registry.versions("risk")] == [(), (CHAMPION,), (CHALLENGER,), ()]
    assert len(registry.history("risk")) == 4


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
    registry.alias("risk", CHAMPION, registry.log("risk", WITH_CARD, FILES).version, how="promote", by="omar")
    first, second = registry.versions("risk")
    assert (first.aliases, second.aliases, second.expires_at) == ((), (CHAMPION,), EXPIRES)
    assert [(one.from_version, one.to_version) for one in registry.history("risk")] == [("", "1"), ("1", "2")]
    assert [registry.artifact(second.run_id, name) for name in ("card.md", "plots/roc.svg")] == [CARD, b"<svg/>"]
    assert registry.artifact(first.run_id, "card.md") is None
    with pytest.raises(ModelError, match="no version 3"):
        registry.load("risk", version="3")
    assert not (tmp_path / "mlflow").exists()
    assert capsys.readouterr().out == ""  # stdout is for --json


def test_a_server_that_does_not_answer_is_a_fault_without_its_password(tmp_path):
    registry = Registry(tmp_path / "mlflow", "http://someone:hunter2@127.0.0.1:9/")
    for ask in (lambda: registry.log("risk", RUN, FILES), lambda: registry.versions("risk")):
        with pytest.raises(Fault, match=r"http://127\.0\.0\.1:9") as raised:
            ask()
        assert "hunter2" not in str(raised.value)


def test_a_store_is_made_ready_before_a_run_and_a_second_time_it_changes_nothing(tmp_path):
    registry = Registry(tmp_path / "mlflow")
    registry.prepare("risk")
    registry.prepare("risk")
    assert not registry.has("risk")
    assert registry.log("risk", RUN, FILES).version == "1"


def test_a_read_only_store_that_was_made_ready_once_is_told_before_a_run(tmp_path):
    Registry(tmp_path).prepare("risk")
    with pytest.raises(Fault, match=r"readonly.*reached and written") as said:
        Registry(tmp_path, f"sqlite:///file:{tmp_path}/mlflow.db?mode=ro&uri=true").prepare("risk")
    assert said.value.exit_code == 1


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
