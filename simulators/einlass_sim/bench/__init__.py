"""Benches: commands of their own, never part of a test run. What they print is a ratio taken in one run."""
