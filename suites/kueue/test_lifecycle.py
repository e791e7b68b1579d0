"""The life of a queued job: held, admitted, steered, stopped, finished, gone."""

from __future__ import annotations

from gpuassay import MUST, behaviour, dig, labels, scenario
from gpuassay.manifest import is_true, name_of
from gpuassay.systems.kueue.acts import workloads as byhand
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.judge.lifecycle import (
    asked,
    became_at,
    evictions,
    finished_at,
    flips,
    node_selector,
    reason,
    reserved_at,
    running,
    seen_at,
    workload_of,
)
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.systems.kueue.readings import KueueRecording
from gpuassay.workloads import core

WORKLOADS = "https://kueue.sigs.k8s.io/docs/concepts/workload/"
JOBS = "https://kueue.sigs.k8s.io/docs/tasks/run/jobs/"
FLAVORS = "https://kueue.sigs.k8s.io/docs/concepts/resource_flavor/"
PREBUILT = "kueue.x-k8s.io/prebuilt-workload-name"

OVERTIME = "DeactivatedDueToMaximumExecutionTimeExceeded"
STEER = {"kubernetes.io/os": "linux"}
OWN = {"kubernetes.io/arch": "amd64"}
TOLERATION = {"key": "gpuassay.io/spot", "operator": "Exists", "effect": "NoSchedule"}


@scenario(needs={"gpu-nodes"})
def life(lab: KueueLab) -> None:
    """Two jobs wait in a held queue, are released, run and end; then one that needs the whole quota is created."""
    flavor = lab.flavor("steered", node_labels=STEER, tolerations=[TOLERATION])
    queue = lab.queue(gpus=2, flavor=flavor, hold=True)
    lab.job("good", queue, run_for=0.3, nodeSelector=OWN)
    lab.job("bad", queue, run_for=0.3, exit_code=3)
    byhand.observe_pending(lab, queue, 2)
    lab.release(queue)
    lab.observe_admitted("good", "bad")
    lab.job("next", queue, gpus=2)
    lab.observe_admitted("next")
    lab.observe(lambda: running(lab.get("Job", "next")), "next runs")


@behaviour(
    "kueue.lifecycle.suspended-at-create", level=MUST, spec=JOBS,
    red_when="a queued job runs before it is admitted", mutant="queue-label-lost",
)  # fmt: skip
def test_a_queued_job_is_suspended_at_create(life: KueueRecording) -> None:
    """A job created unsuspended with a queue name is suspended in its first stored version."""
    first = {name: running(life.timelines("Job")[name].first) for name in ("good", "bad", "next")}
    assert not any(first.values()), f"running in its first version: {first}\n{life.timeline_text()}"


@behaviour(
    "kueue.lifecycle.workload-created", level=MUST, spec=WORKLOADS,
    red_when="a queued job has no Workload, or one that is not tied to it", mutant="queue-label-lost",
)  # fmt: skip
def test_a_queued_job_gets_a_workload(life: KueueRecording) -> None:
    """Each queued job gets one Workload that it owns, with its queue and its number of pods."""
    jobs = {one.uid: name for name, one in life.timelines("Job").items()}
    seen = sorted(
        (jobs.get(str(owner["uid"]), "?"), owner["kind"], bool(owner.get("controller")),
         dig(one, "spec", "queueName"), dig(one, "spec", "podSets", 0, "count"))
        for one in life.workloads() for owner in dig(one, "metadata", "ownerReferences", default=[])
    )  # fmt: skip
    expected = [(name, "Job", True, "queue", 1) for name in ("bad", "good", "next")]
    assert seen == expected, f"expected {expected}, seen {seen}\n{life.timeline_text()}"


@behaviour(
    "kueue.lifecycle.unsuspended-on-admission", level=MUST, spec=JOBS,
    red_when="a job runs while its queue holds it, or stays suspended once it is admitted", mutant="hold-ignored",
)  # fmt: skip
def test_a_job_runs_only_once_it_is_admitted(life: KueueRecording) -> None:
    """A job stays suspended while its queue is held, and runs once its Workload is admitted."""
    queue = next(name_of(obj) for obj in life.asked if obj["kind"] == "ClusterQueue")
    released: int = life.mark(f"released {queue}")
    for name in ("good", "bad"):
        job, workload = life.timelines("Job")[name], workload_of(life, name)
        before = seen_at(job, released)
        assert before and not running(before), f"{name} ran in a held queue\n{life.timeline_text()}"
        admitted = workload is not None and workload.when(lambda obj: is_true(obj, "Admitted")) is not None
        assert admitted and job.when(running) is not None, f"{name} never ran\n{life.timeline_text()}"


