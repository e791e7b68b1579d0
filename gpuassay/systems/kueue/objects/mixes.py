"""Mixes of jobs: the paper's queue configurations from their YAML, and Kueue's own performance generator. Pure."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gpuassay import labels
from gpuassay.manifest import Manifest, dig
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.workloads import core

POOL = "gpuassay.io/pool"
"""Node label that gives an arm of a measurement nodes of its own."""

CLASS = "kueue.x-k8s.io/performance-scheduler-class"
"""Label that Kueue's runner puts on its Workloads; ours carry it too, so that one judge reads both."""

RESOURCE = "cpu"
"""What Kueue's generator asks for."""


# --- configurations of Table 3 ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Configuration:
    """A queue configuration under names of its own.

    Attributes:
        queues: flavors, priority classes, ClusterQueues and LocalQueues in order of creation.
        jobs: pattern of a Job by class ("medium", "large").
    """

    queues: tuple[Manifest, ...]
    jobs: Mapping[str, Manifest]

    def job(self, cls: str, name: str, run_for: float) -> Manifest:
        """A Job of a class that runs for `run_for` seconds. Raises KeyError for an unknown class."""
        made = copy.deepcopy(self.jobs[cls])
        made["metadata"]["name"] = name
        made["spec"]["template"]["metadata"]["annotations"][labels.RUN_FOR] = core.seconds(run_for)
        return made


@dataclass(frozen=True)
class Places:
    """What stands for an arm's eight GPUs on nodes that are somebody's.

    Attributes:
        labels: of the nodes that have them.
        resource: under which they are offered.
        tolerations: of the pods that have them.
    """

    labels: Mapping[str, str]
    resource: str
    tolerations: Sequence[Manifest] = ()


def configuration(
    documents: Sequence[Manifest], suffix: str, namespace: str, pool: str, places: Places | None = None
) -> Configuration:
    """The documents of one file of `manifests/kueue/table3`, moved out of the way of other arms.

    Args:
        documents: as read from the file.
        suffix: appended to the names of cluster-scoped objects and to every reference to them.
        namespace: where LocalQueues and Jobs go.
        pool: value of the node label `POOL`; flavors, and Jobs outside of Kueue, keep to nodes that carry it.
        places: instead of GPUs of the nodes of `pool`.

    Raises:
        ValueError: a document is of a kind that no configuration holds.
    """

    def unique(name: str) -> str:
        return f"{name}-{suffix}"

    where = {POOL: pool} if places is None else dict(places.labels)
    queues: list[Manifest] = []
    jobs: dict[str, Manifest] = {}
    for document in documents:
        moved = copy.deepcopy(document)
        metadata, spec = moved["metadata"], moved.get("spec", {})
        match moved["kind"]:
            case "ResourceFlavor":
                spec["nodeLabels"] = (spec.get("nodeLabels", {}) if places is None else {}) | where
            case "ClusterQueue":
                for group in spec["resourceGroups"]:
                    if places is not None:
                        _covers(group, places.resource)
                    for flavor in group["flavors"]:
                        flavor["name"] = unique(flavor["name"])
                if "cohortName" in spec:
                    spec["cohortName"] = unique(spec["cohortName"])
            case "WorkloadPriorityClass":
                pass
            case "LocalQueue":
                spec["clusterQueue"] = unique(spec["clusterQueue"])
            case "Job":
                marks: dict[str, str] = metadata.get("labels") or {}
                if labels.PRIORITY_CLASS in marks:
                    marks[labels.PRIORITY_CLASS] = unique(marks[labels.PRIORITY_CLASS])
                if labels.QUEUE_NAME not in marks:
                    spec["template"]["spec"]["nodeSelector"] = where
                if places is not None:
                    if places.tolerations:
                        spec["template"]["spec"]["tolerations"] = list(places.tolerations)
                    for container in spec["template"]["spec"]["containers"]:
                        limits = container["resources"]["limits"]
                        limits[places.resource] = limits.pop(labels.GPU)
            case kind:
                raise ValueError(f"a queue configuration holds no {kind}")
        if "namespace" in metadata:
            metadata["namespace"] = namespace
        else:
            metadata["name"] = unique(metadata["name"])
        if moved["kind"] == "Job":
            jobs[str(metadata["name"])] = moved
        else:
            queues.append(moved)
    return Configuration(tuple(queues), jobs)


def _covers(group: Manifest, resource: str) -> None:
    """Have a resource group of GPUs be one of `resource` (edited in place)."""
    group["coveredResources"] = [resource]
    for flavor in group["flavors"]:
        for one in flavor["resources"]:
            one["name"] = resource


