"""What the API of a cluster tells of its GPU Operator: read once, changed in nothing.

Nobody's GPU Operator is ours to break: a mutant changes what is read of it instead.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gpuassay.manifest import Manifest, dig
from gpuassay.systems.gpu_operator.judge.installed import OPERANDS, OPERATOR

if TYPE_CHECKING:  # cluster clients: not for replays
    from gpuassay.scenarios.lab import Lab

EXPORTER = "nvidia-dcgm-exporter"
EXPORTER_PORT = 9400

_APPS = ",".join(one.app for one in OPERANDS)
READ = {
    "ClusterPolicy": "/apis/nvidia.com/v1/clusterpolicies",
    "DaemonSet": f"/apis/apps/v1/daemonsets?labelSelector=app%20in%20({_APPS})",
    "Pod": f"/api/v1/pods?labelSelector=app%20in%20({_APPS})",
    "RuntimeClass": "/apis/node.k8s.io/v1/runtimeclasses",
    "Node": "/api/v1/nodes?labelSelector=nvidia.com%2Fgpu.present",
}
"""Kind and path of every list that is read."""

_KEPT = ("kind", "handler", "spec", "status")
_LEFT_OUT = {"spec": ("template", "volumes", "containers", "initContainers"), "status": ("images",)}


def note_operator(lab: Lab) -> None:
    """Note what the judges need, as `OPERATOR`: lists of objects by kind, and what DCGM exporters answer.

    Raises:
        gpuassay.cluster.errors.ApiRefused: a list may not be read; the message names it.
    """
    seen: dict[str, list[Manifest]] = {}
    for kind, path in READ.items():
        items: list[Manifest] = json.loads(lab.api.raw(path))["items"]
        seen[kind] = [_changed(lab, _kept({**one, "kind": kind})) for one in items]
    seen["Metrics"] = told_by_exporters(lab, seen["Pod"])
    lab.note(OPERATOR, seen)


def told_by_exporters(lab: Lab, pods: list[Manifest]) -> list[Manifest]:
    """What each DCGM exporter among `pods` answers (through the mutant): `node`, `text`, and `error` or ""."""
    exporters = [one for one in pods if dig(one, "metadata", "labels", "app") == EXPORTER]
    return [_changed(lab, _metrics(lab, one)) for one in exporters]


def _changed(lab: Lab, obj: Manifest) -> Manifest:
    return lab.mutant.change(obj) if lab.mutant is not None else obj


def _kept(obj: Manifest) -> Manifest:
    """Of an object what judges look at: nothing that could be secret, such as environment variables, is recorded."""
    metadata = {key: obj["metadata"][key] for key in ("name", "namespace", "labels") if key in obj["metadata"]}
    kept: dict[str, Any] = {"metadata": metadata}
    for key in _KEPT:
        if key in obj:
            kept[key] = obj[key]
    for key, names in _LEFT_OUT.items():
        part: Manifest = kept.get(key, {})
        kept |= {key: {name: value for name, value in part.items() if name not in names}} if part else {}
    return kept


def _metrics(lab: Lab, pod: Manifest) -> Manifest:
    """What an exporter answers, through the API server."""
    from gpuassay.cluster.errors import ClusterError

    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    answer: Manifest = {"kind": "Metrics", "node": dig(pod, "spec", "nodeName", default=""), "text": "", "error": ""}
    try:
        answer["text"] = lab.api.raw(f"/api/v1/namespaces/{namespace}/pods/{name}:{EXPORTER_PORT}/proxy/metrics")
    except ClusterError as error:
        answer["error"] = " ".join(str(error).split())
    return answer
