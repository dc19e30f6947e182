"""A made-up fleet with known truth: connected like any company's data, sharing no code with the features."""

from features.demo.make import FleetSummary, check_sizes, make_fleet, simulate

__all__ = ["FleetSummary", "check_sizes", "make_fleet", "simulate"]
