"""The environment of Kueue: a control plane, fake nodes, Kueue as a process, and a recorder."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING

from gpuassay import toolchain
from gpuassay.capabilities import PROGRAM
from gpuassay.cluster import base
from gpuassay.cluster.embedded import replace_control_plane
from gpuassay.cluster.errors import ClusterError
from gpuassay.engine.embedded import Prepare, Prepared, on_embedded
from gpuassay.engine.environment import Environment, Host
from gpuassay.engine.pools import Unavailable
from gpuassay.record import facts
from gpuassay.record.resources import DEFAULT_RESOURCES, EXTRA_RESOURCES
from gpuassay.systems.kueue import component as kueue
from gpuassay.systems.kueue import notes
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.component import Kueue
from gpuassay.systems.kueue.component.backlog import worked_off
from gpuassay.systems.kueue.options import CHOSEN, WALKS
from gpuassay.systems.kueue.readings import END, LOG, RESTARTED
from gpuassay.systems.kueue.system import CONTROL_PLANE, FLOORS, FRAMEWORKS, MAIN, PLACES
from gpuassay.toolchain.catalogue import AT, release
from gpuassay.waiting import WaitTimeout

if TYPE_CHECKING:
    from gpuassay.cluster.base import Cluster
    from gpuassay.engine.pools import ClusterPool
    from gpuassay.scenarios.declare import Scenario
    from gpuassay.scenarios.lab import Lab

NODES = 40
"""Fake nodes of 8 GPUs: more than all concurrent scenarios together can fill."""
FEW_NODES = 4
"""Likewise, for the one scenario of an upgrade."""
BACKLOG_SECONDS = 30.0
"""For which a restarted Kueue may work off what it found on the cluster; a second is usual."""
UPGRADING = "https://kueue.sigs.k8s.io/docs/installation/#upgrading"
"""What Kueue documents of upgrades."""


@dataclass
class KueueEnvironment(Environment):
    """An environment with Kueue, whose configuration is ours to change.

    Attributes:
        kueue: the installation.
        kubernetes: where its one scenario finds the control plane that takes the place of the cluster's.
    """

    kueue: Kueue = field(kw_only=True)
    kubernetes: toolchain.Assets | None = None
    turn: Lock = field(default_factory=Lock)
    """Of the scenario that has Kueue for itself."""
    holder: str = ""

    def lab(self, scenario: Scenario, token: str, *, full: bool, progress: Callable[[str], None]) -> Lab:
        """A lab that knows this Kueue."""
        made = super().lab(scenario, token, full=full, progress=progress)
        if isinstance(made, KueueLab):
            made.owns(self.kueue)
            made.has_kueue_alone = scenario.alone == "cluster"
            if self.kubernetes is not None:
                made.upgrade_kubernetes = partial(replace_control_plane, self.cluster, self.kubernetes)
        return made

    def prepare(self, lab: Lab) -> None:
        """Make the scenario's namespace; where each ends with a restart of Kueue, once the one before is over."""
        if CHOSEN.restarts:
            self.turn.acquire()
            self.holder = lab.token
        super().prepare(lab)

    def clear(self, lab: Lab, swept: Iterable[tuple[str, str]] = ()) -> None:
        """Take the scenario's load off the cluster, and let the next one begin."""
        try:
            super().clear(lab, swept)
        finally:
            if self.holder == lab.token:
                self.holder = ""
                self.turn.release()

    def settle(self, lab: Lab, quiet: float, settled: Callable[[Lab], bool]) -> None:
        """Wait until the scenario's objects rest, and keep what Kueue's metrics say of them.

        Where the scenario has Kueue for itself, Kueue is then restarted, and what there is afterwards kept apart.
        """
        super().settle(lab, quiet, settled)
        if not isinstance(lab, KueueLab) or lab.installed is None or not self.kueue.running:
            return  # a scenario may leave Kueue stopped
        lab.note(notes.STARTED, self.kueue.started_ns)
        with suppress(ClusterError):
            lab.scrape_own(END)
        if not (lab.has_kueue_alone or CHOSEN.restarts) or not lab.noted(facts.AT_REST):
            return
        lab.note(notes.RESTARTED, time.time_ns())
        self.kueue.stop()
        self.kueue.start()
        with suppress(WaitTimeout):  # that something is never worked off is for the page to show
            lab.until(partial(self._worked_off, lab), "Kueue has worked off what it found", timeout=BACKLOG_SECONDS)
        super().settle(lab, quiet, settled)
        lab.scrape_own(RESTARTED)

    def _worked_off(self, lab: KueueLab) -> bool:
        try:
            page = self.kueue.metrics()
        except ClusterError:
            return False
        return worked_off(page, {kind: len(lab.objects(kind)) for kind in ("ClusterQueue", "LocalQueue", "Workload")})

    def set_profile(self, profile: str) -> str | None:
        """Bring Kueue into a configuration profile."""
        if self.kueue.profile.name != profile:
            self.kueue.reconfigure(profile)
        return None


