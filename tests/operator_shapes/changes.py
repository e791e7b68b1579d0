"""Ways in which a cluster is, or gets, other than it should be: each changes what was read of it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from gpuassay.systems.gpu_operator.judge.objects import labels_of
from tests.operator_shapes.build import FIELDS, Seen, policy

Change = Callable[[Seen], object]


def pods_of(app: str, **status: Any) -> Change:
    """Pods of an operand are not ready, with that status."""

    def change(seen: Seen) -> None:
        for pod in seen["Pod"]:
            if labels_of(pod)["app"] == app:
                pod["status"] = {"conditions": [{"type": "Ready", "status": "False"}], **status}

    return change


def waits(reason: str, exit_code: int | None = None) -> dict[str, Any]:
    """Status of a pod whose container does not run."""
    last = {"terminated": {"exitCode": exit_code}} if exit_code is not None else {}
    waiting = {"name": "main", "ready": False, "restartCount": 5, "state": {"waiting": {"reason": reason}}}
    return {"phase": "Running", "containerStatuses": [waiting | {"lastState": last}]}


def without(kind: str, app: str) -> Change:
    """Objects of an operand are not there."""

    def change(seen: Seen) -> None:
        seen[kind] = [one for one in seen[kind] if labels_of(one).get("app") != app]

    return change


def labelled(node: int = 0, **labels: str | None) -> Change:
    """A node has these labels below nvidia.com/ (`__` is a dot, `_` a dash), or lacks those that are None."""

    def change(seen: Seen) -> None:
        for key, value in labels.items():
            name = f"nvidia.com/{key.replace('__', '.').replace('_', '-')}"
            if value is None:
                seen["Node"][node]["metadata"]["labels"].pop(name, None)
            else:
                seen["Node"][node]["metadata"]["labels"][name] = value

    return change


def offers(resource: str, capacity: int, allocatable: int, node: int = 0) -> Change:
    """A node has so much of a resource, below nvidia.com/ where no domain is named."""

    def change(seen: Seen) -> None:
        name = resource if "/" in resource else f"nvidia.com/{resource}"
        seen["Node"][node]["status"]["capacity"][name] = str(capacity)
        seen["Node"][node]["status"]["allocatable"][name] = str(allocatable)

    return change


def both(*changes: Change) -> Change:
    """Several at once."""

    def change(seen: Seen) -> None:
        for one in changes:
            one(seen)

    return change


def ignored(seen: Seen) -> None:
    seen["ClusterPolicy"].append(policy("ignored") | {"metadata": {"name": "second"}})


def named(seen: Seen) -> None:
    seen["RuntimeClass"] = [{"kind": "RuntimeClass", "metadata": {"name": "gpu"}, "handler": "gpu"}]


def cordoned(seen: Seen) -> None:
    seen["Node"][1]["spec"] = {"unschedulable": True, "taints": [{"key": "node.kubernetes.io/unschedulable"}]}


def nobody(kind: str) -> Change:
    return lambda seen: seen.update({kind: []})


def on_node(node: str, change: Change) -> Change:
    """Only pods on that node are changed."""

    def apply(seen: Seen) -> None:
        before = copy.deepcopy(seen["Pod"])
        change(seen)
        seen["Pod"] = [
            new if new["spec"]["nodeName"] == node else old for old, new in zip(before, seen["Pod"], strict=True)
        ]

    return apply


PLUGIN, DRIVER = "nvidia-device-plugin-daemonset", "nvidia-driver-daemonset"


def outdated(app: str) -> Change:
    def change(seen: Seen) -> None:
        for pod in seen["Pod"]:
            if pod["metadata"]["labels"]["app"] == app:
                pod["metadata"]["labels"]["controller-revision-hash"] = "r1"

    return change


def denied(seen: Seen) -> None:
    error = {"type": "Error", "status": "True", "reason": "ReconcileFailed", "message": "no kernel headers"}
    seen["ClusterPolicy"][0]["status"]["conditions"] = [error]


def since(label: str, seconds: float) -> Change:
    return lambda seen: seen["Since"].append({"kind": "Since", "node": "gpu-a", "seconds": {label: seconds}})


def page(change: Callable[[str], str]) -> Change:
    return lambda seen: [one.update(text=change(one["text"])) for one in seen["Metrics"]]


def tainted(seen: Seen) -> None:
    seen["Node"][0]["spec"] = {"taints": [{"key": "maintenance", "effect": "NoExecute"}]}
    seen["Pod"] = [one for one in seen["Pod"] if not one["metadata"]["name"].startswith(PLUGIN)]


def unplaced(seen: Seen) -> None:
    placed = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "Insufficient cpu"}
    terms = [{"matchFields": [{"key": "metadata.name", "values": ["gpu-a"]}]}]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    for pod in seen["Pod"]:
        if pod["metadata"]["name"].startswith(PLUGIN):
            pod["spec"], pod["status"] = {"affinity": {"nodeAffinity": required}}, {"conditions": [placed]}


UUID_OF_FIRST = 'UUID="GPU-gpu-a-0"'


def only_first(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if UUID_OF_FIRST in line)


def no_slices(text: str) -> str:
    lines = [line for line in text.splitlines() if "GPU_I_ID" not in line]
    rows = [line.replace("DCGM_FI_DEV_GPU_TEMP", one) for one in FIELDS for line in lines if "TEMP" in line]
    return "\n".join(lines + rows)
