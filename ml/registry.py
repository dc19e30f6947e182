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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from features.errors import Fault, ModelError
from ml.manifest import read_checked, write_manifest

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["CHALLENGER", "CHAMPION", "Registry", "Run", "Stored"]

CHAMPION, CHALLENGER = "champion", "challenger"

MANIFEST_TAG = "foremend.manifest_sha256"
"""Tag of a model version: the hash of its manifest."""

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
class Run:
    """What a training leaves behind, besides the model's files.

    Attributes
    ----------
    parameters
        Configuration, table versions, counts; texts.
    metrics
        Figures by name; what is not a number is left out.
    """

    parameters: Mapping[str, object]
    metrics: Mapping[str, float]
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stored:
    """A registered version.

    Attributes
    ----------
    files
        Contents by name, checked against the manifest.
    """

    name: str
    version: str
    run_id: str
    files: Mapping[str, bytes] = field(repr=False)


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
                digest = self._fill(client, run_id, run, files)
                version = _register(client, name, run_id, digest)
            except BaseException:
                client.set_terminated(run_id, status="FAILED")
                raise
            client.set_terminated(run_id)
        return Stored(name, version, run_id, dict(files))

    def alias(self, name: str, alias: str, version: str) -> None:
        """Give a version an alias; whoever had it loses it."""
        with self._client() as client:
            client.set_registered_model_alias(name, alias, version)

    def has(self, name: str, alias: str = CHAMPION) -> bool:
        """Whether some version of `name` has the alias."""
        if not self.uri and not self._database.exists():
            return False
        with self._client() as client:
            return _version(client, name, alias) is not None

    def load(self, name: str, alias: str = CHAMPION) -> Stored:
        """Fetch the version that has an alias, and check its files.

        Raises
        ------
        ModelError
            No version has the alias, or the files are not those of the manifest.
        Fault
            The store cannot be reached or read.
        """
        found = None
        if self.uri or self._database.exists():
            with self._client() as client:
                found = _version(client, name, alias)
                if found is not None:
                    files = self._fetch(client, str(found.run_id), found.tags.get(MANIFEST_TAG, ""))
                    return Stored(name, str(found.version), str(found.run_id), files)
        raise ModelError(f"no {alias}", where=f"model '{name}'", todo=f"Train one with `foremend train {name}`")

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
            folder = self._folder(run_id)
            folder.mkdir(parents=True)
            return write_manifest(folder, files)
        with tempfile.TemporaryDirectory(prefix="foremend-") as scratch:
            digest = write_manifest(Path(scratch), files)
            client.log_artifacts(run_id, scratch, "model")
        return digest

    def _fetch(self, client: MlflowClient, run_id: str, manifest_sha256: str) -> dict[str, bytes]:
        """Read a run's model, checked against its manifest."""
        if not self.uri:
            return read_checked(self._folder(run_id), manifest_sha256)
        with tempfile.TemporaryDirectory(prefix="foremend-") as scratch:
            return read_checked(Path(client.download_artifacts(run_id, "model", scratch)), manifest_sha256)

    def _folder(self, run_id: str) -> Path:
        """Where a run's model lies in the local store: where MLflow lays it, but beside the database."""
        return self.folder / "artifacts" / run_id / "artifacts" / "model"


def _describe(client: MlflowClient, run_id: str, run: Run) -> None:
    """Log a run's parameters, figures and tags."""
    import math
    import time

    from mlflow.entities import Metric, Param, RunTag

    now = int(time.time() * 1000)
    metrics = [Metric(k, float(v), now, 0) for k, v in run.metrics.items() if math.isfinite(v)]
    parameters = [Param(k, _text(v)[:6000]) for k, v in run.parameters.items()]
    client.log_batch(run_id, metrics, parameters, [RunTag(k, v) for k, v in run.tags.items()])


def _register(client: MlflowClient, name: str, run_id: str, manifest_sha256: str) -> str:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    source = f"{client.get_run(run_id).info.artifact_uri}/model"
    tags = {MANIFEST_TAG: manifest_sha256}
    return str(client.create_model_version(name, source=source, run_id=run_id, tags=tags).version)


def _version(client: MlflowClient, name: str, alias: str) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            return None
        raise


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def _without_secrets(text: str) -> str:
    """A text whose addresses have lost user, password and query."""
    return re.sub(r"\?[^\s'\"]*", "", re.sub(r"//[^/@\s]*@", "//", text))
