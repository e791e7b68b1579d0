"""The environment of endpoint pickers: a control plane that holds Pods and InferencePools, and a recorder; no Kueue.

Model servers, pickers and gateways are started by the scenarios themselves (`gpuassay.systems.llmd.acts.deployment`):
every arm of an experiment needs caches of its own.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack

from gpuassay import toolchain
from gpuassay.cluster.base import Cluster
from gpuassay.engine.embedded import on_embedded
from gpuassay.engine.environment import Environment, Host
from gpuassay.engine.pools import ClusterPool
from gpuassay.record.resources import Resource
from gpuassay.system import OWN_ARMS
from gpuassay.systems.llmd.component import crds, vllm
from gpuassay.systems.llmd.gateway.istio import OWN_ADDRESS, own_address

RECORDED = (
    Resource("Namespace", "/api/v1/namespaces"),
    Resource("Pod", "/api/v1/pods"),
    Resource("InferencePool", "/apis/inference.networking.k8s.io/v1/inferencepools", optional=True),
    Resource("InferenceObjective", "/apis/inference.networking.x-k8s.io/v1alpha2/inferenceobjectives", optional=True),
    Resource(
        "InferenceModelRewrite", "/apis/inference.networking.x-k8s.io/v1alpha2/inferencemodelrewrites", optional=True
    ),
)

DESCRIPTION = "control plane, endpoint pickers, gateways and simulated model servers as processes"


def routing_environment(run: Host, pool: ClusterPool, assets: toolchain.Assets) -> AbstractContextManager[Environment]:
    """Open the environment for the length of a `with` block."""

    def prepare(cluster: Cluster, stack: ExitStack) -> None:
        del stack
        crds.install(cluster)

    built = {f"program:{name}" for name in pool.kind.extra if toolchain.available(name, assets) is None}
    own = {OWN_ADDRESS} if own_address() else set[str]()
    built |= {vllm.ASSET} if vllm.find(assets) else set[str]()
    return on_embedded(
        run, pool, assets, description=DESCRIPTION, capabilities={"routing", OWN_ARMS} | built | own,
        recorded=RECORDED, prepare=prepare,
    )  # fmt: skip
