"""Ratios, intervals and three-valued verdicts over run-level numbers."""
