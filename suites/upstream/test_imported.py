"""Results of any other suite, from its JUnit file (`--upstream-junit NAME@VERSION=FILE`), as verdicts of this run."""

from __future__ import annotations

from collections import Counter

import pytest

from gpuassay import MUST, Measure
from gpuassay.record.upstream import Case, Results
from gpuassay.session.upstream import RESULTS
from gpuassay.systems.upstream import judge as upstream
from gpuassay.verdict import Behaviour
from suites.upstream.verdicts import take_over


def _behaviour(results: Results, case: Case) -> Behaviour:
    return Behaviour(
        id=f"upstream.{results.suite}[{case.name}]",
        level=MUST,
        spec=f"{results.suite} {results.version}",
        red_when="the imported suite reports the test as failed (gpuassay did not run it)",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each case that was imported."""
    imported = metafunc.config.stash[RESULTS]
    names = Counter(case.name for results in imported for case in results.cases)
    cases = [
        pytest.param(
            results,
            case,
            id=case.name if names[case.name] == 1 else f"{results.suite}: {case.name}",
            marks=[pytest.mark.upstream, pytest.mark.behaviour(_behaviour(results, case))],
        )
        for results in imported
        for case in results.cases
    ]
    metafunc.parametrize(("results", "case"), cases)


def test_another_suites_case(results: Results, case: Case, measure: Measure) -> None:
    """Another suite's own verdict, imported from its JUnit file."""
    take_over(results, upstream.told(results, case), measure)
