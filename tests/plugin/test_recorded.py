"""What cannot be had here is judged from recordings of the real thing, and never counts as having run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.outcome import Outcome

ROOT = Path(__file__).parents[2]


def run(place: Path, *arguments: str) -> Outcome:
    """Behaviours of DAS, on a machine without DAS."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "suites/slices/test_life.py",
        "-k",
        "das",
        "--run-dir",
        str(place / "runs"),
    ]
    environment = {name: value for name, value in os.environ.items() if name != "GPUASSAY_ASSET_DAS"}
    arguments = ("--run-dir", str(place / "runs"), "-p", "no:cacheprovider", *arguments)
    done = subprocess.run(
        [*command, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200, check=False
    )
    return Outcome(done.returncode, done.stdout + done.stderr, place / "latest")


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_recordings_are_judged_and_named(tmp_path: Path, workers: tuple[str, ...]) -> None:
    """Red when it counts as live, no origin is given, or a cluster is started for nothing."""
    outcome = run(tmp_path, *workers)
    assert outcome.code == 0, outcome.output
    states = Counter(outcome.states.values())
    assert set(states) <= {"PASS, RECORDED", "KNOWN-DEFECT, RECORDED"} and states["PASS, RECORDED"] >= 5
    assert "Judged from recordings: slices, no cluster was opened. Nothing ran here: " in outcome.output
    assert "starting the control plane" not in outcome.output
    for verdict in outcome.verdicts.values():
        assert "judged from a recording of DAS 9f4fc07f, made by run 2026" in verdict["reason"]
    cases = ElementTree.parse(outcome.run / "junit.xml").iter("testcase")
    assert all(case.find("skipped") is not None for case in cases), "a reader of JUnit must not count them as passed"
    assert json.loads((outcome.run / "run.json").read_text())["cluster"]["provider"] == "none"


def test_who_wants_none_gets_typed_skips(tmp_path: Path) -> None:
    """Red when --no-recorded is not followed, or a run of skips alone is green."""
    outcome = run(tmp_path, "--no-recorded")
    assert outcome.code == 1
    assert set(outcome.states.values()) == {"SKIP"}
    assert all("the cluster lacks: program:das" in one["reason"] for one in outcome.verdicts.values())


def test_nothing_recorded_passes_under_a_mutant(tmp_path: Path) -> None:
    """Red when a recording of the sound system vouches for one that is broken on purpose."""
    outcome = run(tmp_path, "--mutant", "another-profile")
    assert set(outcome.states.values()) == {"SKIP"}
