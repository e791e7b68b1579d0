"""The stage of endpoint pickers: a control plane that holds Pods and InferencePools, and a recorder; no Kueue.

Model servers, pickers and gateways are started by the scenarios themselves (`gpuassay.scenario.routing`): every arm of
an experiment needs caches of its own.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager
from dataclasses import asdict

from gpuassay import toolchain
from gpuassay.cluster.base import Cluster
from gpuassay.cluster.embedded import embedded
from gpuassay.components.gateway.istio import OWN_ADDRESS, own_address
from gpuassay.components.llmd import crds, vllm
from gpuassay.record import rundir
from gpuassay.record.process import live_recorder
from gpuassay.record.resources import Resource
from gpuassay.scenario import mutants
from gpuassay.scenario.declare import OWN_ARMS
from gpuassay.scenario.lanes import Lane
from gpuassay.scenario.stage import Host, Stage

RECORDED = (
    Resource("Namespace", "/api/v1/namespaces"),
    Resource("Pod", "/api/v1/pods"),
    Resource("InferencePool", "/apis/inference.networking.k8s.io/v1/inferencepools", optional=True),
    Resource("InferenceObjective", "/apis/inference.networking.x-k8s.io/v1alpha2/inferenceobjectives", optional=True),
    Resource(
        "InferenceModelRewrite", "/apis/inference.networking.x-k8s.io/v1alpha2/inferencemodelrewrites", optional=True
    ),
)

OPTIONAL = ("gaie-epp", "lwepp", "pd-sidecar", "istio")
"""Components that are used where they have been built."""


def _describe(run: Host, cluster: Cluster, capabilities: Iterable[str] = ()) -> None:
    """Once at the beginning, and again when arms have said what they consist of."""
    rundir.describe_cluster(
        run.directory,
        {
            "provider": "embedded/T0",
            "kubernetes": cluster.api.version["gitVersion"],
            "description": "control plane, endpoint pickers, gateways and simulated model servers as processes",
        },
        components=[asdict(part) for part in cluster.components],
        emulated=[one for one in cluster.emulated if one["by"] != "KWOK"],  # no node is needed here
        capabilities=capabilities,
    )


@contextmanager
def routing_stage(run: Host, lane: Lane, assets: toolchain.Assets) -> Generator[Stage]:
    """Open the stage for the length of a `with` block."""
    with ExitStack() as stack:
        folder = run.directory / lane.name
        run.say(f"starting the control plane of {lane.name}")
        cluster = stack.enter_context(embedded(directory=folder, assets=assets, nodes=0))
        view = stack.enter_context(live_recorder(cluster.kubeconfig, folder / "spool", resources=RECORDED))
        crds.install(cluster)
        built = {f"program:{name}" for name in OPTIONAL if toolchain.available(name, assets) is None}
        own = {OWN_ADDRESS} if own_address() else set[str]()
        built |= {vllm.ASSET} if vllm.find(assets) else set[str]()
        capabilities = cluster.capabilities | {"routing", OWN_ARMS} | built | own
        _describe(run, cluster, capabilities)
        stack.callback(_describe, run, cluster)
        run.say(f"scenarios of {lane.name} begin")
        yield Stage(
            run_id=run.directory.name,
            cluster=cluster,
            view=view,
            kueue=None,
            capabilities=frozenset(capabilities),
            mutant=mutants.get(run.mutant) if run.mutant else None,
            audit=None,
            log=None,
            ours=True,
        )
