"""Workspaces whose canonical tables are committed as ``ingest`` commits them, without it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from features.tables import TABLES
from features.workspace import Workspace

Rows = Sequence[Mapping[str, Any]]
Committed = Callable[..., Workspace]

TYPES = {
    "text": pa.string(), "integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_(),
    "instant": pa.timestamp("us", tz="UTC"),
}  # fmt: skip
INSTANT = TYPES["instant"]


def _frame(name: str, rows: Rows) -> pa.Table:
    """Rows as ingest stores them: bookkeeping filled in, ``known_at`` = ``event_time`` unless given."""
    if name == "quarantine":
        return pa.Table.from_pylist([dict(r) for r in rows])
    table = TABLES[name]
    types = {c.name: TYPES[c.type] for c in table.columns}
    full = []
    for row in rows:
        at = row.get("event_time", row.get(table.clock))
        known = row.get("known_at", at or datetime(2000, 1, 1, tzinfo=UTC))
        kind = {"deleted": False} if table.kind == "versioned" else {"month": f"{at:%Y-%m}"}
        extra = {"source": "test", "event_time": at, "known_at": known, "ingested_at": known, **kind}
        full.append({**extra, **({"system": "test"} if "system" in types else {}), **row})
    names = dict.fromkeys([*types, *(key for row in full for key in row)])
    types |= {"event_time": INSTANT, "known_at": INSTANT, "ingested_at": INSTANT}
    arrays = {n: pa.array([row.get(n) for row in full], types.get(n)) for n in names}
    return pa.table(arrays)


@pytest.fixture(scope="session")
def commit_to() -> Committed:
    """Make a workspace in a folder, from the body of a ``foremend.toml`` and rows by table."""

    def make(root: Path, toml: str = "", /, **tables: Rows) -> Workspace:
        root.mkdir(exist_ok=True)
        (root / "foremend.toml").write_text(f'[workspace]\nid = "test"\n{toml}', encoding="utf-8")
        for name, rows in tables.items():
            folder = root / ("quarantine" if name == "quarantine" else f"tables/{name}")
            partition = ["month"] if name in TABLES and TABLES[name].kind == "fact" else None
            write_deltalake(str(folder), _frame(name, rows), partition_by=partition, mode="append")
        return Workspace.open(root)

    return make


@pytest.fixture
def committed(tmp_path: Path, commit_to: Committed) -> Committed:
    """Make the test's own workspace; again for more rows."""

    def make(toml: str = "", **tables: Rows) -> Workspace:
        return commit_to(tmp_path / "workspace", toml, **tables)

    return make


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data; tests that need it skip where it is absent."""
    # The Makefile exports it empty where the data are absent, and an empty path would be the current folder.
    folder = Path(os.environ.get("FOREMEND_DATA") or Path(__file__).parents[2].parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; set FOREMEND_DATA")
    return folder


@pytest.fixture
def company(tmp_path: Path) -> Callable[..., Workspace]:
    """Connect a company: the body of its ``foremend.toml`` and its CSV files, by name. Again: change them."""

    def connect(toml: str, now: str = "2024-06-30T16:00:00Z", **files: str) -> Workspace:
        root = tmp_path / "company"
        root.mkdir(exist_ok=True)
        head = f'[workspace]\nid = "company"\n[time]\nnow = {now}\n'
        (root / "foremend.toml").write_text(head + toml, encoding="utf-8")
        for name, text in files.items():
            lines = (line.strip() for line in text.splitlines() if line.strip())
            (root / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return Workspace.open(root)

    return connect


@pytest.fixture
def ask() -> Callable[[Workspace, str], list[tuple[Any, ...]]]:
    """Query the current tables; rows as tuples, instants as ISO text."""

    def query(workspace: Workspace, sql: str) -> list[tuple[Any, ...]]:
        rows = workspace.pin().connect().sql(sql).to_arrow_table().to_pylist()
        return [tuple(v.isoformat() if isinstance(v, datetime) else v for v in row.values()) for row in rows]

    return query
