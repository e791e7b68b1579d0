"""A small suite and a stored run for it: the plugin is tested by replaying, without a cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gpuassay.record import rundir
from gpuassay.record.recording import RecordingMeta, write_recording
from tests.outcome import Outcome

ROOT = Path(__file__).parents[2]

HEAD = '''
import os, signal, time
import pytest
from gpuassay.behaviours import behaviour, known_defect, needs
from gpuassay.record.notes import Note
from gpuassay.scenarios.declare import scenario
from gpuassay.verdict import MUST, SHOULD, Inconclusive

ANSWER = Note("answer", int, "the answer")

def says(id, **more):
    return behaviour(id, level=MUST, spec="none", red_when="never", **more)

@scenario()
def act(lab):
    """Nothing: it is only replayed."""

@scenario()
def broken(lab):
    """Its recording says that it broke."""

@scenario()
def lacking(lab):
    """Its recording says that the cluster lacks something."""

@scenario()
def unheard(lab):
    """Has no recording."""
'''


@dataclass
class SmallSuite:
    """A project folder with `suites/demo/test_topic.py` and a stored run."""

    folder: Path
    stored: Path

    def write(self, tests: str) -> None:
        """Make `tests` (after a common head) the only test module."""
        (self.folder / "suites" / "demo" / "test_topic.py").write_text(HEAD + tests)

    def command(self, *arguments: str) -> list[str]:
        """The command line that judges the stored run."""
        return [
            sys.executable,
            "-m",
            "pytest",
            "suites",
            "-p",
            "no:cacheprovider",
            "--replay",
            str(self.stored),
            *arguments,
        ]

    @property
    def environment(self) -> dict[str, str]:
        """Environment in which the small suite finds the library."""
        return {**os.environ, "PYTHONPATH": str(ROOT)}

    def run(self, *arguments: str, **options: Any) -> Outcome:
        """Judge the stored run."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            **options,
        )
        return Outcome(done.returncode, done.stdout + done.stderr, self.folder / "reports" / "latest")


@pytest.fixture
def suite(tmp_path: Path) -> SmallSuite:
    """A small suite and its stored run."""
    demo = tmp_path / "suites" / "demo"
    demo.mkdir(parents=True)
    for place in (tmp_path / "suites" / "__init__.py", demo / "__init__.py"):
        place.touch()
    (tmp_path / "conftest.py").write_text('pytest_plugins = ("gpuassay.plugin",)\n')
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\naddopts = --strict-markers\n")
    stored = rundir.new_run_dir(tmp_path / "stored" / "runs")
    rundir.begin(stored, mode="live", replay_of=None, mutant=None, command=["pytest"])
    for name, outcome, reason in (
        ("act", "ok", ""),
        ("broken", "error", "WaitTimeout: waiting for a queue"),
        ("lacking", "skip", "the cluster lacks: mig"),
    ):
        meta = RecordingMeta(scenario=f"demo.topic.{name}", outcome=outcome, error=reason, notes={"answer": 42})
        write_recording(stored / "recordings" / f"demo.topic.{name}", meta)
    (stored / "verdicts.jsonl").touch()
    return SmallSuite(tmp_path, stored)
