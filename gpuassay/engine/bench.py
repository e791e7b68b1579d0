"""A bench: a fresh cluster for one measurement, or somebody's, on which several arms run side by side.

Every arm has a lab, a namespace and a recording of its own: `recordings/<scenario>.<arm>`. Arms share the control
plane and the system under test, never nodes or quota, so what they can do to each other is slow each other down: an
A/A arm shows by how much. A cluster for each arm would cost 14 CPU-seconds to start and half a gigabyte, and the start
of seven of them would load two cores for a minute.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from gpuassay.cluster.base import Cluster
from gpuassay.cluster.embedded import embedded
from gpuassay.engine import recordings
from gpuassay.engine.environment import Environment, environment_of
from gpuassay.manifest import Manifest
from gpuassay.record import facts
from gpuassay.record.live import LiveView
from gpuassay.record.parts import Part
from gpuassay.record.process import live_recorder
from gpuassay.record.resources import Resource
from gpuassay.scenarios.lab import Lab

L = TypeVar("L", bound=Lab)


@dataclass
class Arm(Generic[L]):
    """One arm of a measurement.

    Attributes:
        name: suffix of its recording.
        lab: its hands on the bench's cluster.
        began: when it was opened.
    """

    name: str
    lab: L
    began: recordings.Beginning


@dataclass
class Bench(Generic[L]):
    """Where one measurement is made: a cluster of its own, or the one on which the scenario acts.

    Attributes:
        environment: cluster and recorder.
        host: the lab of the scenario that opened the bench.
    """

    environment: Environment
    host: L
    arms: list[Arm[L]] = field(default_factory=list["Arm[L]"])

    @property
    def profile(self) -> str:
        """Configuration of the system under test, for recordings."""
        return "default"

    def settled(self, lab: Lab) -> bool:
        """Whether what the system counts has caught up."""
        del lab
        return True

    def lab(self, token: str) -> L:
        """A lab on this bench, of the kind that the scenario's own is."""
        return self.environment.lab_of(type(self.host), token, full=self.host.full, progress=self.host.progress)

    @property
    def swept(self) -> Sequence[tuple[str, str]]:
        """What the system makes that is cleared away with an arm's Jobs and Pods (`System.swept`)."""
        return ()

    def arm(self, name: str) -> Arm[L]:
        """Open an arm: a namespace, and events that are kept from now on."""
        token = f"{name}-x{secrets.token_hex(3)}"
        lab = self.lab(token)
        opened = Arm(name, lab, recordings.begin(self.environment))
        self.environment.prepare(lab)
        self.arms.append(opened)
        return opened

    def settle(self) -> None:
        """Wait until no arm's objects change any more; each arm notes whether it came to rest."""
        for one in self.arms:
            self.environment.settle(one.lab, recordings.QUIET, self.settled)

    def close(self, one: Arm[L], *, lines: Mapping[Part, Iterable[Manifest]] | None = None) -> None:
        """Write the arm's recording and stop keeping its events; `lines` take the place of what concerns the arm."""
        assert self.host.place is not None, "the engine says where recordings go"
        found = self.environment.lines(one.lab.token, one.began.positions, everything=False)
        recordings.write(
            self.environment, one.lab, self.host.place.with_name(f"{self.host.place.name}.{one.name}"), one.began,
            profile=self.profile, lines={**found, **(lines or {})},
        )  # fmt: skip
        if self.environment.ours:
            self.environment.view.forget(one.lab.token)
        else:  # the cluster outlives the bench
            self.environment.clear(one.lab, self.swept)
        self.host.note_next(facts.ARMS, one.name)

    def close_all(self) -> None:
        """Write the recordings of all open arms."""
        while self.arms:
            self.close(self.arms.pop(0))

    def costs(self) -> dict[str, dict[str, float]]:
        """CPU seconds so far and resident bytes now of every component."""
        found: dict[str, dict[str, float]] = {}
        for name, process in self.environment.cluster.processes.items():
            cpu, rss = process.cpu_seconds(), process.resident_bytes()
            if cpu is not None and rss is not None:
                found[name] = {"cpu_s": cpu, "rss_bytes": float(rss)}
        return found


@contextmanager
def bench_cluster(lab: Lab, nodes: int = 0, **cluster_options: Any) -> Generator[Cluster]:
    """A cluster of its own for a scenario, for the length of a `with` block; its logs stay in the run directory.

    Args:
        lab: the scenario's lab.
        nodes: fake nodes of 8 GPUs.
        **cluster_options: further arguments of `embedded`.
    """
    folder = lab.cluster.directory.with_name(f"bench-{lab.token}")
    lab.progress("starting a cluster of its own")
    with embedded(directory=folder, assets=lab.cluster.assets, nodes=nodes, **cluster_options) as cluster:
        yield cluster


@contextmanager
def bench(lab: L, *, resources: Iterable[Resource], **cluster_options: Any) -> Generator[Bench[L]]:
    """Open a bench without a system for the length of a `with` block.

    Args:
        lab: the scenario's lab; a mutant of the run works on the bench too.
        resources: what is recorded.
        **cluster_options: as `bench_cluster` takes them.
    """
    with bench_cluster(lab, **cluster_options) as cluster, recorded(lab, cluster, resources) as view:
        environment = Environment(lab.run_id, cluster, view, cluster.capabilities, lab.mutant)
        with watched(environment):
            yield Bench(environment, lab)


def on_the_spot(lab: Lab) -> Environment | None:
    """The environment of a lab on somebody's cluster, which a bench uses as it is; None where the cluster is ours."""
    found = environment_of(lab)
    return None if found.ours else found


def recorded(lab: Lab, cluster: Cluster, resources: Iterable[Resource]) -> AbstractContextManager[LiveView]:
    """A recorder that watches a bench's cluster."""
    folder = lab.cluster.directory.with_name(f"bench-{lab.token}")
    return live_recorder(cluster.kubeconfig, folder / "spool", resources=resources)


@contextmanager
def watched(environment: Environment) -> Generator[None]:
    """End everything under way on the bench when something of it dies, for the length of a `with` block."""
    over = threading.Event()
    environment.watch(until=over)
    try:
        yield
    finally:
        over.set()
