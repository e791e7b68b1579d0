"""What another suite's results say of one of its tests. The judgement is that suite's; here it is found, or missed."""

from __future__ import annotations

from collections.abc import Collection

from gpuassay.manifest import Manifest
from gpuassay.record.upstream import Case, Outcome, Results


class NotToldError(Exception):
    """The results say nothing, or nothing certain, about a test: that is an ERROR and never a pass."""


def case_of(results: Results, name: str, declared: Collection[str] = ()) -> Case:
    """The case of that name, which passed, failed or was skipped.

    Args:
        results: of a run of the other suite.
        name: as that suite has it.
        declared: names of all cases that are judged, where these are known beforehand.

    Raises:
        NotToldError: it is missing, broke, or the suite has cases that nobody judges.
    """
    suite = f"{results.suite} {results.version}"
    found = next((one for one in results.cases if one.name == name), None)
    if found is None:
        raise NotToldError(f"{suite} told nothing of {name}: {results.problem or 'it has no such test'}")
    told(results, found)
    unknown = [one for one in results.cases if declared and one.name not in declared]
    if unknown:
        broke = Outcome.ERROR
        names = ", ".join(sorted(f"{one.name}: {one.message}" if one.outcome is broke else one.name for one in unknown))
        raise NotToldError(f"{suite} has tests that nobody judges here: {names}")
    return found


def told(results: Results, case: Case) -> Case:
    """A case of the results, which passed, failed or was skipped.

    Raises:
        NotToldError: it broke.
    """
    if case.outcome is Outcome.ERROR:
        words = "; ".join(filter(None, (case.message or "(no message)", results.problem)))
        raise NotToldError(f"{results.suite} {results.version}: {words}")
    return case


def table(results: Results) -> Manifest:
    """All cases as an exhibit."""
    rows = [[one.name, one.outcome, one.seconds, ", ".join(one.features)] for one in results.cases]
    return {
        "kind": "table",
        "title": f"{results.suite} {results.version}: its own verdicts",
        "columns": ["test", "ended", "seconds", "features"],
        "rows": rows,
        "notes": [f"judged by that suite and not by gpuassay; {results.source}"],
        "section": "Upstream's own conformance",
    }
