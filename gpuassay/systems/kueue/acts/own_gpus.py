"""Nodes of somebody's cluster whose GPUs an arm of a measurement may have for itself: as many as it needs, all free."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gpuassay import labels
from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import NotFromOutside
from gpuassay.cluster.nodes import usable
from gpuassay.manifest import Manifest, dig, name_of

HOST = "kubernetes.io/hostname"
TOLERATED: Sequence[Manifest] = ({"key": labels.GPU, "operator": "Exists"},)
"""Taints that keep other pods off GPU nodes."""


def free_nodes(api: Api, gpus: int, run: str) -> list[str]:
    """Host names of nodes that offer exactly so many GPUs, none of which a pod outside of the run asks for."""
    return free_of(api.list("Node"), api.list("Pod"), gpus, run)


def some(api: Api, gpus: int, run: str) -> list[str]:
    """The same, at least one. Raises NotFromOutside: there is none."""
    found = free_nodes(api, gpus, run)
    if not found:
        raise NotFromOutside(f"no node offers exactly {gpus} {labels.GPU} that nobody uses")
    return found


def free_of(nodes: Iterable[Manifest], pods: Iterable[Manifest], gpus: int, run: str) -> list[str]:
    """The same, of nodes and pods as they were read.

    Exactly: plain Jobs are held back by nothing but the GPUs that there are.
    """
    taken = {
        str(dig(pod, "spec", "nodeName", default=""))
        for pod in pods
        if dig(pod, "metadata", "labels", labels.RUN, default="") != run
        and dig(pod, "status", "phase") not in ("Succeeded", "Failed") and _asks(pod)
    }  # fmt: skip
    return sorted(
        str(dig(node, "metadata", "labels", HOST, default=name_of(node)))
        for node in nodes
        if usable(node) and not dig(node, "spec", "unschedulable", default=False) and name_of(node) not in taken
        and str(dig(node, "status", "allocatable", labels.GPU, default="0")) == str(gpus)
    )  # fmt: skip


def _asks(pod: Manifest) -> bool:
    containers: list[Manifest] = dig(pod, "spec", "containers", default=[])
    return any(int(dig(one, "resources", "limits", labels.GPU, default="0")) for one in containers)
