"""Acts out a random walk (`objects.walks`) with Workloads made by hand, and lets it come to rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpuassay.cluster.errors import ApiRefused
from gpuassay.labels import GPU
from gpuassay.manifest import Manifest, dig, is_true, name_of
from gpuassay.systems.kueue.acts import workloads as byhand
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.systems.kueue.objects.walks import Step, Walk, pod_of

ROUNDS = 40
"""Evictions that may follow each other until a walk rests."""


class Walker:
    """A walk under way.

    Attributes:
        refused: what the API server did not accept, as "act: message"; a walk may ask for what is not allowed.
    """

    def __init__(self, lab: KueueLab, walk: Walk) -> None:
        """Create the site; waits for nothing."""
        self.lab, self.walk = lab, walk
        self.refused: list[str] = []
        self._made = 0
        for name, parent in walk.site.cohorts.items():
            lab.create(kueue.cohort(lab.unique(name), parent=lab.unique(parent) if parent else None))
        for name, options in walk.site.flavors.items():
            lab.create(kueue.resource_flavor(lab.unique(name), **options))
        for name, how in walk.site.queues.items():
            group = kueue.resource_group({lab.unique(one): entries for one, entries in how["group"].items()})
            lab.create(
                kueue.cluster_queue(
                    lab.unique(name), [group], strategy=how["strategy"], preemption=how["preemption"],
                    cohort=lab.unique(how["cohort"]) if how["cohort"] else None,
                )
            )  # fmt: skip
            lab.local_queue(name, lab.unique(name))
        lab.until_active(*(lab.unique(name) for name in walk.site.queues))

    def go(self) -> None:
        """Take every step; evictions end on the way as pods do that are slow to go: some at once, some later."""
        for number, step in enumerate(self.walk.steps):
            before = self._version()
            try:
                self._take(step)
            except (ApiRefused, LookupError) as refused:
                self.refused.append(f"{step.act}: {refused}")
            if number % 3 == 0:
                self._end_evictions()
            self.lab.observe(lambda before=before: self._version() != before, f"step {number} seen", timeout=0.3)

    def rest(self) -> None:
        """End evictions until nobody is evicted any more."""
        for _ in range(ROUNDS):
            if not self.lab.observe(lambda: bool(byhand.evicted(self.lab)), "another eviction", timeout=1.5):
                return
            self._end_evictions()

    def _end_evictions(self) -> None:
        for name in byhand.evicted(self.lab):
            try:
                byhand.end_eviction(self.lab, name)
            except (ApiRefused, LookupError) as refused:
                self.refused.append(f"end of an eviction: {refused}")

    def _version(self) -> int:
        return max((int(one["metadata"]["resourceVersion"]) for one in self.lab.objects("Workload")), default=0)

    def _take(self, step: Step) -> None:
        """One step; LookupError where there is nothing to act on."""
        acts: dict[str, Callable[[Step], None]] = {
            "create": self._create, "finish": self._finish, "delete": self._delete, "quota": self._quota,
            "cohort": lambda one: self._patch_queue(one, {"cohortName": self._cohort(one.value)}),
            "halt": lambda one: self._patch_queue(one, {"stopPolicy": "Hold"}),
            "resume": lambda one: self._patch_queue(one, {"stopPolicy": "None"}),
            "halt-local": lambda one: self._patch_local(one, "Hold"),
            "resume-local": lambda one: self._patch_local(one, "None"),
            "deactivate": lambda one: self._patch_workload(one, {"active": False}, _waits),
            "reactivate": lambda one: self._patch_workload(one, {"active": True}, _inactive),
            "priority": lambda one: self._patch_workload(one, {"priority": one.value}, _waits),
            "requeue": lambda one: self._patch_workload(one, {"queueName": self._local(one)}, _waits),
            "recreate-local": self._recreate_local,
            "root": self._root,
            "done": self._done,
        }  # fmt: skip
        acts[step.act](step)

    # -- what there is to act on

    def _queue(self, step: Step) -> str:
        names = [*self.walk.site.queues]
        return names[step.pick % len(names)]

    def _local(self, step: Step) -> str:
        names = [*self.walk.site.queues]
        return names[(step.pick + 1) % len(names)]

    def _cohort(self, stem: str) -> str | None:
        return self.lab.unique(stem) if stem else None

    def _one(self, step: Step, which: Callable[[Manifest], bool], skip: int = 0) -> Manifest:
        found = sorted((one for one in self.lab.objects("Workload") if which(one)), key=name_of)
        if not found:
            raise LookupError("nothing to act on")
        return found[(step.pick + skip) % len(found)]

    # -- acts

    def _create(self, step: Step) -> None:
        name, self._made = f"w{self._made:03d}", self._made + 1
        value: dict[str, Any] = step.value
        pods = [kueue.pod_set(count=value["count"], requests={GPU: value["gpus"]}, pod=pod_of(value, name))]
        local = self._queue(step)
        self.lab.create(kueue.workload(name, self.lab.namespace, local, pods, priority=value["priority"]))

    def _finish(self, step: Step) -> None:
        for skip in range(step.value):
            byhand.finish(self.lab, name_of(self._one(step, _runs, skip)))

    def _delete(self, step: Step) -> None:
        for skip in range(step.value):
            self.lab.delete("Workload", name_of(self._one(step, lambda _: True, skip)))

    def _done(self, step: Step) -> None:
        """One of several pods of a running Workload has finished."""
        found = self._one(step, lambda one: _runs(one) and int(dig(one, "spec", "podSets", 0, "count", default=1)) > 1)
        body: Manifest = {"status": {"reclaimablePods": [{"name": "main", "count": 1}]}}
        self.lab.patch("Workload", name_of(found), body, subresource="status")

    def _quota(self, step: Step) -> None:
        """Other quota for GPUs in every flavor; limits only in a cohort."""
        name = self.lab.unique(self._queue(step))
        found = self.lab.get("ClusterQueue", name) or {}
        groups: list[Manifest] = dig(found, "spec", "resourceGroups", default=[])
        shared = dig(found, "spec", "cohortName") is not None
        changed = [
            group | {"flavors": [
                flavor | {"resources": [_requoted(one, step.value, shared=shared) for one in flavor["resources"]]}
                for flavor in group["flavors"]
            ]}
            for group in groups
        ]  # fmt: skip
        self.lab.patch("ClusterQueue", name, {"spec": {"resourceGroups": changed}})

    def _patch_queue(self, step: Step, spec: Manifest) -> None:
        self.lab.patch("ClusterQueue", self.lab.unique(self._queue(step)), {"spec": spec})

    def _patch_local(self, step: Step, policy: str) -> None:
        self.lab.patch("LocalQueue", self._queue(step), {"spec": {"stopPolicy": policy}})

    def _patch_workload(self, step: Step, spec: Manifest, which: Callable[[Manifest], bool]) -> None:
        self.lab.patch("Workload", name_of(self._one(step, which)), {"spec": spec})

    def _recreate_local(self, step: Step) -> None:
        name = self._queue(step)
        self.lab.delete("LocalQueue", name)
        self.lab.until(lambda: self.lab.get("LocalQueue", name) is None, f"LocalQueue {name} gone")
        self.lab.local_queue(name, self.lab.unique(name))

    def _root(self, step: Step) -> None:
        """Another parent for a cohort; never one below it."""
        cohorts = [*self.walk.site.cohorts]
        if not cohorts:
            raise LookupError("no cohorts")
        mine = step.pick % len(cohorts)
        parent = step.value if step.value in cohorts[:mine] else ""
        self.lab.patch("Cohort", self.lab.unique(cohorts[mine]), {"spec": {"parentName": self._cohort(parent)}})


def _requoted(entry: Manifest, value: Manifest, *, shared: bool) -> Manifest:
    if entry["name"] != GPU:
        return entry
    limits = {key: one for key, one in value.items() if one is not None and (shared or key == "nominalQuota")}
    return {"name": GPU, **limits}


def _runs(workload: Manifest) -> bool:
    return is_true(workload, "Admitted") and not is_true(workload, "Evicted") and not is_true(workload, "Finished")


def _waits(workload: Manifest) -> bool:
    return not is_true(workload, "QuotaReserved") and not is_true(workload, "Finished")


def _inactive(workload: Manifest) -> bool:
    return dig(workload, "spec", "active", default=True) is False
