"""Steps of a random walk that concern work: Workloads made by hand, Jobs and pod groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gpuassay import labels
from gpuassay.cluster.errors import ApiRefused
from gpuassay.manifest import Manifest, dig, is_true, name_of
from gpuassay.systems.kueue.acts import workloads as byhand
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.systems.kueue.objects.walk_site import CPU
from gpuassay.systems.kueue.objects.walk_steps import pod_of, requests_of
from gpuassay.systems.kueue.objects.walks import Step, Walk
from gpuassay.workloads import core

MAKES = frozenset({"create", "job", "group"})
"""Acts that make work: `on` is its name."""


def of_hand(workload: Manifest) -> bool:
    """Whether the walk made this Workload itself, and so plays its job's part."""
    return not dig(workload, "metadata", "ownerReferences", default=[])


def to_end(lab: KueueLab) -> list[str]:
    """Workloads made by hand that are evicted and still hold their quota."""
    return [name for name in byhand.evicted(lab) if of_hand(lab.get("Workload", name) or {})]


def end_all(lab: KueueLab) -> list[str]:
    """The pods of all evicted Workloads made by hand are gone; what was refused."""
    refused: list[str] = []
    for name in to_end(lab):
        try:
            byhand.end_eviction(lab, name)
        except (ApiRefused, LookupError) as error:
            refused.append(f"end of the eviction of {name}: {error}")
    return refused


def _queue(walk: Walk, step: Step) -> str:
    names = [*walk.site.queues]
    return names[step.pick % len(names)]


def _one(lab: KueueLab, step: Step, which: Callable[[Manifest], bool], kind: str = "Workload") -> Manifest:
    """What the step names, or the one that it picks.

    Raises:
        LookupError: there is none.
    """
    found = sorted((one for one in lab.objects(kind) if which(one)), key=name_of)
    named = [one for one in found if name_of(one) == step.on] if step.on else found
    if not named:
        raise LookupError(f"no {kind} to act on")
    return named[step.pick % len(named)]


# -- what comes


def _create(lab: KueueLab, walk: Walk, step: Step) -> str:
    value: Mapping[str, Any] = step.value
    sets = [
        kueue.pod_set(
            f"set{number}" if value["sets"] > 1 else "main",
            count=value["count"], requests=requests_of(value), pod=pod_of(value, step.on),
        )
        for number in range(value["sets"])
    ]  # fmt: skip
    more: Manifest = {"priority": value["priority"]}
    if value["class"]:
        more = {
            "priority": walk.site.classes[value["class"]],
            "priorityClassRef": {
                "group": "kueue.x-k8s.io", "kind": "WorkloadPriorityClass", "name": lab.unique(value["class"]),
            },
        }  # fmt: skip
    lab.create(kueue.workload(step.on, lab.namespace, _queue(walk, step), sets, **more))
    return step.on


def _template(value: Mapping[str, Any], name: str) -> Manifest:
    found: Manifest = {"gpus": value["gpus"], "run_for": value["for"], **pod_of(value, name)}
    return found | ({"requests": {CPU: value["cpu"]}} if value["cpu"] else {})


def _job(lab: KueueLab, walk: Walk, step: Step) -> str:
    value: Mapping[str, Any] = step.value
    priority = lab.unique(value["class"]) if value["class"] else None
    lab.job(
        step.on, _queue(walk, step), pods=value["count"], priority=priority, **_template(value, step.on)
    )  # fmt: skip
    return step.on


def _group(lab: KueueLab, walk: Walk, step: Step) -> str:
    value: Mapping[str, Any] = step.value
    for number in range(value["count"]):
        pod = core.pod(
            f"{step.on}-{number}", lab.namespace, _queue(walk, step), group=step.on, group_total=value["count"],
            **_template(value, step.on),
        )  # fmt: skip
        lab.create(pod)
    return step.on


# -- what goes


def _finish(lab: KueueLab, walk: Walk, step: Step) -> str:
    del walk
    name = name_of(_one(lab, step, lambda one: of_hand(one) and _runs(one)))
    byhand.finish(lab, name)
    return name


def _delete(lab: KueueLab, walk: Walk, step: Step) -> str:
    """A Workload made by hand, or a Job; a third of the picks are Jobs."""
    del walk
    kinds = {name_of(one): kind for kind in ("Job", "Workload") for one in lab.objects(kind) if of_hand(one)}
    names = [step.on] if step.on else sorted(kinds)
    if not names or names[0] not in kinds:
        raise LookupError("nothing to delete")
    name = names[step.pick % len(names)]
    lab.delete(kinds[name], name)
    return name


