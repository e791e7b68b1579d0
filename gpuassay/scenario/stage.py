"""The stage: a cluster with Kueue on it and a recorder watching, on which scenarios act."""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gpuassay import pressure, toolchain
from gpuassay.cluster import base
from gpuassay.cluster.embedded import embedded
from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.kinds import KUEUE
from gpuassay.components import kueue
from gpuassay.manifest import Manifest, dig, is_true
from gpuassay.record import rundir
from gpuassay.record.lines import LineIndex
from gpuassay.record.process import live_recorder
from gpuassay.record.resources import DEFAULT_RESOURCES, EXTRA_RESOURCES, RecorderError
from gpuassay.scenario import mutants
from gpuassay.scenario.gateway_options import gateway_options
from gpuassay.scenario.lab import Lab
from gpuassay.scenario.lanes import MAIN, OPERATOR, ROUTING, SLICES, Lane, Unavailable
from gpuassay.wait import WaitTimeout

if TYPE_CHECKING:
    from gpuassay.cluster.base import Cluster
    from gpuassay.cluster.errors import ComponentDied
    from gpuassay.components.llmd.existing import ExistingGateway
    from gpuassay.record.live import EventLine, LiveView
    from gpuassay.scenario.declare import Scenario

WATCH = 0.3
"""Seconds between two looks at whether the stage still stands. It must be seen broken twice: a Kueue that lost its port
while starting is dead for an instant, and started again."""

NODES = 40
"""Fake nodes of 8 GPUs: more than all concurrent scenarios together can fill."""

COUNTER_LAG = 3.5
"""Seconds of quiet after which a counter that differs from a recount is wrong and not late (it is batched for 1 s)."""

OWNERS = frozenset({"Deployment", "StatefulSet", "JobSet", "LeaderWorkerSet"})
"""Kinds that would make their pods or Workloads again while those are cleared away."""

REST_SECONDS = 40.0
"""How long a scenario may take to come to rest: generous, because a crowded machine only slows down, while a controller
that fights itself never rests."""


class Host(Protocol):
    """The run on whose behalf a stage is opened."""

    @property
    def directory(self) -> Path:
        """The run directory."""
        ...

    @property
    def mutant(self) -> str | None:
        """Name of the mutant that breaks the system under test."""
        ...

    def say(self, text: str) -> None:
        """Tell the person at the terminal how far things are."""
        ...


