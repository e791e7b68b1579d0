"""Fake GPU nodes: Node objects that KWOK keeps Ready."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gpuassay.cluster.api import Api
from gpuassay.cluster.parallel import side_by_side
from gpuassay.labels import GPU
from gpuassay.manifest import Manifest, dig, is_true, name_of
from gpuassay.waiting import wait

FAKE = ("type", "kwok")
"""Label of nodes that KWOK plays."""
STAGES_LABEL = "gpuassay.io/stages"
"""Label of nodes whose pods follow our annotations; a cluster without such nodes promises nothing of the kind."""


def fake_node(
    name: str, *, gpus: int = 8, labels: Mapping[str, str] | None = None, allocatable: Mapping[str, str] | None = None
) -> Manifest:
    """A node with `gpus` GPUs of an eight-GPU server; `allocatable` adds or replaces resources."""
    resources = {"cpu": "128", "memory": "1Ti", "pods": "1000", "ephemeral-storage": "1Ti"}
    marks = {FAKE[0]: FAKE[1], STAGES_LABEL: "1", "kubernetes.io/hostname": name}
    marks |= {"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    if gpus:
        resources[GPU] = str(gpus)
        marks |= {"nvidia.com/gpu.present": "true", "nvidia.com/gpu.count": str(gpus)}
    resources |= allocatable or {}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": marks | dict(labels or {})},
        "status": {"capacity": resources, "allocatable": dict(resources)},
    }


def usable(node: Manifest) -> bool:
    """Whether a node is Ready and carries none of the node controller's taints."""
    taints: Iterable[Manifest] = dig(node, "spec", "taints", default=[])
    return is_true(node, "Ready") and not any(str(taint["key"]).startswith("node.kubernetes.io/") for taint in taints)


def create_nodes(api: Api, nodes: list[Manifest]) -> None:
    """Create nodes, twelve requests at a time."""
    side_by_side(api.create, nodes, threads=12)


def wait_usable(api: Api, names: Iterable[str], timeout: float) -> None:
    """Wait until the scheduler may use all of `names`.

    Raises:
        gpuassay.waiting.WaitTimeout: names the nodes that are not.
    """
    wanted = set(names)

    def missing() -> list[str]:
        return sorted(wanted - {name_of(node) for node in api.list("Node") if usable(node)})

    what = f"{len(wanted)} fake node(s) to become usable"
    wait(missing, lambda names: not names, what=what, timeout=timeout, delay=0.1)
