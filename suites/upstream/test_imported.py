"""Results of any other suite, from its JUnit file (`--upstream-junit NAME@VERSION=FILE`), as verdicts of this run."""

from __future__ import annotations

from collections import Counter

import pytest

from gpuassay import Measure
from gpuassay.systems.upstream import Case, Results
from gpuassay.systems.upstream import judge as upstream
from gpuassay.systems.upstream.imported import behaviour_of, imported
from suites.upstream.verdicts import take_over


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each case that was imported."""
    given = imported(metafunc.config)
    names = Counter(case.name for results in given for case in results.cases)
    cases = [
        pytest.param(
            results,
            case,
            id=case.name if names[case.name] == 1 else f"{results.suite}: {case.name}",
            marks=[pytest.mark.upstream, pytest.mark.behaviour(behaviour_of(results, case))],
        )
        for results in given
        for case in results.cases
    ]
    metafunc.parametrize(("results", "case"), cases)


def test_another_suites_case(results: Results, case: Case, measure: Measure) -> None:
    """Another suite's own verdict, imported from its JUnit file."""
    take_over(results, upstream.told(results, case), measure)