def _done(lab: KueueLab, walk: Walk, step: Step) -> str:
    """One of several pods of a running Workload has finished."""
    del walk
    found = _one(lab, step, lambda one: of_hand(one) and _runs(one) and _count(one) > 1)
    pod_set = str(dig(found, "spec", "podSets", 0, "name", default="main"))
    body: Manifest = {"status": {"reclaimablePods": [{"name": pod_set, "count": 1}]}}
    lab.patch("Workload", name_of(found), body, subresource="status")
    return name_of(found)


def _end_evictions(lab: KueueLab, walk: Walk, step: Step) -> str:
    del walk, step
    end_all(lab)
    return ""


# -- what is changed of it


def _patched(
    which: Callable[[Manifest], bool], spec: Callable[[KueueLab, Walk, Step], Manifest]
) -> Callable[[KueueLab, Walk, Step], str]:
    def act(lab: KueueLab, walk: Walk, step: Step) -> str:
        name = name_of(_one(lab, step, which))
        lab.patch("Workload", name, {"spec": spec(lab, walk, step)})
        return name

    return act


def _class_of(lab: KueueLab, walk: Walk, step: Step) -> Manifest:
    reference = {"group": "kueue.x-k8s.io", "kind": "WorkloadPriorityClass", "name": lab.unique(step.value)}
    return {"priorityClassRef": reference, "priority": walk.site.classes[step.value]}


def _requeue(lab: KueueLab, walk: Walk, step: Step) -> str:
    """Another LocalQueue for a waiting Workload, or for a suspended Job."""
    names = [*walk.site.queues]
    to = names[(step.pick + 1) % len(names)]
    found = _one(lab, step, lambda one: _waits(one))
    if of_hand(found):
        lab.patch("Workload", name_of(found), {"spec": {"queueName": to}})
        return name_of(found)
    owner = dig(found, "metadata", "ownerReferences", 0, default={})
    if owner.get("kind") != "Job":
        raise LookupError("no Job to move")
    lab.patch("Job", str(owner["name"]), {"metadata": {"labels": {labels.QUEUE_NAME: to}}})
    return name_of(found)


def _scale(lab: KueueLab, walk: Walk, step: Step) -> str:
    """Another parallelism for a Job."""
    del walk
    name = name_of(_one(lab, step, lambda one: not is_true(one, "Complete"), "Job"))
    lab.patch("Job", name, {"spec": {"parallelism": step.value}})
    return name


def _count(workload: Manifest) -> int:
    return int(dig(workload, "spec", "podSets", 0, "count", default=1))


def _runs(workload: Manifest) -> bool:
    return is_true(workload, "Admitted") and not is_true(workload, "Evicted") and not is_true(workload, "Finished")


def _waits(workload: Manifest) -> bool:
    return not is_true(workload, "QuotaReserved") and not is_true(workload, "Finished")


def _inactive(workload: Manifest) -> bool:
    return dig(workload, "spec", "active", default=True) is False


def _unfinished(workload: Manifest) -> bool:
    return not is_true(workload, "Finished")


def _of_hand_waits(workload: Manifest) -> bool:
    return of_hand(workload) and _waits(workload)


ACTS: Mapping[str, Callable[[KueueLab, Walk, Step], str]] = {
    "create": _create, "job": _job, "group": _group, "finish": _finish, "delete": _delete, "done": _done,
    "end-evictions": _end_evictions,
    "deactivate": _patched(_unfinished, lambda lab, walk, step: {"active": False}),
    "reactivate": _patched(_inactive, lambda lab, walk, step: {"active": True}),
    "priority": _patched(
        lambda one: of_hand(one) and _unfinished(one) and not dig(one, "spec", "priorityClassRef"),
        lambda lab, walk, step: {"priority": step.value},
    ),
    "class-of": _patched(_of_hand_waits, _class_of),
    "unqueue": _patched(_of_hand_waits, lambda lab, walk, step: {"queueName": ""}),
    "requeue": _requeue, "scale": _scale,
}  # fmt: skip
"""Acts by name; each returns the name of what it was done to, and raises LookupError where there is nothing."""
