"""The files of a recording. The core writes what every scenario leaves; a system adds its own (`System.parts`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic

from gpuassay.manifest import Manifest

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    R = TypeVar("R", default=Manifest)
else:  # a type variable with a default comes with Python 3.13; only type checkers look at it
    from typing import TypeVar

    R = TypeVar("R")

MAPPINGS: Any = dict
"""Type of rows that are parsed JSON objects and nothing more."""

_declared: set[str] = set()


@dataclass(frozen=True)
class Part(Generic[R]):
    """One file of rows, a JSON object a line.

    Attributes:
        file: its path in the recording's folder.
        holds: what a row is, for readers of the run directory.
        always: it is written when it has no rows, too; else only scenarios that have rows leave it.
        row: type of a row (a `msgspec.Struct` or a dataclass), checked when the file is read; mappings by default.

    Example:
        NUMBERS = Part("numbers.jsonl", "a number that the controller gave")
        lab.rows(NUMBERS).append({"name": "a", "number": 1})  # in the scenario
        recording.rows(NUMBERS)  # in a judge
    """

    file: str
    holds: str
    always: bool = False
    row: type[R] = MAPPINGS

    def __post_init__(self) -> None:
        """Its file is one that this process knows (`declared`)."""
        _declared.add(self.file)


def declared() -> frozenset[str]:
    """Files of all parts that this process knows: of the core, of the systems and of the suites that are imported."""
    return frozenset(_declared)


ASKED = Part("asked.jsonl", "an object as the scenario asked for it", always=True)
EVENTS = Part("events.jsonl", "what a watch showed, in receipt order", always=True)
AUDIT = Part("audit.jsonl", "what the API server says was written", always=True)
METRICS = Part("metrics.jsonl", "a sample of a Prometheus metric", always=True)
CORE = (ASKED, EVENTS, AUDIT, METRICS)
"""What every recording has."""
