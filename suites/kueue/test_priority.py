"""What a workload's priority is, and what it decides."""

from __future__ import annotations

from typing import Any

from gpuassay import MUST, SHOULD, Manifest, behaviour, dig, scenario
from gpuassay.manifest import condition
from gpuassay.systems.kueue import notes
from gpuassay.systems.kueue.acts import workloads as byhand
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.judge.queueing import decided_before, decisions, order_findings, queued
from gpuassay.systems.kueue.model.order import heap_order
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.systems.kueue.readings import KueueRecording

SPEC = "https://kueue.sigs.k8s.io/docs/concepts/workload_priority_class/"
WORKLOAD = "https://kueue.sigs.k8s.io/docs/concepts/workload/#priority"
USE = "https://kueue.sigs.k8s.io/docs/tasks/manage/run_job_with_workload_priority/"

VALUES = {"low": -5, "middle": 100, "high": 100_000}


def _pod_class(lab: KueueLab, base: str, value: int) -> str:
    """Create a PriorityClass of pods; returns its name."""
    name = lab.unique(base)
    body: Manifest = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}}
    lab.create(body | {"value": value, "preemptionPolicy": "Never"})
    return name


@scenario()
def classes(lab: KueueLab) -> None:
    """Jobs of three WorkloadPriorityClasses, of none, and with a PriorityClass of pods, wait in a held queue."""
    queue = lab.queue(gpus=8, hold=True)
    names = {base: lab.priority_class(base, value) for base, value in VALUES.items()}
    pod_class = _pod_class(lab, "pods", 500)
    each: dict[str, dict[str, Any]] = {f"{base}-{i}": {"priority": names[base]} for base in names for i in range(2)}
    each["none"] = {}
    each["pods-only"] = {"priorityClassName": pod_class}
    each["both"] = {"priority": names["low"], "priorityClassName": pod_class}
    for name, options in each.items():
        lab.create(byhand.unbound(name, lab, queue, **options))
    byhand.observe_pending(lab, queue, len(each))
    lab.release(queue)
    lab.observe(lambda: lab.count("Admitted") == 8, "eight admitted")
    lab.observe(lambda: len(lab.objects("Pod")) == 8, "eight pods")


def _workload(recording: KueueRecording, job: str) -> Manifest:
    return recording.workload_of(job).first


@behaviour(
    "kueue.priority.class-orders", level=MUST, spec=SPEC,
    red_when="the value of a WorkloadPriorityClass does not decide the order of admission", mutant="priority-reversed",
)  # fmt: skip
def test_the_class_decides_the_order(classes: KueueRecording) -> None:
    """Workloads are admitted by the value of their WorkloadPriorityClass, else of the pods' PriorityClass, else 0."""
    findings = order_findings(classes)
    # eight of nine fit: the last, of the lowest class, is left
    left = [one for one in findings if not one.startswith("never given quota")]
    seen = decisions(classes)
    urgent = [classes.workload_of(name).name for name in ("high-0", "high-1")]
    timeline = classes.timeline_text()
    assert not left, "\n".join([*left, timeline])
    assert set(seen[:2]) == set(urgent), f"expected {urgent} first, seen {seen}\n{timeline}"
    assert len(seen) == 8, f"expected 8 of 9, seen {len(seen)}: {seen}\n{timeline}"
    expected = heap_order(queued(classes))[:8]
    assert seen == expected, f"expected {expected}, seen {seen}\n{timeline}"


@behaviour(
    "kueue.priority.class-sets-workload", level=MUST, spec=USE,
    red_when="the Workload does not carry its class's value and name", mutant="priority-ignored",
)  # fmt: skip
def test_the_class_sets_the_workloads_priority(classes: KueueRecording) -> None:
    """A Job's priority class label sets the Workload's priority and its reference to the WorkloadPriorityClass."""
    for base, value in VALUES.items():
        spec = _workload(classes, f"{base}-0")["spec"]
        reference = spec.get("priorityClassRef", {})
        seen = (spec.get("priority"), reference.get("kind"), reference.get("name"))
        expected = (value, "WorkloadPriorityClass", f"{base}-{classes.token}")
        assert seen == expected, f"{base}: expected {expected}, seen {seen}"


