"""The stage of slices: a control plane, one real node, a recorder. Root only.

What makes slices (silicon, device plugin, DRA driver) is started by the scenarios on the node. The platform's stage has
Kueue as well, and no node but those of its scenarios.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager

from gpuassay import toolchain
from gpuassay.cluster import base
from gpuassay.cluster.embedded import embedded
from gpuassay.cluster.node import checks
from gpuassay.cluster.node.parts import Parts
from gpuassay.cluster.node.real import real_node
from gpuassay.engine.environment import Host, Stage, described
from gpuassay.engine.pools import EXTRA, PLATFORM, Lane, Unavailable
from gpuassay.record.lines import LineIndex
from gpuassay.record.process import live_recorder
from gpuassay.record.resources import DEFAULT_RESOURCES, Resource
from gpuassay.scenario import mutants
from gpuassay.systems.kueue import component as kueue
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

QUEUES = tuple(one for one in DEFAULT_RESOURCES if one.kind not in {known.kind for known in RECORDED})
"""What is recorded of Kueue besides."""

DESCRIPTION = "control plane as processes and one real node (kubelet, containerd, runc) in namespaces"
WITH_KUEUE = "control plane and Kueue as processes and real nodes (kubelet, containerd, runc) in namespaces"


def _ready_or_lacking(assets: toolchain.Assets) -> None:
    """Raise Unavailable where this machine can have no real node."""
    if lack := checks.machine():
        raise Unavailable(f"the cluster lacks: {base.REAL_KUBELET} ({lack})")
    try:
        Parts.get(assets)
    except UnobtainableError as error:
        command = f"python -m gpuassay build {' '.join(PROGRAMS)}"
        raise Unavailable(f"the cluster lacks: {base.REAL_KUBELET} ({error}; {command})") from None


@contextmanager
def slices_stage(run: Host, lane: Lane, assets: toolchain.Assets) -> Generator[Stage]:
    """Open the stage for the length of a `with` block.

    Raises:
        Unavailable: no real node can be had here.
    """
    _ready_or_lacking(assets)
    supplied = das.find(assets)  # an incomplete directory is refused before anything is started
    with ExitStack() as stack:
        folder = run.directory / lane.name
        queued = lane.name == PLATFORM
        run.say(f"starting the control plane and {'Kueue' if queued else 'a real node'} of {lane.name}")
        cluster = stack.enter_context(embedded(directory=folder, assets=assets, nodes=0))
        recorded = (*RECORDED, *QUEUES) if queued else RECORDED
        view = stack.enter_context(live_recorder(cluster.kubeconfig, folder / "spool", resources=recorded))
        queueing = stack.enter_context(kueue.install(cluster)) if queued else None
        if not queued:
            stack.enter_context(real_node(cluster, NODE))
        built = {f"program:{name}" for name in EXTRA[lane.name] if toolchain.available(name, assets) is None}
        built |= {f"program:{das.ASSET}"} if supplied else set[str]()
        built |= {"platform" if queued else "slices", base.REAL_KUBELET}
        capabilities = (cluster.capabilities - {base.FAKE_NODES}) | built
        description = WITH_KUEUE if queued else DESCRIPTION
        stack.enter_context(described(run, cluster, "embedded/T2", description, capabilities))
        run.say(f"scenarios of {lane.name} begin")
        yield Stage(
            run_id=run.directory.name,
            cluster=cluster,
            view=view,
            capabilities=capabilities,
            mutant=mutants.chosen(run.mutant),
            kueue=queueing,
            log=LineIndex(queueing.log_path, run.directory) if queueing else None,
        )
