"""A bench with Kueue on it: the cluster of its own that a measurement of Kueue has."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from gpuassay.engine.bench import Bench, bench_cluster, recorded, watched
from gpuassay.engine.environment import Environment
from gpuassay.manifest import Manifest
from gpuassay.record.lines import LineIndex
from gpuassay.record.parts import Part
from gpuassay.record.resources import DEFAULT_RESOURCES, Resource
from gpuassay.scenarios.lab import Lab
from gpuassay.systems.kueue import component as kueue
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.readings import LOG
from gpuassay.systems.kueue.settle import counted


@dataclass
class KueueBench(Bench[KueueLab]):
    """A cluster with Kueue for one measurement.

    Attributes:
        kueue: the installation.
    """

    kueue: kueue.Kueue = field(kw_only=True)

    @property
    def profile(self) -> str:
        """Kueue's configuration."""
        return self.kueue.profile.name

    def settled(self, lab: Lab) -> bool:
        """Whether ClusterQueues count as many workloads as there are."""
        return counted(lab)

    def lab(self, token: str) -> KueueLab:
        """A lab that knows this Kueue."""
        made = super().lab(token)
        made.owns(self.kueue)
        return made

    def all_lines(self, since: Mapping[Part, int]) -> list[Manifest]:
        """All of Kueue's log lines since `since` (a value of `Environment.positions`)."""
        return self.environment.lines("", since, everything=True)[LOG]


@contextmanager
def bench(
    lab: KueueLab, *, resources: Iterable[Resource] = DEFAULT_RESOURCES, **cluster_options: Any
) -> Generator[KueueBench]:
    """Open a bench with Kueue for the length of a `with` block.

    Args:
        lab: the scenario's lab; a mutant of the run works on the bench too.
        resources: what is recorded.
        **cluster_options: as `gpuassay.engine.bench.bench_cluster` takes them.
    """
    with (
        bench_cluster(lab, **cluster_options) as cluster,
        recorded(lab, cluster, resources) as view,
        kueue.install(cluster) as installed,
    ):
        run_dir = cluster.directory.parent
        environment = Environment(
            run_id=lab.run_id,
            cluster=cluster,
            view=view,
            capabilities=cluster.capabilities,
            mutant=lab.mutant,
            audit=LineIndex(cluster.audit_log, run_dir) if cluster.audit_log else None,
            logs={LOG: LineIndex(installed.log_path, run_dir)},
        )
        with watched(environment):
            yield KueueBench(environment, lab, kueue=installed)