@behaviour(
    "kueue.priority.class-leaves-pods-alone", level=MUST, spec=SPEC,
    red_when="a WorkloadPriorityClass changes the priority of pods", mutant="pod-priority-set",
)  # fmt: skip
def test_the_class_does_not_touch_pods(classes: KueueRecording) -> None:
    """A WorkloadPriorityClass does not change the pods, which keep priority 0 and get no PriorityClass."""
    pods = [one.final for one in classes.timelines("Pod").values()]
    mine = [one for one in pods if str(dig(one, "metadata", "labels", "job-name", default="")).startswith("high")]
    assert mine, f"expected pods of the high Jobs, seen none\n{classes.timeline_text()}"
    for pod in mine:
        seen = (dig(pod, "spec", "priority", default=0), dig(pod, "spec", "priorityClassName", default=""))
        assert seen == (0, ""), f"expected priority 0 and no class, seen {seen}"


@behaviour(
    "kueue.priority.class-before-pods", level=MUST, spec=WORKLOAD,
    red_when="the pods' PriorityClass wins over the workload's class", mutant="priority-ignored",
)  # fmt: skip
def test_the_workloads_class_goes_before_the_pods(classes: KueueRecording) -> None:
    """For a Job with both, the WorkloadPriorityClass sets the Workload's priority, not the pods' PriorityClass."""
    spec = _workload(classes, "both")["spec"]
    seen = (spec.get("priority"), dig(spec, "priorityClassRef", "kind"))
    assert seen == (VALUES["low"], "WorkloadPriorityClass"), f"expected {VALUES['low']} of the class, seen {seen}"


@behaviour(
    "kueue.priority.pod-class-otherwise", level=MUST, spec=WORKLOAD,
    red_when="the pods' PriorityClass is not used where no workload class is named", mutant="pod-priority-lost",
)  # fmt: skip
def test_without_a_class_the_pods_decide(classes: KueueRecording) -> None:
    """For a Job without WorkloadPriorityClass, the pods' PriorityClass sets the Workload's priority."""
    spec = _workload(classes, "pods-only")["spec"]
    seen = (spec.get("priority"), dig(spec, "priorityClassRef", "kind"))
    assert seen == (500, "PriorityClass"), f"expected 500 of the pods' class, seen {seen}"


@scenario()
def class_missing(lab: KueueLab) -> None:
    """A Job names a class that does not exist, another Job follows in the same queue, then the class is created."""
    lab.note(notes.EXPECTED_ERRORS, [r"missing-\S+\\?\" not found", "Reconciler error"])
    queue = lab.queue(gpus=2)
    lab.create(byhand.unbound("orphan", lab, queue, priority=lab.unique("missing")))
    lab.create(byhand.unbound("marker", lab, queue))
    lab.until_admitted("marker")
    lab.mark("class made")
    lab.create(kueue.priority_class(lab.unique("missing"), 7))
    lab.observe(lambda: lab.has("Admitted", "orphan"), "orphan admitted", timeout=20)
    byhand.observe_started(lab, "marker", "orphan")


@behaviour(
    "kueue.priority.class-missing", level=SHOULD, spec=USE, timed=True,
    red_when="a Job whose class does not exist is queued at some other priority", mutant="priority-added",
)  # fmt: skip
def test_a_job_waits_for_its_class(class_missing: KueueRecording) -> None:
    """A Job whose class does not exist gets no Workload until the class is created, and then has its priority."""
    timeline = class_missing.timeline_text()
    made = class_missing.workload_of("orphan").events[0].at
    created = class_missing.mark("class made")
    assert made > created, f"expected no Workload before the class at {created}, seen one at {made}\n{timeline}"
    assert decided_before(class_missing, created) == [class_missing.workload_of("marker").name], timeline
    seen = class_missing.workload_of("orphan").first["spec"].get("priority")
    assert seen == 7, f"expected the class's priority 7, seen {seen}\n{timeline}"


