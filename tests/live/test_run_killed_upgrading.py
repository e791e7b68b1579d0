"""A run is killed while it upgrades Kueue on a cluster of its own: nothing of it is left, and a second run upgrades."""

from __future__ import annotations

import os
import random
import signal
import subprocess

import pytest

from tests.cluster.conftest import need_programs
from tests.live.conftest import LiveSuite

OLD = "kueue@0.18.4"
SPAN = 6.0
"""Seconds of the upgrade, from the end of the old manager on, in which the moment lies."""

UPGRADES = """
@scenario(alone="cluster", needs={"kueue-process", "program:kueue@0.18.4"}, timeout=300)
def upgraded(lab):
    queue = lab.queue(gpus=1)
    lab.job("steady", queue)
    lab.until_admitted("steady")
    reach("upgrading")
    lab.upgrade()
    reach("upgraded")
    other = lab.queue(gpus=1, base="marker", flavor=queue.flavor)
    lab.job("marker", other)
    lab.observe_admitted("marker")

@says("demo.live.stays")
def test_stays(upgraded):
    '''What was admitted is admitted once, and the new version admits.'''
    assert sorted(one.rpartition("-")[0] for one in decisions(upgraded)) == ["job-marker", "job-steady"]
    seen = [event.object.get("status", {}) for event in upgraded.workload_of("steady").events]
    told = [one for status in seen for one in status.get("conditions", ())]
    assert told and not any(one["type"] == "Evicted" and one["status"] == "True" for one in told)
"""


def test_a_run_that_is_killed_in_an_upgrade_leaves_nothing_and_can_be_tried_again(suite: LiveSuite) -> None:
    """Red when a manager, old or new, outlives the run, or the next run cannot upgrade."""
    need_programs(OLD)
    suite.write(UPGRADES)
    words = ("--build", OLD)
    moment = random.Random("run killed in an upgrade").uniform(0, SPAN)
    with suite.start(*words) as running:
        running.until_reached("upgrading")
        try:
            running.process.wait(moment)  # the moment is what is tried, nothing is waited for
        except subprocess.TimeoutExpired:
            os.kill(running.process.pid, signal.SIGKILL)
            running.process.wait()
        else:
            pytest.fail(f"the run ended by itself: {running.said[-2000:]}")
    stopped = (suite.folder / "reports" / "latest").resolve()
    outcome = suite.run("--resume", str(stopped), *words)
    assert outcome.code == 0, outcome.output
    assert set(outcome.states.values()) == {"PASS"}
