"""Broken systems under test, by name.

A mutant changes what the cluster is given, never what the scenario asked for: the oracle works from what was asked,
the recording shows what the broken system did, and the behaviours that name the mutant must go red.
"""

from __future__ import annotations

import copy
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gpuassay import labels, systems
from gpuassay.manifest import Manifest, dig

if TYPE_CHECKING:  # component code: not for replays
    from gpuassay.cluster.node.real import Node
    from gpuassay.silicon import Silicon
    from gpuassay.systems.llmd.component.deployment import Routing
    from gpuassay.systems.llmd.component.spec import Arm


@dataclass(frozen=True)
class Mutant:
    """A named way to break the system.

    Attributes:
        name: what behaviours refer to.
        breaks: one sentence on what is broken.
        change: maps an object as asked to the object as written.
        change_patch: maps kind and body of a merge patch as asked to the body as sent; an empty body changes nothing.
        change_arm: maps the arm of a routing scenario as asked to the arm that is brought up.
        change_node: maps the arguments of `real_node` as a scenario gives them to those that are used.
        disturb_node: done to a node while its kubelet, or its containerd, is down for a restart.
        disturb: done to an arm before every wave of requests through its gateway.
        disturb_silicon: done to the GPUs of a sliced node before the scenario uses them.
    """

    name: str
    breaks: str
    change: Callable[[Manifest], Manifest]
    change_patch: Callable[[str, Manifest], Manifest] = lambda _, body: body
    change_arm: Callable[[Arm], Arm] = lambda arm: arm
    disturb: Callable[[Routing], None] = lambda _: None
    change_node: Callable[[dict[str, Any]], dict[str, Any]] = lambda options: options
    disturb_node: Callable[[Node], None] = lambda _: None
    disturb_silicon: Callable[[Silicon], None] = lambda _: None


MUTANTS: dict[str, Mutant] = {}


def register(made: Mutant) -> None:
    """Let `made` be known by its name; ValueError if another is."""
    if made.name in MUTANTS:
        raise ValueError(f"mutant {made.name!r} is registered twice")
    MUTANTS[made.name] = made


def mutant(name: str, breaks: str) -> Callable[[Callable[[Manifest], None]], Callable[[Manifest], None]]:
    """Register a function that edits a copy of each object in place."""

    def declare(edit: Callable[[Manifest], None]) -> Callable[[Manifest], None]:
        def change(obj: Manifest) -> Manifest:
            changed = copy.deepcopy(obj)
            edit(changed)
            return changed

        register(Mutant(name, breaks, change))
        return edit

    return declare


def patch_mutant(name: str, breaks: str) -> Callable[[Callable[[str, Manifest], None]], object]:
    """Register a function that edits a copy of each merge patch (kind, body) in place.

    For what is lost on the way of a change, not of a creation. Under the name of a mutant of objects, it joins it.
    """

    def declare(edit: Callable[[str, Manifest], None]) -> Callable[[str, Manifest], None]:
        def change_patch(kind: str, body: Manifest) -> Manifest:
            changed = copy.deepcopy(body)
            edit(kind, changed)
            return changed

        old = MUTANTS.get(name)
        MUTANTS[name] = (
            replace(old, change_patch=change_patch) if old else Mutant(name, breaks, copy.deepcopy, change_patch)
        )
        return edit

    return declare


def arm_mutant(
    name: str, breaks: str, *, disturb: Callable[[Routing], None] = lambda _: None
) -> Callable[[Callable[[Arm], Arm]], object]:
    """Register a function that returns the broken arm of a routing scenario, or what disturbs it while it is asked."""

    def declare(change_arm: Callable[[Arm], Arm]) -> Callable[[Arm], Arm]:
        register(Mutant(name, breaks, copy.deepcopy, change_arm=change_arm, disturb=disturb))
        return change_arm

    return declare


def get(name: str) -> Mutant:
    """The mutant of that name; raises ValueError with the known names otherwise."""
    if name not in MUTANTS:
        raise ValueError(f"unknown mutant {name!r}; known: {', '.join(sorted(MUTANTS))}")
    return MUTANTS[name]


def chosen(name: str | None) -> Mutant | None:
    """The mutant of a run, None where nothing is to be broken; as `get` otherwise."""
    return get(name) if name else None


@mutant("identity", "nothing: kills no behaviour, or the suite is at fault")
def _identity(obj: Manifest) -> None:
    pass


