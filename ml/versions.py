"""What goes into the registry and comes out of it: runs, stored models, versions. No MLflow in sight."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath

__all__ = ["MODEL_FOLDER", "Run", "Stored", "Version"]

MODEL_FOLDER = "model"
"""Where the model lies among the files of its run."""


@dataclass(frozen=True)
class Run:
    """What a training leaves behind, besides the model's files.

    Attributes
    ----------
    parameters
        Configuration, table versions, counts; texts.
    metrics
        Figures by name; what is not a number is left out.
    artifacts
        Further files beside the model, by path: ``card.md``, ``plots/roc.svg``. No manifest covers them.
    expires_at
        Until when the model may be relied on; None where that is not said.
    caveats
        What everybody who uses its scores must know, a sentence each.
    """

    parameters: Mapping[str, object]
    metrics: Mapping[str, float]
    tags: Mapping[str, str] = field(default_factory=dict)
    artifacts: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    expires_at: datetime | None = None
    caveats: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.artifacts:
            path = PurePosixPath(name)
            if path.is_absolute() or not path.parts or ".." in path.parts or path.parts[0] == MODEL_FOLDER:
                raise ValueError(f"no place for an artifact beside the model: {name!r}")


@dataclass(frozen=True)
class Stored:
    """A registered version.

    Attributes
    ----------
    files
        Contents by name, checked against the manifest.
    expires_at, caveats
        As its :class:`Run` had them.
    """

    name: str
    version: str
    run_id: str
    files: Mapping[str, bytes] = field(repr=False)
    expires_at: datetime | None = None
    caveats: tuple[str, ...] = ()

    def notes(self, at: datetime) -> Iterator[str]:
        """What must be known of it before it is used at an instant: its caveats, and that it has expired."""
        yield from self.caveats
        if self.expires_at and at > self.expires_at:
            yield (
                f"{self.name} version {self.version} expired at {self.expires_at:%Y-%m-%d %H:%M} UTC, [risk] "
                "expires_days after the last data that it was judged on: train again with `foremend train risk`"
            )


@dataclass(frozen=True)
class Version:
    """What the registry says of a version, without its files.

    Attributes
    ----------
    parameters, metrics, tags
        Of its run; empty where that was deleted.
    """

    version: str
    run_id: str
    created_at: datetime
    aliases: tuple[str, ...]
    expires_at: datetime | None
    parameters: Mapping[str, str] = field(repr=False)
    metrics: Mapping[str, float] = field(repr=False)
    tags: Mapping[str, str] = field(repr=False)
