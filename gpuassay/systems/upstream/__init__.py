"""Other projects' own suites, run and read. The names of this page are its public face for suites."""

from __future__ import annotations

from gpuassay.record.upstream import RESULTS, Case, Outcome, Results

__all__ = ["RESULTS", "Case", "Outcome", "Results"]