@scenario()
def class_changed(lab: KueueLab) -> None:
    """Two Jobs wait behind one that runs; the last one's label is changed to a higher class."""
    queue = lab.queue(gpus=1)
    low, high = lab.priority_class("low", 1), lab.priority_class("high", 100)
    lab.create(byhand.unbound("running", lab, queue, priority=high))
    lab.until_admitted("running")
    lab.create(byhand.unbound("early", lab, queue, priority=low))
    byhand.observe_weighed(lab, "early")
    byhand.next_second(lab)
    lab.create(byhand.unbound("late", lab, queue, distinct=True, priority=low))
    byhand.observe_weighed(lab, "late")
    lab.patch("Job", "late", {"metadata": {"labels": {"kueue.x-k8s.io/priority-class": high}}})

    def raised() -> bool:
        found = lab.workload_of("late")
        return found is not None and dig(found, "spec", "priority") == 100

    lab.observe(raised, "priority raised")
    lab.delete("Job", "running")
    lab.observe(lambda: lab.has("Admitted", "late") or lab.has("Admitted", "early"), "one admitted")
    byhand.observe_started(lab, *(job for job in ("late", "early") if lab.has("Admitted", job)))


@behaviour(
    "kueue.priority.label-change-reorders", level=MUST, spec=USE,
    red_when="a changed class label does not reach the Workload or its place in the queue", mutant="priority-reversed",
)  # fmt: skip
def test_a_changed_class_changes_the_place(class_changed: KueueRecording) -> None:
    """Changing the class label of a waiting Job changes its Workload's priority and its place in the queue."""
    final = class_changed.workload_of("late").final["spec"]
    timeline = class_changed.timeline_text()
    assert final.get("priority") == 100, f"expected priority 100, seen {final.get('priority')}\n{timeline}"
    expected = [class_changed.workload_of(name).name for name in ("running", "late")]
    seen = decisions(class_changed)
    assert seen == expected, f"expected {expected}, seen {seen}\n{timeline}"


@scenario()
def raised_to_preempt(lab: KueueLab) -> None:
    """The priority of a workload pending in a full queue is raised above that of the running one."""
    queue = lab.queue(gpus=1, preemption={"withinClusterQueue": "LowerPriority"})
    byhand.workload(lab, "running", queue, priority=5)
    lab.until_admitted("running")
    byhand.workload(lab, "waiting", queue, priority=1)
    byhand.observe_weighed(lab, "waiting")
    lab.patch("Workload", "waiting", {"spec": {"priority": 10}})
    byhand.observe_evicted(lab, 1)
    byhand.end_eviction(lab, *byhand.evicted(lab))
    lab.observe_admitted("waiting")


@behaviour(
    "kueue.priority.raise-preempts", level=MUST, spec=WORKLOAD,
    red_when="a raised priority of a pending Workload is not evaluated until something else happens",
    mutant="preemption-off",
)  # fmt: skip
def test_a_raised_workload_preempts(raised_to_preempt: KueueRecording) -> None:
    """Raising the priority of a waiting Workload above a running one makes it preempt that one."""
    seen = decisions(raised_to_preempt)
    timeline = raised_to_preempt.timeline_text()
    assert seen == ["running", "waiting"], f"expected running waiting, seen {seen}\n{timeline}"
    reason = (condition(raised_to_preempt.timelines("Workload")["running"].final, "Evicted") or {}).get("reason")
    assert reason == "Preempted", f"expected running evicted as Preempted, seen {reason}\n{timeline}"
