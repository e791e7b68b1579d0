"""Broken systems for queueing, priority and preemption (see `gpuassay.scenarios.mutants`)."""

from __future__ import annotations

import itertools
import threading

from gpuassay import labels
from gpuassay.manifest import Manifest, dig
from gpuassay.scenarios.mutants import mutant

_count = itertools.count(1)
_first_queue: dict[str, str] = {}
_lock = threading.Lock()


@mutant("priority-latest-first", "whatever comes later is more important: last in, first out")
def _priority_latest_first(obj: Manifest) -> None:
    if obj["kind"] == "Workload":
        obj["spec"]["priority"] = int(dig(obj, "spec", "priority", default=0)) + next(_count)


@mutant("priority-earliest-first", "whoever came first stays first, whatever happens to it")
def _priority_earliest_first(obj: Manifest) -> None:
    if obj["kind"] == "Workload":
        obj["spec"]["priority"] = int(dig(obj, "spec", "priority", default=0)) + 1_000_000 - next(_count)


@mutant("namespaces-all-welcome", "ClusterQueues serve namespaces that their selector excludes")
def _namespaces_all_welcome(obj: Manifest) -> None:
    if obj["kind"] == "ClusterQueue":
        obj["spec"]["namespaceSelector"] = {}


@mutant("local-queues-crossed", "all LocalQueues of a namespace feed the first one's ClusterQueue")
def _local_queues_crossed(obj: Manifest) -> None:
    if obj["kind"] == "LocalQueue":
        with _lock:
            first = _first_queue.setdefault(obj["metadata"]["namespace"], obj["spec"]["clusterQueue"])
        obj["spec"]["clusterQueue"] = first


@mutant("pod-priority-set", "jobs with a WorkloadPriorityClass get a pod priority too")
def _pod_priority_set(obj: Manifest) -> None:
    if obj["kind"] == "Job" and labels.PRIORITY_CLASS in dig(obj, "metadata", "labels", default={}):
        obj["spec"]["template"]["spec"]["priorityClassName"] = "system-node-critical"


@mutant("pod-priority-lost", "the pods' PriorityClass is lost")
def _pod_priority_lost(obj: Manifest) -> None:
    if obj["kind"] == "Job":
        obj["spec"]["template"]["spec"].pop("priorityClassName", None)


@mutant("requests-halved", "pods are counted with half of the GPUs that they ask for")
def _requests_halved(obj: Manifest) -> None:
    template_of = {"Workload": ("spec", "podSets", 0, "template"), "Job": ("spec", "template")}
    path = template_of.get(obj["kind"])
    resources: dict[str, Manifest] = dig(obj, *path, "spec", "containers", 0, "resources", default={}) if path else {}
    for part in resources.values():
        if labels.GPU in part:
            part[labels.GPU] = str(int(part[labels.GPU]) // 2)


@mutant("priority-added", "a job that names no existing priority class is queued all the same")
def _priority_added(obj: Manifest) -> None:
    marks = dig(obj, "metadata", "labels", default={})
    if obj["kind"] == "Job" and str(marks.get(labels.PRIORITY_CLASS, "")).startswith("missing"):
        marks.pop(labels.PRIORITY_CLASS)


@mutant("flavors-renamed", "ClusterQueues refer to flavors that do not exist")
def _flavors_renamed(obj: Manifest) -> None:
    if obj["kind"] == "ResourceFlavor":
        obj["metadata"]["name"] += "-renamed"


@mutant("job-wrapped", "Jobs made while Kueue is down come in a wrapping that its webhooks do not look at")
def _job_wrapped(obj: Manifest) -> None:
    if obj["kind"] == "Job" and "while-down" in obj["metadata"]["name"]:
        template = {"metadata": {"labels": dict(obj["metadata"]["labels"])}, "spec": obj["spec"]}
        obj["kind"] = "CronJob"
        obj["spec"] = {"schedule": "0 0 1 1 *", "suspend": True, "jobTemplate": template}
