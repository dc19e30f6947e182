"""What DuckDB and database drivers say, as one line without secrets."""

from __future__ import annotations

import os
import re
from itertools import takewhile

__all__ = ["in_one_line", "mask"]

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_ADVICE = re.compile(r"Possible |\* |file = |The search space|(Column \S+|This type|This column) .*|The Column types")
"""Lines with which DuckDB's own advice begins: settings of its CSV reader, a page of them."""
_POSITION = re.compile(r"LINE (\d+):\s*(.*)")


def mask(text: str, *templates: str) -> str:
    """Put ``${VAR}`` back where `text` shows the value of a variable that a template names."""
    names = {name for template in templates for name in _VARIABLE.findall(template)}
    values = sorted(((os.environ.get(name, ""), name) for name in names), key=lambda pair: -len(pair[0]))
    for value, name in values:
        text = text.replace(value, f"${{{name}}}") if value else text
    return text


def in_one_line(error: Exception) -> str:
    r"""The message of a DuckDB error: what is wrong, the line of the query, the file; its advice left out.

    Examples
    --------
    >>> in_one_line(ValueError('syntax error at "B"\n\nLINE 3:  B AND\n         ^'))
    'syntax error at "B" (line 3: B AND)'
    """
    lines = [line.strip() for line in str(error).splitlines()]
    kept = [line for line in takewhile(lambda line: not _ADVICE.match(line), lines) if line.strip("^ ")]
    said = [line for line in kept if not _POSITION.match(line)]
    text = " ".join(line if line.endswith((".", "!", "?", ":")) or line is said[-1] else f"{line};" for line in said)
    places = [f"line {m[1]}: {m[2]}" for line in kept if (m := _POSITION.match(line))]
    places += [line.removeprefix("file = ") for line in lines if line.startswith("file = ")]
    return f"{text.rstrip('.')} ({', '.join(places)})" if places else text or type(error).__name__