@dataclass
class Stage:
    """What the engine works with.

    Attributes:
        capabilities: what scenarios may need of this stage.
        gateway: somebody's, where routing is judged there.
        collapsed: set when a component or the recorder died and everything under way was ended.
    """

    run_id: str
    cluster: Cluster
    view: LiveView
    kueue: kueue.Kueue | None
    capabilities: frozenset[str]
    mutant: mutants.Mutant | None
    audit: LineIndex | None
    log: LineIndex | None
    ours: bool
    image: str = ""
    gateway: ExistingGateway | None = None
    collapsed: threading.Event = field(default_factory=threading.Event)

    def lab(self, token: str, *, full: bool, progress: Callable[[str], None]) -> Lab:
        """A lab for one scenario."""
        return Lab(
            token=token, run_id=self.run_id, cluster=self.cluster, kueue=self.kueue, view=self.view,
            mutant=self.mutant, full=full, progress=progress,
            image="" if base.FAKE_NODES in self.capabilities else self.image, gateway=self.gateway,
        )  # fmt: skip

    def lacking(self, scenario: Scenario) -> frozenset[str]:
        """What the scenario needs and is not here."""
        return scenario.needs - self.capabilities

    def set_profile(self, profile: str) -> str | None:
        """Bring Kueue into a configuration profile; the reason why that cannot be, or None."""
        if self.kueue is None:
            return None if profile == "default" else f"Kueue's configuration is not ours to change (profile {profile})"
        if self.kueue.profile.name != profile:
            self.kueue.reconfigure(profile)
        return None

    def prepare(self, lab: Lab) -> None:
        """Make the scenario's namespace and start collecting its events."""
        self.view.register(lab.token, [lab.namespace])
        namespace: Manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": lab.namespace}}
        lab.create(namespace)

        def has_account() -> bool:
            return lab.api.get("ServiceAccount", "default", lab.namespace) is not None

        lab.until(has_account, f"ServiceAccount default in {lab.namespace}")

    def positions(self) -> tuple[int, int]:
        """Where the audit log and Kueue's log stand now."""
        return (self.audit.position() if self.audit else 0, self.log.position() if self.log else 0)

    def lines(self, token: str, start: tuple[int, int], *, everything: bool) -> tuple[list[Manifest], list[Manifest]]:
        """The scenario's share of the audit log and of Kueue's log since `start`."""
        audit = self.audit.of(token, start[0]) if self.audit else []
        log = self.log.of(token, start[1], everything=everything) if self.log else []
        return audit, log

    def settle(self, lab: Lab, quiet: float) -> None:
        """Wait until the scenario's objects have not changed for `quiet` seconds; note whether they came to rest.

        Where a ClusterQueue's counters differ from a recount, on a busy machine only its update is late, which is
        given `COUNTER_LAG` seconds of quiet, and up to three times as many the more the machine is short of CPU time.
        """
        slowness = 1 + 2 * pressure.recent()
        quiet, lag = quiet * slowness, COUNTER_LAG * slowness

        def quiet_for(lines: list[EventLine]) -> float:
            return (time.time_ns() - lines[-1].at) / 1e9 if lines else quiet

        def rests() -> bool:
            passed = quiet_for(self.view.lines(lab.token))
            return passed >= quiet and (passed >= lag or self._counted(lab))

        try:
            lab.until(rests, "at rest", timeout=REST_SECONDS)
            at_rest = True
        except WaitTimeout:
            at_rest = False
        lab.note(at_rest=at_rest)

    def _counted(self, lab: Lab) -> bool:
        """Whether the ClusterQueues count as many workloads with quota as there are."""
        told = sum(dig(one, "status", "reservingWorkloads", default=0) for one in lab.objects("ClusterQueue"))
        workloads = self.view.objects("Workload", token=lab.token)
        return told == sum(is_true(one, "QuotaReserved") and not is_true(one, "Finished") for one in workloads)

    def component_died(self) -> ComponentDied | None:
        """What died on its own, if anything did."""
        return self.cluster.component_died()

    def broken(self) -> str | None:
        """Why nothing can be acted out here any more (a component or the recorder died), or None."""
        if death := self.component_died():
            return str(death)
        try:
            self.view.check()
        except RecorderError as error:
            return str(error)
        return None

    def watch(self, *, until: threading.Event) -> None:
        """End everything under way as soon as a component or the recorder is dead: nothing more can come of it."""

        def look() -> None:
            before = None
            while not until.wait(WATCH):
                why = self.broken()
                if why is not None and why == before:
                    self.abort(why)
                    self.collapsed.set()
                    return
                before = why

        threading.Thread(target=look, name="gpuassay-watch", daemon=True).start()

    def await_collapse(self) -> None:
        """Give `watch` the time that it needs to see a death."""
        self.collapsed.wait(3 * WATCH)

    def clear(self, lab: Lab) -> None:
        """Take a finished scenario's load off the cluster.

        Workloads too: the scheduler never stops trying the blocked head of a StrictFIFO queue.
        """
        self.view.forget(lab.token)
        with suppress(ClusterError):  # a relief for the others; where it matters, the sweep has the last word
            for owner in [one for one in lab.asked if one["kind"] in OWNERS]:
                lab.delete(owner["kind"], owner["metadata"]["name"], namespace=owner["metadata"].get("namespace"))
            for namespace in lab.namespaces:
                for group, plural in (("apis/batch/v1", "jobs"), ("api/v1", "pods"), (f"apis/{KUEUE}", "workloads")):
                    path = f"/{group}/namespaces/{namespace}/{plural}"
                    lab.api.request("delete", path, query={"propagationPolicy": "Background"})

    def at_rest(self) -> None:
        """All scenarios are done."""

    def abort(self, why: str) -> None:
        """End every wait and every request under way: scenarios break off with `why`, the engine comes to its end."""
        self.view.abort(why)
        if self.ours:
            # a request to an API server that lost its etcd hangs for a minute; to one that is gone it fails at once
            self.cluster.supervisor.stop(*self.cluster.processes, grace=0)


