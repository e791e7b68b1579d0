"""Whenever a run is killed, with whatever it has started: nothing is left of it within 5 s."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess

import pytest

from tests.live.conftest import JUDGING, QUICK, SLOW, LiveSuite, Running, inside

SPAN = 3.0
"""Seconds of the bring-up in which the killing moments are spread."""


def _kill(running: Running) -> None:
    """SIGKILL to the run's first process alone; that nothing is left is checked when the block of the run ends."""
    os.kill(running.process.pid, signal.SIGKILL)
    running.process.wait()


@pytest.mark.parametrize("words", ["starting the control plane", "installing Kueue"])
def test_killed_while_the_cluster_is_brought_up(suite: LiveSuite, words: str) -> None:
    """Red when a child of an early moment outlives the run."""
    suite.write(QUICK)
    moment = random.Random(words).uniform(0, SPAN)
    with suite.start() as running:
        running.until_said(words)
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.process.wait(moment)
        running.until("children to be there", lambda: len(inside(suite.folder)) > 1)
        _kill(running)


def test_killed_while_scenarios_act_and_tests_judge(suite: LiveSuite) -> None:
    """Red when cluster, recorder or a worker outlives the process that owns them."""
    suite.write(JUDGING + SLOW)
    with suite.start("-n", "2") as running:
        running.until_reached("acting", "judging")
        assert len(running.ports) >= 3
        workers = [line for line in inside(suite.folder).values() if line.endswith(f" in {suite.folder}")]
        assert len(workers) >= 3, "controller and two workers"
        _kill(running)
