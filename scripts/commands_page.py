"""Write ``docs/commands.md`` from the program's own help, so that the page cannot drift; ``--check`` only compares."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from serving.cli import cli

PAGE = Path(__file__).parents[1] / "docs" / "commands.md"

HEAD = """# Commands

Written by `python scripts/commands_page.py` from the program's own help; `make lint` checks that it is current.
Data go to stdout, messages to stderr. Exit code 0: done; 2: something that you can mend; 1: a fault.
"""


def sections(command: click.Command, path: str) -> list[str]:
    """One heading and help text per command, depth first."""
    with click.Context(command, info_name=path, max_content_width=100, terminal_width=100) as ctx:
        found = [f"## {path}\n\n```text\n{command.get_help(ctx)}\n```\n"]
        if isinstance(command, click.Group):
            for name in command.list_commands(ctx):
                member = command.get_command(ctx, name)
                assert member is not None
                found += sections(member, f"{path} {name}")
    return found


def main(check: bool) -> int:
    """Write the page, or compare it; 1 where it is not current."""
    text = "\n".join([HEAD, *sections(cli, "foremend")])
    if not check:
        PAGE.write_text(text)
    elif not PAGE.exists() or PAGE.read_text() != text:
        print("docs/commands.md is not current. Run: python scripts/commands_page.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