@dataclass(frozen=True)
class Venue:
    """Where a run takes place.

    Attributes:
        open: opens the stage of a lane on behalf of a run.
        several: clusters may be opened side by side.
    """

    open: Callable[[Host, Lane], AbstractContextManager[Stage]]
    several: bool


def venue_for(option: argparse.Namespace) -> Venue:
    """The place that the command line asks for.

    Raises:
        ToolchainError: an `--asset` is not of the form NAME=DIR or lacks a program.
        ClusterError: the existing cluster cannot be used.
    """
    assets = toolchain.Assets.parse(option.asset)
    named = gateway_options(option)
    if option.cluster == "existing":
        if named is not None:
            from gpuassay.scenario.existing_gateway import gateway_stage

            return Venue(gateway_stage(option, named), several=False)
        from gpuassay.scenario.existing import existing_stage

        return Venue(existing_stage(option), several=False)

    def embedded_venue(run: Host, lane: Lane) -> AbstractContextManager[Stage]:
        if lane.name == ROUTING:
            from gpuassay.scenario.routing_stage import routing_stage

            return routing_stage(run, lane, assets)
        if lane.name == SLICES:
            from gpuassay.scenario.slices_stage import slices_stage

            return slices_stage(run, lane, assets)
        if lane.name == OPERATOR:
            where = "--cluster existing --gpuassay-kubeconfig FILE"
            raise Unavailable(f"the cluster lacks: {base.GPU_OPERATOR} (a cluster that has one: {where})")
        return _embedded_stage(run, lane, assets)

    return Venue(embedded_venue, several=True)


@contextmanager
def _embedded_stage(run: Host, lane: Lane, assets: toolchain.Assets) -> Generator[Stage]:
    with ExitStack() as stack:
        logs = run.directory / "logs"
        which = "" if lane.name == MAIN else f" of {lane.name}"
        programs = "etcd, kube-apiserver, kube-controller-manager, kube-scheduler, KWOK"
        run.say(f"starting the control plane{which} ({programs})")
        folder = run.directory / lane.name
        cluster = stack.enter_context(embedded(directory=folder, assets=assets, nodes=NODES))
        recorded = (*DEFAULT_RESOURCES, *EXTRA_RESOURCES)
        view = stack.enter_context(live_recorder(cluster.kubeconfig, folder / "spool", resources=recorded))
        run.say(f"installing Kueue{which}")
        queueing = stack.enter_context(kueue.install(cluster))
        capabilities = cluster.capabilities | {"kueue-process", "scheduler-log"} | gates(queueing)
        logs.mkdir(exist_ok=True)
        rundir.describe_cluster(
            run.directory,
            {
                "provider": "embedded/T0",
                "kubernetes": cluster.api.version["gitVersion"],
                "description": _described(lane),
            },
            components=[asdict(part) for part in cluster.components],
            emulated=cluster.emulated,
            capabilities=capabilities,
        )
        run.say(f"scenarios{which} begin")
        yield Stage(
            run_id=run.directory.name,
            cluster=cluster,
            view=view,
            kueue=queueing,
            capabilities=frozenset(capabilities),
            mutant=mutants.get(run.mutant) if run.mutant else None,
            audit=LineIndex(cluster.audit_log, run.directory) if cluster.audit_log else None,
            log=LineIndex(queueing.log_path, run.directory),
            ours=True,
        )


def _described(lane: Lane) -> str:
    if lane.name == MAIN:
        return f"control plane and Kueue as processes of this machine, {NODES} fake nodes of 8 GPUs"
    return "control plane and Kueue once more, for restarts and other configurations"


def gates(queueing: kueue.Kueue) -> set[str]:
    """Kueue's enabled feature gates as capabilities, such as `gate:PartialAdmission`."""
    return {f"gate:{name}" for name, on in queueing.feature_gates().items() if on}


__all__ = ["Stage", "Venue", "venue_for"]
