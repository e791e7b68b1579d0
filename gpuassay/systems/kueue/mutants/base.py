"""Kueue broken in its queues, quotas and priorities."""

from __future__ import annotations

from gpuassay import labels
from gpuassay.manifest import Manifest, dig
from gpuassay.scenarios.mutants import mutant


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
