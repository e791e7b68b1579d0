"""The environment of slices: a control plane, one real node, a recorder. Root only.

What makes slices (silicon, device plugin, DRA driver) is started by the scenarios on the node. The platform's
environment has Kueue as well, and no node but those of its scenarios.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack

from gpuassay import toolchain
from gpuassay.cluster import base
from gpuassay.cluster.base import Cluster
from gpuassay.cluster.node import checks
from gpuassay.cluster.node.parts import Parts
from gpuassay.cluster.node.real import real_node
from gpuassay.engine.embedded import on_embedded
from gpuassay.engine.environment import Environment, Host
from gpuassay.engine.pools import ClusterPool, Unavailable
from gpuassay.record.resources import Resource
from gpuassay.toolchain import UnobtainableError, das
from gpuassay.toolchain.catalogue import NODE as PROGRAMS
from gpuassay.workloads.containers import NODE

_DRA = "/apis/resource.k8s.io/v1"

RECORDED = (
    Resource("Namespace", "/api/v1/namespaces"),
    Resource("Node", "/api/v1/nodes"),
    Resource("Pod", "/api/v1/pods"),
    Resource("Job", "/apis/batch/v1/jobs"),
    Resource("Event", "/apis/events.k8s.io/v1/events"),
    Resource("ResourceClaim", f"{_DRA}/resourceclaims"),
    Resource("ResourceSlice", f"{_DRA}/resourceslices"),
    Resource("DeviceClass", f"{_DRA}/deviceclasses"),
    Resource("AllocationClaim", "/apis/inference.redhat.com/v1alpha1/allocationclaims", optional=True),  # of DAS
)

DESCRIPTION = "control plane as processes and one real node (kubelet, containerd, runc) in namespaces"


def ready_or_lacking(assets: toolchain.Assets) -> None:
    """Raise Unavailable where this machine can have no real node."""
    if lack := checks.machine():
        raise Unavailable(f"the cluster lacks: {base.REAL_KUBELET} ({lack})")
    try:
        Parts.get(assets)
    except UnobtainableError as error:
        command = f"python -m gpuassay build {' '.join(PROGRAMS)}"
        raise Unavailable(f"the cluster lacks: {base.REAL_KUBELET} ({error}; {command})") from None


def built_of(pool: ClusterPool, assets: toolchain.Assets) -> set[str]:
    """What is there of the components that only some scenarios need, as capabilities.

    Raises:
        ToolchainError: a directory that the user names is incomplete.
    """
    built = {f"program:{name}" for name in pool.kind.extra if toolchain.available(name, assets) is None}
    return built | ({f"program:{das.ASSET}"} if das.find(assets) else set[str]())


def slices_environment(run: Host, pool: ClusterPool, assets: toolchain.Assets) -> AbstractContextManager[Environment]:
    """Open the environment for the length of a `with` block.

    Raises:
        Unavailable: no real node can be had here.
    """
    ready_or_lacking(assets)

    def prepare(cluster: Cluster, stack: ExitStack) -> None:
        stack.enter_context(real_node(cluster, NODE))

    built = built_of(pool, assets)  # an incomplete directory is refused before anything is started
    return on_embedded(
        run, pool, assets, description=DESCRIPTION, capabilities=built | {"slices", "own-node", base.REAL_KUBELET},
        recorded=RECORDED, tier="embedded/T2", prepare=prepare,
    )  # fmt: skip
