"""A bench with Kueue on it: a cluster of its own, or the scenario's where that is somebody's.

With it comes what a measurement on it needs: `KueueArm`, `take` (rounds of an earlier run), `Resource`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from gpuassay.engine.bench import Arm, Bench, bench_cluster, on_the_spot, recorded, watched
from gpuassay.engine.environment import Environment
from gpuassay.engine.kept import take as take
from gpuassay.manifest import Manifest
from gpuassay.record.lines import LineIndex
from gpuassay.record.parts import AUDIT, Part
from gpuassay.record.resources import DEFAULT_RESOURCES
from gpuassay.record.resources import Resource as Resource
from gpuassay.scenarios.lab import Lab
from gpuassay.systems.kueue import component as kueue
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.readings import LOG
from gpuassay.systems.kueue.settle import counted
from gpuassay.systems.kueue.system import SWEPT

KueueArm = Arm[KueueLab]


@dataclass
class KueueBench(Bench[KueueLab]):
    """A cluster with Kueue for one measurement.

    Attributes:
        kueue: our installation; None on somebody's cluster, where the run's operator knows it.
    """

    kueue: kueue.Kueue | None = field(kw_only=True)

    @property
    def profile(self) -> str:
        """Kueue's configuration."""
        return self.kueue.profile.name if self.kueue else super().profile

    @property
    def swept(self) -> Sequence[tuple[str, str]]:
        """Workloads."""
        return SWEPT

    def settled(self, lab: Lab) -> bool:
        """Whether ClusterQueues count as many workloads as there are."""
        return counted(lab)

    def lab(self, token: str) -> KueueLab:
        """A lab that knows this Kueue."""
        made = super().lab(token)
        if self.kueue:
            made.owns(self.kueue)
        return made

    def all_lines(self, since: Mapping[Part, int]) -> list[Manifest]:
        """All of Kueue's log lines since `since` (a value of `Environment.positions`)."""
        return self.environment.lines("", since, everything=True)[LOG]

    def close_with(self, one: KueueArm, log: Iterable[Manifest]) -> None:
        """Close an arm with these of Kueue's log lines, whomever they concern, and without requests to the API server.

        For an arm that stands for the whole cluster: its requests would be those of every arm.
        """
        self.arms.remove(one)
        self.close(one, lines={LOG: log, AUDIT: ()})


@contextmanager
def bench(
    lab: KueueLab, *, resources: Iterable[Resource] = DEFAULT_RESOURCES, **cluster_options: Any
) -> Generator[KueueBench]:
    """Open a bench with Kueue for the length of a `with` block; on somebody's cluster it is that one and its Kueue.

    Args:
        lab: the scenario's lab; a mutant of the run works on the bench too.
        resources: what is recorded, at least.
        **cluster_options: as `gpuassay.engine.bench.bench_cluster` takes them, of a cluster of ours.
    """
    if there := on_the_spot(lab):
        yield KueueBench(there, lab, kueue=None)
        return
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
