"""While a run goes on, its directory tells what is known: a process of its own draws, and a kill loses nothing."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gpuassay.record import rundir
from gpuassay.session.ledger import Ledger
from gpuassay.session.so_far import SoFar
from gpuassay.waiting import wait


def declared(test: str) -> dict[str, Any]:
    text = dict.fromkeys(("behaviour", "suite", "feature", "title", "spec", "red_when", "mutant"), test)
    return {**text, "test": test, "level": "MUST"}


def passed(test: str) -> pytest.TestReport:
    report = SimpleNamespace(nodeid=test, when="call", duration=0.1, user_properties=[], passed=True, skipped=False)
    return cast("pytest.TestReport", report)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    directory = rundir.new_run_dir(tmp_path / "reports" / "runs")
    rundir.begin(directory, mode="live", replay_of=None, mutant=None, command=["pytest"])
    rundir.describe(directory, declared=3)
    return directory


def test_the_first_finished_module_brings_the_first_report(run: Path) -> None:
    """Red if a run that is killed after minutes leaves nothing to read."""
    ledger = Ledger()
    ledger.declare([declared(one) for one in ("a.py::one", "b.py::two", "b.py::three")])
    so_far = SoFar(ledger, run)
    so_far.start()
    try:
        for test in ("a.py::one", "b.py::two"):
            assert not (run / "verdicts.jsonl").exists()
            ledger.take(passed(test))
            so_far.judged(test)
        wait(lambda: (run / "report.html").exists(), bool, what="the first report")
    finally:
        so_far.stop()
    lines = [json.loads(line) for line in (run / "verdicts.jsonl").read_text().splitlines()]
    assert {one["test"]: one["state"] for one in lines} == {"a.py::one": "PASS", "b.py::two": "PASS"}
    assert "So far 2 behaviours of 3 judged" in (run / "report.html").read_text()
    assert (run / "junit.xml").exists()


def test_it_is_written_again_and_again(run: Path) -> None:
    ledger = Ledger()
    ledger.declare([declared(one) for one in ("a.py::one", "b.py::two")])
    so_far = SoFar(ledger, run, every=0.2)
    so_far.start()
    try:
        ledger.take(passed("a.py::one"))
        so_far.judged("a.py::one")
        so_far.judged("b.py::two")
        wait(lambda: (run / "verdicts.jsonl").exists(), bool, what="the first verdicts")
        ledger.take(passed("b.py::two"))
        wait(lambda: (run / "verdicts.jsonl").read_text().count("\n"), (2).__eq__, what="the second verdict")
    finally:
        so_far.stop()


def test_a_run_that_ends_before_its_first_module_writes_no_report_of_its_own(run: Path) -> None:
    so_far = SoFar(Ledger(), run)
    so_far.start()
    so_far.stop()
    assert not (run / "verdicts.jsonl").exists()
