"""``foremend serve`` and ``foremend keys``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from features.errors import UserError, WorkspaceError
from serving import console

if TYPE_CHECKING:
    import socket

    from sqlalchemy import Engine

__all__ = ["keys", "serve"]

SCOPES = ("read", "plan", "ticket", "ingest", "admin")
"""As in :mod:`serving.auth`, which is too heavy for ``--help``; a test compares them."""


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port; 0 takes a free one."
)
@click.pass_obj
def serve(folder: Path, host: str, port: int) -> None:
    """Serve scores, forecasts and proposals over HTTP.

    \b
    foremend keys create planner --scope read     a key, shown once
    foremend serve                                then, in another terminal:
    curl -H "Authorization: Bearer fmk_…" http://127.0.0.1:8000/v1/risk-scores

    Routes: /v1/risk-scores, /v1/forecasts, /v1/proposals, /v1/openapi.json, and /healthz, which alone
    needs no key. Ctrl-C finishes the requests under way and ends. Behind a proxy, let that do TLS.
    """  # noqa: D301
    import uvicorn

    from features.workspace import Workspace
    from serving.app import create_app
    from serving.settings import load_settings
    from serving.store.keys import any_key

    app = create_app(Workspace.open(folder), load_settings())
    with app.state.engine.connect() as connection:
        if not any_key(connection, datetime.now(UTC)):
            raise WorkspaceError(
                "there is no API key that works, so nobody could ask anything", where=str(folder),
                todo=f"Make one: {console.command(folder, 'keys create planner --scope read')}",
            )  # fmt: skip
    with _listening(host, port) as listener:
        bound: int = listener.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        console.say(f"Serving on http://{shown}:{bound} (Ctrl-C ends)")
        config = uvicorn.Config(app, log_level="warning", server_header=False, timeout_graceful_shutdown=30)
        with _ending_quietly():
            uvicorn.Server(config).run(sockets=[listener])
    console.say("Stopped.")


@click.group()
def keys() -> None:
    """Create, list and revoke API keys.

    \b
    foremend keys create planner                           may read; shown once, good until revoked
    foremend keys create portal --scope read --days 90     good for 90 days
    foremend keys list
    foremend keys revoke 1f0c9a2b
    """  # noqa: D301


@keys.command()
@click.argument("name")
@click.option(
    "--scope", "scopes", type=click.Choice(SCOPES), multiple=True, default=("read",), show_default=True,
    help="What it is good for; repeat for several. admin is good for everything.",
)  # fmt: skip
@click.option("--days", type=click.IntRange(min=1), help="Days that it is good for.  [default: until revoked]")
@click.option("--json", "as_json", is_flag=True, help="Print id and key as JSON.")
@click.pass_obj
def create(folder: Path, name: str, scopes: tuple[str, ...], days: int | None, as_json: bool) -> None:
    """Make a key called NAME and print it: the only time that it is shown.

    \b
    foremend keys create planner
    foremend keys create nightly --scope read --scope ingest --days 365
    """  # noqa: D301
    from serving.auth import create_key

    expires_at = datetime.now(UTC) + timedelta(days=days) if days else None
    with _store(folder) as engine:
        key_id, token = create_key(engine, name, sorted(set(scopes)), expires_at=expires_at)
    if as_json:
        console.to_json({"key_id": key_id, "name": name, "key": token, "expires_at": expires_at})
    else:
        click.echo(token)
    console.say(f"Key {key_id} ({name}). Keep it now: only its hash is stored, and nobody can show it again.")
    console.say(f"Next: {console.command(folder, 'serve')}")


@keys.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
@click.pass_obj
def list_(folder: Path, as_json: bool) -> None:
    """List the keys: scopes, expiry, last use. Never the keys themselves.

    \b
    foremend keys list
    foremend keys list --json
    """  # noqa: D301
    from serving.store.keys import list_keys

    shown = ("key_id", "name", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at")
    with _store(folder) as engine, engine.connect() as connection:
        rows = [{name: row[name] for name in shown} for row in list_keys(connection)]
    if as_json:
        console.to_json([{name: _iso(value) for name, value in row.items()} for row in rows])
        return
    heads = ("key_id", "name", "scopes", "created", "expires", "last_used", "revoked")
    console.table(heads, [[_text(row[name]) for name in shown] for row in rows])
    if not rows:
        console.say(f"No keys. Make one: {console.command(folder, 'keys create NAME --scope read')}")


@keys.command()
@click.argument("key_id")
@click.pass_obj
def revoke(folder: Path, key_id: str) -> None:
    """Make the key KEY_ID useless, from its next request on.

    \b
    foremend keys list
    foremend keys revoke 1f0c9a2b
    """  # noqa: D301
    from serving.auth import end_key

    with _store(folder) as engine:
        if not end_key(engine, key_id):
            raise UserError(
                f"no working key has the id '{key_id}'", where="store",
                todo=f"See {console.command(folder, 'keys list')}; the id is its first column, not the key itself",
            )  # fmt: skip
    console.say(f"Key {key_id} is revoked.")


@contextmanager
def _store(folder: Path) -> Iterator[Engine]:
    """The store of a workspace, for one command."""
    from features.workspace import Workspace
    from serving.settings import load_settings
    from serving.store import open_store

    engine = open_store(Workspace.open(folder), load_settings())
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens; taken here, so that a port in use is told in our words."""
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(2048)  # from here on a caller waits rather than being refused
        except (OSError, UnicodeError) as error:
            raise UserError(
                f"cannot listen there: {getattr(error, 'strerror', None) or error}", where=f"{host}:{port}",
                todo="Stop what listens there, or choose another --port or --host",
            ) from error  # fmt: skip
        yield listener


@contextmanager
def _ending_quietly() -> Iterator[None]:
    """The server catches SIGINT and SIGTERM, ends gracefully, then sends them again: here they have done their work."""
    import signal

    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return " ".join(value) if isinstance(value, list) else str(value or "")


def _iso(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value
