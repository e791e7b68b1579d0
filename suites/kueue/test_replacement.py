"""Pod groups of which a pod is missing: they wait for its replacement, not for quota.

Both known defects need the group to be parked when its pod is lost. Where Kueue looks at its parked Workloads once more
in just that second, it finds the group incomplete and leaves it out, as it should.
"""

from __future__ import annotations

from typing import Any

from gpuassay import MUST, SHOULD, behaviour, known_defect, scenario
from gpuassay.presence import must_have
from gpuassay.systems.kueue.acts import workloads as byhand
from gpuassay.systems.kueue.acts.lab import KueueLab, Queue
from gpuassay.systems.kueue.judge import incomplete, known, recount
from gpuassay.systems.kueue.judge.gates import bound
from gpuassay.systems.kueue.judge.lifecycle import workload_of
from gpuassay.systems.kueue.judge.rest import Rest
from gpuassay.systems.kueue.readings import KueueRecording
from gpuassay.workloads import core

GROUPS = "https://kueue.sigs.k8s.io/docs/tasks/run/plain_pods/#running-a-group-of-pods-to-be-admitted-together"
SOON = 6.0
"""Seconds in which a count or a decision must follow: six of Kueue's batches, of a second each."""


def _pods(lab: KueueLab, queue: Queue, *names: str, **options: Any) -> None:
    for name in names:
        lab.create(core.pod(name, lab.namespace, queue.local, group="team", group_total=2, **options))


def _lose_a_pod(lab: KueueLab) -> Queue:
    """A group of two pods waits for quota; one of them is deleted."""
    queue = lab.queue(gpus=2)
    byhand.workload(lab, "holder", queue, gpus=2)
    lab.until_admitted("holder")
    _pods(lab, queue, "first", "second")
    byhand.observe_weighed(lab, "first")
    byhand.observe_pending(lab, queue, 1)
    lab.delete("Pod", "second")
    lab.observe(lambda: lab.has("WaitingForReplacementPods", "team"), "the group waits for a replacement")
    return queue


@scenario()
def pod_of_waiting_group_deleted(lab: KueueLab) -> None:
    """One of two pods of a group that waits for quota is deleted."""
    byhand.observe_pending(lab, _lose_a_pod(lab), 0, timeout=SOON)


@scenario()
def pod_of_waiting_group_replaced(lab: KueueLab) -> None:
    """One of two pods of a group that waits for quota is deleted; the quota comes free; then the pod is made anew."""
    queue = _lose_a_pod(lab)
    byhand.finish(lab, "holder")
    lab.observe_admitted("first", timeout=SOON)
    byhand.workload(lab, "marker", queue)
    lab.observe_admitted("marker", timeout=SOON)
    lab.mark("replaced")
    _pods(lab, queue, "third")
    byhand.finish(lab, "marker")
    lab.observe(lambda: all(bound(lab.get("Pod", name) or {}) for name in ("first", "third")), "the group runs")


@known_defect(
    known.COUNTED_INCOMPLETE, "a Workload that is in a queue already stays there when it turns out to lack pods",
    shows="ClusterQueue \\S+ counts 1 Workloads as waiting for quota that wait for replacement pods", racy=True,
)  # fmt: skip
@behaviour(
    "kueue.pod-groups.incomplete-not-counted", level=SHOULD, spec=GROUPS, timed=True,
    red_when="a group that waits for a pod to be made anew counts as waiting for quota",
)  # fmt: skip
def test_a_group_that_lost_a_pod_is_not_counted(pod_of_waiting_group_deleted: KueueRecording) -> None:
    """A group that lost a pod waits for another; until then no queue counts it as waiting for quota."""
    rest = Rest(pod_of_waiting_group_deleted)
    groups = [one for queue in rest.cluster_queues for one in rest.incomplete_in(queue)]
    must_have(groups, "a group that waits for replacement pods")
    found = recount.findings(pod_of_waiting_group_deleted)
    assert found == [], "\n".join(found)


@known_defect(
    known.ADMITTED_INCOMPLETE, "a Workload that is in a queue already is admitted, whatever it lacks by then",
    shows=incomplete.WITHOUT, racy=True,
)  # fmt: skip
@behaviour(
    "kueue.pod-groups.incomplete-waits", level=MUST, spec=GROUPS, mutant="pod-group-lost",
    red_when="a group of which a pod was deleted is admitted without it, and so keeps quota from others that none uses",
)  # fmt: skip
def test_a_group_that_lost_a_pod_waits(pod_of_waiting_group_replaced: KueueRecording) -> None:
    """A waiting group of which a pod is deleted is not admitted until the pod is made anew, and others pass it."""
    story = pod_of_waiting_group_replaced.timeline_text()
    group, marker = (workload_of(pod_of_waiting_group_replaced, name) for name in ("first", "marker"))
    found = incomplete.findings(group, marker, pod_of_waiting_group_replaced.mark("replaced"))
    assert found == [], "\n".join([*found, story])


@behaviour(
    "kueue.pod-groups.replacement-admits", level=MUST, spec=GROUPS, mutant="pod-group-lost",
    red_when="a group that is complete again waits although there is quota",
)  # fmt: skip
def test_a_group_that_is_complete_again_runs(pod_of_waiting_group_replaced: KueueRecording) -> None:
    """Once the missing pod is made anew, the group is admitted as a whole and runs."""
    story = pod_of_waiting_group_replaced.timeline_text()
    pods = pod_of_waiting_group_replaced.timelines("Pod")
    groups = {pod_of_waiting_group_replaced.workload_of(name).name for name in ("first", "third")}
    assert groups == {"team"}, f"expected one Workload for both pods, seen {sorted(groups)}\n{story}"
    assert all(bound(pods[name].final) for name in ("first", "third")), f"the group does not run\n{story}"
