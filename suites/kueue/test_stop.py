"""Stopping queues: Hold lets nobody in, HoldAndDrain also sends everybody out, and resuming undoes both."""

from __future__ import annotations

from gpuassay import MUST, behaviour, scenario
from gpuassay.manifest import condition, is_true
from gpuassay.systems.kueue.acts import admission_checks as checks
from gpuassay.systems.kueue.acts import workloads as byhand
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.judge.lifecycle import (
    ever_reserved,
    evictions,
    flips,
    reserved_at,
    running,
    seen_at,
    workload_of,
)
from gpuassay.systems.kueue.readings import KueueRecording

CLUSTER_QUEUE = "https://kueue.sigs.k8s.io/docs/concepts/cluster_queue/#stoppolicy"
LOCAL_QUEUE = "https://kueue.sigs.k8s.io/docs/concepts/local_queue/"


def _stop(lab: KueueLab, kind: str, name: str, policy: str) -> None:
    """Set a stop policy and give Kueue time to notice (a stopped queue is inactive as Stopped)."""
    lab.patch(kind, name, {"spec": {"stopPolicy": policy}})

    def noticed() -> bool:
        found = lab.get(kind, name)
        told = condition(found, "Active") if found else None
        return told is not None and (told["reason"] == "Stopped") == (policy != "None")

    lab.observe(noticed, f"{kind} {name}: {policy}")


@scenario()
def held(lab: KueueLab) -> None:
    """A ClusterQueue is held with one workload running in it and one waiting for its check; then it resumes."""
    check = checks.check(lab, "slow")
    queue = lab.queue(gpus=3, base="stopped")
    gated = lab.queue(gpus=1, base="gated", checks=[check], flavor=queue.flavor)
    byhand.workload(lab, "old", queue)
    lab.job("reserving", gated)
    lab.until_admitted("old")
    checks.observe_asked(lab, "reserving", check)
    _stop(lab, "ClusterQueue", queue.name, "Hold")
    _stop(lab, "ClusterQueue", gated.name, "Hold")
    byhand.workload(lab, "new", queue)
    byhand.workload(lab, "marker", lab.queue(gpus=1, base="open", flavor=queue.flavor))
    lab.observe_admitted("marker")
    lab.observe(lambda: not lab.has("QuotaReserved", "reserving"), "reserving has given its quota back")
    lab.mark("resumed")
    lab.patch("ClusterQueue", queue.name, {"spec": {"stopPolicy": "None"}})
    lab.patch("ClusterQueue", gated.name, {"spec": {"stopPolicy": "None"}})
    lab.observe_admitted("new")
    checks.observe_asked(lab, "reserving", check)


@behaviour(
    "kueue.stop.hold-admits-none", level=MUST, spec=CLUSTER_QUEUE,
    red_when="a held ClusterQueue admits a workload", mutant="stop-lost",
)  # fmt: skip
def test_a_held_queue_admits_nobody(held: KueueRecording) -> None:
    """A workload created in a held ClusterQueue gets no quota, while a later one in another queue is admitted."""
    resumed: int = held.mark("resumed")
    marker, new = workload_of(held, "marker"), workload_of(held, "new")
    passed, seen = (seen_at(one, resumed) if one else None for one in (marker, new))
    assert passed and is_true(passed, "Admitted"), f"the marker was not admitted\n{held.timeline_text()}"
    assert seen and not is_true(seen, "QuotaReserved"), held.timeline_text()


@behaviour(
    "kueue.stop.hold-keeps-running", level=MUST, spec=CLUSTER_QUEUE,
    red_when="holding a ClusterQueue evicts the workloads that run in it", mutant="hold-to-drain",
)  # fmt: skip
def test_hold_lets_running_workloads_run(held: KueueRecording) -> None:
    """A workload that is already admitted when its ClusterQueue is held stays admitted and keeps its quota."""
    old = workload_of(held, "old")
    assert old and evictions(old) == [] and is_true(old.final, "Admitted"), held.timeline_text()
    assert len(reserved_at(held, "old")) == 1, held.timeline_text()


