"""The files of a recording. The core writes what every scenario leaves; a system adds its own (`System.parts`)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One file of rows, a JSON object a line.

    Attributes:
        file: its path in the recording's folder.
        holds: what a row is, for readers of the run directory.
        always: it is written when it has no rows, too; else only scenarios that have rows leave it.

    Example:
        NUMBERS = Part("numbers.jsonl", "a number that the controller gave")
        lab.rows(NUMBERS).append({"name": "a", "number": 1})  # in the scenario
        recording.rows(NUMBERS)  # in a judge
    """

    file: str
    holds: str
    always: bool = False


ASKED = Part("asked.jsonl", "an object as the scenario asked for it", always=True)
EVENTS = Part("events.jsonl", "what a watch showed, in receipt order", always=True)
AUDIT = Part("audit.jsonl", "what the API server says was written", always=True)
METRICS = Part("metrics.jsonl", "a sample of a Prometheus metric", always=True)
CORE = (ASKED, EVENTS, AUDIT, METRICS)
"""What every recording has."""
