"""Plain pods in a queue: one by one, and as groups that are admitted all together or not at all."""

from __future__ import annotations

from gpuassay import MUST, SHOULD, Manifest, behaviour, dig, scenario
from gpuassay.labels import GPU
from gpuassay.manifest import is_true
from gpuassay.presence import must_have
from gpuassay.systems.kueue.acts.lab import KueueLab, Queue
from gpuassay.systems.kueue.judge.gates import admitted_at, bound, gate_findings, gated, pod_set_shapes
from gpuassay.systems.kueue.readings import KueueRecording, Timeline
from gpuassay.workloads import core

SPEC = "https://kueue.sigs.k8s.io/docs/tasks/run/plain_pods/"
GROUPS = f"{SPEC}#running-a-group-of-pods-to-be-admitted-together"


def _pods(lab: KueueLab, queue: Queue, *names: str, **options: object) -> None:
    for name in names:
        lab.create(core.pod(name, lab.namespace, queue.local, **options))  # pyright: ignore[reportArgumentType]


def _placed(lab: KueueLab, *names: str) -> bool:
    return all((pod := lab.get("Pod", name)) is not None and bound(pod) for name in names)


def _workload(recording: KueueRecording, owner: str) -> Timeline | None:
    try:
        return recording.workload_of(owner)
    except LookupError:
        return None


def _pod(recording: KueueRecording, name: str) -> Timeline:
    return recording.timelines("Pod")[name]


@scenario(needs={"gpu-nodes"})
def group_completed_late(lab: KueueLab) -> None:
    """Two of a group's three pods are created, then a job that needs the whole quota, after its end the third pod."""
    queue = lab.queue(gpus=3)
    _pods(lab, queue, "first", "second", group="team", group_total=3)
    lab.until(lambda: all(lab.get("Pod", name) for name in ("first", "second")), "two pods of the group")
    lab.job("whole", queue, gpus=3, run_for=1)
    if lab.observe_admitted("whole"):
        lab.observe(lambda: lab.has("Finished", "whole"), "whole finished")
    lab.mark("completed")
    _pods(lab, queue, "third", group="team", group_total=3)
    lab.observe(lambda: _placed(lab, "first", "second", "third"), "the group runs")


@behaviour(
    "kueue.pod-groups.waits-until-complete", level=MUST, spec=GROUPS,
    red_when="pods of an incomplete group are admitted", mutant="pod-group-count-lowered",
)  # fmt: skip
def test_a_group_is_admitted_only_when_complete(group_completed_late: KueueRecording) -> None:
    """A pod group is admitted only when all of its pods exist, and then with all of them."""
    story = group_completed_late.timeline_text(["first", "second", "third", "team"])
    team = _workload(group_completed_late, "first")
    assert team is not None, f"expected one Workload for the group, seen none\n{story}"
    admitted = admitted_at(team)
    assert admitted is not None, f"expected the complete group to be admitted, it was not\n{story}"
    assert admitted > group_completed_late.mark("completed"), f"admitted before it was complete\n{story}"
    assert pod_set_shapes(team.final, GPU) == [(3, "1")], story


@behaviour(
    "kueue.pod-groups.incomplete-holds-nothing", level=MUST, spec=GROUPS,
    red_when="pods that wait for the rest of their group keep others from running", mutant="pod-group-lost",
)  # fmt: skip
def test_an_incomplete_group_holds_no_quota(group_completed_late: KueueRecording) -> None:
    """Pods of an incomplete group stay gated and hold no quota, so a job that needs the whole quota is admitted."""
    story = group_completed_late.timeline_text()
    whole = _workload(group_completed_late, "whole")
    assert whole is not None and admitted_at(whole) is not None, f"expected `whole` to be admitted\n{story}"
    completed = group_completed_late.mark("completed")
    started = [name for name in ("first", "second") if (_opened(group_completed_late, name) or completed) < completed]
    assert started == [], f"expected no pod to start before the group was complete, seen {started}\n{story}"


def _opened(recording: KueueRecording, name: str) -> int | None:
    return _pod(recording, name).when(lambda pod: not gated(pod))


