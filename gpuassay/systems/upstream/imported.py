"""What JUnit files of other suites have brought into this run (`--upstream-junit`), as behaviours of this run."""

from __future__ import annotations

import pytest

from gpuassay.record.upstream import Case, Results
from gpuassay.session.upstream import RESULTS as STASHED
from gpuassay.verdict import MUST, Behaviour


def imported(config: pytest.Config) -> list[Results]:
    """The results of each suite, in the order of the command line."""
    return config.stash[STASHED]


def behaviour_of(results: Results, case: Case) -> Behaviour:
    """A case as a behaviour: its judge is the other suite."""
    return Behaviour(
        id=f"upstream.{results.suite}[{case.name}]",
        level=MUST,
        spec=f"{results.suite} {results.version}",
        red_when="the imported suite reports the test as failed (gpuassay did not run it)",
    )
