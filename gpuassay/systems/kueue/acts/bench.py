"""A bench: a fresh cluster with Kueue for one measurement, on which several arms run side by side.

Every arm has a lab, a namespace and a recording of its own: `recordings/<scenario>.<arm>`. Arms share the control
plane and Kueue, never nodes or quota, so what they can do to each other is slow each other down: an A/A arm shows by
how much. A cluster for each arm would cost 14 CPU-seconds to start and half a gigabyte, and the start of seven of them
would load two cores for a minute.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from gpuassay.cluster.embedded import embedded
from gpuassay.engine import recordings
from gpuassay.engine.environment import Stage
from gpuassay.manifest import Manifest
from gpuassay.record.lines import LineIndex
from gpuassay.record.process import live_recorder
from gpuassay.record.resources import DEFAULT_RESOURCES, Resource
from gpuassay.systems.kueue import component as kueue
from gpuassay.systems.kueue.acts.lab import KueueLab


@dataclass
class Arm:
    """One arm of a measurement.

    Attributes:
        name: suffix of its recording.
        lab: its hands on the bench's cluster.
        began: when it was opened.
    """

    name: str
    lab: KueueLab
    began: recordings.Beginning


@dataclass
class Bench:
    """A cluster of its own for one measurement.

    Attributes:
        stage: cluster, recorder and Kueue.
        host: the lab of the scenario that opened the bench.
    """

    stage: Stage
    host: KueueLab
    arms: list[Arm] = field(default_factory=list[Arm])

    @property
    def kueue(self) -> kueue.Kueue:
        """Kueue of this bench."""
        assert self.stage.kueue is not None
        return self.stage.kueue

    def arm(self, name: str) -> Arm:
        """Open an arm: a namespace, and events that are kept from now on."""
        token = f"{name}-x{secrets.token_hex(3)}"
        lab = self.stage.lab(token, full=self.host.full, progress=self.host.progress)
        opened = Arm(name, lab, recordings.begin(self.stage))
        self.stage.prepare(lab)
        self.arms.append(opened)
        return opened

    def settle(self) -> None:
        """Wait until no arm's objects change any more; each arm notes whether it came to rest."""
        for one in self.arms:
            self.stage.settle(one.lab, recordings.QUIET)

    def close(self, one: Arm, *, log: list[Manifest] | None = None, audit: bool = True) -> None:
        """Write the arm's recording and stop keeping its events.

        Args:
            one: the arm.
            log: Kueue's log lines to keep in place of those that concern the arm.
            audit: keep the arm's audit lines.
        """
        assert self.host.place is not None, "the engine says where recordings go"
        found_audit, found_log = self.stage.lines(one.lab.token, one.began.positions, everything=False)
        recordings.write(
            self.stage, one.lab, self.host.place.with_name(f"{self.host.place.name}.{one.name}"), one.began,
            profile=self.stage.kueue.profile.name if self.stage.kueue else "default",
            audit=found_audit if audit else [], log=found_log if log is None else log,
        )  # fmt: skip
        self.stage.view.forget(one.lab.token)
        arms: list[str] = self.host.notes.setdefault("arms", [])
        arms.append(one.name)

    def close_all(self) -> None:
        """Write the recordings of all open arms."""
        while self.arms:
            self.close(self.arms.pop(0))

    def all_lines(self, since: tuple[int, int]) -> list[Manifest]:
        """All of Kueue's log lines since `since` (a value of `Stage.positions`)."""
        return self.stage.lines("", since, everything=True)[1]

    def costs(self) -> dict[str, dict[str, float]]:
        """CPU seconds so far and resident bytes now of every component."""
        found: dict[str, dict[str, float]] = {}
        for name, process in self.stage.cluster.processes.items():
            cpu, rss = process.cpu_seconds(), process.resident_bytes()
            if cpu is not None and rss is not None:
                found[name] = {"cpu_s": cpu, "rss_bytes": float(rss)}
        return found


@contextmanager
def bench(
    lab: KueueLab,
    *,
    nodes: int = 0,
    resources: Iterable[Resource] = DEFAULT_RESOURCES,
    queueing: bool = True,
    **cluster_options: Any,
) -> Generator[Bench]:
    """Open a bench for the length of a `with` block; its logs stay in the run directory.

    Args:
        lab: the scenario's lab; a mutant of the run works on the bench too.
        nodes: fake nodes of 8 GPUs that every arm may use; arms with a pool of their own need none here.
        resources: what is recorded.
        queueing: install Kueue; without it no audit log is kept either.
        **cluster_options: further arguments of `embedded`.
    """
    folder = lab.cluster.directory.with_name(f"bench-{lab.token}")
    with ExitStack() as stack:
        lab.progress("starting a cluster of its own")
        cluster = stack.enter_context(
            embedded(directory=folder, assets=lab.cluster.assets, nodes=nodes, **cluster_options)
        )
        view = stack.enter_context(live_recorder(cluster.kubeconfig, folder / "spool", resources=resources))
        installed = stack.enter_context(kueue.install(cluster)) if queueing else None
        stage = Stage(
            run_id=lab.run_id,
            cluster=cluster,
            view=view,
            capabilities=cluster.capabilities,
            mutant=lab.mutant,
            kueue=installed,
            audit=LineIndex(cluster.audit_log, folder.parent) if installed and cluster.audit_log else None,
            log=LineIndex(installed.log_path, folder.parent) if installed else None,
        )
        over = threading.Event()
        stage.watch(until=over)
        stack.callback(over.set)
        yield Bench(stage=stage, host=lab)
