"""DaemonSets that hand out GPUs on somebody's cluster, found by their image; and the nodes that have GPUs."""

from __future__ import annotations

from collections.abc import Sequence

from gpuassay.cluster.api import Api
from gpuassay.manifest import Manifest, dig
from gpuassay.provision.component import Installation
from gpuassay.provision.marks import how, image
from gpuassay.provision.objects import Objects

PRESENT = "nvidia.com/gpu.present"
GPU_LABELS = (
    PRESENT,
    "feature.node.kubernetes.io/pci-10de.present",
    "feature.node.kubernetes.io/pci-0302_10de.present",
    "feature.node.kubernetes.io/pci-0300_10de.present",
)
"""Any of them marks a node with GPUs: so do NVIDIA's charts choose nodes (affinity in their values.yaml)."""


def daemonset_of(objects: Objects, repository: str, name: str) -> Installation | None:
    """The DaemonSet whose image is of `repository`, and whose name holds `name`, whoever made it."""
    for one in objects.list(objects.kinds[("apps/v1", "DaemonSet")]):
        meta = one["metadata"]
        for container in dig(one, "spec", "template", "spec", "containers", default=[]):
            at, tag = image(container)
            if at.endswith(repository) and name in meta["name"]:
                return Installation(tag or "unknown", meta["namespace"], how(one))
    return None


def gpu_nodes(api: Api) -> Sequence[Manifest]:
    """Nodes that are labelled as having GPUs of NVIDIA's."""
    return [one for one in api.list("Node") if _has_gpus(dig(one, "metadata", "labels", default={}))]


def _has_gpus(labels: dict[str, str]) -> bool:
    return any(labels.get(label) == "true" for label in GPU_LABELS)
