"""Files that a killed commit left behind: written, and named by no version of their table.

Delta's own vacuum takes the files of older versions along, which scores name; here only files
go that no entry of the log ever named.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from features.workspace import Workspace

__all__ = ["sweep"]


def sweep(workspace: Workspace, table: str, before: datetime) -> int:
    """Remove what killed commits left in a table's folder; the caller holds the writer's lock.

    Parameters
    ----------
    before
        Real time at which this ingest began: younger files are left alone.

    Returns
    -------
    int
        How many files were removed.
    """
    delta, root = workspace.delta(table), workspace.table_path(table)
    if delta is None:
        return 0
    current = {uri.rsplit("/", maxsplit=1)[-1] for uri in delta.file_uris()}
    old = (f for f in root.rglob("*.parquet") if f.stat().st_mtime < before.timestamp())
    spare = [f for f in old if f.name not in current and "_delta_log" not in f.parts]
    named = _named(root) if spare else set()
    orphans = [f for f in spare if f.name not in named]
    for orphan in orphans:
        orphan.unlink()
    return len(orphans)


def _named(root: Path) -> set[str]:
    """Names of all files that an entry of the log adds or removes; Delta makes them unique.

    Where entries were folded into a checkpoint and deleted, a file of a version that can still
    be read is in the current version, or a later entry removes it.
    """
    named = set()
    for entry in (root / "_delta_log").glob("*.json"):
        for line in entry.read_text(encoding="utf-8").splitlines():
            action = json.loads(line)
            said = action.get("add") or action.get("remove")
            named |= {str(said["path"]).rsplit("/", maxsplit=1)[-1]} if said else set()
    return named
