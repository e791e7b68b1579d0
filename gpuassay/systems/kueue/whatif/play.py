"""Plays a list of jobs on real Kueue: a control plane of this machine, Workloads, and nobody who runs them.

A Workload that is admitted ends after its run time divided by the speed; one that is evicted gives its quota back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gpuassay.cluster.base import Cluster
from gpuassay.cluster.embedded import embedded
from gpuassay.cluster.parallel import side_by_side
from gpuassay.manifest import Manifest, dig, is_true, name_of
from gpuassay.record.live import LiveView
from gpuassay.record.process import live_recorder
from gpuassay.scratch import scratch
from gpuassay.systems.kueue import component
from gpuassay.systems.kueue.acts.minimal_manager import WORKLOAD_PATHS
from gpuassay.systems.kueue.acts.workload_driver import Mimic
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.systems.kueue.objects.mixes import Generated, GeneratedSet
from gpuassay.systems.kueue.whatif.errors import WhatIfError
from gpuassay.systems.kueue.whatif.observed import Seen, lives
from gpuassay.systems.kueue.whatif.predicted import Handed
from gpuassay.systems.kueue.whatif.setup import KINDS, Setup
from gpuassay.toolchain import Assets
from gpuassay.waiting import wait

TOKEN = "whatif"
STILL = 15.0
"""Seconds without any change, and nothing running, after which those that wait wait for ever: Kueue looks at parked
Workloads again a second after quota is free."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Played:
    """A play.

    Attributes:
        seen: of each Workload by name.
        names: name of each job's Workload.
        lag: the most by which a creation was late, in seconds of the machine's clock.
        version: Kueue's.
    """

    seen: Mapping[str, Seen]
    names: Mapping[str, str]
    lag: float
    version: str


class _StillError(Exception):
    """Nothing moves any more."""


@contextmanager
def control_plane(directory: Path | None, profile: str, assets: Assets) -> Generator[tuple[Cluster, str]]:
    """A control plane with Kueue for the length of a `with` block, and Kueue's version."""
    with (
        scratch("whatif") as spare,
        embedded(
            directory=directory or spare / "cluster", assets=assets, nodes=0, audit=False, performance=True
        ) as cluster,
        component.install(cluster, profile) as installed,
    ):
        yield cluster, installed.version


def play(
    cluster: Cluster, version: str, setup: Setup, handed: Sequence[Handed], speed: float, timeout: float, say: Say
) -> Played:
    """Play the jobs `speed` times as fast as they would be; `timeout` in seconds of the machine's clock.

    Raises:
        WhatIfError: a queue is refused by Kueue or does not become active, or the time was not enough.
        ClusterError: a program died.
    """
    names = {one.job.name: f"job-{number:05d}" for number, one in enumerate(handed, start=1)}
    spaces = {one.place.namespace for one in handed} | {
        str(one["metadata"]["namespace"]) for one in setup.of_kind("LocalQueue").values()
    }
    with (
        scratch("whatif") as place,
        live_recorder(cluster.kubeconfig, place / "spool", resources=WORKLOAD_PATHS) as view,
    ):
        view.register(TOKEN, spaces)
        _create(cluster, setup, handed, spaces)
        driver = _driver(cluster, view, setup, handed, names, speed)
        stillness = _Stillness(view, len(handed), say)

        def progress(done: int, of: int) -> None:
            if death := cluster.component_died():
                raise death
            stillness.look(done, of)

        try:
            if not driver.run(timeout, progress):
                raise WhatIfError(
                    f"{setup.label}: {timeout:.0f} s were not enough for {len(handed)} jobs; give --minutes more"
                )
        except _StillError:
            pass
        if driver.problems:
            raise WhatIfError(f"{setup.label}: {driver.problems[0]}")
        return Played(lives(view.lines(TOKEN)), names, max(driver.lags, default=0.0), version)


class _Stillness:
    """Ends a play in which nothing runs and nothing changes: those that wait then are never admitted."""

    def __init__(self, view: LiveView, total: int, say: Say) -> None:
        self._total, self._say = total, say
        self._created: set[str] = set()
        self._holding: set[str] = set()
        self._changed = time.monotonic()
        view.listen("Workload", self._hear)

    def _hear(self, change: str, workload: Manifest) -> None:
        del change
        self._changed = time.monotonic()
        self._created.add(name_of(workload))
        holds = is_true(workload, "QuotaReserved") and not is_true(workload, "Finished")
        (self._holding.add if holds else self._holding.discard)(name_of(workload))

    def look(self, done: int, of: int) -> None:
        self._say(f"{done} of {of} jobs are done, {len(self._holding)} run")
        quiet = time.monotonic() - self._changed
        if len(self._created) == self._total and not self._holding and quiet > STILL:
            raise _StillError


def _create(cluster: Cluster, setup: Setup, handed: Sequence[Handed], spaces: set[str]) -> None:
    from gpuassay.cluster.errors import ApiRefused

    api = cluster.api
    there = {name_of(one) for one in api.list("Namespace")}
    side_by_side(
        api.create,
        [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in sorted(spaces - there)],
    )
    known = set(setup.of_kind("LocalQueue"))
    added = {one.place for one in handed if f"{one.place.namespace}/{one.place.local_queue}" not in known}
    extra = [kueue.local_queue(one.local_queue, one.namespace, one.cluster_queue) for one in sorted(added, key=str)]
    for kind in KINDS:
        for one in [one for one in [*setup.objects, *extra] if one["kind"] == kind]:
            try:
                api.create(one)
            except ApiRefused as error:
                raise WhatIfError(f"{setup.label}: Kueue refuses {kind} {name_of(one)}: {error}") from None
    wanted = {one.place.cluster_queue for one in handed}

    def inactive() -> list[str]:
        found = {name_of(one): one for one in api.list("ClusterQueue")}
        return [name for name in sorted(wanted) if not _active(found[name])]

    wait(inactive, lambda left: not left, what=f"the ClusterQueues of {setup.label} to be active", timeout=30)


def _active(queue: Manifest) -> bool:
    return dig(queue, "spec", "stopPolicy", default="None") != "None" or is_true(queue, "Active")


def _driver(
    cluster: Cluster, view: LiveView, setup: Setup, handed: Sequence[Handed], names: Mapping[str, str], speed: float
) -> Mimic:
    by_name = {names[one.job.name]: one for one in handed}

    def create(skeleton: Manifest) -> Manifest:
        one = by_name[name_of(skeleton)]
        pods = kueue.pod_set(requests={setup.resource: one.job.gpus})
        return cluster.api.create(
            kueue.workload(name_of(skeleton), one.place.namespace, one.place.local_queue, [pods], priority=one.priority)
        )

    sets = [
        GeneratedSet(
            one.job.cls, 1, one.job.arrival / speed, one.job.seconds / speed, one.priority, one.job.gpus,
            names[one.job.name], (names[one.job.name],),
        )
        for one in handed
    ]  # fmt: skip
    spaces = {names[one.job.name]: one.place.namespace for one in handed}
    return Mimic(cluster.api, view, Generated((), tuple(sets)), spaces.__getitem__, create)
