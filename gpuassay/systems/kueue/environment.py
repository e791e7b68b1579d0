"""The stage of Kueue: a control plane, fake nodes, Kueue as a process, and a recorder."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gpuassay import toolchain
from gpuassay.cluster.embedded import embedded
from gpuassay.engine.environment import Host, Stage, described
from gpuassay.engine.pools import Lane
from gpuassay.record.lines import LineIndex
from gpuassay.record.process import live_recorder
from gpuassay.record.resources import DEFAULT_RESOURCES, EXTRA_RESOURCES
from gpuassay.scenarios import mutants
from gpuassay.systems.kueue import component as kueue
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.component import Kueue
from gpuassay.systems.kueue.readings import LOG
from gpuassay.systems.kueue.system import MAIN

if TYPE_CHECKING:
    from gpuassay.scenarios.declare import Scenario
    from gpuassay.scenarios.lab import Lab

NODES = 40
"""Fake nodes of 8 GPUs: more than all concurrent scenarios together can fill."""


@dataclass
class KueueStage(Stage):
    """A stage with Kueue, whose configuration is ours to change.

    Attributes:
        kueue: the installation.
    """

    kueue: Kueue = field(kw_only=True)

    def lab(self, scenario: Scenario, token: str, *, full: bool, progress: Callable[[str], None]) -> Lab:
        """A lab that knows this Kueue."""
        made = super().lab(scenario, token, full=full, progress=progress)
        if isinstance(made, KueueLab):
            made.installed = self.kueue
        return made

    def set_profile(self, profile: str) -> str | None:
        """Bring Kueue into a configuration profile."""
        if self.kueue.profile.name != profile:
            self.kueue.reconfigure(profile)
        return None


@contextmanager
def kueue_stage(run: Host, lane: Lane, assets: toolchain.Assets) -> Generator[Stage]:
    """Open the stage for the length of a `with` block."""
    with ExitStack() as stack:
        which = "" if lane.name == MAIN else f" of {lane.name}"
        programs = "etcd, kube-apiserver, kube-controller-manager, kube-scheduler, KWOK"
        run.say(f"starting the control plane{which} ({programs})")
        folder = run.directory / lane.name
        cluster = stack.enter_context(embedded(directory=folder, assets=assets, nodes=NODES))
        recorded = (*DEFAULT_RESOURCES, *EXTRA_RESOURCES)
        view = stack.enter_context(live_recorder(cluster.kubeconfig, folder / "spool", resources=recorded))
        run.say(f"installing Kueue{which}")
        queueing = stack.enter_context(kueue.install(cluster))
        capabilities = cluster.capabilities | {"kueue-process", "scheduler-log"} | _gates(queueing)
        stack.enter_context(described(run, cluster, "embedded/T0", _description(lane), capabilities))
        run.say(f"scenarios{which} begin")
        yield KueueStage(
            run_id=run.directory.name,
            cluster=cluster,
            view=view,
            capabilities=capabilities,
            mutant=mutants.chosen(run.mutant),
            kueue=queueing,
            audit=LineIndex(cluster.audit_log, run.directory) if cluster.audit_log else None,
            logs={LOG: LineIndex(queueing.log_path, run.directory)},
        )


def _description(lane: Lane) -> str:
    if lane.name == MAIN:
        return f"control plane and Kueue as processes of this machine, {NODES} fake nodes of 8 GPUs"
    return "control plane and Kueue once more, for restarts and other configurations"


def _gates(queueing: kueue.Kueue) -> set[str]:
    """Kueue's enabled feature gates as capabilities, such as `gate:PartialAdmission`."""
    return {f"gate:{name}" for name, on in queueing.feature_gates().items() if on}
