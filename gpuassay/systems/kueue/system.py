"""Kueue as a system under test."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from gpuassay.capabilities import PROGRAM, Why
from gpuassay.system import Invariants, Open, PodLog, Pool, System
from gpuassay.systems.kueue import options, readings
from gpuassay.systems.kueue.rbac import RULES
from gpuassay.toolchain.catalogue import AT, COMPONENTS

if TYPE_CHECKING:  # cluster clients and judges: not for `--help`
    from gpuassay.cluster.existing import Detector
    from gpuassay.cluster.images import Source
    from gpuassay.engine.environment import Environment, Host
    from gpuassay.engine.operating import Operation, Operator
    from gpuassay.engine.pools import ClusterPool
    from gpuassay.provision.component import Provided
    from gpuassay.scenarios.declare import Scenario
    from gpuassay.scenarios.lab import Lab
    from gpuassay.toolchain import Assets

MAIN = "cluster"
"""The pool of Kueue's default profile; its folder in the run directory."""
CHANGING = "cluster-changing"
"""The pool whose Kueue gets other configurations, is restarted and killed: meanwhile the other goes on."""
UPGRADING = "cluster-from-"
"""Begins the names of pools whose Kueue is of an older version, and upgraded by their one scenario."""
KILLED = "cluster-killed-from-"
"""Likewise, where the upgrade is killed before it succeeds."""
KILLED_UPGRADE = "killed-upgrade"
"""Capability: the cluster's Kueue is of an older version, and its upgrade may be killed half-way."""
KUBERNETES = "cluster-kubernetes-"
"""Begins the names of pools whose control plane is replaced: by or from that version."""
CONTROL_PLANE = "controlplane"

FRAMEWORKS = {"jobset.x-k8s.io": "jobset", "leaderworkerset.x-k8s.io": "leader-worker-set"}
"""API groups of frameworks that a cluster may lack, and the capability of one that serves them."""

CONTROLLERS = ("jobset-controller", "lws-controller")
"""Capabilities of clusters on which their controllers work, too."""
FLOORS = {2: "floor-of-two", 4: "floor-of-four"}
"""Capabilities of clusters with so many nodes that scenarios may put into racks."""
PLACES = "places-of-eight"
"""Capability: arms of a measurement can have eight places each that nobody else takes, on fake nodes or lent ones."""

PROGRAMS = ("kueue", "controlplane", "kwok", "kustomize")
WIDTH = 12
"""Most of a scenario on Kueue is waiting for one-second batches, so more than the machine's cores."""


def _open(run: Host, pool: ClusterPool, assets: Assets) -> AbstractContextManager[Environment]:
    from gpuassay.systems.kueue.environment import kueue_environment

    return kueue_environment(run, pool, assets)


def _open_older(run: Host, pool: ClusterPool, assets: Assets) -> AbstractContextManager[Environment]:
    from gpuassay.systems.kueue.environment import upgrading_environment

    return upgrading_environment(run, pool, assets, pool.name.removeprefix(UPGRADING))


def _open_killed(run: Host, pool: ClusterPool, assets: Assets) -> AbstractContextManager[Environment]:
    from gpuassay.systems.kueue.environment import upgrading_environment

    return upgrading_environment(run, pool, assets, pool.name.removeprefix(KILLED), {KILLED_UPGRADE})


def _open_kubernetes(run: Host, pool: ClusterPool, assets: Assets) -> AbstractContextManager[Environment]:
    from gpuassay.systems.kueue.environment import upgrading_kubernetes

    return upgrading_kubernetes(run, pool, assets, pool.name.removeprefix(KUBERNETES))


def _older() -> tuple[str, ...]:
    """Versions of Kueue that upgrades begin with, as components."""
    return tuple(name for name in COMPONENTS if name.startswith("kueue@"))


def _kubernetes() -> tuple[str, ...]:
    """Other versions of the control plane, as components."""
    return tuple(name for name in COMPONENTS if name.startswith(f"{CONTROL_PLANE}{AT}"))


def _upgrading(other: str, begins: str, opens: Open) -> Pool:
    """The pool of one upgrade; `other` is the component that is the other version."""
    name = f"{begins}{other.partition(AT)[2]}"
    return Pool(name, opens, 1, after=(MAIN, CHANGING), programs=PROGRAMS, extra=(other,))


def _upgrades() -> dict[str, Pool]:
    """Pools of upgrades, by the component that is the other version."""
    made = [(one, UPGRADING, _open_older) for one in _older()]
    made += [(one, KUBERNETES, _open_kubernetes) for one in _kubernetes()]
    return {one: _upgrading(one, begins, opens) for one, begins, opens in made}