@behaviour(
    "kueue.lifecycle.flavor-labels-injected", level=MUST, spec=FLAVORS,
    red_when="pods are not steered to the nodes of the flavor that they are charged to", mutant="node-labels-lost",
)  # fmt: skip
def test_pods_are_steered_to_their_flavor(life: KueueRecording) -> None:
    """While a job runs, its pods' node selector is its own plus the node labels of its flavor."""
    for name, own in (("good", OWN), ("bad", {})):
        ran = [node_selector(one.object) for one in life.timelines("Job")[name].events if running(one.object)]
        assert ran and all(seen == own | STEER for seen in ran), f"{name}: expected {own | STEER}, seen {ran}"
        pods = [one.final for one in life.timelines("Pod").values() if name_of(one.final).startswith(f"{name}-")]
        selectors = [dig(pod, "spec", "nodeSelector", default={}) for pod in pods]
        assert selectors == [own | STEER], f"{name}: expected one pod with {own | STEER}, seen {selectors}"


@behaviour(
    "kueue.lifecycle.flavor-tolerations-injected", level=MUST, spec=FLAVORS,
    red_when="pods cannot run on the tainted nodes of their flavor", mutant="flavor-tolerations-lost",
)  # fmt: skip
def test_pods_get_the_tolerations_of_their_flavor(life: KueueRecording) -> None:
    """While a job runs, its pods carry the tolerations of its flavor."""
    for name in ("good", "bad"):
        job = life.timelines("Job")[name]
        ran = [dig(one.object, "spec", "template", "spec", "tolerations") for one in job.events if running(one.object)]
        assert ran and all(seen == [TOLERATION] for seen in ran), f"{name}: expected {TOLERATION}, seen {ran}"


@behaviour(
    "kueue.lifecycle.finish-reasons", level=MUST, spec=WORKLOADS,
    red_when="a Workload does not say how its job ended", mutant="outcome-swapped",
)  # fmt: skip
def test_a_workload_says_how_its_job_ended(life: KueueRecording) -> None:
    """The Workload of a job that completes is Finished as Succeeded, that of a job that fails as Failed."""
    seen = {name: reason(workload_of(life, name), "Finished")[:2] for name in ("good", "bad")}
    expected = {"good": ("True", "Succeeded"), "bad": ("True", "Failed")}
    assert seen == expected, f"expected {expected}, seen {seen}\n{life.timeline_text()}"


@behaviour(
    "kueue.lifecycle.finish-frees-quota", level=MUST, spec=WORKLOADS,
    red_when="the quota of finished jobs stays taken", mutant="run-endless",
)  # fmt: skip
def test_finished_jobs_give_their_quota_back(life: KueueRecording) -> None:
    """A job that needs the whole quota gets it once the jobs before it have finished, and not earlier."""
    ends, starts = [finished_at(life, name) for name in ("good", "bad")], reserved_at(life, "next")
    known = [end for end in ends if end is not None]
    assert len(known) == 2 and len(starts) == 1 and starts[0] > max(known), (
        f"finished at versions {ends}, next got quota at {starts}\n{life.timeline_text()}"
    )


@scenario()
def deactivated(lab: KueueLab) -> None:
    """A running job is deactivated, another workload is created, then the first is activated again."""
    flavor = lab.flavor("steered", node_labels=STEER)
    queue = lab.queue(gpus=2, flavor=flavor)
    lab.job("out", queue, nodeSelector=OWN)
    lab.until_admitted("out")
    lab.until(lambda: running(lab.get("Job", "out")), "job out runs")
    name = name_of(lab.workload_of("out") or {})
    lab.patch("Workload", name, {"spec": {"active": False}})
    lab.observe(lambda: not lab.has("QuotaReserved", "out"), "out gives its quota back")
    lab.observe(lambda: node_selector(lab.get("Job", "out") or {}) == OWN, "template restored")
    byhand.workload(lab, "marker", queue)
    lab.observe_admitted("marker")
    lab.mark("reactivated")
    lab.patch("Workload", name, {"spec": {"active": True}})
    lab.observe_admitted("out")
    lab.observe(lambda: running(lab.get("Job", "out")), "out runs again")


@behaviour(
    "kueue.lifecycle.deactivation-evicts", level=MUST, spec=f"{WORKLOADS}#active",
    red_when="a deactivated job keeps running or keeps its quota", mutant="deactivation-lost",
)  # fmt: skip
def test_deactivation_evicts(deactivated: KueueRecording) -> None:
    """A running job whose Workload is deactivated is evicted as Deactivated, suspended, and loses its quota."""
    workload, job = workload_of(deactivated, "out"), deactivated.timelines("Job")["out"]
    assert workload and evictions(workload) == ["Deactivated"], deactivated.timeline_text()
    back: int = deactivated.mark("reactivated")
    assert not is_true(seen_at(workload, back) or {}, "QuotaReserved"), f"quota kept\n{deactivated.timeline_text()}"
    assert not running(seen_at(job, back)), f"job runs on\n{deactivated.timeline_text()}"


