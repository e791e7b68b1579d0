"""Ctrl-C at any moment: exit code 2, a report of what was done, nothing left."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.live.conftest import JUDGING, QUICK, SLOW, LiveSuite, Outcome, Running

SOON = 45.0
"""Seconds from Ctrl-C to the end; five on an idle machine."""


def _interrupt(running: Running, *, terminal: bool = True) -> Outcome:
    """As a terminal does, SIGINT to the whole group; or as a CI job that is cancelled, SIGTERM."""
    if terminal:
        os.killpg(running.process.pid, signal.SIGINT)
    else:
        running.process.terminate()
    began = time.monotonic()
    outcome = running.finish()
    assert time.monotonic() - began < SOON
    assert outcome.code == 2, outcome.output
    assert (outcome.run / "report.html").exists()
    assert f"report: {outcome.run.resolve()}" in outcome.output
    return outcome


@pytest.mark.parametrize(("words", "terminal"), [("starting the control plane", True), ("installing Kueue", False)])
def test_while_the_cluster_is_brought_up(suite: LiveSuite, words: str, terminal: bool) -> None:
    """Red when the start is waited for to its end, or leaves something."""
    suite.write(QUICK)
    with suite.start() as running:
        running.until_said(words)
        outcome = _interrupt(running, terminal=terminal)
    assert set(outcome.states.values()) == {"ERROR"}
    assert "scenarios of" not in outcome.output


def test_while_scenarios_act_and_tests_judge(suite: LiveSuite) -> None:
    """Red when verdicts that were there are lost, or the end of a scenario is waited for."""
    suite.write(JUDGING + SLOW)
    with suite.start("-n", "2") as running:
        running.until_reached("acting", "judging")
        outcome = _interrupt(running)
    assert outcome.states.pop("demo.live.judged") == "PASS"
    assert outcome.verdicts["demo.live.later"]["state"] == "ERROR"
