"""A component that dies mid-scenario turns its tests into ERROR, with its last words, and ends the run soon."""

from __future__ import annotations

import os
import signal
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.live.conftest import SLOW, LiveSuite, Running

SOON = 45.0
"""Seconds from a death to the end of the run; two on an idle machine."""

COMPONENTS = {"kube-apiserver": "/kube-apiserver", "etcd": "/etcd", "kueue": "/kueue --config"}
"""Words of the command line by component."""


@pytest.mark.usefixtures("programs")
def test_a_death_in_a_scenario_is_an_error_with_last_words(tmp_path: Path) -> None:
    """Red when the run hangs, blames the system under test, hides who died, or loses the report."""
    with ExitStack() as stack:
        runs: dict[str, Running] = {}
        for number, component in enumerate(COMPONENTS):  # side by side: most of a start is waiting
            suite = LiveSuite(tmp_path / f"run-{number}")
            suite.write(SLOW)
            runs[component] = stack.enter_context(suite.start())
        for component, running in runs.items():
            running.until_reached("acting")
            _kill_and_expect(component, running)


def _kill_and_expect(component: str, running: Running) -> None:
    os.kill(running.pid_of(COMPONENTS[component]), signal.SIGKILL)
    died = time.monotonic()
    outcome = running.finish()
    assert time.monotonic() - died < SOON
    assert outcome.code == 1, outcome.output
    for verdict in outcome.verdicts.values():
        assert verdict["state"] == "ERROR"
        head, found, last_words = verdict["reason"].partition(
            f"{component} died (killed by signal 9); its last lines:\n"
        )
        assert head == "ScenarioBroke: scenario demo.topic.slow: "
        assert found
        log = (outcome.run / "cluster" / "logs" / f"{component}.log").read_text(errors="replace").splitlines()
        shown = min(30, len(log))  # etcd is a quiet program
        assert set(last_words.splitlines()[:shown]) <= set(log)
    assert (outcome.run / "report.html").exists()
    assert "kueue died" in outcome.output or component != "kueue"
