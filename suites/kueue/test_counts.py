"""What queues count: the status of a ClusterQueue or LocalQueue tells who waits there, whatever happened meanwhile."""

from __future__ import annotations

from gpuassay import MUST, SHOULD, behaviour, dig, known_defect, scenario
from gpuassay.systems.kueue.acts import workloads as byhand
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.judge import known, recount
from gpuassay.systems.kueue.judge.lifecycle import workload_of
from gpuassay.systems.kueue.readings import KueueRecording

CLUSTER_QUEUE = "https://kueue.sigs.k8s.io/docs/concepts/cluster_queue/"
LOCAL_QUEUE = "https://kueue.sigs.k8s.io/docs/concepts/local_queue/"
SOON = 6.0
"""Seconds in which a count must follow: six of Kueue's batches of status updates."""


@scenario()
def left_behind(lab: KueueLab) -> None:
    """One of two workloads waits for the only GPU; then their LocalQueue is deleted."""
    queue = lab.queue(gpus=1)
    byhand.workload(lab, "running", queue)
    lab.until_admitted("running")
    byhand.workload(lab, "waiting", queue)
    byhand.observe_weighed(lab, "waiting")
    byhand.observe_pending(lab, queue, 1)
    lab.delete("LocalQueue", queue.local)
    lab.observe(lambda: lab.get("LocalQueue", queue.local) is None, "the LocalQueue gone")
    byhand.observe_pending(lab, queue, 0, timeout=SOON)


@known_defect(
    known.COUNTED_AFTER_STOP, "nobody counts anew when a LocalQueue takes its waiting Workloads away",
    shows="still counts 1 waiting", racy=True,
)  # fmt: skip
@behaviour(
    "kueue.counts.deleted-local-queue", level=SHOULD, spec=CLUSTER_QUEUE,
    red_when="a ClusterQueue goes on counting workloads as waiting whose LocalQueue was deleted",
)  # fmt: skip
def test_a_deleted_queue_takes_its_workloads_along(left_behind: KueueRecording) -> None:
    """Once a LocalQueue is deleted, its ClusterQueue no longer counts the workloads that waited in it."""
    if workload_of(left_behind, "waiting") is None:
        raise LookupError(f"waiting was never seen: {left_behind.timeline_text()}")
    found = recount.findings(left_behind)
    assert found == [], "\n".join(found)


QUEUES = [f"queue-{index}" for index in range(8)]


@scenario()
def tried_again(lab: KueueLab) -> None:
    """In eight queues one runs on one of two GPUs and one waits for three; all that run end at once."""
    queues = [lab.queue(gpus=2, base=base) for base in QUEUES]
    for queue in queues:
        byhand.workload(lab, f"runs-{queue.local}", queue)
        byhand.workload(lab, f"big-{queue.local}", queue, gpus=3)
    lab.until_admitted(*(f"runs-{base}" for base in QUEUES))
    byhand.observe_weighed(lab, *(f"big-{base}" for base in QUEUES))
    lab.observe(lambda: _counts(lab) == [1] * len(QUEUES), "one waits in each")
    byhand.finish(lab, *(f"runs-{base}" for base in QUEUES))
    for queue in queues:
        byhand.workload(lab, f"next-{queue.local}", queue)
    lab.until_admitted(*(f"next-{base}" for base in QUEUES))
    lab.observe(lambda: _counts(lab) == [1] * len(QUEUES), "one waits in each still", timeout=SOON)


def _counts(lab: KueueLab) -> list[int]:
    found = [lab.get("LocalQueue", base) for base in QUEUES]
    return [int(dig(one, "status", "pendingWorkloads", default=0)) for one in found]


@known_defect(
    known.COUNTED_IN_FLIGHT, "what the scheduler has in hand is in no queue, and nobody counts again",
    shows="one waits in each, told", racy=True,
)  # fmt: skip
@behaviour(
    "kueue.counts.local-queue-waiting", level=MUST, spec=LOCAL_QUEUE, timed=True,
    red_when="a LocalQueue's status counts fewer waiting workloads than wait in it", mutant="quota-doubled",
)  # fmt: skip
def test_a_local_queue_counts_who_waits(tried_again: KueueRecording) -> None:
    """At rest a LocalQueue counts the workloads that wait in it, also if the scheduler has just tried one of them."""
    queues = tried_again.timelines("LocalQueue")
    told = {base: dig(queues[base].final, "status", "pendingWorkloads", default=0) for base in QUEUES}
    assert told == dict.fromkeys(QUEUES, 1), f"one waits in each, told {told}\n{tried_again.timeline_text()}"
