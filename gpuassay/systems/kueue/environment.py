"""The environment of Kueue: a control plane, fake nodes, Kueue as a process, and a recorder."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from gpuassay import toolchain
from gpuassay.capabilities import PROGRAM
from gpuassay.cluster import base
from gpuassay.cluster.errors import ClusterError
from gpuassay.engine.embedded import Prepare, Prepared, on_embedded
from gpuassay.engine.environment import Host, Stage
from gpuassay.engine.pools import Unavailable
from gpuassay.record.resources import DEFAULT_RESOURCES, EXTRA_RESOURCES
from gpuassay.systems.kueue import component as kueue
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.component import Kueue
from gpuassay.systems.kueue.readings import END, LOG
from gpuassay.systems.kueue.system import FLOORS, FRAMEWORKS, MAIN
from gpuassay.toolchain.catalogue import AT

if TYPE_CHECKING:
    from gpuassay.cluster.base import Cluster
    from gpuassay.engine.pools import Lane
    from gpuassay.scenarios.declare import Scenario
    from gpuassay.scenarios.lab import Lab

NODES = 40
"""Fake nodes of 8 GPUs: more than all concurrent scenarios together can fill."""
FEW_NODES = 4
"""Likewise, for the one scenario of an upgrade."""


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
            made.owns(self.kueue)
        return made

    def settle(self, lab: Lab, quiet: float, settled: Callable[[Lab], bool]) -> None:
        """Wait until the scenario's objects rest, then keep what Kueue's metrics say of them."""
        super().settle(lab, quiet, settled)
        if isinstance(lab, KueueLab) and lab.installed is not None:
            with suppress(ClusterError):  # a scenario may leave Kueue stopped
                lab.scrape_own(END)

    def set_profile(self, profile: str) -> str | None:
        """Bring Kueue into a configuration profile."""
        if self.kueue.profile.name != profile:
            self.kueue.reconfigure(profile)
        return None


def installer(say: Callable[[str], None], which: str, tested: toolchain.Assets | None = None) -> Prepare:
    """Puts Kueue on a cluster; `which` of the run's clusters, for the progress line; `tested`: to be upgraded to."""

    def prepare(cluster: Cluster, stack: ExitStack) -> Prepared:
        say(f"installing Kueue of {which}")
        queueing = stack.enter_context(kueue.install(cluster, tested=tested))
        return Prepared(
            capabilities={
                "kueue-process",
                "kueue-metrics",
                *FRAMEWORKS.values(),
                *_gates(queueing),
                *(FLOORS.values() if cluster.has(base.FAKE_NODES) else ()),
            },
            logs={LOG: queueing.log_path},
            stage=partial(KueueStage, kueue=queueing),
        )

    return prepare


def kueue_stage(run: Host, lane: Lane, assets: toolchain.Assets) -> AbstractContextManager[Stage]:
    """Open the environment for the length of a `with` block."""
    return on_embedded(
        run, lane, assets, description=_description(lane), capabilities={"scheduler-log"},
        recorded=(*DEFAULT_RESOURCES, *EXTRA_RESOURCES), nodes=NODES,
        prepare=installer(run.say, lane.name), audited=True,
    )  # fmt: skip


def upgrading_stage(run: Host, lane: Lane, assets: toolchain.Assets, version: str) -> AbstractContextManager[Stage]:
    """Open the environment of an upgrade: Kueue of an older version, which a scenario replaces by the one under test.

    Raises:
        Unavailable: the older version is not built.
    """
    older = f"kueue{AT}{version}"
    if (problem := toolchain.available(older, assets)) is not None:
        raise Unavailable(f"the cluster lacks: {PROGRAM}{older} ({problem})")
    return on_embedded(
        run, lane, assets.at("kueue", version), capabilities={"scheduler-log", f"{PROGRAM}{older}"},
        description=f"control plane and Kueue v{version}, which is upgraded while it works",
        recorded=(*DEFAULT_RESOURCES, *EXTRA_RESOURCES), nodes=FEW_NODES,
        prepare=installer(run.say, lane.name, assets), audited=True,
    )  # fmt: skip


def _description(lane: Lane) -> str:
    if lane.name == MAIN:
        return f"control plane and Kueue as processes of this machine, {NODES} fake nodes of 8 GPUs"
    return "control plane and Kueue once more, for restarts and other configurations"


def _gates(queueing: kueue.Kueue) -> set[str]:
    """Kueue's enabled feature gates as capabilities, such as `gate:PartialAdmission`."""
    return {f"gate:{name}" for name, on in queueing.feature_gates().items() if on}
