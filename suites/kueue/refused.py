"""Objects that must be refused, each with a healthy twin that differs in the fault alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gpuassay import Manifest, labels
from gpuassay.labels import GPU
from gpuassay.systems.kueue.judge.refusal import SCHEMA
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.workloads import core

CONCEPTS = "https://kueue.sigs.k8s.io/docs/concepts"
API = "https://kueue.sigs.k8s.io/docs/reference/kueue.v1beta2"
COHORT = "gpuassay-refused"
NOWHERE = "no-such-queue"
"""Jobs and pods go to a LocalQueue that does not exist: accepted ones stay suspended and cost nothing."""


@dataclass(frozen=True)
class Refusal:
    """One bad object.

    Attributes:
        label: kebab-case name of the case.
        fault: what is wrong, to end the sentence "the object is stored although ...".
        gate: who must refuse.
        says: part of the message.
        bad: the object; name and namespace are filled in by the scenario.
        healthy: its twin.
        spec: where the rule is written.
    """

    label: str
    fault: str
    gate: str
    says: str
    bad: Manifest
    healthy: Manifest
    spec: str


def _queue(*groups: Manifest, **options: Any) -> Manifest:
    return kueue.cluster_queue("x", groups or (kueue.gpu_group("f", 1),), **options)


def _two(second_flavor: str, second_resource: str) -> Manifest:
    """A ClusterQueue of two groups."""
    return _queue(
        kueue.gpu_group("f", 1), kueue.resource_group({second_flavor: [kueue.quota(second_resource, 1)]})
    )  # fmt: skip


def _groups(count: int) -> Manifest:
    return _queue(*(kueue.resource_group({f"f{one}": [kueue.quota(f"example.com/r{one}", 1)]}) for one in range(count)))


def _pair(*names: str) -> Manifest:
    """A group that covers GPUs and CPUs, with a flavor that lists quotas for `names`."""
    flavor: Manifest = {"name": "f", "resources": [kueue.quota(name, 1) for name in names]}
    return _queue({"coveredResources": [GPU, "cpu"], "flavors": [flavor]})


def _checked(flavor: str) -> Manifest:
    return _queue(admissionChecksStrategy={"admissionChecks": [{"name": "c", "onFlavors": [flavor]}]})


_QUEUE_DOC = f"{CONCEPTS}/cluster_queue/"
_HOOK = "vclusterqueue.kb.io"

CLUSTER_QUEUES = [
    Refusal(
        "borrowing-limit-without-cohort", "there is no cohort to borrow from", SCHEMA, "borrowingLimit must be nil",
        _queue(kueue.gpu_group("f", 1, borrowing=1)), _queue(kueue.gpu_group("f", 1, borrowing=1), cohort=COHORT),
        f"{_QUEUE_DOC}#borrowinglimit",
    ),
    Refusal(
        "lending-limit-without-cohort", "there is no cohort to lend to", _HOOK, "must be nil when cohort is empty",
        _queue(kueue.gpu_group("f", 1, lending=1)), _queue(kueue.gpu_group("f", 1, lending=1), cohort=COHORT),
        f"{_QUEUE_DOC}#lendinglimit",
    ),
    Refusal(
        "lending-limit-above-nominal", "its lendingLimit is above its nominal quota", _HOOK, "lendingLimit",
        _queue(kueue.gpu_group("f", 1, lending=2), cohort=COHORT),
        _queue(kueue.gpu_group("f", 2, lending=2), cohort=COHORT), f"{_QUEUE_DOC}#lendinglimit",
    ),
    Refusal(
        "negative-quota", "a quota is below zero", _HOOK, "must be greater than or equal to 0",
        _queue(kueue.gpu_group("f", -1)), _queue(kueue.gpu_group("f", 0)), f"{_QUEUE_DOC}#flavors-and-resources",
    ),
    Refusal(
        "flavor-in-two-groups", "a flavor belongs to two resource groups", _HOOK, "Duplicate value",
        _two("f", "cpu"), _two("g", "cpu"), f"{_QUEUE_DOC}#resource-groups",
    ),
    Refusal(
        "resource-in-two-groups", "a resource belongs to two resource groups", _HOOK, "Duplicate value",
        _two("g", GPU), _two("g", "cpu"), f"{_QUEUE_DOC}#resource-groups",
    ),
    Refusal(
        "too-many-groups", "it has 17 resource groups", SCHEMA, "must have at most 16 items",
        _groups(17), _groups(16), f"{_QUEUE_DOC}#resource-groups",
    ),
    Refusal(
        "resources-out-of-order", "quotas are not in the order of coveredResources", _HOOK,
        "must match the name in coveredResources", _pair("cpu", GPU), _pair(GPU, "cpu"),
        f"{_QUEUE_DOC}#resource-groups",
    ),
    Refusal(
        "resource-without-quota", "a covered resource has no quota", SCHEMA,
        "flavors must have the same number of resources", _pair(GPU), _pair(GPU, "cpu"),
        f"{_QUEUE_DOC}#resource-groups",
    ),
    Refusal(
        "unknown-strategy", "its queueing strategy does not exist", SCHEMA, 'Unsupported value: "LIFO"',
        _queue(strategy="LIFO"), _queue(strategy="StrictFIFO"), f"{_QUEUE_DOC}#queueing-strategy",
    ),
    Refusal(
        "borrow-preemption-without-reclaim", "it sets borrowWithinCohort while reclaimWithinCohort is Never", SCHEMA,
        "reclaimWithinCohort=Never and borrowWithinCohort.Policy!=Never",
        _queue(preemption={"reclaimWithinCohort": "Never", "borrowWithinCohort": {"policy": "LowerPriority"}}),
        _queue(preemption={"reclaimWithinCohort": "Any", "borrowWithinCohort": {"policy": "LowerPriority"}}),
        f"{CONCEPTS}/preemption/#borrowwithincohort",
    ),
    Refusal(
        "check-on-unknown-flavor", "an admission check names a flavor that the queue lacks", _HOOK, "onFlavors",
        _checked("g"), _checked("f"), f"{CONCEPTS}/admission_check/",
    ),
    Refusal(
        "negative-weight", "its fair-sharing weight is below zero", _HOOK, "must be greater than or equal to 0",
        _queue(weight="-1"), _queue(weight="1"), f"{CONCEPTS}/fair_sharing/",
    ),
]  # fmt: skip


def _taint(effect: str, key: str = "example.com/a") -> Manifest:
    return {"key": key, "value": "b", "effect": effect}


def _cohort(**limits: Any) -> list[Manifest]:
    return [kueue.gpu_group("f", limits.pop("nominal", 1), **limits)]


_FLAVOR_DOC = f"{CONCEPTS}/resource_flavor/"

FURNITURE = [
    Refusal(
        "taint-effect", "a taint's effect does not exist", SCHEMA, "supported taint effect values",
        kueue.resource_flavor("x", node_taints=[_taint("NoEntry")]),
        kueue.resource_flavor("x", node_taints=[_taint("NoSchedule")]), _FLAVOR_DOC,
    ),
    Refusal(
        "taint-twice", "a taint is listed twice", "vresourceflavor.kb.io", "taints must be unique",
        kueue.resource_flavor("x", node_taints=[_taint("NoSchedule"), _taint("NoSchedule")]),
        kueue.resource_flavor("x", node_taints=[_taint("NoSchedule"), _taint("NoExecute")]), _FLAVOR_DOC,
    ),
    Refusal(
        "node-label-value", "a node label has an invalid value", "vresourceflavor.kb.io", "nodeLabels",
        kueue.resource_flavor("x", node_labels={"example.com/a": "not a label"}),
        kueue.resource_flavor("x", node_labels={"example.com/a": "a-label"}), _FLAVOR_DOC,
    ),
    Refusal(
        "too-many-taints", "it has nine taints", SCHEMA, "must have at most 8 items",
        kueue.resource_flavor("x", node_taints=[_taint("NoSchedule", f"example.com/t{one}") for one in range(9)]),
        kueue.resource_flavor("x", node_taints=[_taint("NoSchedule", f"example.com/t{one}") for one in range(8)]),
        _FLAVOR_DOC,
    ),
    Refusal(
        "topology-without-nodes", "it names a topology but no node label", SCHEMA,
        "at least one nodeLabel is required", kueue.resource_flavor("x", topology="t"),
        kueue.resource_flavor("x", topology="t", node_labels={"example.com/a": "b"}),
        f"{CONCEPTS}/topology_aware_scheduling/",
    ),
    Refusal(
        "hostname-not-lowest", "the hostname is not the lowest level of a topology", SCHEMA,
        "can only be used at the lowest level", kueue.topology("x", ["kubernetes.io/hostname", "example.com/rack"]),
        kueue.topology("x", ["example.com/rack", "kubernetes.io/hostname"]), f"{CONCEPTS}/topology_aware_scheduling/",
    ),
    Refusal(
        "cohort-limit-without-parent", "a Cohort without parent has a borrowing limit", "vcohort.kb.io",
        "must be nil when parent is empty", kueue.cohort("x", groups=_cohort(borrowing=1)),
        kueue.cohort("x", parent=COHORT, groups=_cohort(borrowing=1)), f"{CONCEPTS}/cohort/",
    ),
    Refusal(
        "cohort-negative-quota", "a cohort's quota is below zero", "vcohort.kb.io",
        "must be greater than or equal to 0", kueue.cohort("x", groups=_cohort(nominal=-1)),
        kueue.cohort("x", groups=_cohort(nominal=1)), f"{CONCEPTS}/cohort/",
    ),
]  # fmt: skip


def _workload(*pod_sets: Manifest, **more: Any) -> Manifest:
    return kueue.workload("x", "x", NOWHERE, pod_sets, **more)


_CLASS = {"group": "kueue.x-k8s.io", "kind": "WorkloadPriorityClass", "name": "c"}
_WORKLOAD_DOC = f"{CONCEPTS}/workload/"

WORKLOADS = [
    Refusal(
        "no-pod-sets", "it has no pod sets", SCHEMA, "should have at least 1 items",
        _workload(), _workload(kueue.pod_set()), f"{_WORKLOAD_DOC}#pod-sets",
    ),
    Refusal(
        "pod-set-name-twice", "two pod sets have the same name", SCHEMA, "Duplicate value",
        _workload(kueue.pod_set("a"), kueue.pod_set("a")), _workload(kueue.pod_set("a"), kueue.pod_set("b")),
        f"{_WORKLOAD_DOC}#pod-sets",
    ),
    Refusal(
        "reserved-resource", "a container requests Kueue's own resource `pods`", "vworkload.kb.io",
        "the key is reserved for internal kueue use", _workload(kueue.pod_set(requests={"pods": 1})),
        _workload(kueue.pod_set(requests={"cpu": 1})), f"{_WORKLOAD_DOC}#resource-requests",
    ),
    Refusal(
        "min-count-above-count", "its minCount is above its count", SCHEMA, "minCount should be positive and less",
        _workload(kueue.pod_set(count=2, minCount=3)), _workload(kueue.pod_set(count=2, minCount=1)), API,
    ),
    Refusal(
        "two-min-counts", "two pod sets have a minCount", "vworkload.kb.io", "at most one podSet can use minCount",
        _workload(kueue.pod_set("a", count=2, minCount=1), kueue.pod_set("b", count=2, minCount=1)),
        _workload(kueue.pod_set("a", count=2, minCount=1), kueue.pod_set("b", count=2)), API,
    ),
    Refusal(
        "class-without-priority", "it names a priority class but has no priority", SCHEMA,
        "priority should not be nil when priorityClassRef is set",
        _workload(kueue.pod_set(), priorityClassRef=_CLASS),
        _workload(kueue.pod_set(), priorityClassRef=_CLASS, priority=1), f"{_WORKLOAD_DOC}#priority",
    ),
    Refusal(
        "slice-size-missing", "a slice topology is required without a slice size", "vworkload.kb.io",
        "must be set when podSetSliceRequiredTopology is specified",
        _workload(kueue.pod_set(topologyRequest={"podSetSliceRequiredTopology": "example.com/rack"})),
        _workload(
            kueue.pod_set(topologyRequest={"podSetSliceRequiredTopology": "example.com/rack", "podSetSliceSize": 1})
        ),
        f"{CONCEPTS}/topology_aware_scheduling/",
    ),
]  # fmt: skip


def _job(queue: str = NOWHERE, notes: dict[str, str] | None = None, more: dict[str, str] | None = None) -> Manifest:
    return core.job("x", "x", queue, pods=2, annotations=notes, more_labels=more)


def _placed(*kinds: str) -> Manifest:
    """A Job whose pods ask for a rack in every way of `kinds`."""
    job = _job()
    job["spec"]["template"]["metadata"]["annotations"] |= {
        f"kueue.x-k8s.io/podset-{kind}-topology": "example.com/rack" for kind in kinds
    }
    return job


def _group_pod(drop: str = "", total: str = "2") -> Manifest:
    """A pod of a group, without its label or annotation `drop`."""
    pod = core.pod("x", "x", NOWHERE, group="g", group_total=2)
    pod["metadata"]["annotations"][labels.POD_GROUP_TOTAL] = total
    for part in ("labels", "annotations"):
        pod["metadata"][part].pop(drop, None)
    return pod


_PARTIAL_DOC = "https://kueue.sigs.k8s.io/docs/tasks/run/jobs/#partial-admission"
_GROUP_DOC = "https://kueue.sigs.k8s.io/docs/tasks/run/plain_pods/#running-a-group-of-pods-to-be-admitted-together"

JOBS = [
    Refusal(
        "min-parallelism-no-number", "its minimum parallelism is not a number", "vjob.kb.io", labels.MIN_PARALLELISM,
        _job(notes={labels.MIN_PARALLELISM: "one"}), _job(notes={labels.MIN_PARALLELISM: "1"}), _PARTIAL_DOC,
    ),
    Refusal(
        "min-parallelism-too-large", "its minimum parallelism is not below its parallelism", "vjob.kb.io",
        "should be between 0 and 1", _job(notes={labels.MIN_PARALLELISM: "2"}),
        _job(notes={labels.MIN_PARALLELISM: "1"}), _PARTIAL_DOC,
    ),
    Refusal(
        "execution-time-no-number", "its maximum execution time is not a number", "vjob.kb.io", labels.MAX_EXECUTION,
        _job(more={labels.MAX_EXECUTION: "long"}), _job(more={labels.MAX_EXECUTION: "1"}),
        f"{_WORKLOAD_DOC}#maximum-execution-time",
    ),
    Refusal(
        "execution-time-zero", "its maximum execution time is zero", "vjob.kb.io", "should be greater than 0",
        _job(more={labels.MAX_EXECUTION: "0"}), _job(more={labels.MAX_EXECUTION: "1"}),
        f"{_WORKLOAD_DOC}#maximum-execution-time",
    ),
    Refusal(
        "queue-name-no-name", "its queue name is not a valid object name", "vjob.kb.io", labels.QUEUE_NAME,
        _job("No_Queue"), _job("no-queue"), f"{CONCEPTS}/local_queue/",
    ),
    Refusal(
        "two-topology-wishes", "a rack is both required and preferred", "vjob.kb.io",
        "must not contain more than one topology annotation", _placed("required", "preferred"), _placed("required"),
        f"{CONCEPTS}/topology_aware_scheduling/",
    ),
    Refusal(
        "group-without-total", "a pod group does not say how large it is", "vpod.kb.io", labels.POD_GROUP_TOTAL,
        _group_pod(labels.POD_GROUP_TOTAL), _group_pod(), _GROUP_DOC,
    ),
    Refusal(
        "total-without-group", "a pod states a group size but no group name", "vpod.kb.io", labels.POD_GROUP,
        _group_pod(labels.POD_GROUP), _group_pod(), _GROUP_DOC,
    ),
    Refusal(
        "total-no-number", "a pod group's size is not a number", "vpod.kb.io", labels.POD_GROUP_TOTAL,
        _group_pod(total="two"), _group_pod(), _GROUP_DOC,
    ),
]  # fmt: skip
