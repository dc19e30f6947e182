"""A made-up fleet with known truth: connected like any company's data, sharing no code with the features."""

from features.demo.make import FleetSummary, make_fleet, simulate

__all__ = ["FleetSummary", "make_fleet", "simulate"]
