"""Runs and models in MLflow: the only module that imports it.

A model is stored as plain files (:mod:`ml.stored`) under a manifest (:mod:`ml.manifest`) whose own
hash stands in the registry, at the version: whoever can write the files cannot pass others off as
the model. Nothing is pickled, and MLflow's own loaders, which run code from the artefact, are
never used.

By default the store is a SQLite file and a folder in the workspace; a server is named by its address.
MLflow knows the folder by its absolute path (https://github.com/mlflow/mlflow/issues/3144), which is wrong once a
workspace was moved, and another's once it was copied. So the local store's files are found from the workspace itself,
in MLflow's layout; MLflow's own pages show the files of runs only where the workspace was made.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from secrets import token_hex
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from features.errors import Fault, ModelError
from ml.history import CHALLENGER, CHAMPION, Change, one_line, user
from ml.manifest import read_checked, write_manifest
from ml.versions import MODEL_FOLDER, Run, Stored, Version

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["CHALLENGER", "CHAMPION", "Registry", "Run", "Stored", "Version"]

MANIFEST_TAG, EXPIRES_TAG = "foremend.manifest_sha256", "foremend.expires_at"
CAVEATS_TAG = "foremend.caveats"
"""Tags of a model version: the hash of its manifest, until when it may be relied on, and what to know, a line each."""
CHANGE_TAG = "foremend.change."
"""How the tags of a registered model begin that say who got an alias; see :mod:`ml.history`."""

_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
"""MLflow's own switches; read by it when it is imported, and never overriding what is set."""


