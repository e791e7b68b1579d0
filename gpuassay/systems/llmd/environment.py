"""The stage of endpoint pickers: a control plane that holds Pods and InferencePools, and a recorder; no Kueue.

Model servers, pickers and gateways are started by the scenarios themselves (`gpuassay.systems.llmd.acts.deployment`):
every arm of an experiment needs caches of its own.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager

from gpuassay import toolchain
from gpuassay.cluster import base
from gpuassay.cluster.embedded import embedded
from gpuassay.engine.environment import Host, Stage, described
from gpuassay.engine.pools import Lane
from gpuassay.record.process import live_recorder
from gpuassay.record.resources import Resource
from gpuassay.scenarios import mutants
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


@contextmanager
def routing_stage(run: Host, lane: Lane, assets: toolchain.Assets) -> Generator[Stage]:
    """Open the stage for the length of a `with` block."""
    with ExitStack() as stack:
        folder = run.directory / lane.name
        run.say(f"starting the control plane of {lane.name}")
        cluster = stack.enter_context(embedded(directory=folder, assets=assets, nodes=0))
        view = stack.enter_context(live_recorder(cluster.kubeconfig, folder / "spool", resources=RECORDED))
        crds.install(cluster)
        built = {f"program:{name}" for name in lane.pool.extra if toolchain.available(name, assets) is None}
        own = {OWN_ADDRESS} if own_address() else set[str]()
        built |= {vllm.ASSET} if vllm.find(assets) else set[str]()
        capabilities = (cluster.capabilities - {base.FAKE_NODES}) | {"routing", OWN_ARMS} | built | own
        stack.enter_context(described(run, cluster, "embedded/T0", DESCRIPTION, capabilities))
        run.say(f"scenarios of {lane.name} begin")
        yield Stage(
            run_id=run.directory.name,
            cluster=cluster,
            view=view,
            capabilities=capabilities,
            mutant=mutants.chosen(run.mutant),
        )
