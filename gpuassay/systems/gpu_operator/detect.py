"""Which GPU Operator somebody's cluster has, and what its owner lets us do with it."""

from __future__ import annotations

import json

from gpuassay.cluster import base
from gpuassay.cluster.api import Api
from gpuassay.cluster.base import Component
from gpuassay.cluster.errors import ApiRefused
from gpuassay.cluster.existing import Detected, Site
from gpuassay.manifest import Manifest, dig


def detect(site: Site) -> Detected:
    """Look for a GPU Operator, for nodes that may be cut anew, and for a load that keeps a GPU busy."""
    operator = gpu_operator_on(site.api)
    marked = any(base.MIG_TRIAL in dig(node, "metadata", "labels", default={}) for node in site.nodes)
    capabilities = {
        base.GPU_OPERATOR: operator is not None,
        base.GPU_LOAD: _has_gpu_load(site.api),
        base.MIG_NODE: marked and site.allow_mutation,
    }
    return Detected(frozenset(name for name, there in capabilities.items() if there), (operator,) if operator else ())


def gpu_operator_on(api: Api) -> Component | None:
    """The GPU Operator that is installed, or None: there is a ClusterPolicy."""
    try:
        policies: list[Manifest] = json.loads(api.raw("/apis/nvidia.com/v1/clusterpolicies"))["items"]
    except ApiRefused:
        return None
    if not policies:
        return None
    versions = [str(dig(one, "metadata", "labels", "app.kubernetes.io/version", default="")) for one in policies]
    return Component("gpu-operator", next(filter(None, versions), "unknown"), "found on the cluster")


def _has_gpu_load(api: Api) -> bool:
    try:
        return bool(api.list("PodTemplate", label_selector=base.GPU_LOAD_TEMPLATE))
    except ApiRefused:
        return False