@dataclass(frozen=True)
class Registry:
    """One MLflow store.

    Attributes
    ----------
    folder
        Where the local store lies (``Workspace.mlflow``).
    uri
        Address of a server; empty for the local store.
    """

    folder: Path
    uri: str = ""

    def prepare(self, name: str) -> None:
        """Make sure that runs of `name` can be written, before hours are spent on one; makes a local store if need be.

        Raises
        ------
        Fault
            The store cannot be reached or written.
        """
        with self._client() as client:
            client.set_experiment_tag(self._experiment(client, name), "foremend.format", "1")

    def log(self, name: str, run: Run, files: Mapping[str, bytes]) -> Stored:
        """Log a run with its model and register a new version of `name`, without an alias.

        A run that does not come to its end is marked as failed and has no version.

        Raises
        ------
        Fault
            The store cannot be reached or written.
        """
        with self._client() as client:
            run_id = client.create_run(self._experiment(client, name), run_name=name).info.run_id
            try:
                tags = {MANIFEST_TAG: self._fill(client, run_id, run, files)}
                tags |= {EXPIRES_TAG: run.expires_at.isoformat()} if run.expires_at else {}
                tags |= {CAVEATS_TAG: "\n".join(run.caveats)} if run.caveats else {}
                version = _register(client, name, run_id, tags)
            except BaseException:
                client.set_terminated(run_id, status="FAILED")
                raise
            client.set_terminated(run_id)
        return Stored(name, version, run_id, dict(files), run.expires_at, run.caveats)

    def alias(self, name: str, alias: str, version: str, *, how: str = "", reason: str = "", by: str = "") -> Change:
        """Give a version an alias, and keep who did it and why; whoever had it loses it.

        Parameters
        ----------
        how, reason, by
            As :class:`ml.history.Change` has them; `by` is the operating system's user by default.
        """
        with self._client() as client:
            held = dict(client.get_registered_model(name).aliases)
            at = datetime.now(UTC)
            who, before = one_line(by) or user(), str(held.get(alias, ""))
            change = Change(at, who, alias, before, version, how, one_line(reason))
            client.set_registered_model_alias(name, alias, version)
            # A key of its own for every entry: two at once do not overwrite each other.
            client.set_registered_model_tag(
                name, f"{CHANGE_TAG}{at:%Y%m%dT%H%M%S.%fZ}.{token_hex(3)}", change.as_text()
            )
            if alias == CHAMPION and str(held.get(CHALLENGER, "")) == version:
                client.delete_registered_model_alias(name, CHALLENGER)
        return change

    def history(self, name: str) -> tuple[Change, ...]:
        """Every change of an alias of `name`, from the oldest on."""
        with self._reading() as client:
            model = _model(client, name) if client else None
            tags = dict(model.tags) if model else {}
        return tuple(Change.of(tags[key]) for key in sorted(tags) if key.startswith(CHANGE_TAG))

    def versions(self, name: str) -> tuple[Version, ...]:
        """Every version of `name`, from the oldest on."""
        with self._reading() as client:
            if client is None or (model := _model(client, name)) is None:
                return ()
            held: dict[str, list[str]] = {}
            for alias, version in model.aliases.items():
                held.setdefault(str(version), []).append(alias)
            runs = {run.info.run_id: run.data for run in self._runs(client, name)}
            found = _pages(lambda token: client.search_model_versions(f"name='{name}'", page_token=token))
            listed = [_described(one, held.get(str(one.version), []), runs.get(one.run_id)) for one in found]
        return tuple(sorted(listed, key=lambda one: int(one.version)))

    def has(self, name: str, alias: str = CHAMPION) -> bool:
        """Whether some version of `name` has the alias."""
        return bool(self.holder(name, alias))

    def holder(self, name: str, alias: str = CHAMPION) -> str:
        """The version of `name` that has the alias; empty where none has."""
        with self._reading() as client:
            found = _version(client, name, alias) if client else None
        return str(found.version) if found else ""

    def load(self, name: str, alias: str = CHAMPION, *, version: str = "") -> Stored:
        """Fetch the version that has an alias, or a certain one, and check its files.

        Raises
        ------
        ModelError
            There is no such version, or the files are not those of the manifest.
        Fault
            The store cannot be reached or read.
        """
        with self._reading() as client:
            if client is None:
                raise ModelError(f"no {alias}", where=f"model '{name}'", todo=f"Train one with `foremend train {name}`")
            found = self._found(client, name, alias, version)
            files = self._fetch(client, found)
        caveats = tuple(found.tags.get(CAVEATS_TAG, "").splitlines())
        return Stored(name, str(found.version), str(found.run_id), files, _expiry(found), caveats)

    def artifact(self, run_id: str, path: str) -> bytes | None:
        """A further file of a run; None where it has none. No manifest covers it: read it as text of others."""
        with self._reading() as client:
            if client is None:
                return None
            if not self.uri:
                place = self._folder(run_id) / path
                return place.read_bytes() if place.is_file() else None
            folder = PurePosixPath(path).parent.as_posix()
            if path not in {one.path for one in client.list_artifacts(run_id, "" if folder == "." else folder)}:
                return None
            with tempfile.TemporaryDirectory(prefix="foremend-") as scratch:
                return Path(client.download_artifacts(run_id, path, scratch)).read_bytes()

    @property
    def _database(self) -> Path:
        return self.folder / "mlflow.db"

    @contextmanager
    def _client(self) -> Iterator[MlflowClient]:
        """A client of the store; MLflow's complaints become ours."""
        for key, value in _QUIET.items():
            os.environ.setdefault(key, value)
        import logging

        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        logging.getLogger("alembic").setLevel(logging.WARNING)
        place = _without_secrets(self.uri) or str(self.folder)
        try:
            if not self.uri:
                self.folder.mkdir(parents=True, exist_ok=True)
            yield MlflowClient(tracking_uri=self._address, registry_uri=self._address)
        except (MlflowException, SQLAlchemyError, OSError) as error:
            raise Fault(
                f"MLflow's store failed: {_without_secrets(str(error).splitlines()[0])[:200]}", where=place,
                todo="Check that it can be reached and written, then run the command again",
            ) from error  # fmt: skip

    @contextmanager
    def _reading(self) -> Iterator[MlflowClient | None]:
        """A client; None where the local store was never made, and reading makes none."""
        if not self.uri and not self._database.exists():
            yield None
            return
        with self._client() as client:
            yield client

    def _found(self, client: MlflowClient, name: str, alias: str, version: str) -> Any:
        """A certain version, or the one that has the alias."""
        where, again = f"model '{name}'", f"with `foremend train {name}`"
        if version:
            if found := _or_none(lambda: client.get_model_version(name, version)):
                return found
            raise ModelError(f"no version {version}", where=where, todo="`foremend models` lists those that there are")
        if found := _version(client, name, alias):
            return found
        if waiting := _version(client, name, CHALLENGER):
            raise ModelError(
                f"no {alias}; version {waiting.version} is {CHALLENGER}", where=where,
                todo=f"See why with `foremend models`, then promote it with `foremend promote {waiting.version}`, or train again {again}",
            )  # fmt: skip
        raise ModelError(f"no {alias}", where=where, todo=f"Train one {again}")

    def _runs(self, client: MlflowClient, name: str) -> Iterator[Any]:
        known = client.get_experiment_by_name(f"foremend-{name}")
        if known is None:
            return iter(())
        return _pages(lambda token: client.search_runs([known.experiment_id], max_results=1000, page_token=token))

    @property
    def _address(self) -> str:
        # Quoted, for a folder may have any name; the driver is named because MLflow makes the folders of a plain
        # sqlite:/// without unquoting.
        return self.uri or f"sqlite+pysqlite:///{quote(str(self._database))}"

    def _experiment(self, client: MlflowClient, name: str) -> str:
        title = f"foremend-{name}"
        known = client.get_experiment_by_name(title)
        if known is not None:
            return str(known.experiment_id)
        place = None if self.uri else (self.folder / "artifacts").as_uri()
        return str(client.create_experiment(title, artifact_location=place))

    def _fill(self, client: MlflowClient, run_id: str, run: Run, files: Mapping[str, bytes]) -> str:
        """Write a run's content; returns the hash of its manifest."""
        _describe(client, run_id, run)
        if not self.uri:
            return _lay(self._folder(run_id), run, files)
        with tempfile.TemporaryDirectory(prefix="foremend-") as scratch:
            digest = _lay(Path(scratch), run, files)
            client.log_artifacts(run_id, scratch)
        return digest

    def _fetch(self, client: MlflowClient, found: Any) -> dict[str, bytes]:
        """Read a version's model, checked against its manifest."""
        run_id, digest = str(found.run_id), found.tags.get(MANIFEST_TAG, "")
        where = f"{found.name} version {found.version}"
        if not self.uri:
            return read_checked(self._folder(run_id) / MODEL_FOLDER, digest, where)
        with tempfile.TemporaryDirectory(prefix="foremend-") as scratch:
            return read_checked(Path(client.download_artifacts(run_id, MODEL_FOLDER, scratch)), digest, where)

    def _folder(self, run_id: str) -> Path:
        """Where a run's artifacts lie in the local store: where MLflow lays them, but beside the database."""
        return self.folder / "artifacts" / run_id / "artifacts"


