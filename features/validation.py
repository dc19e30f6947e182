"""Every rule over the committed tables, with counts, first examples and advice."""

from __future__ import annotations

from features.rules import RowRule, row_rules

__all__ = ["RowRule", "row_rules"]
