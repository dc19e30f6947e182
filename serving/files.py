"""Files that a command writes where the user says: whole, or as they were."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from features.errors import UserError

__all__ = ["as_cell", "written", "written_if_asked"]

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?")


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """A new file beside `path`, to be filled inside the block; it takes its place when that ends well.

    Missing folders are made. That nothing can be written there is found before the work begins. A
    file that stays empty takes nobody's place; who may read a file stays as it was; a device or a
    pipe is written as it is.

    Raises
    ------
    UserError
        The folder cannot be made, or the file not written.
    """
    place = path.resolve()  # a link stays a link: the file that it names is replaced
    with _told(path):
        device = place.exists() and not place.is_file() and not place.is_dir()
    if device:
        yield place
        return
    beside = place.with_name(f".{place.name}.{os.getpid()}.part")
    try:
        with _told(path):
            place.parent.mkdir(parents=True, exist_ok=True)
            beside.touch()
            mode = stat.S_IMODE((place if place.is_file() else beside).stat().st_mode)
            beside.chmod(mode | stat.S_IWUSR)  # before the first byte; even a read-only file can be replaced
        yield beside
        with _told(path):
            if beside.stat().st_size:
                beside.chmod(mode)
                beside.replace(place)
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


@contextmanager
def written_if_asked(path: Path | None) -> Iterator[Path | None]:
    """As :func:`written`, for a file that the user may not ask for."""
    if path is None:
        yield None
    else:
        with written(path) as beside:
            yield beside


def as_cell(text: str) -> str:
    """A cell that a spreadsheet does not run: what begins like a formula, and is no number, gets an apostrophe."""
    formula = text.startswith(("=", "+", "-", "@", "\t", "\r")) and not _NUMBER.fullmatch(text)
    return f"'{text}" if formula else text


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn the system's refusal into a sentence."""
    try:
        yield
    except (FileExistsError, NotADirectoryError) as error:
        found = "cannot be written: a part of the path is a file, not a folder"
        raise UserError(found, where=str(path), todo="Name another place") from error
    except OSError as error:
        raise UserError(f"cannot be written: {error.strerror}", where=str(path), todo="Name another place") from error
