"""Kueue in front of GPU slices as a system under test. Root only."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from gpuassay.capabilities import Why
from gpuassay.system import Invariants, Pool, System
from gpuassay.systems.kueue.system import CHANGING, MAIN, PROGRAMS, SWEPT, check, settled
from gpuassay.systems.kueue.system import SYSTEM as KUEUE
from gpuassay.systems.platform.readings import PlatformRecording
from gpuassay.systems.slices.system import OWN_NODE, RECORDED, lacking, timed, untimed
from gpuassay.systems.slices.system import RULES as OF_SLICES
from gpuassay.toolchain.catalogue import NODE

if TYPE_CHECKING:  # cluster clients: not for `--help`
    from gpuassay.cluster.existing import Detector
    from gpuassay.engine.environment import Environment, Host
    from gpuassay.engine.pools import ClusterPool
    from gpuassay.toolchain import Assets

POOL = "cluster-platform"


def _open(run: Host, pool: ClusterPool, assets: Assets) -> AbstractContextManager[Environment]:
    from gpuassay.systems.platform.environment import platform_environment

    return platform_environment(run, pool, assets)


def _detect() -> Detector:
    from gpuassay.systems.platform.detect import detect

    return detect


def _untimed(recording: Any) -> list[str]:
    return [*KUEUE.invariants.untimed(recording), *untimed(recording)]


def _timed(recording: Any) -> list[str]:
    return [*KUEUE.invariants.timed(recording), *timed(recording)]


SYSTEM = System(
    name="platform",
    pools=(
        Pool(
            POOL,
            _open,
            width=5,
            after=(MAIN, CHANGING),
            programs=(*PROGRAMS, *NODE),
            extra=("nvidia-device-plugin", "nvidia-dra", "dra-example", "llmd-epp", "llmd-sim"),
            lacking=lacking,
        ),
    ),
    pool_of=lambda _: POOL,
    lab=KUEUE.lab,
    recording=PlatformRecording,
    needs=frozenset({"platform"}),
    needs_inside=frozenset({OWN_NODE}),
    why={"platform": Why.FAULTS, OWN_NODE: Why.FAULTS},
    detect=_detect,
    invariants=Invariants(_untimed, _timed),
    settled=settled,
    swept=SWEPT,
    check=check,
    rules=tuple(dict.fromkeys((*KUEUE.rules, *OF_SLICES))),
    recorded=(RECORDED,),
    mutants="gpuassay.systems.platform.mutants",
)
