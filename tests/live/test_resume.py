"""A run that was killed is gone on with: what it recorded is judged, what it had not is acted out, nothing twice."""

from __future__ import annotations

import json
import os
import signal

from tests.live.conftest import LiveSuite

RUNS = '''
@says("demo.live.finishes")
def test_finishes(quick):
    """A job runs to its end."""
    assert len(quick.workloads()) == 1

@says("demo.live.other")
def test_other(other):
    """Another job runs to its end."""
    assert len(other.workloads()) == 1

@scenario()
def other(lab):
    """The runner dies before this one is through; the second time it is acted out."""
    queue = lab.queue(gpus=2)
    lab.job("one", queue, run_for=0.5)
    if not place("killed").exists():
        reach("acting")
        lab.until(lambda: False, "the end of this process", timeout=200)
    lab.until(lambda: lab.has("Finished", "one"), "one finished")
'''


def test_a_killed_run_is_gone_on_with(suite: LiveSuite) -> None:
    suite.write(RUNS)
    recordings = suite.folder / "reports" / "latest" / "recordings"
    with suite.start() as running:
        running.until("the first scenario's recording", lambda: any(recordings.glob("*quick/recording.json")))
        running.until_reached("acting")
        os.kill(running.process.pid, signal.SIGKILL)
        running.process.wait()
    stopped = (suite.folder / "reports" / "latest").resolve()
    kept = next(stopped.glob("recordings/*quick/recording.json")).read_bytes()
    (suite.folder / "killed").touch()

    outcome = suite.run("--resume", str(stopped))
    assert outcome.code == 0, outcome.output
    assert set(outcome.states.values()) == {"PASS"}
    assert "1 of 2 scenarios are taken over from run" in outcome.output
    assert next(outcome.run.glob("recordings/*quick/recording.json")).read_bytes() == kept
    known = json.loads((outcome.run / "run.json").read_text())
    assert known["resumed_of"] == stopped.name
    shown = json.loads((outcome.run / "exhibits" / "taken-over.json").read_text())
    assert [row[0].rpartition(".")[2] for row in shown["rows"]] == ["quick"]

    again = suite.run("--resume", str(outcome.run.resolve()))
    assert again.code == 0, again.output
    assert "2 of 2 scenarios are taken over" in again.output
    assert "starting the control plane" not in again.output

    refused = suite.run("--resume", str(outcome.run.resolve()), "--full")
    assert refused.code == 2
    assert "that run had full false, this one has true; ask for the same, or begin anew" in refused.output
