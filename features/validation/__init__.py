"""What is wrong with the data, how it is known, and what they are ready for."""

from features.validation.report import SCHEMA, Report, as_data, sample, validate
from features.validation.rules import RowRule, row_rules

__all__ = ["SCHEMA", "Report", "RowRule", "as_data", "row_rules", "sample", "validate"]
