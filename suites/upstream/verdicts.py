"""Turns a case of another suite into a verdict of this run."""

from __future__ import annotations

import pytest

from gpuassay import Measure
from gpuassay.systems.upstream import Case, Outcome, Results
from gpuassay.systems.upstream import judge as upstream


def take_over(results: Results, case: Case, measure: Measure) -> None:
    """End as the other suite says that its case has ended, in its words."""
    by = f"{results.suite} {results.version}"
    told = {"features": ", ".join(case.features)} if case.features else {}
    if case.outcome is Outcome.PASSED and case.message:
        told["said"] = case.message
    measure.value(judged_by=by, took_s=case.seconds, **told)
    table = f"upstream-{results.suite}"
    if not (measure.run_dir / "exhibits" / f"{table}.json").exists():  # once, and not for each of thousands of cases
        measure.exhibit(table, **upstream.table(results))
    if case.outcome is Outcome.SKIPPED:
        pytest.skip(f"{by} skipped it: {case.message or 'no word about why'}")
    assert case.outcome is Outcome.PASSED, f"judged by {by}: {case.message or 'no word about why'}"
