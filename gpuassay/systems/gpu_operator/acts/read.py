"""What the API of a cluster tells of its GPU Operator: read, changed in nothing.

Nobody's GPU Operator is ours to break: a mutant changes what is read of it instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gpuassay.manifest import Manifest, dig
from gpuassay.systems.gpu_operator.acts.keep import has_gpu, is_operand, kept, since
from gpuassay.systems.gpu_operator.judge.mig_config import config_name, node_config_name
from gpuassay.systems.gpu_operator.judge.moving import MIG_CONFIG
from gpuassay.systems.gpu_operator.judge.objects import labels_of, operand_of, pods_of, policies

if TYPE_CHECKING:  # cluster clients: not for replays
    from gpuassay.cluster.api import Api
    from gpuassay.scenarios.lab import Lab

EXPORTERS = frozenset({"nvidia-dcgm-exporter", "nvidia-dcgm-exporter-dra"})
EXPORTER_PORT = 9400
DRA_DRIVER = "gpu.nvidia.com"

CONFIGURATIONS = {
    "ClusterPolicy": "/apis/nvidia.com/v1/clusterpolicies",
    "NVIDIADriver": "/apis/nvidia.com/v1alpha1/nvidiadrivers",
    "GPUCluster": "/apis/nvidia.com/v1alpha1/gpuclusters",
}
"""Kinds and paths of what an operator is told; older ones know ClusterPolicy alone."""
SLICES = tuple(f"/apis/resource.k8s.io/{version}/resourceslices" for version in ("v1", "v1beta2", "v1beta1"))

Change = Callable[[Manifest], Manifest]
Objects = dict[str, list[Manifest]]


def read_operator(api: Api, change: Change = lambda one: one) -> Objects:
    """Objects by kind: what the operator is told, its operands and their pods, nodes with GPUs, what DRA offers.

    Raises:
        gpuassay.cluster.errors.ApiRefused: a list may not be read; the message names it.
    """
    told = {kind: _optional(api, path) for kind, path in CONFIGURATIONS.items()}
    sets = [one for one in api.pages("/apis/apps/v1/daemonsets") if is_operand(one)]
    namespaces = sorted({str(one["metadata"]["namespace"]) for one in sets})
    nodes = [one for one in api.pages("/api/v1/nodes") if has_gpu(one)]
    slices = next(filter(None, (_optional(api, path) for path in SLICES)), list[Manifest]())
    everything: dict[str, Sequence[Manifest]] = {
        **told,
        "DaemonSet": sets,
        "ControllerRevision": [
            one for at in namespaces for one in _allowed(api, f"/apis/apps/v1/namespaces/{at}/controllerrevisions")
        ],
        "Pod": [one for at in namespaces for one in api.pages(f"/api/v1/namespaces/{at}/pods")],
        "RuntimeClass": _optional(api, "/apis/node.k8s.io/v1/runtimeclasses"),
        "Node": nodes,
        "ResourceSlice": [one for one in slices if dig(one, "spec", "driver") == DRA_DRIVER],
    }
    seen = {kind: [change(kept(kind, one)) for one in some] for kind, some in everything.items()}
    seen["DaemonSet"] = [one for one in seen["DaemonSet"] if operand_of(one) is not None]
    mine = {id(pod) for one in seen["DaemonSet"] for pod in pods_of(seen, one)}
    seen["Pod"] = [one for one in seen["Pod"] if id(one) in mine]
    seen["Since"] = [{"kind": "Since", "node": one["metadata"]["name"], "seconds": since(one)} for one in nodes]
    seen["MigConfig"] = _mig_configs(api, seen, namespaces)
    return seen


def _optional(api: Api, path: str) -> list[Manifest]:
    """A list of a kind that the cluster may not know."""
    from gpuassay.cluster.errors import ApiRefused

    try:
        return list(api.pages(path))
    except ApiRefused as refused:
        if refused.status != 404:
            raise
        return []


def _allowed(api: Api, path: str) -> list[Manifest]:
    """A list that says something more exactly than others do, which we may not be allowed to read."""
    from gpuassay.cluster.errors import ApiRefused

    try:
        return list(api.pages(path))
    except ApiRefused:
        return []


def _mig_configs(api: Api, seen: Objects, namespaces: Sequence[str]) -> list[Manifest]:
    """The configurations that nodes are cut by, from the ConfigMaps in which the MIG manager looks."""
    chosen = {labels_of(one)[MIG_CONFIG]: one for one in seen["Node"] if labels_of(one).get(MIG_CONFIG)}
    if not chosen:
        return []
    nodes = [str(one["metadata"]["name"]) for one in seen["Node"] if labels_of(one).get(MIG_CONFIG)]
    names = [*dict.fromkeys(config_name(one) for one in policies(seen)), *map(node_config_name, nodes)]
    found = [_mig_config(api, at, name, frozenset(chosen)) for at in namespaces for name in names]
    return [one for one in found if one is not None]


def _mig_config(api: Api, namespace: str, name: str, chosen: frozenset[str]) -> Manifest | None:
    import yaml

    from gpuassay.cluster.errors import ApiRefused

    try:
        data: dict[str, str] = api.read(f"/api/v1/namespaces/{namespace}/configmaps/{name}").get("data") or {}
    except ApiRefused:
        return None
    configs: dict[str, object] = {}
    for text in data.values():
        try:
            every = dig(yaml.safe_load(text), "mig-configs", default={})
        except yaml.YAMLError:
            continue  # then nothing has the configuration, which is a finding
        configs |= {str(key): value for key, value in every.items() if str(key) in chosen}
    return {"kind": "MigConfig", "name": name, "configs": configs}


def exporter_pods(api: Api) -> Sequence[Manifest]:
    """Pods of DCGM exporters, wherever they are."""
    return api.pages("/api/v1/pods", f"app in ({','.join(sorted(EXPORTERS))})")


def told_by_exporters(lab: Lab, pods: Sequence[Manifest]) -> list[Manifest]:
    """What each DCGM exporter among `pods` answers (through the mutant): `node`, `text`, and `error` or ""."""
    exporters = [one for one in pods if labels_of(one).get("app") in EXPORTERS]
    return [changed_by(lab)(_metrics(lab, one)) for one in exporters]


def changed_by(lab: Lab) -> Change:
    """What the run's mutant makes of an object."""
    return lab.mutant.change if lab.mutant is not None else (lambda one: one)


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
