"""A cluster of ours with a recorder watching: what every system's environment on this machine begins with."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from contextlib import ExitStack, contextmanager

from gpuassay.cluster import base
from gpuassay.cluster.base import Cluster
from gpuassay.cluster.embedded import embedded
from gpuassay.engine.environment import Host, Stage, described
from gpuassay.engine.pools import Lane
from gpuassay.record.lines import LineIndex
from gpuassay.record.parts import Part
from gpuassay.record.process import live_recorder
from gpuassay.record.resources import DEFAULT_RESOURCES, Resource
from gpuassay.scenarios import mutants
from gpuassay.toolchain import Assets

Prepare = Callable[[Cluster, ExitStack], None]
"""Puts a system on the cluster; what the stack is given is taken down at the end, the last thing first."""


_NO_LOGS: Mapping[Part, str] = {}


def _nothing(cluster: Cluster, stack: ExitStack) -> None:
    del cluster, stack


@contextmanager
def on_embedded(
    run: Host,
    lane: Lane,
    assets: Assets,
    *,
    description: str,
    capabilities: Collection[str],
    recorded: Iterable[Resource] = DEFAULT_RESOURCES,
    nodes: int = 0,
    tier: str = "embedded/T0",
    prepare: Prepare = _nothing,
    logs: Mapping[Part, str] = _NO_LOGS,
) -> Generator[Stage]:
    """Open an environment on a control plane of this machine, for the length of a `with` block.

    Args:
        run: on whose behalf.
        lane: which pool of clusters it belongs to.
        assets: directories that users name for components.
        description: what it consists of, for the report.
        capabilities: what scenarios may need of it, beside what any such cluster has.
        recorded: kinds that the recorder watches.
        nodes: fake nodes of eight GPUs.
        tier: how much of it is real, for the report.
        prepare: puts the system on the cluster.
        logs: files of JSON lines in the cluster's directory, by the part of a recording that holds a scenario's lines.

    Raises:
        ClusterError: it cannot be started.
    """
    with ExitStack() as stack:
        folder = run.directory / lane.name
        run.say(f"starting the control plane of {lane.name}")
        cluster = stack.enter_context(embedded(directory=folder, assets=assets, nodes=nodes))
        view = stack.enter_context(live_recorder(cluster.kubeconfig, folder / "spool", resources=tuple(recorded)))
        prepare(cluster, stack)
        own = cluster.capabilities if nodes else cluster.capabilities - {base.FAKE_NODES}
        offered = frozenset({*own, *capabilities})
        stack.enter_context(described(run, cluster, tier, description, offered))
        run.say(f"scenarios of {lane.name} begin")
        yield Stage(
            run_id=run.directory.name,
            cluster=cluster,
            view=view,
            capabilities=offered,
            mutant=mutants.chosen(run.mutant),
            logs={part: LineIndex(cluster.directory / file, run.directory) for part, file in logs.items()},
        )
