"""What both kinds of source share: the size of a batch, and the mark from which to read on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

__all__ = ["BATCH_ROWS", "OVERLAP", "TEXT_OVERLAP", "Since"]

BATCH_ROWS = 100_000
OVERLAP = timedelta(hours=1)
TEXT_OVERLAP = timedelta(hours=26)
"""Stamps kept as text sort by their local reading: up to 26 hours lie between two zones."""


@dataclass(frozen=True)
class Since:
    """From where an incremental read goes on: the largest value of `column` that was seen."""

    column: str
    value: datetime | int
