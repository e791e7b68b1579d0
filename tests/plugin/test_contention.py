"""A refutation that hangs on a clock is INCONCLUSIVE where others used the CPUs; anything else stays one."""

from __future__ import annotations

from typing import Any

import pytest

from gpuassay.record.recording import RecordingMeta, write_recording
from gpuassay.session import contention
from tests.plugin.conftest import SmallSuite

TESTS = '''
@says("demo.clock.late", timed=True)
def test_late(act):
    """It comes in time."""
    assert act.note(ANSWER) == 43, "it came late"

@says("demo.clock.wrong")
def test_wrong(act):
    """It is right."""
    assert act.note(ANSWER) == 43, "it is wrong"

@says("demo.clock.good", timed=True)
def test_good(act):
    """It holds, however late."""
    assert act.note(ANSWER) == 42
'''


def pressed(suite: SmallSuite, **pressure: float) -> None:
    meta = RecordingMeta("demo.topic.act", notes={"answer": 42}, pressure=pressure)
    write_recording(suite.stored / "recordings" / "demo.topic.act", meta)


def states(suite: SmallSuite) -> dict[str, Any]:
    suite.write(TESTS)
    return {line["behaviour"].rpartition(".")[2]: line for line in suite.run().verdicts.values()}


@pytest.mark.parametrize(
    "pressure",
    [
        {"others_cpu_share": 0.6},
        {"others_cpu_share": 0.05, "others_cpu_burst": 0.5},
        {"others_cpu_share": 0.0, "cpu_stall_share": 0.97},
    ],
)
def test_on_a_contended_machine_only_what_no_delay_explains_is_refuted(
    suite: SmallSuite, pressure: dict[str, float]
) -> None:
    """Red if a busy neighbour makes a sound system look broken, or excuses a broken one."""
    pressed(suite, **pressure)
    found = states(suite)
    assert {name: one["state"] for name, one in found.items()} == {
        "late": "INCONCLUSIVE", "wrong": "FAIL", "good": "PASS",
    }  # fmt: skip
    assert "what was seen hangs on a clock: it came late" in found["late"]["reason"]
    assert "during demo.topic.act" in found["late"]["reason"]


def test_on_a_quiet_machine_lateness_is_a_finding(suite: SmallSuite) -> None:
    """Red if a slow system is excused although nobody took its CPUs."""
    pressed(suite, others_cpu_share=0.02, others_cpu_burst=0.2, cpu_stall_share=0.5)
    assert {name: one["state"] for name, one in states(suite).items()} == {
        "late": "FAIL", "wrong": "FAIL", "good": "PASS",
    }  # fmt: skip


def test_the_worst_recording_is_named() -> None:
    metas = [RecordingMeta(name, pressure={"others_cpu_share": share}) for name, share in (("a", 0.2), ("b", 0.7))]
    assert contention.evidence(metas) == "others used 70% of the machine's CPU time during b"
    assert contention.evidence([]) is None
