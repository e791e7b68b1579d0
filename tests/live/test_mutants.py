"""`gpuassay mutants` on a real system: a behaviour is killed by the mutant it names, or is named itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.live.conftest import LiveSuite

TESTS = '''
@scenario()
def one_job(lab):
    """A job is given to a queue."""
    queue = lab.queue(gpus=2)
    lab.job("one", queue, run_for=0.5)
    lab.observe(lambda: lab.has("Finished", "one"), "one finished", timeout=8)

@says("demo.live.queued", mutant="queue-label-lost")
def test_queued(one_job):
    """A job with a queue name has a Workload."""
    assert len(one_job.workloads()) == 1
'''

TOOTHLESS = '''
@pytest.mark.parametrize("looks", [False, True])
@says("demo.live.toothless", mutant="queue-label-lost")
def test_toothless(one_job, looks):
    """Says that a mutant kills it; of its two variants one looks at nothing."""
    assert one_job.workloads() or not looks
'''


@pytest.mark.usefixtures("programs")
def test_a_mutant_must_kill_and_the_identity_must_not(tmp_path: Path) -> None:
    """Red when a behaviour that cannot fail is not found out, or one that can is accused."""
    program = ("gpuassay", "mutants")
    sharp, blunt = LiveSuite(tmp_path / "sharp"), LiveSuite(tmp_path / "blunt")
    sharp.write(TESTS)
    blunt.write(TESTS + TOOTHLESS)
    with (
        sharp.start("--suite", "suites", "--out", "matrix.json", program=program) as first,
        blunt.start("--suite", "suites", "queue-label-lost", program=program) as second,
    ):
        toothless, good = second.finish(), first.finish()
    assert toothless.code == 1, toothless.output
    assert "demo.live.toothless[False]: PASS under its mutant queue-label-lost, must be FAIL" in toothless.output
    assert "demo.live.toothless[True]:" not in toothless.output
    assert "demo.live.queued:" not in toothless.output
    assert good.code == 0, good.output
    assert "1 behaviours killed by 1 mutants; 0 not as they must be" in good.output
    assert json.loads((sharp.folder / "matrix.json").read_text()) == {
        "identity": {"demo.live.queued": "PASS"},
        "queue-label-lost": {"demo.live.queued": "FAIL"},
    }