def _quotas(obj: Manifest) -> list[Manifest]:
    return [
        resource
        for group in dig(obj, "spec", "resourceGroups", default=[])
        for flavor in group["flavors"]
        for resource in flavor["resources"]
    ]


@mutant("strategy-strict-to-best-effort", "StrictFIFO queues let smaller workloads pass a blocked head")
def _strict_to_best_effort(obj: Manifest) -> None:
    if dig(obj, "spec", "queueingStrategy") == "StrictFIFO":
        obj["spec"]["queueingStrategy"] = "BestEffortFIFO"


@mutant("strategy-best-effort-to-strict", "BestEffortFIFO queues block behind a head that does not fit")
def _best_effort_to_strict(obj: Manifest) -> None:
    if obj["kind"] == "ClusterQueue" and dig(obj, "spec", "queueingStrategy") != "StrictFIFO":
        obj["spec"]["queueingStrategy"] = "StrictFIFO"


@mutant("priority-ignored", "workload priority is lost on the way to the queue")
def _priority_ignored(obj: Manifest) -> None:
    dig(obj, "metadata", "labels", default={}).pop(labels.PRIORITY_CLASS, None)
    if obj["kind"] == "Workload":
        obj["spec"].pop("priority", None)


@mutant("priority-reversed", "a higher priority value means later")
def _priority_reversed(obj: Manifest) -> None:
    if obj["kind"] == "WorkloadPriorityClass":
        obj["value"] = -int(obj["value"])
    if obj["kind"] == "Workload" and dig(obj, "spec", "priority"):
        obj["spec"]["priority"] = -int(obj["spec"]["priority"])


@mutant("borrowing-limit-dropped", "borrowing limits are not enforced")
def _borrowing_limit_dropped(obj: Manifest) -> None:
    for resource in _quotas(obj):
        resource.pop("borrowingLimit", None)


@mutant("lending-limit-dropped", "lending limits are not enforced")
def _lending_limit_dropped(obj: Manifest) -> None:
    for resource in _quotas(obj):
        resource.pop("lendingLimit", None)


@mutant("borrowing-off", "no queue can use what its cohort leaves unused")
def _borrowing_off(obj: Manifest) -> None:
    if obj["kind"] == "ClusterQueue":
        obj["spec"].pop("cohortName", None)
        for resource in _quotas(obj):  # limits are only legal in a cohort
            resource.pop("borrowingLimit", None)
            resource.pop("lendingLimit", None)
        obj["spec"].get("preemption", {}).pop("borrowWithinCohort", None)


@mutant("preemption-off", "nothing is ever preempted")
def _preemption_off(obj: Manifest) -> None:
    if obj["kind"] == "ClusterQueue":
        obj["spec"].pop("preemption", None)


@mutant("preemption-everywhere", "queues preempt although they must never")
def _preemption_everywhere(obj: Manifest) -> None:
    if obj["kind"] == "ClusterQueue":
        obj["spec"]["preemption"] = {"withinClusterQueue": "LowerOrNewerEqualPriority", "reclaimWithinCohort": "Any"}


@mutant("quota-doubled", "twice the nominal quota is handed out")
def _quota_doubled(obj: Manifest) -> None:
    for resource in _quotas(obj):
        if str(resource["nominalQuota"]).isdigit():
            resource["nominalQuota"] = str(2 * int(resource["nominalQuota"]))


@mutant("hold-ignored", "a held queue admits all the same")
def _hold_ignored(obj: Manifest) -> None:
    if obj["kind"] in {"ClusterQueue", "LocalQueue"}:
        obj["spec"].pop("stopPolicy", None)


@mutant("queue-label-lost", "jobs reach the cluster without their queue name and run unmanaged")
def _queue_label_lost(obj: Manifest) -> None:
    dig(obj, "metadata", "labels", default={}).pop(labels.QUEUE_NAME, None)


@mutant("node-labels-lost", "flavors no longer steer pods to their nodes")
def _node_labels_lost(obj: Manifest) -> None:
    if obj["kind"] == "ResourceFlavor":
        obj.get("spec", {}).pop("nodeLabels", None)


def _register_all() -> None:
    """Import the mutants of every system, which register themselves."""
    for system in pkgutil.iter_modules(systems.__path__, f"{systems.__name__}."):
        try:
            found = importlib.import_module(f"{system.name}.mutants")
        except ModuleNotFoundError:
            continue
        for topic in pkgutil.iter_modules(getattr(found, "__path__", ()), f"{found.__name__}."):
            importlib.import_module(topic.name)


_register_all()
