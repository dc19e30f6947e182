"""What both kinds of source share: the mark from which to read on, the batch, and no secret in a message."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

__all__ = ["BATCH_ROWS", "OVERLAP", "TEXT_OVERLAP", "Since", "mask"]

BATCH_ROWS = 100_000
OVERLAP = timedelta(hours=1)
TEXT_OVERLAP = timedelta(hours=26)
"""Stamps kept as text sort by their local reading: up to 26 hours lie between two zones."""

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True)
class Since:
    """From where an incremental read goes on: the largest value of `column` that was seen."""

    column: str
    value: datetime | int


def mask(text: str, *templates: str) -> str:
    """Put ``${VAR}`` back where `text` shows the value of a variable that a template names."""
    names = {name for template in templates for name in _VARIABLE.findall(template)}
    values = sorted(((os.environ.get(name, ""), name) for name in names), key=lambda pair: -len(pair[0]))
    for value, name in values:
        text = text.replace(value, f"${{{name}}}") if value else text
    return text
