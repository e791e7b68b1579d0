"""Steps of a random walk that edit what is configured: queues, cohorts, flavors, priority classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gpuassay.labels import GPU
from gpuassay.manifest import Manifest, dig
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.systems.kueue.objects.walks import Step, Walk

GONE = 3.0
"""Seconds for an object to go that is deleted and made anew; one in use stays, and is then only going."""


def queue_of(lab: KueueLab, walk: Walk, name: str) -> Manifest:
    """The ClusterQueue of that stem, as the site has it."""
    how = walk.site.queues[name]
    group = kueue.resource_group({lab.unique(one): entries for one, entries in how.quota.items()})
    cohort = lab.unique(how.cohort) if how.cohort else None
    return kueue.cluster_queue(lab.unique(name), [group], cohort=cohort, **how.spec)


def cohort_of(lab: KueueLab, walk: Walk, name: str) -> Manifest:
    """The Cohort of that stem, as the site has it."""
    how = walk.site.cohorts[name]
    groups = [kueue.resource_group({lab.unique(one): entries}) for one, entries in how.quota.items()]
    return kueue.cohort(lab.unique(name), parent=lab.unique(how.parent) if how.parent else None, groups=groups)


def _picked(names: Iterable[str], step: Step) -> str:
    found = [*names]
    if step.on:
        return step.on
    if not found:
        raise LookupError("nothing to act on")
    return found[step.pick % len(found)]


def _cohort(lab: KueueLab, stem: str) -> str | None:
    return lab.unique(stem) if stem else None


def _patched_queue(spec: Callable[[KueueLab, Step], Manifest]) -> Callable[[KueueLab, Walk, Step], str]:
    def act(lab: KueueLab, walk: Walk, step: Step) -> str:
        name = _picked(walk.site.queues, step)
        lab.patch("ClusterQueue", lab.unique(name), {"spec": spec(lab, step)})
        return name

    return act


def _patched_local(spec: Callable[[Step], Manifest]) -> Callable[[KueueLab, Walk, Step], str]:
    def act(lab: KueueLab, walk: Walk, step: Step) -> str:
        name = _picked(walk.site.queues, step)
        lab.patch("LocalQueue", name, {"spec": spec(step)})
        return name

    return act


def _anew(lab: KueueLab, kind: str, name: str, make: Callable[[], Manifest]) -> None:
    lab.delete(kind, name)
    lab.until(lambda: lab.get(kind, name) is None, f"{kind} {name} gone", timeout=GONE)
    lab.create(make())


def _recreate_queue(lab: KueueLab, walk: Walk, step: Step) -> str:
    """Only one that holds nothing: another would go as slowly as its work does."""
    idle = [
        name for name in walk.site.queues
        if not dig(lab.get("ClusterQueue", lab.unique(name)), "status", "reservingWorkloads", default=0)
    ]  # fmt: skip
    name = _picked(idle, step)
    _anew(lab, "ClusterQueue", lab.unique(name), lambda: queue_of(lab, walk, name))
    return name


def _drop_queue(lab: KueueLab, walk: Walk, step: Step) -> str:
    """One that is in use goes once its work has gone."""
    name = _picked(walk.site.queues, step)
    lab.delete("ClusterQueue", lab.unique(name))
    return name


def _recreate_local(lab: KueueLab, walk: Walk, step: Step) -> str:
    name = _picked(walk.site.queues, step)
    _anew(lab, "LocalQueue", name, lambda: kueue.local_queue(name, lab.namespace, lab.unique(name)))
    return name


def _recreate_cohort(lab: KueueLab, walk: Walk, step: Step) -> str:
    name = _picked(walk.site.cohorts, step)
    _anew(lab, "Cohort", lab.unique(name), lambda: cohort_of(lab, walk, name))
    return name


def _quota(lab: KueueLab, walk: Walk, step: Step) -> str:
    """Other quota for GPUs in every flavor; limits only in a cohort."""
    stem = _picked(walk.site.queues, step)
    found = lab.get("ClusterQueue", lab.unique(stem)) or {}
    groups: list[Manifest] = dig(found, "spec", "resourceGroups", default=[])
    shared = dig(found, "spec", "cohortName") is not None

    def requoted(entry: Manifest) -> Manifest:
        return _limited(step.value, shared=shared) if entry["name"] == GPU else entry

    changed = [
        group | {"flavors": [
            flavor | {"resources": [requoted(one) for one in flavor["resources"]]} for flavor in group["flavors"]
        ]}
        for group in groups
    ]  # fmt: skip
    lab.patch("ClusterQueue", lab.unique(stem), {"spec": {"resourceGroups": changed}})
    return stem


def _limited(value: Mapping[str, Any], *, shared: bool) -> Manifest:
    limits = {key: one for key, one in value.items() if one is not None and (shared or key == "nominalQuota")}
    return {"name": GPU, **limits}


def _flavors(lab: KueueLab, walk: Walk, step: Step) -> str:
    """Other flavors, or another order of them; those that come get the quota of the first that was there."""
    stem = _picked(walk.site.queues, step)
    found = lab.get("ClusterQueue", lab.unique(stem)) or {}
    groups: list[Manifest] = dig(found, "spec", "resourceGroups", default=[])
    if not groups:
        raise LookupError("no quota to give to other flavors")
    was: dict[str, list[Manifest]] = {str(one["name"]): one["resources"] for one in groups[0]["flavors"]}
    first = next(iter(was.values()))
    flavors = [{"name": name, "resources": was.get(name, first)} for name in map(lab.unique, step.value)]
    lab.patch("ClusterQueue", lab.unique(stem), {"spec": {"resourceGroups": [groups[0] | {"flavors": flavors}]}})
    return stem


def _root(lab: KueueLab, walk: Walk, step: Step) -> str:
    """Another parent for a cohort; never one below it."""
    cohorts = [*walk.site.cohorts]
    name = _picked(cohorts, step)
    parent = step.value if step.value in cohorts[: cohorts.index(name)] else ""
    lab.patch("Cohort", lab.unique(name), {"spec": {"parentName": _cohort(lab, parent)}})
    return name


def _cohort_quota(lab: KueueLab, walk: Walk, step: Step) -> str:
    name = _picked(walk.site.cohorts, step)
    found = lab.get("Cohort", lab.unique(name)) or {}
    entry = _limited(step.value, shared=bool(dig(found, "spec", "parentName")))
    group = kueue.resource_group({lab.unique("plain"): [entry]})
    lab.patch("Cohort", lab.unique(name), {"spec": {"resourceGroups": [group]}})
    return name


def _class_value(lab: KueueLab, walk: Walk, step: Step) -> str:
    name = _picked(walk.site.classes, step)
    lab.patch("WorkloadPriorityClass", lab.unique(name), {"value": step.value})
    return name


def _flavor(field: str) -> Callable[[KueueLab, Walk, Step], str]:
    def act(lab: KueueLab, walk: Walk, step: Step) -> str:
        name = {"nodeTaints": "tainted", "nodeLabels": "zoned"}[field]
        lab.patch("ResourceFlavor", lab.unique(name), {"spec": {field: step.value}})
        return name

    return act


ACTS: Mapping[str, Callable[[KueueLab, Walk, Step], str]] = {
    "quota": _quota, "flavors": _flavors,
    "cohort": _patched_queue(lambda lab, step: {"cohortName": _cohort(lab, step.value)}),
    "stop": _patched_queue(lambda lab, step: {"stopPolicy": step.value}),
    "resume": _patched_queue(lambda lab, step: {"stopPolicy": "None"}),
    "preemption": _patched_queue(lambda lab, step: {"preemption": step.value}),
    "fungibility": _patched_queue(lambda lab, step: {"flavorFungibility": step.value}),
    "recreate-queue": _recreate_queue, "drop-queue": _drop_queue,
    "stop-local": _patched_local(lambda step: {"stopPolicy": step.value}),
    "resume-local": _patched_local(lambda step: {"stopPolicy": "None"}),
    "recreate-local": _recreate_local, "root": _root, "cohort-quota": _cohort_quota,
    "recreate-cohort": _recreate_cohort, "class-value": _class_value,
    "taints": _flavor("nodeTaints"), "labels": _flavor("nodeLabels"),
}  # fmt: skip
"""Acts by name; each returns the stem of what it was done to, and raises LookupError where there is nothing."""
