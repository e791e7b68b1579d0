"""A cluster of ours with a recorder watching: what every system's environment on this machine begins with."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gpuassay.cluster import base
from gpuassay.cluster.base import Cluster
from gpuassay.cluster.embedded import embedded
from gpuassay.engine.environment import Environment, Host, described
from gpuassay.engine.pools import ClusterPool
from gpuassay.record.lines import LineIndex
from gpuassay.record.parts import Part
from gpuassay.record.process import live_recorder
from gpuassay.record.resources import DEFAULT_RESOURCES, Resource
from gpuassay.scenarios import mutants
from gpuassay.toolchain import Assets


@dataclass(frozen=True)
class Prepared:
    """What has been put on the cluster.

    Attributes:
        capabilities: what scenarios may need of it.
        logs: its files of JSON lines, by the part of a recording that holds a scenario's lines.
        environment: makes the environment, for systems that add to `Environment`.
    """

    capabilities: Collection[str] = ()
    logs: Mapping[Part, Path] = field(default_factory=dict[Part, Path])
    environment: Callable[..., Environment] = Environment


Prepare = Callable[[Cluster, ExitStack], Prepared | None]
"""Puts a system on the cluster; what the stack is given is taken down at the end, the last thing first."""


def _nothing(cluster: Cluster, stack: ExitStack) -> None:
    del cluster, stack


@contextmanager
def on_embedded(
    run: Host,
    pool: ClusterPool,
    assets: Assets,
    *,
    description: str,
    capabilities: Collection[str] = (),
    recorded: Iterable[Resource] = DEFAULT_RESOURCES,
    nodes: int = 0,
    tier: str = "embedded/T0",
    prepare: Prepare = _nothing,
    audited: bool = False,
    feature_gates: Mapping[str, bool] | None = None,
    served: Iterable[str] = (),
) -> Generator[Environment]:
    """Open an environment on a control plane of this machine, for the length of a `with` block.

    Args:
        run: on whose behalf.
        pool: which pool of clusters it belongs to.
        assets: directories that users name for components.
        description: what it consists of, for the report.
        capabilities: what scenarios may need of it, beside what any such cluster has.
        recorded: kinds that the recorder watches.
        nodes: fake nodes of eight GPUs.
        tier: how much of it is real, for the report.
        prepare: puts the system on the cluster.
        audited: what the API server's audit log says of a scenario's objects goes into its recording.
        feature_gates: Kubernetes feature gates.
        served: API versions that are off by default.

    Raises:
        ClusterError: it cannot be started.
    """
    with ExitStack() as stack:
        folder = run.directory / pool.name
        run.say(f"starting the control plane of {pool.name}")
        own = embedded(directory=folder, assets=assets, nodes=nodes, feature_gates=feature_gates, served=served)
        cluster = stack.enter_context(own)
        view = stack.enter_context(live_recorder(cluster.kubeconfig, folder / "spool", resources=tuple(recorded)))
        prepared = prepare(cluster, stack) or Prepared()
        there = cluster.capabilities if nodes else cluster.capabilities - {base.FAKE_NODES}
        offered = frozenset({*there, *capabilities, *prepared.capabilities})
        stack.enter_context(described(run, cluster, tier, description, offered))
        run.say(f"scenarios of {pool.name} begin")
        yield prepared.environment(
            run_id=run.directory.name,
            cluster=cluster,
            view=view,
            capabilities=offered,
            mutant=mutants.chosen(run.mutant),
            audit=LineIndex(cluster.audit_log, run.directory) if audited and cluster.audit_log else None,
            logs={part: LineIndex(log, run.directory) for part, log in prepared.logs.items()},
        )