@behaviour(
    "kueue.stop.hold-withdraws-reservation", level=MUST, spec=CLUSTER_QUEUE,
    red_when="a held ClusterQueue keeps quota reserved for workloads that are not admitted yet", mutant="stop-lost",
)  # fmt: skip
def test_hold_withdraws_reservations(held: KueueRecording) -> None:
    """A workload that has quota but still waits for a check loses the quota when its ClusterQueue is held."""
    reserving = workload_of(held, "reserving")
    seen = seen_at(reserving, held.mark("resumed")) if reserving else None
    assert reserving and seen and flips(reserving, "QuotaReserved"), held.timeline_text()
    assert not is_true(seen, "QuotaReserved") and flips(reserving, "Admitted") == [], held.timeline_text()


@behaviour(
    "kueue.stop.resume-admits", level=MUST, spec=CLUSTER_QUEUE,
    red_when="workloads pending in a held ClusterQueue get no quota after it resumes", mutant="resume-lost",
)  # fmt: skip
def test_a_resumed_queue_admits_who_waited(held: KueueRecording) -> None:
    """When a held ClusterQueue resumes, the new workload and the one that lost its reservation get quota."""
    seen = {name: len(reserved_at(held, name)) for name in ("new", "reserving")}
    assert seen == {"new": 1, "reserving": 2}, f"times that each got quota: {seen}\n{held.timeline_text()}"


@scenario()
def drained(lab: KueueLab) -> None:
    """A ClusterQueue with a running job is drained; then it resumes."""
    queue = lab.queue(gpus=1)
    lab.job("old", queue)
    lab.until_admitted("old")
    lab.until(lambda: running(lab.get("Job", "old")), "old runs")
    _stop(lab, "ClusterQueue", queue.name, "HoldAndDrain")
    byhand.workload(lab, "marker", lab.queue(gpus=1, base="open", flavor=queue.flavor))
    lab.observe_admitted("marker")
    lab.observe(lambda: not lab.has("QuotaReserved", "old"), "old has given its quota back")
    lab.mark("resumed")
    lab.patch("ClusterQueue", queue.name, {"spec": {"stopPolicy": "None"}})
    lab.observe(lambda: len(_reservations(lab, "old")) > 0 and running(lab.get("Job", "old")), "old runs again")


def _reservations(lab: KueueLab, owner: str) -> list[str]:
    found = lab.workload_of(owner)
    told = condition(found, "Requeued") if found else None
    return [owner] if told and told["status"] == "True" and lab.has("Admitted", owner) else []


@behaviour(
    "kueue.stop.drain-evicts", level=MUST, spec=CLUSTER_QUEUE,
    red_when="draining a ClusterQueue leaves jobs running in it", mutant="drain-to-hold",
)  # fmt: skip
def test_drain_evicts(drained: KueueRecording) -> None:
    """A job that runs when its ClusterQueue is drained is evicted as ClusterQueueStopped, suspended, without quota."""
    workload, job, resumed = (
        workload_of(drained, "old"),
        drained.timelines("Job")["old"],
        drained.mark("resumed"),
    )
    assert workload and evictions(workload) == ["ClusterQueueStopped"], drained.timeline_text()
    seen = seen_at(workload, resumed)
    assert seen and not is_true(seen, "QuotaReserved"), drained.timeline_text()
    assert not running(seen_at(job, resumed)), drained.timeline_text()


@behaviour(
    "kueue.stop.drain-resume-requeues", level=MUST, spec=CLUSTER_QUEUE,
    red_when="a drained job is not admitted again when its ClusterQueue resumes", mutant="resume-lost",
)  # fmt: skip
def test_a_drained_job_comes_back(drained: KueueRecording) -> None:
    """When a drained ClusterQueue resumes, the evicted job is requeued as ClusterQueueRestarted and runs again."""
    workload, job = workload_of(drained, "old"), drained.timelines("Job")["old"]
    requeued = [one.reason for one in flips(workload, "Requeued")] if workload else []
    assert set(requeued) == {"ClusterQueueRestarted"}, f"requeued: {requeued}\n{drained.timeline_text()}"
    assert len(reserved_at(drained, "old")) == 2 and running(job.final), drained.timeline_text()


