"""The stage of slices: a control plane, one real node, a recorder; no Kueue. Root only.

What makes slices (silicon, device plugin, DRA driver) is started by the scenarios on the node.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict

from gpuassay import toolchain
from gpuassay.cluster import base
from gpuassay.cluster.base import Cluster
from gpuassay.cluster.embedded import embedded
from gpuassay.cluster.node import checks
from gpuassay.cluster.node.parts import Parts
from gpuassay.cluster.node.real import real_node
from gpuassay.record import rundir
from gpuassay.record.process import live_recorder
from gpuassay.record.resources import Resource
from gpuassay.scenario import mutants
from gpuassay.scenario.lanes import Lane, Unavailable
from gpuassay.scenario.stage import Host, Stage
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

OPTIONAL = ("nvidia-device-plugin", "nvidia-dra", "dra-example")
"""Components that are used where they have been built."""


def _ready_or_lacking(assets: toolchain.Assets) -> None:
    """Raise Unavailable where this machine can have no real node."""
    if lack := checks.machine():
        raise Unavailable(f"the cluster lacks: {base.REAL_KUBELET} ({lack})")
    try:
        Parts.get(assets)
    except UnobtainableError as error:
        command = f"python -m gpuassay build {' '.join(PROGRAMS)}"
        raise Unavailable(f"the cluster lacks: {base.REAL_KUBELET} ({error}; {command})") from None


def _describe(run: Host, cluster: Cluster, capabilities: frozenset[str]) -> None:
    """Once at the beginning, and again when scenarios have added components."""
    rundir.describe_cluster(
        run.directory,
        {
            "provider": "embedded/T2",
            "kubernetes": cluster.api.version["gitVersion"],
            "description": "control plane as processes and one real node (kubelet, containerd, runc) in namespaces",
        },
        components=[asdict(part) for part in cluster.components],
        emulated=[one for one in cluster.emulated if one["by"] != "KWOK"],  # no fake node is there
        capabilities=capabilities,
    )


@contextmanager
def slices_stage(run: Host, lane: Lane, assets: toolchain.Assets) -> Generator[Stage]:
    """Open the stage for the length of a `with` block.

    Raises:
        Unavailable: no real node can be had here.
    """
    _ready_or_lacking(assets)
    das.find(assets)  # an incomplete directory is refused before anything is started
    with ExitStack() as stack:
        folder = run.directory / lane.name
        run.say(f"starting the control plane and a real node of {lane.name}")
        cluster = stack.enter_context(embedded(directory=folder, assets=assets, nodes=0))
        view = stack.enter_context(live_recorder(cluster.kubeconfig, folder / "spool", resources=RECORDED))
        stack.enter_context(real_node(cluster, NODE))
        built = {f"program:{name}" for name in OPTIONAL if toolchain.available(name, assets) is None}
        built |= {f"program:{das.ASSET}"} if das.find(assets) else set[str]()
        capabilities = (cluster.capabilities - {base.FAKE_NODES}) | {"slices", base.REAL_KUBELET} | built
        _describe(run, cluster, capabilities)
        stack.callback(_describe, run, cluster, capabilities)
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
