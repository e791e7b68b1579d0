"""Which GPU Operator somebody's cluster has, and what its owner lets us do with it."""

from __future__ import annotations

import json

from gpuassay.cluster import base
from gpuassay.cluster.api import Api
from gpuassay.cluster.base import Component
from gpuassay.cluster.errors import ApiRefused
from gpuassay.cluster.existing import Detected, Detection
from gpuassay.manifest import Manifest, dig
from gpuassay.systems.gpu_operator.acts.read import CONFIGURATIONS
from gpuassay.systems.gpu_operator.judge.moving import MIG_STATE


def detect(site: Detection) -> Detected:
    """Look for a GPU Operator, for nodes that may be cut anew, and for a load that keeps a GPU busy."""
    operator = gpu_operator_on(site.api)
    marked = any(base.MIG_TRIAL in dig(node, "metadata", "labels", default={}) for node in site.nodes)
    states = [dig(node, "metadata", "labels", default={}).get(MIG_STATE) for node in site.nodes]
    capabilities = {
        base.GPU_OPERATOR: operator is not None,
        base.GPU_LOAD: _has_gpu_load(site.api),
        base.MIG_CUT: operator is not None and "success" in states,
        base.MIG_NODE: marked and site.allow_mutation,
    }
    return Detected(frozenset(name for name, there in capabilities.items() if there), (operator,) if operator else ())


def gpu_operator_on(api: Api) -> Component | None:
    """The GPU Operator that is installed, or None: there is a ClusterPolicy, or a GPUCluster (GPUs by DRA)."""
    told = {kind: _listed(api, CONFIGURATIONS[kind]) for kind in ("ClusterPolicy", "GPUCluster")}
    every = [one for some in told.values() for one in some]
    if not every:
        return None
    versions = [str(dig(one, "metadata", "labels", "app.kubernetes.io/version", default="")) for one in every]
    how = "found on the cluster" if told["ClusterPolicy"] else "found on the cluster, as a GPUCluster: GPUs by DRA"
    return Component("gpu-operator", next(filter(None, versions), "unknown"), how)


def _listed(api: Api, path: str) -> list[Manifest]:
    try:
        found: list[Manifest] = json.loads(api.raw(path))["items"]
    except ApiRefused:
        return []
    return found


def _has_gpu_load(api: Api) -> bool:
    try:
        return bool(api.list("PodTemplate", label_selector=base.GPU_LOAD_TEMPLATE))
    except ApiRefused:
        return False
