"""The environment of Kueue in front of slices: a control plane and Kueue; nodes come with the scenarios. Root only."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager

from gpuassay import toolchain
from gpuassay.cluster import base
from gpuassay.cluster.embedded import embedded
from gpuassay.engine.environment import Host, Stage, described
from gpuassay.engine.pools import Lane
from gpuassay.record.lines import LineIndex
from gpuassay.record.process import live_recorder
from gpuassay.record.resources import DEFAULT_RESOURCES
from gpuassay.scenarios import mutants
from gpuassay.systems.kueue import component as kueue
from gpuassay.systems.kueue.environment import KueueStage
from gpuassay.systems.kueue.readings import LOG
from gpuassay.systems.slices.environment import RECORDED, built_of, ready_or_lacking

QUEUES = tuple(one for one in DEFAULT_RESOURCES if one.kind not in {known.kind for known in RECORDED})
"""What is recorded of Kueue besides."""

DESCRIPTION = "control plane and Kueue as processes and real nodes (kubelet, containerd, runc) in namespaces"


@contextmanager
def platform_stage(run: Host, lane: Lane, assets: toolchain.Assets) -> Generator[Stage]:
    """Open the stage for the length of a `with` block.

    Raises:
        Unavailable: no real node can be had here.
    """
    ready_or_lacking(assets)
    built = built_of(lane, assets)
    with ExitStack() as stack:
        folder = run.directory / lane.name
        run.say(f"starting the control plane and Kueue of {lane.name}")
        cluster = stack.enter_context(embedded(directory=folder, assets=assets, nodes=0))
        recorded = (*RECORDED, *QUEUES)
        view = stack.enter_context(live_recorder(cluster.kubeconfig, folder / "spool", resources=recorded))
        queueing = stack.enter_context(kueue.install(cluster))
        capabilities = (cluster.capabilities - {base.FAKE_NODES}) | built | {"platform", base.REAL_KUBELET}
        stack.enter_context(described(run, cluster, "embedded/T2", DESCRIPTION, capabilities))
        run.say(f"scenarios of {lane.name} begin")
        yield KueueStage(
            run_id=run.directory.name,
            cluster=cluster,
            view=view,
            capabilities=capabilities,
            mutant=mutants.chosen(run.mutant),
            kueue=queueing,
            logs={LOG: LineIndex(queueing.log_path, run.directory)},
        )
