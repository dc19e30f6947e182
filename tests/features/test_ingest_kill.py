"""``foremend ingest`` killed at random instants: nothing is lost, nothing is doubled, every table stays readable.

A nursery process imports everything once and forks a child for every ingest; the child runs the
very command and is killed by SIGKILL. The delays are seeded and cover the whole length of an
undisturbed run; the outcome must not depend on them.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from features.ingest import ingest
from features.workspace import Workspace

TOML = """
[workspace]
id = "killed"
[time]
now = 2024-12-31T00:00:00Z
[channels.temperature]
range = [-40, 150]
[channels.pressure]

[sources.alarms]
table = "alarms"
zone = "UTC"
query = "SELECT asset_id, event_time, code FROM 'alarms/*.parquet'"

[sources.gateway]
table = "readings"
zone = "UTC"
corrections = true
query = \"\"\"
SELECT asset_id, event_time, temperature, pressure FROM read_parquet('gateway/*.parquet', filename = true)
QUALIFY row_number() OVER (PARTITION BY asset_id, event_time ORDER BY filename DESC) = 1
\"\"\"

[sources.desk]
table = "tickets"
zone = "UTC"
system = "desk"
change_column = "seen_at"
known_at = "seen_at"
query = "SELECT ticket_id, asset_id, opened_at, priority, seen_at FROM 'desk/*.parquet'"

[sources.more_alarms]
table = "alarms"
zone = "UTC"
query = "SELECT asset_id, event_time, 'X' || code AS code, day AS batch_no FROM 'alarms/*.parquet' WHERE code <> 'E3'"
"""

NURSERY = """
import os, sys
import deltalake, duckdb, pandas, pyarrow.parquet, features.ingest, serving.commands.data
from serving.cli import run
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, 1); os.dup2(devnull, 2)
        os._exit(run(["-w", line.strip(), "ingest"]))
    print(pid, flush=True)
    sys.stdin.readline()  # not to be waited for before it was killed: until then the pid is its own
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


FILES = {
    "alarms": """
        SELECT {day} AS day, CASE WHEN i % 50 = 0 THEN NULL ELSE 'A' || (i % 9) END AS asset_id, 'E' || (i % 5) AS code,
               TIMESTAMP '2024-0{month}-01' + to_minutes(CAST(i * 7 AS INTEGER)) + to_seconds({day}) AS event_time
        FROM range(500) t(i)""",
    "gateway": """
        SELECT 'A' || (i % 9) AS asset_id,
               TIMESTAMP '2024-0{month}-02' + to_hours(CAST(i // 9 AS INTEGER)) AS event_time,
               CASE WHEN i % 40 = 0 THEN 999 ELSE i % 30 + {day} END AS temperature, i / 10 AS pressure
        FROM range(500) t(i)""",
    "desk": """
        SELECT 'T' || (i % 120) AS ticket_id, 'A' || (i % 9) AS asset_id, 'P' || ((i * 7 + {day} * 3) % 5) AS priority,
               TIMESTAMP '2024-01-01' + to_days(CAST(i % 120 AS INTEGER)) AS opened_at,
               TIMESTAMP '2024-06-01' + to_days({day}) + to_seconds(CAST(i AS INTEGER)) AS seen_at
        FROM range(200) t(i)""",
}
"""A day of files: new rows, rows told again, corrections, and rows that cannot be used."""


def deliver(root: Path, day: int) -> None:
    con = duckdb.connect()
    for folder, query in FILES.items():
        (root / folder).mkdir(exist_ok=True)
        sql = query.format(day=day, month=1 + day % 6)
        con.execute(f"COPY ({sql}) TO '{root / folder}/day-{day:02d}.parquet' (FORMAT parquet)")


def contents(root: Path) -> dict[str, list[str]]:
    """Every stored row but for the instant of its commit, as text, sorted."""
    snapshot = Workspace.open(root).pin()
    con = snapshot.connect()
    tables = {name: f"SELECT * EXCLUDE (ingested_at) FROM {name}_rows" for name in ("alarms", "readings", "tickets")}
    quarantine = ", ".join(f"'{path.removeprefix('file://')}'" for path in snapshot.tables["quarantine"].file_uris())
    tables["quarantine"] = f"SELECT * EXCLUDE (ingested_at) FROM read_parquet([{quarantine}])"
    return {
        name: [
            str(row[0]) for row in con.execute(f"SELECT to_json(r)::VARCHAR FROM ({sql}) AS r ORDER BY 1").fetchall()
        ]
        for name, sql in tables.items()
    }


def readable(root: Path) -> None:
    """Every table that exists can be read to its end."""
    snapshot = Workspace.open(root).pin()
    for name in snapshot.tables:
        if name != "quarantine":
            snapshot.connect().execute(f"SELECT max(hash(r)) FROM ({snapshot.relation(name)}) AS r").fetchall()


@pytest.fixture
def nursery(tmp_path: Path) -> Iterator[Callable[[Path, float | None], int]]:
    """Run ``foremend ingest`` in a child; kill it after so many seconds. Returns its exit code."""
    process = subprocess.Popen(
        [sys.executable, "-c", NURSERY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"}, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert process.stdin
    assert process.stdout
    put, get = process.stdin, process.stdout

    def run(root: Path, kill_after: float | None) -> int:
        print(root, file=put, flush=True)
        pid = int(get.readline())
        if kill_after is not None:
            time.sleep(kill_after)
            os.kill(pid, signal.SIGKILL)
        print("wait", file=put, flush=True)
        return int(get.readline())

    yield run
    put.close()
    process.wait()


def make(root: Path) -> Path:
    root.mkdir()
    (root / "foremend.toml").write_text(TOML)
    deliver(root, 0)
    ingest(Workspace.open(root))
    return root


def campaign(tmp_path: Path, run: Callable[[Path, float | None], int], kills: int, days: int, seed: int) -> int:
    """Kill `kills` ingests while `days` days of files arrive; returns how many were killed before their end."""
    chance = random.Random(seed)
    undisturbed, killed = make(tmp_path / "undisturbed"), make(tmp_path / "killed")
    for day in range(1, days + 1):
        deliver(undisturbed, day)
    started = time.monotonic()
    assert run(undisturbed, None) == 0
    length = time.monotonic() - started
    hits = 0
    for number in range(kills):
        if number * days // kills != (number - 1) * days // kills:
            deliver(killed, 1 + number * days // kills)
        delay = chance.uniform(0, length) if number else 0.0
        hits += run(killed, delay) == -signal.SIGKILL
        readable(killed)
    assert run(killed, None) == 0
    expected, found = contents(undisturbed), contents(killed)
    assert {name: len(rows) for name, rows in found.items()} == {name: len(rows) for name, rows in expected.items()}
    assert found == expected
    assert all(expected.values())
    before = Workspace.open(killed).pin().versions
    assert run(killed, None) == 0
    assert Workspace.open(killed).pin().versions == before
    return hits


def test_an_ingest_killed_at_random_instants_loses_nothing_and_doubles_nothing(
    tmp_path: Path, nursery: Callable[[Path, float | None], int]
) -> None:
    assert campaign(tmp_path, nursery, kills=6, days=3, seed=1) > 0


@pytest.mark.proof
def test_twenty_kills_leave_the_tables_of_an_undisturbed_run(
    tmp_path: Path, nursery: Callable[[Path, float | None], int]
) -> None:
    assert campaign(tmp_path, nursery, kills=20, days=8, seed=2) > 0