@behaviour(
    "kueue.pod-groups.gates-follow-admission", level=MUST, spec=SPEC,
    red_when="pods reach the scheduler before they are admitted, or never", mutant="queue-label-lost",
)  # fmt: skip
def test_gates_are_removed_on_admission(group_completed_late: KueueRecording) -> None:
    """Every pod of a group has Kueue's scheduling gate from its creation until the group is admitted."""
    group = _workload(group_completed_late, "first")
    admitted = group is not None and admitted_at(group) is not None
    assert admitted, f"expected the group to be admitted in the end\n{group_completed_late.timeline_text()}"
    found = [
        finding
        for name in ("first", "second", "third")
        for finding in gate_findings(_pod(group_completed_late, name), _workload(group_completed_late, "first"))
    ]
    assert found == [], "\n".join([*found, group_completed_late.timeline_text()])


@scenario()
def group_too_large(lab: KueueLab) -> None:
    """A complete group of two pods is admitted; then a third pod claims to belong to it."""
    queue = lab.queue(gpus=3)
    _pods(lab, queue, "first", "second", group="pair", group_total=2)
    lab.observe(lambda: _placed(lab, "first", "second"), "the pair runs")
    lab.mark("full")
    _pods(lab, queue, "excess", group="pair", group_total=2)
    lab.observe(lambda: lab.get("Pod", "excess") is None, "excess gone")


@behaviour(
    "kueue.pod-groups.excess-pod-deleted", level=MUST, spec=GROUPS,
    red_when="a pod beyond the group's size stays, or a pod of the group is deleted instead", mutant="pod-group-lost",
)  # fmt: skip
def test_an_excess_pod_is_deleted(group_too_large: KueueRecording) -> None:
    """A pod beyond the group's size is deleted without getting a node, and the group's pods are kept."""
    pods = group_too_large.timelines("Pod")
    story = group_too_large.timeline_text(["first", "second", "excess"])
    gone = sorted(name for name, pod in pods.items() if pod.deleted)
    assert gone == ["excess"], f"expected only `excess` to be deleted, seen {gone}\n{story}"
    assert not any(bound(event.object) for event in pods["excess"].events), f"`excess` got a node\n{story}"
    assert all(bound(pods[name].final) for name in ("first", "second")), f"the pair does not run\n{story}"


@scenario(needs={"gpu-nodes"})
def group_of_two_shapes(lab: KueueLab) -> None:
    """A group of a pod without GPU and two with two GPUs each runs to its end."""
    queue = lab.queue(gpus=4)
    _pods(lab, queue, "leader", group="mixed", group_total=3, gpus=0, run_for=0.5)
    _pods(lab, queue, "left", "right", group="mixed", group_total=3, gpus=2, run_for=0.5)
    lab.observe(lambda: lab.has("Finished", "leader"), "the group finished")


@behaviour(
    "kueue.pod-groups.shapes-are-pod-sets", level=MUST, spec=GROUPS,
    red_when="pods with different requests are put into one pod set", mutant="pod-shapes-lost",
)  # fmt: skip
def test_each_shape_is_a_pod_set(group_of_two_shapes: KueueRecording) -> None:
    """A group's Workload has one pod set per distinct pod shape, with its own pod count and requests."""
    story = group_of_two_shapes.timeline_text()
    workloads = group_of_two_shapes.workloads()
    assert len(workloads) == 1, f"expected one Workload for the group, seen {len(workloads)}\n{story}"
    seen = pod_set_shapes(workloads[0], GPU)
    assert seen == [(1, "0"), (2, "2")], f"expected (count, GPUs) (1, 0) and (2, 2), seen {seen}\n{story}"
    held = {str(usage.get("resourceUsage", {}).get(GPU, "0")) for usage in _assignments(workloads[0])}
    assert held == {"0", "4"}, f"expected the pod sets to hold 0 and 4 GPUs, seen {sorted(held)}\n{story}"


def _assignments(workload: Manifest) -> list[Manifest]:
    return dig(workload, "status", "admission", "podSetAssignments", default=[])


