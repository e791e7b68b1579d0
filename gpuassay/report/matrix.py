"""The conformance matrix: which behaviour which slicer showed, from the parameters of the tests."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from gpuassay.report.account import WORST_FIRST
from gpuassay.report.exhibits import Exhibit, Table
from gpuassay.verdict import State, Verdict

SECTION = "Slices: one profile, every slicer"
IDENTITY = "slices-conformance"
SUITE = "slices"

TITLES = {
    "device-plugin": "NVIDIA device plugin",
    "dra": "NVIDIA DRA driver",
    "dra-example": "DRA example driver",
    "das": "DAS",
}
"""Slicers as tests have them among their parameters, and their columns, in order."""

_PARAMETER = re.compile(r"\[(.*)\]$")
_SLICER = re.compile(r"(?:^|-)(device-plugin|dra-example|dra|das)(?=-|$)")


def slicer_of(test: str) -> str | None:
    """The slicer of which a test with this id judges; None where its id names none."""
    parameter = _PARAMETER.search(test)
    found = _SLICER.search(parameter[1]) if parameter else None
    return found[1] if found else None


def conformance(verdicts: Iterable[Verdict]) -> Table | None:
    """A row for each behaviour that is proved of slicers, a column for each of these; None where there is none.

    Of several tests of one behaviour and slicer the worst counts: `slices.life.freed[dra]` and its likes are one.
    """
    cells: dict[str, dict[str, State]] = {}
    for one in verdicts:
        slicer = slicer_of(one.test) if one.suite == SUITE else None
        if slicer is not None:
            row = cells.setdefault(one.behaviour.partition("[")[0], {})
            state = State(one.state)
            row[slicer] = min(row.get(slicer, state), state, key=WORST_FIRST.index)
    if not cells:
        return None
    slicers = [name for name in TITLES if any(name in row for row in cells.values())]
    rows = [[name, *(row.get(column) for column in slicers)] for name, row in sorted(cells.items())]
    totals = [_total([row[column] for row in cells.values() if column in row]) for column in slicers]
    return Table(
        id=IDENTITY,
        title="Behaviours of slices by slicer",
        kind="table",
        columns=["behaviour", *(TITLES[name] for name in slicers)],
        rows=[["passed, of those declared", *totals], *rows],
        notes=[
            "Real slicers on fake GPUs. Not run: the slicer is not at hand here, and nothing is known of it.",
            "A dash: the behaviour is not declared of this slicer. Reasons stand in the catalogue of behaviours.",
        ],
        section=SECTION,
    )


def with_conformance(exhibits: Sequence[Exhibit], verdicts: Iterable[Verdict]) -> list[Exhibit]:
    """The exhibits of a run and, where slicers were judged, their matrix."""
    matrix = conformance(verdicts)
    return [*exhibits, *([matrix] if matrix else [])]


def _total(states: list[State]) -> str:
    """How many passed, and what became of the others; "not run" where every one was skipped."""
    if set(states) == {State.SKIP}:
        return f"not run ({len(states)} skipped)"
    count = Counter(states)
    others = [f"{count[state]} {state}" for state in WORST_FIRST if count[state] and state is not State.PASS]
    return "; ".join([f"{count[State.PASS]} of {len(states)}", *others])
