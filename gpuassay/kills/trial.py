"""One run of the suite with one mutant."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from gpuassay.scratch import scratch


@dataclass(frozen=True)
class Trial:
    """A run with a mutant.

    Attributes:
        states: how each behaviour ended, by id; empty where the run could not begin.
        seconds: how long it took.
        words: the end of what the run said; for the case that it could not begin.
    """

    states: dict[str, str]
    seconds: float
    words: str


def trial(mutant: str, tests: Sequence[str], markers: str) -> Trial:
    """Run `tests` (node ids) with `mutant`; its run directory is thrown away.

    pytest's own variable, PYTEST_ADDOPTS, hands it any other option.
    """
    began = time.monotonic()
    with scratch("mutant") as place:
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "--no-header",
            "--mutant",
            mutant,
            "--run-dir",
            str(place / "runs"),
        ]
        done = subprocess.run([*command, "-m", markers, *tests], capture_output=True, text=True, check=False)
        verdicts = sorted((place / "runs").glob("*/verdicts.jsonl"))
        lines = [json.loads(line) for line in verdicts[0].read_text().splitlines()] if verdicts else []
    states = {str(line["behaviour"]): str(line["state"]) for line in lines}
    return Trial(states, time.monotonic() - began, done.stdout[-3000:] + done.stderr[-1000:])