@behaviour(
    "kueue.lifecycle.deactivated-stays-out", level=MUST, spec=f"{WORKLOADS}#active",
    red_when="a deactivated workload is admitted again although nobody activated it", mutant="deactivation-lost",
)  # fmt: skip
def test_a_deactivated_workload_stays_out(deactivated: KueueRecording) -> None:
    """A deactivated workload is not admitted again, while a younger one is, although there is quota for both."""
    workload, marker = workload_of(deactivated, "out"), workload_of(deactivated, "marker")
    back: int = deactivated.mark("reactivated")
    assert workload and marker, deactivated.timeline_text()
    passed = seen_at(marker, back)
    assert passed and is_true(passed, "Admitted"), f"the marker was not admitted\n{deactivated.timeline_text()}"
    held = seen_at(workload, back)
    early = [one.at for one in flips(workload, "QuotaReserved") if one.at < back]
    assert held and not is_true(held, "QuotaReserved") and len(early) == 1, deactivated.timeline_text()


@behaviour(
    "kueue.lifecycle.reactivation-requeues", level=MUST, spec=f"{WORKLOADS}#active",
    red_when="a reactivated workload is not requeued", mutant="reactivation-lost",
)  # fmt: skip
def test_reactivation_requeues(deactivated: KueueRecording) -> None:
    """A workload that is activated again is requeued as Reactivated and admitted a second time."""
    workload = workload_of(deactivated, "out")
    assert workload, deactivated.timeline_text()
    requeued = [one.reason for one in flips(workload, "Requeued")]
    assert "Reactivated" in requeued, f"requeued as {requeued}\n{deactivated.timeline_text()}"
    assert len(reserved_at(deactivated, "out")) == 2, deactivated.timeline_text()


@behaviour(
    "kueue.lifecycle.template-restored", level=MUST, spec=FLAVORS,
    red_when="an evicted job keeps the node selector of the flavor that it lost", mutant="node-labels-lost",
)  # fmt: skip
def test_an_evicted_job_gets_its_template_back(deactivated: KueueRecording) -> None:
    """The node selector that admission added to a job's pod template is removed when the job is evicted."""
    job = deactivated.timelines("Job")["out"]
    back: int = deactivated.mark("reactivated")
    ran = [node_selector(one.object) for one in job.events if running(one.object) and one.at < back]
    restored = seen_at(job, back)
    own = asked(deactivated, "Job", "out")
    assert ran and ran[-1] == node_selector(own) | STEER, f"while running: {ran}"
    assert restored and node_selector(restored) == node_selector(own), (
        f"expected {node_selector(own)}, seen {node_selector(restored or {})}\n{deactivated.timeline_text()}"
    )


@scenario()
def overtime(lab: KueueLab) -> None:
    """A job with a maximum execution time of two seconds would run for ever."""
    queue = lab.queue(gpus=1)
    lab.job("slow", queue, more_labels={labels.MAX_EXECUTION: "2"})
    lab.until_admitted("slow")
    lab.observe(lambda: not lab.has("QuotaReserved", "slow"), "slow gives its quota back")


@behaviour(
    "kueue.lifecycle.maximum-execution-time", level=MUST, spec=f"{WORKLOADS}#maximum-execution-time",
    red_when="a job runs longer than its maximum execution time, or is stopped earlier",
    mutant="max-execution-time-lost",
)  # fmt: skip
def test_a_job_is_stopped_after_its_maximum_execution_time(overtime: KueueRecording) -> None:
    """A job is evicted and deactivated once it has run for its maximum execution time, and not before."""
    workload, job = workload_of(overtime, "slow"), overtime.timelines("Job")["slow"]
    assert workload and evictions(workload) == [OVERTIME], overtime.timeline_text()
    assert dig(workload.final, "spec", "active") is False and not running(job.final), overtime.timeline_text()
    # Both times are cut to the second, and Kueue counts from the cut one: their difference is exact.
    began, ended = became_at(workload, "Admitted"), became_at(workload, "DeactivationTarget")
    assert began and ended and (ended - began).total_seconds() >= 2, f"admitted {began}, over {ended}"


@scenario()
def moved(lab: KueueLab) -> None:
    """The running and the waiting job of a queue for one GPU are both relabelled to another queue."""
    here, there = lab.queue(gpus=1, base="here", active=False), lab.queue(gpus=2, base="there", active=False)
    lab.job("hog", here)
    lab.observe(lambda: running(lab.get("Job", "hog")), "hog runs")
    move = {"metadata": {"labels": {labels.QUEUE_NAME: there.local}}}
    lab.attempt_patch("running", "Job", "hog", move)
    lab.job("waiter", here)
    byhand.observe_weighed(lab, "waiter")
    lab.attempt_patch("waiting", "Job", "waiter", move)
    lab.observe_admitted("waiter")
    lab.observe(lambda: running(lab.get("Job", "waiter")), "waiter runs")