# --- Kueue's own generator ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GeneratedSet:
    """Workloads of one class that one creator makes for one ClusterQueue.

    Attributes:
        cls: class name ("small", "medium", "large").
        count: how many.
        interval: seconds between two creations.
        run: seconds from admission to the end of the mimicked execution.
        priority: of the Workloads.
        request: units of `RESOURCE`.
        queue: ClusterQueue, LocalQueue and namespace stem, such as `cq-0-1-cohort-2`.
        names: name of each Workload.
    """

    cls: str
    count: int
    interval: float
    run: float
    priority: int
    request: int
    queue: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class GeneratedQueue:
    """A ClusterQueue of the generator: its cohort, quota, limits and preemption policies."""

    name: str
    cohort: str
    quota: int
    borrowing: int
    reclaim: str
    within: str


@dataclass(frozen=True)
class Generated:
    """What a generator file of Kueue's performance tests describes."""

    queues: tuple[GeneratedQueue, ...]
    sets: tuple[GeneratedSet, ...]

    @property
    def total(self) -> int:
        """Number of Workloads."""
        return sum(one.count for one in self.sets)

    @property
    def schedule_seconds(self) -> float:
        """Seconds that creation takes when nothing is late."""
        return max((one.count * one.interval for one in self.sets), default=0.0)


def divided(document: Mapping[str, Any], divisor: int) -> Manifest:
    """The generator document with every Workload count divided by `divisor`, at least 1 each.

    Raises:
        ValueError: divisor < 1, or the document has no cohorts.
    """
    if divisor < 1:
        raise ValueError(f"counts are divided by at least 1, not by {divisor}")
    if not document.get("cohorts"):
        raise ValueError("the generator document has no cohorts")
    made = copy.deepcopy(dict(document))
    for entry in _sets(made):
        entry["count"] = max(1, int(entry["count"]) // divisor)
    return made


def _sets(document: Mapping[str, Any]) -> Iterator[Manifest]:
    for cohort in document["cohorts"]:
        for queues in cohort["queuesSets"]:
            yield from queues["workloadsSets"]


def generated(document: Mapping[str, Any]) -> Generated:
    """Read a generator document (`test/performance/scheduler/configs/*/generator.yaml` of Kueue's module).

    Names follow Kueue's runner; a set with several workloads per creation or with more than one pod is refused.

    Raises:
        ValueError: the document asks for something that this driver does not do.
    """
    queues: list[GeneratedQueue] = []
    sets: list[GeneratedSet] = []
    for cohort in document["cohorts"]:
        for cohort_number in range(int(cohort["count"])):
            cohort_name = f"{cohort['className']}-{cohort_number}"
            for set_number, queue_set in enumerate(cohort["queuesSets"]):
                for number in range(int(queue_set["count"])):
                    name = f"{queue_set['className']}-{set_number}-{number}-{cohort_name}"
                    queues.append(_queue(name, cohort_name, queue_set))
                    sets += [_set(name, index, entry) for index, entry in enumerate(queue_set["workloadsSets"])]
    return Generated(tuple(queues), tuple(sets))


def _queue(name: str, cohort: str, entry: Mapping[str, Any]) -> GeneratedQueue:
    return GeneratedQueue(
        name=name,
        cohort=cohort,
        quota=int(entry["nominalQuota"]),
        borrowing=int(entry["borrowingLimit"]),
        reclaim=str(entry["reclaimWithinCohort"]),
        within=str(entry["withinClusterQueue"]),
    )


def _set(queue: str, index: int, entry: Mapping[str, Any]) -> GeneratedSet:
    patterns: list[Manifest] = entry["workloads"]
    if len(patterns) != 1 or dig(patterns[0], "podSets") is not None:
        raise ValueError(f"set {index} of {queue}: this driver makes one Workload of one pod at a time")
    pattern = patterns[0]
    count = int(entry["count"])
    return GeneratedSet(
        cls=str(pattern["className"]),
        count=count,
        interval=float(entry["creationIntervalMs"]) / 1000,
        run=float(pattern["runtimeMs"]) / 1000,
        priority=int(pattern["priority"]),
        request=int(pattern["request"]),
        queue=queue,
        names=tuple(f"{pattern['className']}-{index}-{number}-0" for number in range(count)),
    )


def generated_queue(queue: GeneratedQueue, flavor: str, suffix: str) -> Manifest:
    """The ClusterQueue object, names ending in `suffix`."""
    quota = kueue.quota(RESOURCE, queue.quota, borrowing=queue.borrowing)
    return kueue.cluster_queue(
        f"{queue.name}-{suffix}",
        [kueue.resource_group({flavor: [quota]})],
        cohort=f"{queue.cohort}-{suffix}",
        preemption={"reclaimWithinCohort": queue.reclaim, "withinClusterQueue": queue.within},
    )


def generated_workload(entry: GeneratedSet, name: str, namespace: str) -> Manifest:
    """A Workload object of a set; its LocalQueue is called like the set's queue."""
    pods = kueue.pod_set(requests={RESOURCE: entry.request})
    made = kueue.workload(name, namespace, entry.queue, [pods], priority=entry.priority)
    made["metadata"]["labels"] = {CLASS: entry.cls}
    return made
