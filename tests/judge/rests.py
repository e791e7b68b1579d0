"""Recordings made by hand of what a scenario left: objects with one event each, at rest."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from gpuassay.labels import GPU
from gpuassay.manifest import Manifest
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.systems.kueue.readings import KueueRecording
from tests.record.parts import MS, START, conditions, meta


def wanting(name: str, *, gpus: int = 1, count: int = 1, queue: str = "lq", **more: Any) -> Manifest:
    """A Workload that waits; `more`: fields of its spec."""
    pods = [kueue.pod_set(count=count, requests={GPU: gpus})]
    made = kueue.workload(name, "ns", queue, pods, **more)
    made["status"] = {"conditions": conditions(QuotaReserved="False Pending")}
    return made


def holding(name: str, *, gpus: int = 1, count: int = 1, flavor: str = "gpu", cq: str = "cq", **more: Any) -> Manifest:
    """A Workload that is admitted, charged by the rules."""
    made = wanting(name, gpus=gpus, count=count, **more)
    assignment = {
        "name": "main", "count": count, "flavors": {GPU: flavor}, "resourceUsage": {GPU: str(gpus * count)},
    }  # fmt: skip
    made["status"] = {
        "conditions": conditions(QuotaReserved="True", Admitted="True"),
        "admission": {"clusterQueue": cq, "podSetAssignments": [assignment]},
    }
    return made


def cluster_queue(
    nominal: int = 2, *, pending: int = 0, held: Sequence[int] = (), used: int | None = None, name: str = "cq",
    **options: Any,
) -> Manifest:  # fmt: skip
    """A ClusterQueue whose status tells of `pending` Workloads and of some that hold the GPUs `held`."""
    made = kueue.cluster_queue(name, [kueue.gpu_group("gpu", nominal)], **options)
    made["status"] = _status(nominal, pending, held, used, borrows="cohort" in options) | {
        "conditions": conditions(Active="True Ready")
    }
    return made


def local_queue(*, pending: int = 0, held: Sequence[int] = (), name: str = "lq", cq: str = "cq") -> Manifest:
    """A LocalQueue with such a status."""
    return kueue.local_queue(name, "ns", cq) | {"status": _status(0, pending, held, None, borrows=False)}


def _status(nominal: int, pending: int, held: Sequence[int], used: int | None, *, borrows: bool) -> Manifest:
    def told(total: int) -> list[Manifest]:
        entry = {"name": GPU, "total": str(total), "borrowed": str(max(0, total - nominal) if borrows else 0)}
        return [{"name": "gpu", "resources": [entry]}]

    total = sum(held)
    return {
        "pendingWorkloads": pending, "reservingWorkloads": len(held), "admittedWorkloads": len(held),
        "flavorsReservation": told(total), "flavorsUsage": told(total if used is None else used),
    }  # fmt: skip


def left(
    *objects: Manifest,
    deleted: Sequence[Manifest] = (),
    notes: Mapping[str, Any] | None = None,
    profile: str = "default",
    asked: Sequence[Manifest] = (),
    metrics: Sequence[Manifest] = (),
) -> KueueRecording:
    """The recording of a scenario that left `objects` and had deleted others."""
    lines: list[Manifest] = []
    for index, obj in enumerate([*deleted, *objects], 1):
        body = copy.deepcopy(obj)
        body["metadata"] |= {"resourceVersion": str(index)}
        body["metadata"].setdefault("creationTimestamp", "2026-11-22T00:00:00Z")
        for one in body.get("status", {}).get("conditions", []):
            one.setdefault("lastTransitionTime", "2026-11-22T00:00:01Z")
        body["metadata"].setdefault("uid", f"{obj['kind']}-{obj['metadata']['name']}")
        lines.append({"at": START + index * MS, "type": "ADDED", "object": body})
    lines += [line | {"type": "DELETED", "at": START + 1000 * MS} for line in lines[: len(deleted)]]
    return KueueRecording.of_parts(
        meta(notes={"at_rest": True} | dict(notes or {}), profile=profile), asked=asked, events=lines, metrics=metrics
    )
