"""What a person sees while a command works: data on stdout, messages on stderr; in the language of the workspace.

Long work reports through a `Say`: a function that takes one line. Below serving it is a plain
argument with a silent default, so that features and ml print nothing of their own. Whatever is said is
written in English and worded here, by the patterns of ``ml/templates``.
"""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from ml.report import Wording

__all__ = ["command", "cut", "say", "speak", "step", "table", "to_json", "worded", "words"]

_LANGUAGE = "foremend.language"
"""Where click keeps the language of a command, as long as that runs."""


def speak(language: str) -> None:
    """Say what follows in `language`, to the end of the command that runs."""
    click.get_current_context().meta[_LANGUAGE] = language


def words() -> Wording:
    """The wording of the command that runs; English outside of one."""
    running = click.get_current_context(silent=True)
    return Wording(running.meta.get(_LANGUAGE, "en") if running else "en")


def worded(english: str) -> str:
    """A line or a word of ours in the language of the command; say, step and table word what they are given themselves."""
    return words().told(english)


def say(line: str) -> None:
    """Print one line of progress on stderr."""
    click.echo(worded(line), err=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Announce a step at once, and its time when it is done: ``ingest … 2.1 s``.

    On a terminal the line is completed in place; elsewhere one line is printed at the end.
    """
    title, live = worded(title), sys.stderr.isatty()
    if live:
        click.echo(f"{title} …", err=True, nl=False)
    started = time.monotonic()
    yield
    seconds = time.monotonic() - started
    click.echo(f"{'' if live else title + ' …'} {seconds:.1f} s", err=True)


def to_json(data: Any) -> None:
    """Print data as JSON on stdout; instants as ISO 8601."""
    click.echo(json.dumps(data, ensure_ascii=False, indent=2, default=str))


def cut(text: str, letters: int = 160) -> str:
    """The beginning of a text that may be long."""
    return text if len(text) <= letters else f"{text[: letters - 1]}…"


def table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], title: str = "", names: Collection[str] = ()
) -> None:
    """Print rows as a table on stdout, cut to the width of a terminal and never elsewhere.

    Cells stand as they are, and so do `names`: columns that the data name.
    """
    from rich.console import Console
    from rich.table import Table

    heads = (name if name in names else worded(name) for name in columns)
    view = Table(
        *heads, title=worded(title) or None, title_justify="left", box=None, pad_edge=False, header_style="bold"
    )
    for row in rows:
        view.add_row(*("" if cell is None else str(cell) for cell in row))
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 1_000  # Rich would fold cells at 80 columns, whatever the wrap
    console.print(view, soft_wrap=not console.is_terminal)


def command(folder: Path, words: str) -> str:
    """The command line that runs `words` on the workspace in `folder`, for messages: what to do next, fit to be pasted."""
    return f"foremend {words}" if folder == Path() else f"foremend -w {shlex.quote(str(folder))} {words}"
