"""Builders of the objects that users queue: Jobs, pods, pod groups, Deployments, JobSets, LeaderWorkerSets.

Images are never pulled: on fake nodes nothing runs, and a pod's run time and exit code come from its annotations.
On a real cluster `image` and `command` are what really runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpuassay import labels
from gpuassay.manifest import Manifest, Quantity

IMAGE = "gpuassay.io/none"
"""Names no image on purpose: where pods really run, the lab puts the user's image in (`gpuassay.workloads.real`)."""


def seconds(duration: float) -> str:
    """A Go duration with millisecond resolution, as the fake nodes read it."""
    return f"{duration:.3f}s"


def pod_template(
    *,
    gpus: Quantity | None = 1,
    run_for: float | None = None,
    exit_code: int = 0,
    start_delay: float | None = None,
    ready: bool = True,
    requests: Mapping[str, Quantity] | None = None,
    limits: Mapping[str, Quantity] | None = None,
    annotations: Mapping[str, str] | None = None,
    **pod_spec: Any,
) -> Manifest:
    """A pod template of one container.

    Args:
        gpus: GPUs per pod (None: asks for none).
        run_for: seconds until the container exits (None: runs until deleted).
        exit_code: what it exits with.
        start_delay: seconds from binding to Running.
        ready: False for a pod that runs and never becomes Ready.
        requests: further requests.
        limits: further limits (a Kubernetes limit without a request is also the request).
        annotations: further annotations of the pod.
        **pod_spec: further fields of the pod spec.
    """
    notes = dict(annotations or {})
    if run_for is not None:
        notes[labels.RUN_FOR] = seconds(run_for)
    if exit_code:
        notes[labels.EXIT_CODE] = str(exit_code)
    if start_delay is not None:
        notes[labels.START_DELAY] = seconds(start_delay)
    if not ready:
        notes[labels.NOT_READY] = "true"
    capped = {key: str(value) for key, value in (limits or {}).items()}
    if gpus is not None:
        capped[labels.GPU] = str(gpus)  # an extended resource is asked for by its limit
    resources: Manifest = {"limits": capped} if capped else {}
    if requests:
        resources["requests"] = {key: str(value) for key, value in requests.items()}
    spec: Manifest = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "main", "image": IMAGE, "resources": resources}],
    }
    return {"metadata": {"annotations": notes}, "spec": spec | pod_spec}


def _queued(
    api: str,
    kind: str,
    name: str,
    namespace: str,
    queue: str | None,
    spec: Manifest,
    *,
    priority: str | None = None,
    annotations: Mapping[str, str] | None = None,
    more_labels: Mapping[str, str] | None = None,
) -> Manifest:
    marks = dict(more_labels or {})
    if queue is not None:
        marks[labels.QUEUE_NAME] = queue
    if priority is not None:
        marks[labels.PRIORITY_CLASS] = priority
    metadata: Manifest = {"name": name, "namespace": namespace, "labels": marks}
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}


def job(
    name: str,
    namespace: str,
    queue: str | None,
    *,
    pods: int = 1,
    completions: int | None = None,
    priority: str | None = None,
    annotations: Mapping[str, str] | None = None,
    more_labels: Mapping[str, str] | None = None,
    backoff_limit: int = 0,
    job_spec: Mapping[str, Any] | None = None,
    **template: Any,
) -> Manifest:
    """A batch/v1 Job of `pods` parallel pods; `queue` None leaves Kueue out of it.

    `priority` names a WorkloadPriorityClass; `template` goes to `pod_template`.
    """
    spec: Manifest = {
        "parallelism": pods,
        "completions": pods if completions is None else completions,
        "backoffLimit": backoff_limit,
        "template": pod_template(**template),
    }
    return _queued(
        "batch/v1",
        "Job",
        name,
        namespace,
        queue,
        spec | dict(job_spec or {}),
        priority=priority,
        annotations=annotations,
        more_labels=more_labels,
    )


def pod(
    name: str,
    namespace: str,
    queue: str | None,
    *,
    group: str | None = None,
    group_total: int | None = None,
    annotations: Mapping[str, str] | None = None,
    **template: Any,
) -> Manifest:
    """A plain pod; with `group` a member of a pod group of `group_total` pods."""
    body = pod_template(**template)
    notes = body["metadata"]["annotations"] | dict(annotations or {})
    marks: dict[str, str] = {}
    if group is not None:
        marks[labels.POD_GROUP] = group
        notes[labels.POD_GROUP_TOTAL] = str(group_total)
    return _queued("v1", "Pod", name, namespace, queue, body["spec"], annotations=notes, more_labels=marks)


def deployment(name: str, namespace: str, queue: str | None, *, replicas: int = 1, **template: Any) -> Manifest:
    """An apps/v1 Deployment (its pods restart, so they are given no run time)."""
    return _replicated("Deployment", name, namespace, queue, replicas, {}, template)


def stateful_set(name: str, namespace: str, queue: str | None, *, replicas: int = 1, **template: Any) -> Manifest:
    """An apps/v1 StatefulSet: Kueue admits it as one group."""
    return _replicated("StatefulSet", name, namespace, queue, replicas, {"serviceName": name}, template)


def _replicated(
    kind: str, name: str, namespace: str, queue: str | None, replicas: int, more: Manifest, template: Mapping[str, Any]
) -> Manifest:
    body = pod_template(**template)
    body["metadata"]["labels"] = {"app": name}
    body["spec"]["restartPolicy"] = "Always"
    spec: Manifest = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": body} | more
    return _queued("apps/v1", kind, name, namespace, queue, spec)


def job_set(
    name: str, namespace: str, queue: str | None, groups: Mapping[str, Mapping[str, Any]], **more: Any
) -> Manifest:
    """A JobSet: `groups` maps a replicated job's name to `pods`, `replicas` and pod template arguments."""
    replicated: list[Manifest] = []
    for group, given in groups.items():
        options = dict(given)
        replicas, pods = options.pop("replicas", 1), options.pop("pods", 1)
        inner: Manifest = {
            "parallelism": pods,
            "completions": pods,
            "backoffLimit": 0,
            "template": pod_template(**options),
        }
        replicated.append({"name": group, "replicas": replicas, "template": {"spec": inner}})
    return _queued("jobset.x-k8s.io/v1alpha2", "JobSet", name, namespace, queue, {"replicatedJobs": replicated}, **more)


def leader_worker_set(
    name: str, namespace: str, queue: str | None, *, replicas: int = 1, size: int = 2, **template: Any
) -> Manifest:
    """A LeaderWorkerSet of `replicas` groups with `size` pods each."""
    body = pod_template(**template)
    body["spec"]["restartPolicy"] = "Always"
    spec: Manifest = {
        "replicas": replicas,
        "rolloutStrategy": {"type": "RollingUpdate"},  # its own webhook would fill this in; it may not be there
        "leaderWorkerTemplate": {"size": size, "workerTemplate": body},
    }
    return _queued("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", name, namespace, queue, spec)
