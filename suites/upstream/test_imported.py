"""Results of any other suite, from its JUnit file (`--upstream-junit NAME@VERSION=FILE`), as verdicts of this run."""

from __future__ import annotations

import pytest

from gpuassay import MUST, Measure
from gpuassay.record.upstream import Results
from gpuassay.session.upstream import RESULTS
from gpuassay.systems.upstream import judge as upstream
from gpuassay.verdict import Behaviour
from suites.upstream.verdicts import take_over


def _behaviour(results: Results) -> Behaviour:
    return Behaviour(
        id=f"upstream.{results.suite}",
        level=MUST,
        spec=f"{results.suite} {results.version}",
        red_when="the imported suite reports the test as failed (gpuassay did not run it)",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each case that was imported."""
    cases = [
        pytest.param(results, case.name, id=case.name, marks=[pytest.mark.upstream, pytest.mark.behaviour(declared)])
        for results in metafunc.config.stash[RESULTS]
        for declared in [_behaviour(results)]
        for case in results.cases
    ]
    metafunc.parametrize(("results", "name"), cases)


def test_another_suites_case(results: Results, name: str, measure: Measure) -> None:
    """Another suite's own verdict, imported from its JUnit file."""
    take_over(results, upstream.case_of(results, name), measure)
