"""Builders of Kueue's objects (kueue.x-k8s.io/v1beta2) as plain data: one function per kind.

Only fields that are asked for are written, so that the server's defaults stay visible in recordings.
Quantities are written as strings, as a person would in YAML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpuassay.labels import GPU
from gpuassay.manifest import Manifest, Quantity

API = "kueue.x-k8s.io/v1beta2"


def _object(kind: str, name: str, spec: Manifest | None = None, namespace: str | None = None) -> Manifest:
    metadata: Manifest = {"name": name}
    if namespace is not None:
        metadata["namespace"] = namespace
    return {"apiVersion": API, "kind": kind, "metadata": metadata} | ({} if spec is None else {"spec": spec})


def resource_flavor(
    name: str,
    *,
    node_labels: Mapping[str, str] | None = None,
    node_taints: Sequence[Manifest] | None = None,
    tolerations: Sequence[Manifest] | None = None,
    topology: str | None = None,
) -> Manifest:
    """A ResourceFlavor; without `node_labels` its pods may run on any node."""
    spec: Manifest = {}
    if node_labels:
        spec["nodeLabels"] = dict(node_labels)
    if node_taints:
        spec["nodeTaints"] = list(node_taints)
    if tolerations:
        spec["tolerations"] = list(tolerations)
    if topology:
        spec["topologyName"] = topology
    return _object("ResourceFlavor", name, spec)


def quota(
    resource: str, nominal: Quantity, *, borrowing: Quantity | None = None, lending: Quantity | None = None
) -> Manifest:
    """One resource of a flavor: nominal quota, and borrowing and lending limits (None: unlimited)."""
    entry: Manifest = {"name": resource, "nominalQuota": str(nominal)}
    if borrowing is not None:
        entry["borrowingLimit"] = str(borrowing)
    if lending is not None:
        entry["lendingLimit"] = str(lending)
    return entry


def resource_group(flavors: Mapping[str, Sequence[Manifest]]) -> Manifest:
    """A resource group: flavors in order of trial, each with its `quota` entries for the same resources."""
    resources = [entry["name"] for entry in next(iter(flavors.values()))]
    return {
        "coveredResources": resources,
        "flavors": [{"name": name, "resources": list(entries)} for name, entries in flavors.items()],
    }


def gpu_group(
    flavor: str, gpus: Quantity, *, borrowing: Quantity | None = None, lending: Quantity | None = None
) -> Manifest:
    """The usual resource group: GPUs of one flavor."""
    return resource_group({flavor: [quota(GPU, gpus, borrowing=borrowing, lending=lending)]})


def cluster_queue(
    name: str,
    groups: Sequence[Manifest],
    *,
    cohort: str | None = None,
    strategy: str | None = None,
    preemption: Mapping[str, Any] | None = None,
    stop: str | None = None,
    fungibility: Mapping[str, str] | None = None,
    checks: Sequence[str] | None = None,
    namespace_selector: Manifest | None = None,
    weight: Quantity | None = None,
    **more: Any,
) -> Manifest:
    """A ClusterQueue open to every namespace unless `namespace_selector` says otherwise.

    Args:
        name: its name.
        groups: resource groups (`resource_group`, `gpu_group`).
        cohort: cohort it lends to and borrows from.
        strategy: `BestEffortFIFO` or `StrictFIFO` (server's default: BestEffortFIFO).
        preemption: `spec.preemption`; absent means Never everywhere.
        stop: `Hold` or `HoldAndDrain`.
        fungibility: `spec.flavorFungibility`.
        checks: names of AdmissionChecks for all flavors.
        namespace_selector: label selector of namespaces that may use it.
        weight: fair-sharing weight.
        **more: further fields of `spec`.
    """
    spec: Manifest = {"namespaceSelector": namespace_selector or {}, "resourceGroups": list(groups)}
    optional: Manifest = {
        "cohortName": cohort,
        "queueingStrategy": strategy,
        "preemption": dict(preemption) if preemption else None,
        "stopPolicy": stop,
        "flavorFungibility": dict(fungibility) if fungibility else None,
        "admissionChecksStrategy": {"admissionChecks": [{"name": check} for check in checks]} if checks else None,
        "fairSharing": {"weight": str(weight)} if weight is not None else None,
    }
    spec |= {key: value for key, value in optional.items() if value is not None} | more
    return _object("ClusterQueue", name, spec)


def local_queue(
    name: str, namespace: str, cluster_queue_name: str, *, stop: str | None = None, **more: Any
) -> Manifest:
    """A LocalQueue of `namespace` that feeds a ClusterQueue."""
    spec: Manifest = {"clusterQueue": cluster_queue_name} | ({"stopPolicy": stop} if stop else {}) | more
    return _object("LocalQueue", name, spec, namespace)


def cohort(name: str, *, parent: str | None = None, groups: Sequence[Manifest] = (), **more: Any) -> Manifest:
    """A Cohort with its own quota (`groups`) and parent."""
    spec: Manifest = ({"parentName": parent} if parent else {}) | ({"resourceGroups": list(groups)} if groups else {})
    return _object("Cohort", name, spec | more)


def priority_class(name: str, value: int) -> Manifest:
    """A WorkloadPriorityClass: orders and preempts Workloads without touching pod priority."""
    return _object("WorkloadPriorityClass", name) | {"value": value, "description": ""}


def admission_check(name: str, controller: str = "gpuassay.io/played-by-the-test") -> Manifest:
    """An AdmissionCheck whose controller is the test itself."""
    return _object("AdmissionCheck", name, {"controllerName": controller})


def topology(name: str, levels: Sequence[str]) -> Manifest:
    """A Topology: node label names from the widest domain to the narrowest."""
    return _object("Topology", name, {"levels": [{"nodeLabel": level} for level in levels]})


def shape(name: str) -> list[Manifest]:
    """Tolerations that mean nothing and make a pod spec unlike any other.

    Kueue parks a workload unseen when one of equal shape (requests, priority, parts of the pod spec) was found
    inadmissible (pkg/workload, `computeSchedulingHash`). A scenario that waits until the scheduler has looked at each
    of its workloads gives each its own shape.
    """
    return [{"key": f"gpuassay.io/{name}", "operator": "Exists", "effect": "NoSchedule"}]


def pod_set(
    name: str = "main",
    *,
    count: int = 1,
    requests: Mapping[str, Quantity] | None = None,
    pod: Mapping[str, Any] | None = None,
    **more: Any,
) -> Manifest:
    """A pod set of a Workload made by hand; `pod` holds further fields of its pod spec."""
    container: Manifest = {"name": "main", "image": "gpuassay.io/none"}
    if requests:
        container["resources"] = {"requests": {key: str(value) for key, value in requests.items()}}
    return {
        "name": name,
        "count": count,
        "template": {"spec": {"containers": [container], "restartPolicy": "Never"} | dict(pod or {})},
    } | more


def workload(
    name: str,
    namespace: str,
    queue: str,
    pod_sets: Sequence[Manifest],
    *,
    priority: int | None = None,
    **more: Any,
) -> Manifest:
    """A Workload made by hand: the queueing path without Job, pod or node."""
    spec: Manifest = {"queueName": queue, "podSets": list(pod_sets)}
    if priority is not None:
        spec["priority"] = priority
    return _object("Workload", name, spec | more, namespace)
