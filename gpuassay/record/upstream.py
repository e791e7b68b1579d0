"""What another suite says of a system: its cases by its own names, and its own judgement of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from gpuassay.record.notes import Note


class Outcome(StrEnum):
    """How a case of another suite ended, in that suite's judgement."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    ERROR = "error"
    """It broke, was cut off, or is missing: nothing is known."""


@dataclass(frozen=True)
class Case:
    """One test of another suite.

    Attributes:
        name: as that suite has it.
        outcome: its own judgement.
        message: its own words about a failure or a skip.
        seconds: how long it took, None where that is not told.
        features: what it exercises, as that suite names it.
    """

    name: str
    outcome: Outcome
    message: str = ""
    seconds: float | None = None
    features: tuple[str, ...] = ()


@dataclass(frozen=True)
class Results:
    """What one run of another suite told.

    Attributes:
        suite: short name, such as `gaie`.
        version: of the suite.
        source: where the results come from, for people.
        cases: in the order in which they were told; no two of one name.
        problem: why the run as a whole did not come to its end, "" when it did.
    """

    suite: str
    version: str
    source: str
    cases: tuple[Case, ...] = field(repr=False)  # thousands; Allure writes a test's parameters into each of its files
    problem: str = ""


RESULTS = Note("upstream", Results, "what a run of another suite told")
