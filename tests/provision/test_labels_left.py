"""What an uninstall leaves on nodes is told before it is taken off."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from gpuassay.manifest import Manifest
from gpuassay.provision import remove
from gpuassay.provision.objects import Ref

BEFORE = {
    "gpu-a": {"kubernetes.io/hostname": "gpu-a", "nvidia.com/gpu.count": "3"},
    "gpu-b": {"team": "ml"},
}
NOW = {
    "gpu-a": {
        "kubernetes.io/hostname": "gpu-a",
        "nvidia.com/gpu.count": "8",
        "nvidia.com/mig.config": "x",
        "a.b/c": "d",
    },
    "gpu-b": {"team": "ml", "node.kubernetes.io/new": "true"},
    "gpu-c": {"nvidia.com/gpu.count": "8"},
}


class Nodes:
    """Nodes as an uninstall has left them; keeps what is patched."""

    kinds: dict[tuple[str, str], str]

    def __init__(self) -> None:
        self.kinds = {("v1", "Node"): "Node"}
        self.patched: dict[str, Manifest] = {}

    def list(self, _: str) -> list[Manifest]:
        """All of them."""
        return [
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
            for name, labels in NOW.items()
        ]

    def patch(self, ref: Ref, body: Manifest) -> None:
        """Labels change."""
        self.patched[ref.name] = body["metadata"]["labels"]


def test_labels_that_an_uninstall_leaves_or_changes_are_told_and_put_right() -> None:
    """Red when a label is cleaned up in silence, Kubernetes' own are touched, or a node that came since is."""
    nodes, done = Nodes(), remove.Removal()
    cast("Any", remove)._restore_nodes(nodes, SimpleNamespace(nodes=BEFORE), done)
    assert nodes.patched == {"gpu-a": {"nvidia.com/mig.config": None, "a.b/c": None, "nvidia.com/gpu.count": "3"}}
    assert done.left_by_upstream == [
        "labels of Node gpu-a, 2 new: a.b/c and 1 more; 1 lost or changed: nvidia.com/gpu.count"
    ]
