"""Whether users can see what waits and what is used."""

from __future__ import annotations

import json
from typing import Any

from gpuassay import MUST, Manifest, Note, behaviour, dig, scenario
from gpuassay.systems.kueue.acts import workloads as byhand
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.judge.queueing import queued
from gpuassay.systems.kueue.model.order import heap_order
from gpuassay.systems.kueue.readings import KueueRecording

QUEUE = "https://kueue.sigs.k8s.io/docs/concepts/cluster_queue/"
LOCAL = "https://kueue.sigs.k8s.io/docs/concepts/local_queue/"
ON_DEMAND = "https://kueue.sigs.k8s.io/docs/tasks/manage/monitor_pending_workloads/pending_workloads_on_demand/"


LISTED = Note("listed", list[tuple[str, int]], "the Workloads of the list, with their position in the ClusterQueue")


@scenario()
def two_locals(lab: KueueLab) -> None:
    """A ClusterQueue of 4 GPUs behind two LocalQueues: left holds 3 and waits once, right holds 1 and waits twice."""
    queue = lab.queue(gpus=4, base="left")
    lab.local_queue("right", queue.name)
    byhand.workload(lab, "left-running", "left", gpus=3)
    byhand.workload(lab, "right-running", "right", gpus=1)
    lab.until_admitted("left-running", "right-running")
    for name in ("left-waits", "right-waits", "right-waits-too"):
        byhand.workload(lab, name, name.partition("-")[0], distinct=True)
    byhand.observe_weighed(lab, "left-waits", "right-waits", "right-waits-too")
    byhand.observe_pending(lab, queue, 3)

    def counted() -> bool:
        told = {name: dig(lab.get("LocalQueue", name), "status", "pendingWorkloads") for name in ("left", "right")}
        return told == {"left": 1, "right": 2}

    lab.observe(counted, "LocalQueues have counted")


def _counts(obj: Manifest) -> dict[str, Any]:
    fields = ("pendingWorkloads", "reservingWorkloads", "admittedWorkloads")
    return {field: dig(obj, "status", field, default=0) for field in fields}


def _gpus(obj: Manifest, field: str) -> str:
    return str(dig(obj, "status", field, 0, "resources", 0, "total", default=""))


@behaviour(
    "kueue.visibility.cluster-queue-counts", level=MUST, spec=QUEUE, timed=True,
    red_when="the counts in a ClusterQueue's status differ from its pending and admitted workloads",
    mutant="quota-doubled",
)  # fmt: skip
def test_a_cluster_queue_counts_its_workloads(two_locals: KueueRecording) -> None:
    """At rest a ClusterQueue's status counts the workloads of all its LocalQueues: waiting, reserving and admitted."""
    (queue,) = two_locals.timelines("ClusterQueue").values()
    expected = {"pendingWorkloads": 3, "reservingWorkloads": 2, "admittedWorkloads": 2}
    seen = _counts(queue.final)
    assert seen == expected, f"expected {expected}, seen {seen}\n{two_locals.timeline_text()}"


@behaviour(
    "kueue.visibility.local-queue-counts", level=MUST, spec=LOCAL, timed=True,
    red_when="a LocalQueue counts workloads of another, or misses its own", mutant="quota-doubled",
)  # fmt: skip
def test_a_local_queue_counts_its_own_workloads(two_locals: KueueRecording) -> None:
    """At rest each LocalQueue's status counts its own workloads and nobody else's."""
    queues = two_locals.timelines("LocalQueue")
    seen = {name: tuple(_counts(queues[name].final).values()) for name in ("left", "right")}
    expected = {"left": (1, 1, 1), "right": (2, 1, 1)}
    assert seen == expected, f"(pending, reserving, admitted): expected {expected}, seen {seen}"


@behaviour(
    "kueue.visibility.usage", level=MUST, spec=LOCAL, timed=True,
    red_when="the reservation or usage in a queue's status differs from the GPUs that its workloads hold",
    mutant="requests-halved",
)  # fmt: skip
def test_status_tells_the_gpus_in_use(two_locals: KueueRecording) -> None:
    """At rest, reservation and usage in a ClusterQueue's and each LocalQueue's status are the GPUs that it holds."""
    (queue,) = two_locals.timelines("ClusterQueue").values()
    locals_ = two_locals.timelines("LocalQueue")
    expected = {"ClusterQueue": ("4", "4"), "left": ("3", "3"), "right": ("1", "1")}
    subjects = {"ClusterQueue": queue, "left": locals_["left"], "right": locals_["right"]}
    seen = {
        name: (_gpus(one.final, "flavorsReservation"), _gpus(one.final, "flavorsUsage"))
        for name, one in subjects.items()
    }
    assert seen == expected, f"(reserved, used) GPUs: expected {expected}, seen {seen}"


@scenario(needs={"gate:VisibilityOnDemand"})
def positions(lab: KueueLab) -> None:
    """Five workloads of two priorities wait, and the visibility API is asked for the list of pending workloads."""
    queue = lab.queue(gpus=1)
    byhand.workload(lab, "running", queue)
    lab.until_admitted("running")
    names = [f"w{i}" for i in range(5)]
    byhand.workloads(lab, names, queue, each={name: {"priority": i % 2} for i, name in enumerate(names)})
    byhand.observe_pending(lab, queue, 5)
    path = f"/apis/visibility.kueue.x-k8s.io/v1beta2/clusterqueues/{queue.name}/pendingworkloads"
    items: list[Manifest] = json.loads(lab.api.raw(path))["items"]
    lab.note(LISTED, [(one["metadata"]["name"], one["positionInClusterQueue"]) for one in items])


@behaviour(
    "kueue.visibility.pending-positions", level=MUST, spec=ON_DEMAND,
    red_when="the list of waiting workloads is not in the order in which they will be admitted",
    mutant="priority-reversed",
)  # fmt: skip
def test_the_list_of_those_who_wait_is_in_order(positions: KueueRecording) -> None:
    """The visibility API lists the waiting workloads of a ClusterQueue in the order of the queue, numbered from 0."""
    expected = [(name, i) for i, name in enumerate(heap_order(queued(positions, [f"w{n}" for n in range(5)])))]
    seen = positions.note(LISTED)
    assert seen == expected, f"expected {expected}, seen {seen}"