@behaviour(
    "kueue.pod-groups.finishes-with-its-pods", level=MUST, spec=GROUPS,
    red_when="a group whose pods are all done keeps its quota", mutant="pods-never-end",
)  # fmt: skip
def test_a_group_finishes_with_its_pods(group_of_two_shapes: KueueRecording) -> None:
    """A group's Workload is finished once all of its pods have succeeded."""
    story = group_of_two_shapes.timeline_text()
    workloads = must_have(group_of_two_shapes.workloads(), "the group's Workload")
    unfinished = [one["metadata"]["name"] for one in workloads if not is_true(one, "Finished")]
    assert unfinished == [], f"expected the group's Workload to be finished, it is not: {unfinished}\n{story}"
    phases = {name: dig(pod.final, "status", "phase") for name, pod in group_of_two_shapes.timelines("Pod").items()}
    assert set(phases.values()) == {"Succeeded"}, f"expected every pod to have succeeded, seen {phases}\n{story}"


@scenario()
def single_pods(lab: KueueLab) -> None:
    """A pod takes the only GPU, a second one waits."""
    queue = lab.queue(gpus=1)
    _pods(lab, queue, "running")
    lab.observe(lambda: _placed(lab, "running"), "the first pod runs")
    _pods(lab, queue, "waiting")
    lab.observe(lambda: lab.decided("waiting"), "the second pod was considered")


@behaviour(
    "kueue.pod-groups.single-pod", level=MUST, spec=f"{SPEC}#running-a-single-pod-admitted-by-kueue",
    red_when="a pod in a queue runs unmanaged, or beyond the quota", mutant="queue-label-lost",
)  # fmt: skip
def test_a_single_pod_is_a_workload(single_pods: KueueRecording) -> None:
    """A single pod in a queue gets a Workload of one pod and keeps its scheduling gate until that is admitted."""
    story = single_pods.timeline_text()
    found: list[str] = []
    for name in ("running", "waiting"):
        workload = _workload(single_pods, name)
        shape = pod_set_shapes(workload.final, GPU) if workload else None
        if shape != [(1, "1")]:
            found.append(f"pod {name}: expected a Workload of one pod with one GPU, seen {shape}")
        found += gate_findings(_pod(single_pods, name), workload)
    assert found == [], "\n".join([*found, story])


@behaviour(
    "kueue.pod-groups.single-pod-waits", level=MUST, spec=f"{SPEC}#running-a-single-pod-admitted-by-kueue",
    red_when="pods are admitted beyond the quota", mutant="quota-doubled",
)  # fmt: skip
def test_a_pod_beyond_the_quota_waits(single_pods: KueueRecording) -> None:
    """A pod that the quota cannot hold stays gated and has no node."""
    waiting = _pod(single_pods, "waiting").final
    story = single_pods.timeline_text()
    workload = _workload(single_pods, "waiting")
    assert workload is not None, f"expected a Workload of `waiting`, seen none\n{story}"
    assert admitted_at(workload) is None, f"expected `waiting` not to be admitted\n{story}"
    assert gated(waiting) and not bound(waiting), f"expected `waiting` to be gated and without a node\n{story}"
    assert bound(_pod(single_pods, "running").final), f"expected `running` to have a node\n{story}"


@behaviour(
    "kueue.pod-groups.finalizer", level=SHOULD, spec=SPEC,
    red_when="a queued pod lacks Kueue's finalizer or label and can vanish before Kueue sees its end",
    mutant="queue-label-lost",
)  # fmt: skip
def test_a_queued_pod_is_kept_by_a_finalizer(single_pods: KueueRecording) -> None:
    """A pod in a queue carries Kueue's finalizer and label, so that its end cannot be missed."""
    for name in ("running", "waiting"):
        metadata = _pod(single_pods, name).first["metadata"]
        seen = (metadata.get("finalizers", []), dig(metadata, "labels", "kueue.x-k8s.io/managed"))
        expected = (["kueue.x-k8s.io/managed"], "true")
        assert seen == expected, f"pod {name}: expected {expected}, seen {seen}\n{single_pods.timeline_text([name])}"
