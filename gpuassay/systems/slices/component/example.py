"""Kubernetes' example DRA driver, unmodified: the protocol of claims, with devices that do nothing and no GPU at all.

It has no partitions, so nothing about slices can be proved with it; only how claims are allocated, prepared and freed.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from gpuassay.cluster.base import Emulated
from gpuassay.cluster.node.real import Node
from gpuassay.systems.slices.component.dra import DraDriver
from gpuassay.systems.slices.component.program import upstream
from gpuassay.workloads.claims import device_class

COMPONENT = "dra-example"
DRIVER = "gpu.example.com"
PLUGIN_FOLDER = f"/var/lib/kubelet/plugins/{DRIVER}"
CHECKPOINT = f"{PLUGIN_FOLDER}/checkpoint.json"
"""Where it keeps, on the node, which devices it has prepared for which claims."""

EMULATED: Emulated = {
    "what": "devices of gpu.example.com",
    "by": "Kubernetes' example DRA driver",
    "means": "protocol only: claims are allocated, prepared and freed for devices that are names; there is no silicon",
}


@contextmanager
def example_driver(node: Node, *, devices: int = 4, name: str = "dra-example-driver") -> Generator[DraDriver]:
    """Run the example driver on `node` for the length of a `with` block.

    Args:
        node: a running node.
        devices: how many it offers.
        name: of its process on the node.

    Raises:
        ClusterError: it ends at once; its last word is the message.
        gpuassay.toolchain.errors.ToolchainError: the program cannot be had.
        gpuassay.waiting.WaitTimeout: it does not become ready.
    """
    node.cluster.api.apply(device_class(DRIVER, DRIVER))
    node.cluster.tell(emulated=[EMULATED])
    # The driver writes its checkpoint there and does not make the folder itself.
    node.paths.at(PLUGIN_FOLDER).mkdir(parents=True, exist_ok=True)
    # Verbosity 6 is that of its gRPC calls, among them the kubelet's answer to its registration.
    arguments = [
        f"--kubeconfig={node.kubeconfig}", f"--node-name={node.name}", "--cdi-root=/var/run/cdi",
        f"--num-devices={devices}", "--kube-api-qps=50", "--kube-api-burst=100", "-v=6",
    ]  # fmt: skip
    program = upstream(node, COMPONENT, "dra-example-kubeletplugin")
    with DraDriver(node, name, program, arguments, {}, DRIVER).running() as part:
        yield part
