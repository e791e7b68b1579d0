"""In which order a ClusterQueue admits."""

from __future__ import annotations

from gpuassay.behaviour import behaviour
from gpuassay.judge.order import expected_order, names_in_order
from gpuassay.record.recording import Recording
from gpuassay.scenario.declare import scenario
from gpuassay.scenario.lab import Lab
from gpuassay.verdict import MUST

SPEC = "https://kueue.sigs.k8s.io/docs/concepts/cluster_queue/#queueing-strategy"


@scenario()
def burst(lab: Lab) -> None:
    """Twenty jobs created within a second or two in a held queue, then released."""
    queue = lab.queue(gpus=20, hold=True)
    lab.jobs([f"job-{index}" for index in range(20)], queue, run_for=1)
    lab.until_pending(queue.name, 20)
    lab.release(queue)
    lab.observe(lambda: lab.count("Admitted") == 20, "all admitted")


@behaviour(
    "kueue.ordering.same-second-burst", level=MUST, spec=SPEC,
    red_when="the heap orders by anything but priority, creation second, UID", mutant="hold-ignored",
)  # fmt: skip
def test_a_burst_is_admitted_in_heap_order(burst: Recording) -> None:
    """Jobs created in a burst are admitted by priority, then creation second, then UID: not by submission."""
    assert names_in_order(burst) == expected_order(burst), burst.timeline_text()
