"""Objects of Kueue that are accepted, for hostile values to be put into, and hostile marks of Jobs. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from gpuassay.hostile.cases import LONG
from gpuassay.labels import GPU
from gpuassay.manifest import Manifest
from gpuassay.systems.kueue.objects import queues as kueue


def healthy(kind: str, name: str, namespace: str, named: Callable[[str], str]) -> Manifest:
    """An object of that kind that is accepted, with many of its fields in use.

    Args:
        kind: one of `KINDS`.
        name: its name.
        namespace: its namespace, where its kind has one.
        named: makes the names of what it refers to.

    Raises:
        KeyError: there is none of that kind.
    """
    flavor = named("f")
    preemption = {
        "withinClusterQueue": "LowerPriority", "reclaimWithinCohort": "Any",
        "borrowWithinCohort": {"policy": "LowerPriority", "maxPriorityThreshold": 0},
    }  # fmt: skip
    made: Mapping[str, Callable[[], Manifest]] = {
        "ClusterQueue": lambda: kueue.cluster_queue(
            name, [kueue.gpu_group(flavor, 2, borrowing=1, lending=1)], cohort=named("c"), strategy="BestEffortFIFO",
            preemption=preemption, stop="None", weight=1,
            fungibility={"whenCanBorrow": "MayStopSearch", "whenCanPreempt": "TryNextFlavor"},
        ),
        "LocalQueue": lambda: kueue.local_queue(name, namespace, named("cq"), stop="None", fairSharing={"weight": "1"}),
        "ResourceFlavor": lambda: kueue.resource_flavor(
            name, node_labels={"gpuassay.io/a": "b"},
            node_taints=[{"key": "gpuassay.io/t", "value": "v", "effect": "NoSchedule"}],
            tolerations=[{"key": "gpuassay.io/t", "operator": "Exists"}],
        ),
        "Cohort": lambda: kueue.cohort(
            name, parent=named("p"), groups=[kueue.gpu_group(flavor, 2, borrowing=1, lending=1)],
            fairSharing={"weight": "1"},
        ),
        "WorkloadPriorityClass": lambda: kueue.priority_class(name, 5),
        "AdmissionCheck": lambda: kueue.admission_check(name),
        "Topology": lambda: kueue.topology(name, ["gpuassay.io/block", "kubernetes.io/hostname"]),
        "Workload": lambda: kueue.workload(
            name, namespace, named("lq"), [kueue.pod_set(count=2, requests={GPU: 1}, minCount=1)],
            priority=1, active=True, maximumExecutionTimeSeconds=1000,
        ),
    }  # fmt: skip
    return made[kind]()


KINDS = (
    "ClusterQueue", "LocalQueue", "ResourceFlavor", "Cohort", "WorkloadPriorityClass", "AdmissionCheck", "Topology",
    "Workload",
)  # fmt: skip

JOB_NOTES: Mapping[str, Sequence[str]] = {
    f"kueue.x-k8s.io/{name}": values
    for name, values in {
        "job-min-parallelism": ("0", "-1", "1", "2147483648", "x", ""),
        "job-completions-equal-parallelism": ("", "maybe", "true"),
        "elastic-job": ("true", "x"),
        "podset-required-topology": ("", "no/such/level", LONG, "kubernetes.io/hostname"),
        "podset-preferred-topology": ("", LONG),
        "podset-unconstrained-topology": ("maybe", ""),
        "podset-slice-size": ("0", "-1", "x", "2147483648"),
        "podset-group-name": ("", LONG, "7"),
    }.items()
}
"""Annotations of Jobs (and of their pods, where they concern topology), with hostile values."""
JOB_LABELS: Mapping[str, Sequence[str]] = {
    "kueue.x-k8s.io/queue-name": ("", "-x", "Ünïcode", "a/b", "x" * 64, "no-such-queue"),
    "kueue.x-k8s.io/priority-class": ("", "no-such-class", "a/b"),
    "kueue.x-k8s.io/max-exec-time-seconds": ("0", "-1", "x", "2147483648", "1"),
    "kueue.x-k8s.io/prebuilt-workload-name": ("", "no-such-workload", "a/b"),
}
"""Labels of Jobs with hostile values."""