def _lay(folder: Path, run: Run, files: Mapping[str, bytes]) -> str:
    """Write a run's model, and its other files beside it; returns the hash of the model's manifest."""
    for name, data in run.artifacts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / MODEL_FOLDER).mkdir(parents=True)
    return write_manifest(folder / MODEL_FOLDER, files)


def _describe(client: MlflowClient, run_id: str, run: Run) -> None:
    """Log a run's parameters, figures and tags."""
    import math
    import time

    from mlflow.entities import Metric, Param, RunTag

    now = int(time.time() * 1000)
    metrics = [Metric(k, float(v), now, 0) for k, v in run.metrics.items() if math.isfinite(v)]
    parameters = [Param(k, _text(v)[:6000]) for k, v in run.parameters.items()]
    client.log_batch(run_id, metrics, parameters, [RunTag(k, v) for k, v in run.tags.items()])


def _register(client: MlflowClient, name: str, run_id: str, tags: dict[str, str]) -> str:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    source = f"{client.get_run(run_id).info.artifact_uri}/{MODEL_FOLDER}"
    return str(client.create_model_version(name, source=source, run_id=run_id, tags=tags).version)


_NONE = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"})
"""How MLflow says that there is no such model, version or alias."""


def _version(client: MlflowClient, name: str, alias: str) -> Any:
    return _or_none(lambda: client.get_model_version_by_alias(name, alias))


def _model(client: MlflowClient, name: str) -> Any:
    return _or_none(lambda: client.get_registered_model(name))


def _or_none(ask: Callable[[], Any]) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return ask()
    except MlflowException as error:
        if error.error_code in _NONE:
            return None
        raise


def _pages(ask: Callable[[str | None], Any]) -> Iterator[Any]:
    """Everything that a search finds, page by page."""
    token: str | None = None
    while True:
        page = ask(token)
        yield from page
        token = page.token
        if not token:
            return


def _described(found: Any, aliases: list[str], data: Any) -> Version:
    return Version(
        str(found.version), str(found.run_id), datetime.fromtimestamp(found.creation_timestamp / 1000, UTC),
        tuple(sorted(aliases)), _expiry(found),
        dict(data.params) if data else {}, dict(data.metrics) if data else {}, dict(data.tags) if data else {},
    )  # fmt: skip


def _expiry(found: Any) -> datetime | None:
    stamp = found.tags.get(EXPIRES_TAG)
    return datetime.fromisoformat(stamp) if stamp else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def _without_secrets(text: str) -> str:
    """A text whose addresses have lost user, password and query."""
    return re.sub(r"\?[^\s'\"]*", "", re.sub(r"//[^/@\s]*@", "//", text))