@scenario()
def one_of_two(lab: KueueLab) -> None:
    """Two LocalQueues share a ClusterQueue; one of them is held, then drained, then resumed."""
    queue = lab.queue(gpus=5, base="red")
    lab.local_queue("blue", queue.name)
    lab.job("red-old", "red")
    lab.job("blue-old", "blue")
    lab.until_admitted("red-old", "blue-old")
    _stop(lab, "LocalQueue", "red", "Hold")
    byhand.workload(lab, "red-new", "red")
    byhand.workload(lab, "blue-new", "blue")
    lab.observe_admitted("blue-new")
    lab.mark("drained")
    _stop(lab, "LocalQueue", "red", "HoldAndDrain")
    lab.observe(lambda: not lab.has("QuotaReserved", "red-old"), "red-old has given its quota back")
    byhand.workload(lab, "blue-last", "blue")
    lab.observe_admitted("blue-last")
    lab.mark("resumed")
    lab.patch("LocalQueue", "red", {"spec": {"stopPolicy": "None"}})
    lab.observe_admitted("red-old", "red-new")
    lab.observe(lambda: running(lab.get("Job", "red-old")), "red-old runs again")


@behaviour(
    "kueue.stop.local-hold", level=MUST, spec=LOCAL_QUEUE,
    red_when="a held LocalQueue admits a workload, or holds another LocalQueue too", mutant="stop-lost",
)  # fmt: skip
def test_a_held_local_queue_holds_only_itself(one_of_two: KueueRecording) -> None:
    """A held LocalQueue admits nothing new, while another LocalQueue of the same ClusterQueue still admits."""
    at: int = one_of_two.mark("drained")
    seen = {
        name: one is not None and is_true(seen_at(one, at) or {}, "Admitted")
        for name in ("red-old", "red-new", "blue-old", "blue-new") for one in [workload_of(one_of_two, name)]
    }  # fmt: skip
    expected = {"red-old": True, "red-new": False, "blue-old": True, "blue-new": True}
    assert seen == expected, f"admitted: expected {expected}, seen {seen}\n{one_of_two.timeline_text()}"


@behaviour(
    "kueue.stop.local-hold-keeps-running", level=MUST, spec=LOCAL_QUEUE,
    red_when="holding a LocalQueue evicts the workloads that run in it", mutant="hold-to-drain",
)  # fmt: skip
def test_a_held_local_queue_lets_running_jobs_run(one_of_two: KueueRecording) -> None:
    """A job that runs when its LocalQueue is held is not evicted before the queue is drained."""
    workload = workload_of(one_of_two, "red-old")
    assert workload, one_of_two.timeline_text()
    early = [one for one in flips(workload, "Evicted") if one.at < one_of_two.mark("drained")]
    assert not early, f"{early}\n{one_of_two.timeline_text()}"


@behaviour(
    "kueue.stop.local-drain", level=MUST, spec=LOCAL_QUEUE,
    red_when="a drained LocalQueue keeps its jobs running, or another LocalQueue's jobs are evicted too",
    mutant="drain-to-hold",
)  # fmt: skip
def test_a_drained_local_queue_drains_only_itself(one_of_two: KueueRecording) -> None:
    """Draining one of two LocalQueues evicts its jobs as LocalQueueStopped and none of the other's."""
    seen = {
        name: evictions(one) for name in ("red-old", "blue-old", "blue-new", "blue-last")
        for one in [workload_of(one_of_two, name)] if one
    }  # fmt: skip
    expected = {"red-old": ["LocalQueueStopped"], "blue-old": [], "blue-new": [], "blue-last": []}
    assert seen == expected, f"expected {expected}, seen {seen}\n{one_of_two.timeline_text()}"
    assert "blue-last" in ever_reserved(one_of_two), one_of_two.timeline_text()


@behaviour(
    "kueue.stop.local-resume-requeues", level=MUST, spec=LOCAL_QUEUE,
    red_when="evicted or pending workloads of a stopped LocalQueue get no quota after it resumes", mutant="resume-lost",
)  # fmt: skip
def test_a_resumed_local_queue_takes_everybody_back(one_of_two: KueueRecording) -> None:
    """When a stopped LocalQueue resumes, its evicted job is requeued as LocalQueueRestarted and its jobs get quota."""
    workload = workload_of(one_of_two, "red-old")
    requeued = [one.reason for one in flips(workload, "Requeued")] if workload else []
    # Two of Kueue's writers may overtake each other here, so that the condition is set, lost and set again.
    assert set(requeued) == {"LocalQueueRestarted"}, f"requeued: {requeued}\n{one_of_two.timeline_text()}"
    seen = {name: len(reserved_at(one_of_two, name)) for name in ("red-old", "red-new")}
    assert seen == {"red-old": 2, "red-new": 1}, f"times that each got quota: {seen}\n{one_of_two.timeline_text()}"