def _pool_of(scenario: Scenario) -> str:
    for name, pool in (KILLED_UPGRADES if KILLED_UPGRADE in scenario.needs else UPGRADES).items():
        if f"{PROGRAM}{name}" in scenario.needs:
            return pool.name
    return CHANGING if scenario.profile != "default" or scenario.alone == "cluster" else MAIN


def _lab() -> type[Lab]:
    from gpuassay.systems.kueue.acts.lab import KueueLab

    return KueueLab


def _untimed(recording: Any) -> list[str]:
    from gpuassay.systems.kueue.judge import invariants

    return invariants.untimed(recording)


def _timed(recording: Any) -> list[str]:
    from gpuassay.systems.kueue.judge import invariants

    return invariants.timed(recording)


def settled(lab: Any) -> bool:
    """Whether ClusterQueues count as many workloads as there are."""
    from gpuassay.systems.kueue.settle import counted

    return counted(lab)


def check(scenario: Scenario) -> None:
    """Refuse a profile that there is not."""
    from gpuassay.cluster.errors import ClusterError
    from gpuassay.systems.kueue.component.profiles import profile

    try:
        profile(scenario.profile)
    except ClusterError as error:
        raise ClusterError(f"scenario {scenario.id}: {error}") from None


def _detect() -> Detector:
    from gpuassay.systems.kueue.detect import detect

    return detect


def _provides() -> Sequence[Provided]:
    from gpuassay.systems.kueue import frameworks
    from gpuassay.systems.kueue.provision import KUEUE

    return (*(one.provided() for one in frameworks.ALL), KUEUE)


def _operate(operation: Operation) -> AbstractContextManager[Operator]:
    from gpuassay.systems.kueue.operate import operate

    return operate(operation)


def _images(assets: Assets) -> Iterable[Source]:
    from gpuassay.systems.kueue import frameworks
    from gpuassay.systems.kueue.component.image import images

    return (*images(assets), *(source for one in frameworks.ALL for source in one.image(assets)))


REMEDIES = {
    "kueue-process": "let the run install Kueue, --kueue install, or lend what is there, --allow-cluster-mutation",
    "kueue-metrics": "let the run install Kueue, --kueue install, or set metrics.enableClusterQueueResources in its "
    "configuration; the rights to forward a port and to make a role for /metrics",
    PLACES: "a node without taints, lent with --allow-cluster-mutation, or one with eight free GPUs, --own-gpus",
    "floor-of-two": "two nodes without taints, lent with --allow-cluster-mutation",
    "floor-of-four": "four nodes without taints, lent with --allow-cluster-mutation",
    "jobset": "--jobset install",
    "jobset-controller": "--jobset install, on a cluster with kubelets",
    "leader-worker-set": "--lws install",
    "lws-controller": "--lws install, on a cluster with kubelets",
}
"""What gives a cluster what it lacks."""

SWEPT = (("apis/kueue.x-k8s.io/v1beta2", "workloads"),)

OFFERS = frozenset(
    [
        *("kueue-process", "kueue-metrics", "scheduler-log", KILLED_UPGRADE, options.WALKS),
        *FRAMEWORKS.values(),
        *CONTROLLERS,
        *FLOORS.values(),
        PLACES,
    ]
)
"""Capabilities that environments of Kueue may have."""

UPGRADES = _upgrades()
KILLED_UPGRADES = {one: _upgrading(one, KILLED, _open_killed) for one in _older()}

SYSTEM = System(
    name="kueue",
    pools=(
        Pool(MAIN, _open, WIDTH, programs=PROGRAMS),
        Pool(CHANGING, _open, WIDTH, programs=PROGRAMS),
        *UPGRADES.values(),
        *KILLED_UPGRADES.values(),
    ),
    pool_of=_pool_of,
    lab=_lab,
    recording=readings.KueueRecording,
    needs=frozenset({"kueue"}),
    offers=OFFERS,
    why={
        "kueue-process": Why.CONSENT,
        "kueue-metrics": Why.PROCESS,
        "scheduler-log": Why.PROCESS,
        KILLED_UPGRADE: Why.FAULTS,
        options.WALKS: Why.PROCESS,
        **dict.fromkeys((*FRAMEWORKS.values(), *CONTROLLERS), Why.ABSENT),
        **dict.fromkeys((*FLOORS.values(), PLACES), Why.CONSENT),
    },
    remedies=REMEDIES,
    invariants=Invariants(_untimed, _timed),
    settled=settled,
    swept=SWEPT,
    check=check,
    rules=RULES,
    detect=_detect,
    images=_images,
    components=("jobset", "lws", "kueue"),
    provides=_provides,
    pod_logs=(PodLog(readings.LOG, "kueue-system", "app.kubernetes.io/name=kueue,control-plane=controller-manager"),),
    operate=_operate,
    mutants="gpuassay.systems.kueue.mutants",
    add_options=options.add_options,
    take_options=options.take,
)
