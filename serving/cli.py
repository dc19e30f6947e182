"""``foremend``: the command line.

Commands live in :mod:`serving.commands` and are imported only when they run: ``foremend --help``
must answer at once, and the libraries behind the commands cost seconds.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from features.errors import ForemendError

COMMANDS: Mapping[str, tuple[str, str]] = {
    "init": ("serving.commands.data:init", "Make a workspace: a folder with a commented foremend.toml."),
    "fleet": ("serving.commands.demo:fleet", "Make a demo fleet with known truth, as a workspace."),
    "ingest": ("serving.commands.data:ingest", "Read the sources into the canonical tables."),
    "validate": ("serving.commands.quality:validate", "Check every rule; say what is ready and what is not."),
    "labels": ("serving.commands.quality:labels", "Show which records count as failures."),
    "features": ("serving.commands.features:features", "Build point-in-time features to Parquet."),
    "train": ("serving.commands.risk:train", "Train a model and register it in MLflow."),
    "backtest": ("serving.commands.judging:backtest", "Judge a recipe on the past; register nothing."),
    "audit": ("serving.commands.judging:audit", "Look for features that have seen the future."),
    "models": ("serving.commands.models:models", "List the versions of the model, and who was champion."),
    "promote": ("serving.commands.models:promote", "Make a version of the model champion."),
    "rollback": ("serving.commands.models:rollback", "Give the place back to the champion before."),
    "score": ("serving.commands.risk:score", "Score tonight's assets and propose preventive tickets."),
    "tickets": ("serving.commands.risk:tickets", "List the proposals, with their reasons."),
    "forecast": ("serving.commands.volume:forecast", "Forecast ticket volume by region and type."),
    "serve": ("serving.commands.service:serve", "Serve scores, forecasts and proposals over HTTP."),
    "keys": ("serving.commands.service:keys", "Create, list and revoke API keys."),
    "demo": ("serving.commands.road:demo", "Walk the whole road on a demo fleet."),
    "bench": ("serving.commands.bench:bench", "Benchmarks, side by side in one run."),
}
"""Every command: where it lives and its one line of help. The order is the order of use."""


class LazyGroup(click.Group):
    """A group that knows its commands' names and help, and imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[Any, Any, list[str]]:
        from features.errors import nearest

        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"no command '{args[0]}'. {nearest(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--workspace", "-w", type=click.Path(path_type=Path, file_okay=False), default=Path(),
    envvar="FOREMEND_WORKSPACE", help="Folder of the workspace.  [default: the current folder]",
)  # fmt: skip
@click.version_option(package_name="foremend", message="foremend %(version)s")
@click.pass_context
def cli(ctx: click.Context, workspace: Path) -> None:
    """Foresight for after-sales field service.

    \b
    Try it on a made-up fleet:      foremend demo
    Connect your own tables:        foremend init DIR, edit DIR/foremend.toml, then
                                    foremend -w DIR ingest; foremend -w DIR validate
    Then, every night:              foremend -w DIR ingest; foremend -w DIR score
    """  # noqa: D301
    from serving import console

    ctx.obj = workspace
    console.speak(_language(workspace))


def _language(workspace: Path) -> str:
    """The language of a workspace, read without any check; English where there is none to read, of which the command tells."""
    import tomllib

    from ml.report import LANGUAGES

    try:
        text = (workspace.expanduser() / "foremend.toml").read_text(encoding="utf-8")
        language = tomllib.loads(text)["workspace"]["language"]
    except (OSError, ValueError, KeyError, TypeError):
        return "en"
    return str(language) if language in LANGUAGES else "en"


def main() -> None:
    """Run a command; every failure is one line on stderr, with exit 2 for the user's and 1 for a fault."""
    sys.exit(run(sys.argv[1:]))


def run(args: list[str]) -> int:
    """Run a command in this process and return its exit code; what ``main`` and the tests call."""
    try:
        result = cli.main(args=args, prog_name="foremend", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.Abort:
        click.echo("Interrupted; nothing was left half-written.", err=True)
        return 130
    except click.NoSuchOption as error:
        if error.option_name in _OF_WORKSPACE:
            return _fail(f"put {error.option_name} before the command: {_in_front(args)}", error, error.exit_code)
        error.show()
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except ForemendError as error:
        return _fail(str(error), error, error.exit_code)
    except Exception as error:
        return _fail(_DISK_FULL if disk_full(error) else _own_fault(error), error, 1)


_OF_WORKSPACE = ("-w", "--workspace")


def _in_front(args: list[str]) -> str:
    """The command line with the workspace where it belongs."""
    import shlex

    at = next((n for n, arg in enumerate(args) if arg in _OF_WORKSPACE), None)
    if at is None:  # -wDIR, --workspace=DIR
        at = next(n for n, arg in enumerate(args) if arg.startswith(_OF_WORKSPACE))
        return shlex.join(["foremend", args[at], *args[:at], *args[at + 1 :]])
    return shlex.join(["foremend", "-w", *(args[at + 1 : at + 2] or ["DIR"]), *args[:at], *args[at + 2 :]])


_DISK_FULL = "The disk is full. Nothing was left half-written. Free some space, then run the command again."


def _own_fault(error: Exception) -> str:
    kind = type(error).__name__
    said = " ".join(str(error).split())
    return f"A fault of foremend's own: {kind}: {said}. Set FOREMEND_TRACE=1 for the trace and report it."


def disk_full(error: BaseException) -> bool:
    """True where `error`, or what caused it, says that no space is left; some libraries say so only in words."""
    chain: BaseException | None = error
    while chain is not None:
        if getattr(chain, "errno", None) in {errno.ENOSPC, errno.EDQUOT} or "No space left on device" in str(chain):
            return True
        chain = chain.__cause__ or chain.__context__
    return False


def _fail(sentence: str, error: BaseException, code: int) -> int:
    if os.environ.get("FOREMEND_TRACE"):
        import traceback

        traceback.print_exception(error)
    click.echo(f"foremend: {sentence}", err=True)
    return code