def installer(
    say: Callable[[str], None],
    which: str,
    tested: toolchain.Assets | None = None,
    kubernetes: toolchain.Assets | None = None,
) -> Prepare:
    """Puts Kueue on a cluster; `which` of the run's clusters, for the progress line; `tested`: to be upgraded to.

    `kubernetes`: likewise of the control plane.
    """

    def prepare(cluster: Cluster, stack: ExitStack) -> Prepared:
        say(f"installing Kueue of {which}")
        queueing = stack.enter_context(kueue.install(cluster, tested=tested))
        return Prepared(
            capabilities={
                "kueue-process",
                "kueue-metrics",
                *FRAMEWORKS.values(),
                *_gates(queueing),
                WALKS,
                *((*FLOORS.values(), PLACES) if cluster.has(base.FAKE_NODES) else ()),
            },
            logs={LOG: queueing.log_path},
            environment=partial(KueueEnvironment, kueue=queueing, kubernetes=kubernetes),
        )

    return prepare


def kueue_environment(run: Host, pool: ClusterPool, assets: toolchain.Assets) -> AbstractContextManager[Environment]:
    """Open the environment for the length of a `with` block."""
    return on_embedded(
        run, pool, assets, description=_description(pool), capabilities={"scheduler-log"},
        recorded=(*DEFAULT_RESOURCES, *EXTRA_RESOURCES), nodes=NODES,
        prepare=installer(run.say, pool.name), audited=True,
    )  # fmt: skip


def upgrading_environment(
    run: Host, pool: ClusterPool, assets: toolchain.Assets, version: str, offers: Collection[str] = ()
) -> AbstractContextManager[Environment]:
    """Open the environment of an upgrade: Kueue of an older version, which a scenario replaces by the one under test.

    Raises:
        Unavailable: the older version is not built, or is not the older one: Kueue documents no downgrade.
    """
    older = f"kueue{AT}{version}"
    refuse_downgrade(version, assets)
    if (problem := toolchain.available(older, assets)) is not None:
        raise Unavailable(f"the cluster lacks: {PROGRAM}{older} ({problem})")
    return on_embedded(
        run, pool, assets.at("kueue", version), capabilities={"scheduler-log", f"{PROGRAM}{older}", *offers},
        description=f"control plane and Kueue v{version}, which is upgraded while it works",
        recorded=(*DEFAULT_RESOURCES, *EXTRA_RESOURCES), nodes=FEW_NODES,
        prepare=installer(run.say, pool.name, assets), audited=True,
    )  # fmt: skip


def refuse_downgrade(version: str, assets: toolchain.Assets) -> None:
    """Raise Unavailable where `version` of Kueue would be replaced by an older one, or by itself.

    Of programs that the user has built nothing tells the version: they are taken for newer.
    """
    tested = assets.component("kueue").version
    if assets.directory("kueue") is None and release(tested) <= release(version):
        step = f"from {version} to {tested.removeprefix('v')} is no upgrade"
        what = f"{step}, and Kueue documents no downgrade: {UPGRADING}"
        raise Unavailable(f"the cluster lacks: an older {PROGRAM}kueue ({what})")


def upgrading_kubernetes(
    run: Host, pool: ClusterPool, assets: toolchain.Assets, version: str
) -> AbstractContextManager[Environment]:
    """Open the environment of an upgrade of the control plane: from an older one to that under test, or to a newer one.

    Raises:
        Unavailable: the other version is not built.
    """
    other = f"{CONTROL_PLANE}{AT}{version}"
    if (problem := toolchain.available(other, assets)) is not None:
        raise Unavailable(f"the cluster lacks: {PROGRAM}{other} ({problem})")
    older, newer = assets.upgrade(CONTROL_PLANE, version)

    from_, to = (one.component(CONTROL_PLANE).version for one in (older, newer))
    return on_embedded(
        run, pool, older, capabilities={"scheduler-log", f"{PROGRAM}{other}"},
        description=f"control plane of Kubernetes {from_} and Kueue; {to} takes its place over the same etcd",
        recorded=(*DEFAULT_RESOURCES, *EXTRA_RESOURCES), nodes=FEW_NODES,
        prepare=installer(run.say, pool.name, kubernetes=newer), audited=True,
    )  # fmt: skip


def _description(pool: ClusterPool) -> str:
    if pool.name == MAIN:
        return f"control plane and Kueue as processes of this machine, {NODES} fake nodes of 8 GPUs"
    return "control plane and Kueue once more, for restarts and other configurations"


def _gates(queueing: kueue.Kueue) -> set[str]:
    """Kueue's enabled feature gates as capabilities, such as `gate:PartialAdmission`."""
    return {f"gate:{name}" for name, on in queueing.feature_gates().items() if on}
