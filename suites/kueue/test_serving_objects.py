"""Objects that serve or that consist of several jobs: what Kueue queues for them.

The controllers of JobSet and LeaderWorkerSet do not run here, so that their jobs and pods never appear: what is judged
is the Workloads that Kueue makes for them and their suspension.
"""

from __future__ import annotations

from gpuassay import MUST, Manifest, behaviour, dig, scenario
from gpuassay.labels import GPU
from gpuassay.manifest import condition, is_true
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.judge.gates import admitted_at, bound, gate_findings, gated, pod_set_shapes
from gpuassay.systems.kueue.readings import KueueRecording, Timeline
from gpuassay.workloads import core

RUN = "https://kueue.sigs.k8s.io/docs/tasks/run"


def _workloads(recording: KueueRecording) -> dict[str, Timeline]:
    return recording.timelines("Workload")


def _owned(recording: KueueRecording, kind: str) -> list[Timeline]:
    """Workloads that owners of a kind had: Kueue before 0.18 takes the owner off one that is scaled to zero."""
    return [
        one
        for one in _workloads(recording).values()
        if any(
            owner["kind"] == kind
            for event in one.events
            for owner in dig(event.object, "metadata", "ownerReferences", default=[])
        )
    ]


@scenario()
def deployment(lab: KueueLab) -> None:
    """A Deployment of three pods in a queue with two GPUs."""
    queue = lab.queue(gpus=2)
    lab.create(core.deployment("serving", lab.namespace, queue.local, replicas=3))

    def settled() -> bool:
        pods = lab.objects("Pod")
        decided = [one for one in lab.objects("Workload") if condition(one, "QuotaReserved")]
        return len(decided) == 3 and sum(map(bound, pods)) == 2

    lab.observe(settled, "three pods decided on, two of them placed")


@behaviour(
    "kueue.serving.deployment-pods-one-by-one", level=MUST, spec=f"{RUN}/deployment/",
    red_when="a Deployment's pods are queued all together or not at all", mutant="queue-label-lost",
)  # fmt: skip
def test_a_deployments_pods_queue_one_by_one(deployment: KueueRecording) -> None:
    """Each pod of a Deployment is a Workload of its own."""
    story = deployment.timeline_text()
    shapes = [pod_set_shapes(one.final, GPU) for one in _owned(deployment, "Pod")]
    assert shapes == [[(1, "1")]] * 3, f"expected three Workloads of one pod, seen {shapes}\n{story}"


@behaviour(
    "kueue.serving.deployment-partly-running", level=MUST, spec=f"{RUN}/deployment/",
    red_when="a Deployment runs beyond its quota, or not at all where only a part fits", mutant="quota-doubled",
)  # fmt: skip
def test_a_deployment_runs_as_far_as_the_quota_goes(deployment: KueueRecording) -> None:
    """Of a Deployment that is larger than the quota, as many pods run as fit; the others stay gated."""
    pods = [pod.final for pod in deployment.timelines("Pod").values()]
    seen = {"placed": sum(map(bound, pods)), "gated": sum(map(gated, pods))}
    assert seen == {"placed": 2, "gated": 1}, f"expected 2 pods placed and 1 gated, seen {seen}\n" + (
        deployment.timeline_text()
    )


def _runs(lab: KueueLab, job: str) -> bool:
    return any(bound(pod) for pod in lab.objects("Pod") if dig(pod, "metadata", "labels", "job-name") == job)


@scenario()
def stateful_set(lab: KueueLab) -> None:
    """A StatefulSet takes both GPUs of a queue, a job waits for them, the StatefulSet is scaled to zero."""
    queue = lab.queue(gpus=2)
    lab.create(core.stateful_set("serving", lab.namespace, queue.local, replicas=2))
    lab.observe(lambda: sum(map(bound, lab.objects("Pod"))) == 2, "both replicas placed")
    lab.job("next", queue, gpus=2)
    lab.observe(lambda: lab.decided("next"), "the next job was considered")
    lab.mark("scaled")
    lab.patch("StatefulSet", "serving", {"spec": {"replicas": 0}})
    lab.observe(lambda: _runs(lab, "next"), "next runs")


@behaviour(
    "kueue.serving.stateful-set-one-group", level=MUST, spec=f"{RUN}/statefulset/",
    red_when="each replica of a StatefulSet gets a Workload of its own", mutant="queue-label-lost",
)  # fmt: skip
def test_a_stateful_set_is_one_group(stateful_set: KueueRecording) -> None:
    """A StatefulSet has one Workload for all of its replicas, which stay gated until it is admitted."""
    story = stateful_set.timeline_text()
    shapes = [pod_set_shapes(one.final, GPU) for one in _owned(stateful_set, "StatefulSet")]
    assert shapes == [[(2, "1")]], f"expected one Workload of two pods, seen {shapes}\n{story}"
    [workload] = _owned(stateful_set, "StatefulSet")
    replicas = [pod for name, pod in stateful_set.timelines("Pod").items() if name.startswith("serving-")]
    found = [finding for pod in replicas for finding in gate_findings(pod, workload)]
    assert len(replicas) == 2 and found == [], f"{len(replicas)} replicas\n" + "\n".join([*found, story])


@behaviour(
    "kueue.serving.stateful-set-scaled-to-zero", level=MUST, spec=f"{RUN}/statefulset/",
    red_when="a StatefulSet scaled to zero keeps its quota", mutant="scaling-lost",
)  # fmt: skip
def test_scaling_to_zero_frees_the_quota(stateful_set: KueueRecording) -> None:
    """A StatefulSet scaled to zero has its Workload OnHold without quota, and the next job in the queue is admitted."""
    story = stateful_set.timeline_text()
    scaled = stateful_set.mark("scaled")
    [workload] = _owned(stateful_set, "StatefulSet")
    entry = condition(workload.final, "QuotaReserved") or {}
    seen = (entry.get("status"), entry.get("reason"))
    assert seen == ("False", "OnHold"), f"expected QuotaReserved to be False, OnHold; seen {seen}\n{story}"
    admitted = admitted_at(stateful_set.workload_of("next"))
    assert admitted is not None and admitted > scaled, f"expected `next` to be admitted after the scaling\n{story}"


