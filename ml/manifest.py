"""The manifest of stored files: exactly these, with these sizes and hashes, or nothing is read.

Loading refuses the whole on any mismatch *before* a byte of a model is parsed: an artefact store
is written by others, and a model directory in the usual form is code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from features.errors import ModelError

__all__ = ["MANIFEST", "read_checked", "write_manifest"]

MANIFEST = "manifest.json"
MAX_FILES = 200
MAX_BYTES = 512 * 2**20
"""A model is some hundred kilobytes; what is larger than this is not one of ours."""


def write_manifest(folder: Path, files: Mapping[str, bytes]) -> str:
    """Write files and the manifest that names each with its size and SHA-256; returns the manifest's own SHA-256."""
    listing = {name: {"bytes": len(data), "sha256": _digest(data)} for name, data in sorted(files.items())}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    manifest = json.dumps({"format": 1, "files": listing}, indent=1).encode()
    (folder / MANIFEST).write_bytes(manifest)
    return _digest(manifest)


def read_checked(folder: Path, manifest_sha256: str, where: str = "") -> dict[str, bytes]:
    """Read the files of a folder, each as the manifest says, or none.

    Parameters
    ----------
    manifest_sha256
        The manifest's own hash, as :func:`write_manifest` returned it.
    where
        Whose files they are, for the message.

    Raises
    ------
    ModelError
        The manifest is missing or not the one that was written; a file is missing, unknown, a link, outside the
        folder, too large, or differs in size or hash.
    """
    where = where or f"model in {folder.name}"
    listing = _listing(folder, manifest_sha256, where)
    present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir() or p.is_symlink()}
    unknown, missing = sorted(present - {*listing, MANIFEST}), sorted({*listing} - present)
    if unknown or missing:
        found = [f"unknown: {', '.join(unknown)}"] * bool(unknown) + [f"missing: {', '.join(missing)}"] * bool(missing)
        raise _refused("; ".join(found), where)
    if len(listing) > MAX_FILES or sum(size for size, _ in listing.values()) > MAX_BYTES:
        raise _refused(f"{len(listing)} files, {sum(s for s, _ in listing.values()):,} bytes", where)
    return {name: _read(folder, name, size, digest, where) for name, (size, digest) in listing.items()}


def _read(folder: Path, name: str, size: int, digest: str, where: str) -> bytes:
    path = folder / name
    if path.is_symlink() or path.resolve().parent != folder.resolve():
        raise _refused(f"{name} is a link or lies outside", where)
    if path.stat().st_size != size:  # before reading: a swapped file may not fill the memory
        raise _refused(f"{name} has {path.stat().st_size:,} bytes instead of {size:,}", where)
    data = path.read_bytes()
    if _digest(data) != digest:
        raise _refused(f"{name} has another SHA-256 than the manifest says", where)
    return data


def _listing(folder: Path, manifest_sha256: str, where: str) -> dict[str, tuple[int, str]]:
    path = folder / MANIFEST
    if not path.is_file() or path.is_symlink() or path.stat().st_size > 2**20:
        raise _refused(f"no readable {MANIFEST}", where)
    text = path.read_bytes()
    if _digest(text) != manifest_sha256:
        raise _refused(f"{MANIFEST} is not the one that was registered", where)
    try:
        content: dict[str, Any] = json.loads(text)
        return {str(name): (int(entry["bytes"]), str(entry["sha256"])) for name, entry in content["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _refused(f"{MANIFEST} is not a manifest ({type(error).__name__})", where) from error


def _refused(found: str, where: str) -> ModelError:
    return ModelError(
        f"refused, {found}", where=where, expected="exactly the files that were written",
        todo="Somebody or something changed it: train again with `foremend train risk`",
    )  # fmt: skip


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
