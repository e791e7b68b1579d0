"""Other suites' results become verdicts of a run, as theirs; upstream's own suites run only where they are named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
JUNIT = """<testsuite name="e2e" tests="4">
<testcase name="holds" time="1.5"/><testcase name="fails"><failure message="still there"/></testcase>
<testcase name="left out"><skipped message="no GPU"/></testcase></testsuite>"""
STATES = {"holds": "PASS", "fails": "FAIL", "left out": "SKIP", "e2e: the rest": "ERROR"}


def _pytest(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "suites/upstream", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT, env={**os.environ, "COLUMNS": "200"}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def _run_of(base: Path) -> Path:
    [run] = base.iterdir()
    return run


@pytest.fixture
def results(tmp_path: Path) -> Path:
    file = tmp_path / "their.xml"
    file.write_text(JUNIT)
    return file


@pytest.mark.parametrize("workers", ["0", "2"])
def test_each_case_ends_as_its_own_suite_says_and_says_whose_judgement_that_is(
    results: Path, tmp_path: Path, workers: str
) -> None:
    """Red when a case is lost, ends otherwise than its suite says, or reads as if gpuassay had judged it."""
    done = _pytest("-n", workers, "--run-dir", str(tmp_path / "runs"), "--upstream-junit", f"their@v1.2={results}")
    lines = [json.loads(line) for line in (_run_of(tmp_path / "runs") / "verdicts.jsonl").read_text().splitlines()]
    assert {line["behaviour"]: line["state"] for line in lines} == {
        f"upstream.their[{name}]": state for name, state in STATES.items()
    }, done.stdout
    [failed] = [line for line in lines if line["state"] == "FAIL"]
    assert (failed["reason"], failed["spec"]) == ("judged by their v1.2: still there", "their v1.2")
    assert done.returncode == 1


def test_a_replay_has_what_was_imported(results: Path, tmp_path: Path) -> None:
    """Red when imported verdicts are lost once the file is, or come out otherwise."""
    _pytest("--run-dir", str(tmp_path / "first"), "--upstream-junit", f"their@v1.2={results}")
    results.unlink()
    first = _run_of(tmp_path / "first")
    _pytest("--run-dir", str(tmp_path / "second"), "--replay", str(first))
    assert (_run_of(tmp_path / "second") / "verdicts.jsonl").read_text() == (first / "verdicts.jsonl").read_text()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["their=junit.xml"], "--upstream-junit their=junit.xml: it must be NAME@VERSION=FILE"),
        (["their@v1=absent.xml"], "absent.xml cannot be read: No such file or directory"),
        (["their@v1={}", "their@v2={}"], "--upstream-junit names their 2 times: give each file a NAME of its own"),
    ],
)
def test_what_cannot_be_imported_is_one_line_and_leaves_nothing(
    results: Path, tmp_path: Path, given: list[str], said: str
) -> None:
    """Red when a bad option or file is a traceback, passes in silence, or is found out when a run has begun."""
    words = [word for one in given for word in ("--upstream-junit", one.format(results))]
    done = _pytest("--run-dir", str(tmp_path / "runs"), *words)
    assert done.returncode == 2 and "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    [line] = [one for one in (done.stdout + done.stderr).splitlines() if "gpuassay: " in one]
    assert said in line and not (tmp_path / "runs").exists()


def test_upstreams_own_tests_run_only_where_they_are_named() -> None:
    """Red when a plain run takes upstream's suites along, or `-m upstream` does not find them all."""
    assert "14 deselected" in _pytest("--collect-only", "-q").stdout
    assert "14 tests collected" in _pytest("--collect-only", "-q", "-m", "upstream").stdout
    assert "  upstream: 14" in _pytest("--plan", "-m", "upstream").stdout