@scenario(needs={"jobset"})
def job_set(lab: KueueLab) -> None:
    """A JobSet of one leader and two jobs of two workers is created in a held queue, which is then released."""
    queue = lab.queue(gpus=5, hold=True)
    groups: dict[str, Manifest] = {"leader": {}, "workers": {"replicas": 2, "pods": 2}}
    lab.create(core.job_set("training", lab.namespace, queue.local, groups))
    lab.observe(lambda: lab.decided("training"), "training considered")
    lab.release(queue)
    lab.observe(lambda: not _suspended(lab.get("JobSet", "training") or {}), "training resumed")


def _suspended(obj: Manifest) -> bool:
    return dig(obj, "spec", "suspend", default=False) is True


@behaviour(
    "kueue.serving.job-set-pod-sets", level=MUST, spec=f"{RUN}/jobsets/",
    red_when="some pods of a JobSet are not charged to quota", mutant="groups-merged",
)  # fmt: skip
def test_a_job_set_is_one_workload_of_many_pod_sets(job_set: KueueRecording) -> None:
    """A JobSet has one Workload with a pod set per replicated job, of replicas times parallelism pods.

    Its controller does not run here, only the Workload is judged.
    """
    story = job_set.timeline_text()
    owned = _owned(job_set, "JobSet")
    seen = [[(one["name"], one["count"]) for one in dig(wl.final, "spec", "podSets", default=[])] for wl in owned]
    expected = [[("leader", 1), ("workers", 4)]]
    assert seen == expected, f"expected pod sets {expected}, seen {seen}\n{story}"
    held = sum(
        int(dig(one, "resourceUsage", GPU, default=0))
        for one in dig(owned[0].final, "status", "admission", "podSetAssignments", default=[])
    )
    assert held == 5, f"expected it to hold 5 GPUs, seen {held}\n{story}"


@behaviour(
    "kueue.serving.job-set-suspended", level=MUST, spec=f"{RUN}/jobsets/",
    red_when="a JobSet starts before it is admitted, or never", mutant="hold-ignored",
)  # fmt: skip
def test_a_job_set_is_suspended_until_admitted(job_set: KueueRecording) -> None:
    """A JobSet in a queue is suspended when created and resumed after its admission.

    Its controller does not run here, only the suspension is judged.
    """
    story = job_set.timeline_text()
    history = job_set.timelines("JobSet")["training"]
    assert _suspended(history.first), f"expected it to be suspended when created\n{story}"
    released = next(at for name, at in job_set.marks.items() if name.startswith("released"))
    resumed = history.when(lambda one: not _suspended(one))
    assert resumed is not None and resumed > released, f"expected it to be resumed after the release\n{story}"
    workload = _owned(job_set, "JobSet")[0]
    decided = admitted_at(workload)
    assert decided is not None and decided > released, f"expected it to be admitted after the release\n{story}"
    admitted = next(event.rv for event in workload.events if is_true(event.object, "Admitted"))
    opened = next(event.rv for event in history.events if not _suspended(event.object))
    assert admitted < opened, f"expected it to be resumed after its admission\n{story}"


@scenario(needs={"leader-worker-set"})
def leader_worker_set(lab: KueueLab) -> None:
    """A LeaderWorkerSet of two groups of two pods in a queue with room for one group."""
    queue = lab.queue(gpus=2)
    lab.create(core.leader_worker_set("inference", lab.namespace, queue.local, replicas=2, size=2))

    def settled() -> bool:
        found = lab.objects("Workload")
        return len(found) == 2 and all(condition(one, "QuotaReserved") for one in found) and lab.count("Admitted") == 1

    lab.observe(settled, "both groups decided on")


@behaviour(
    "kueue.serving.leader-worker-set-groups", level=MUST, spec=f"{RUN}/leaderworkerset/",
    red_when="several groups of a LeaderWorkerSet share one Workload", mutant="groups-merged",
)  # fmt: skip
def test_a_leader_worker_set_is_one_workload_per_group(leader_worker_set: KueueRecording) -> None:
    """A LeaderWorkerSet has one Workload for each of its groups.

    Its controller does not run here, so that no pods appear and only the Workloads are judged.
    """
    shapes = [pod_set_shapes(one.final, GPU) for one in _owned(leader_worker_set, "LeaderWorkerSet")]
    story = leader_worker_set.timeline_text()
    assert shapes == [[(2, "1")]] * 2, f"expected two Workloads of two pods, seen {shapes}\n{story}"


@behaviour(
    "kueue.serving.leader-worker-set-partly-admitted", level=MUST, spec=f"{RUN}/leaderworkerset/",
    red_when="more groups are admitted than fit, or none where only some fit", mutant="quota-doubled",
)  # fmt: skip
def test_as_many_groups_are_admitted_as_fit(leader_worker_set: KueueRecording) -> None:
    """Of a LeaderWorkerSet that is larger than the quota, whole groups are admitted as far as they fit.

    Its controller does not run here, so that no pods appear and only the Workloads are judged.
    """
    admitted = sum(is_true(one, "Admitted") for one in leader_worker_set.workloads())
    assert admitted == 1, f"expected 1 group to be admitted, seen {admitted}\n{leader_worker_set.timeline_text()}"
