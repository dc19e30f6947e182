"""Benchmarks: our engine and its rivals, side by side in one run."""