@behaviour(
    "kueue.lifecycle.queue-fixed-while-running", level=MUST, spec="https://kueue.sigs.k8s.io/docs/concepts/local_queue/",
    red_when="the queue name of a running job can be changed", mutant="admission-off",
)  # fmt: skip
def test_a_running_job_keeps_its_queue(moved: KueueRecording) -> None:
    """The queue name of a job that runs cannot be changed, and the refusal names the label."""
    assert moved.timelines("Job")["hog"].when(running) is not None, moved.timeline_text()
    outcome = moved.attempt("running")
    assert not outcome.accepted and "queue-name" in outcome.message, outcome
    assert moved.timelines("Job")["hog"].final["metadata"]["labels"][labels.QUEUE_NAME] == "here"


@behaviour(
    "kueue.lifecycle.queue-free-while-waiting", level=MUST, spec="https://kueue.sigs.k8s.io/docs/concepts/local_queue/",
    red_when="a waiting job cannot leave a full queue", mutant="queue-move-lost",
)  # fmt: skip
def test_a_waiting_job_may_change_its_queue(moved: KueueRecording) -> None:
    """A job that waits may change its queue, and is admitted by the ClusterQueue behind the new one."""
    assert moved.attempt("waiting").accepted, moved.attempts
    workload = workload_of(moved, "waiter")
    there = asked(moved, "LocalQueue", "there")["spec"]["clusterQueue"]
    seen = dig(workload.final, "status", "admission", "clusterQueue") if workload else None
    assert seen == there, f"expected {there}, seen {seen}\n{moved.timeline_text()}"


@scenario()
def deleted(lab: KueueLab) -> None:
    """A job waits for another one, which is deleted while it runs."""
    queue = lab.queue(gpus=1)
    lab.job("first", queue)
    lab.until_admitted("first")
    lab.job("second", queue)
    byhand.observe_weighed(lab, "second")
    lab.mark("deleted")
    lab.delete("Job", "first")
    lab.observe_admitted("second")
    lab.observe(lambda: running(lab.get("Job", "second")), "second runs")
    lab.observe(lambda: lab.workload_of("first") is None, "Workload of first is gone")


@behaviour(
    "kueue.lifecycle.deletion-frees-quota", level=MUST, spec=WORKLOADS,
    red_when="a deleted job leaves its Workload or its quota behind", mutant="quota-doubled",
)  # fmt: skip
def test_a_deleted_job_gives_its_quota_back(deleted: KueueRecording) -> None:
    """Deleting a running job deletes its Workload and gives the quota to the waiting job, which had none before."""
    first, second = workload_of(deleted, "first"), workload_of(deleted, "second")
    assert first and first.deleted and second, deleted.timeline_text()
    got = flips(second, "QuotaReserved")
    assert got and got[0].at > deleted.mark("deleted"), deleted.timeline_text()


@scenario()
def prebuilt(lab: KueueLab) -> None:
    """A job names a prebuilt Workload, which is created a moment later."""
    queue = lab.queue(gpus=1)
    job = lab.create(core.job("adopter", lab.namespace, queue.local, more_labels={PREBUILT: "ready-made"}))
    pods = kueue.pod_set(template={"spec": job["spec"]["template"]["spec"]})
    lab.create(kueue.workload("ready-made", lab.namespace, queue.local, [pods]))
    lab.observe(lambda: running(lab.get("Job", "adopter")), "adopter runs")


@behaviour(
    "kueue.lifecycle.prebuilt-workload", level=MUST,
    spec="https://kueue.sigs.k8s.io/docs/reference/labels-and-annotations/#kueuex-k8sioprebuilt-workload-name",
    red_when="a job with a prebuilt Workload gets another one, or runs without any", mutant="prebuilt-name-lost",
)  # fmt: skip
def test_a_job_adopts_its_prebuilt_workload(prebuilt: KueueRecording) -> None:
    """A job that names a prebuilt Workload becomes its owner, gets no other Workload, and runs once it is admitted."""
    job, workloads = prebuilt.timelines("Job")["adopter"], prebuilt.timelines("Workload")
    assert list(workloads) == ["ready-made"], f"Workloads {list(workloads)}\n{prebuilt.timeline_text()}"
    made = workloads["ready-made"].final
    owners = [owner["uid"] for owner in dig(made, "metadata", "ownerReferences", default=[])]
    assert owners == [job.uid] and is_true(made, "Admitted") and running(job.final), prebuilt.timeline_text()
