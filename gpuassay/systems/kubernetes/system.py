"""Kubernetes' own scheduling of groups of pods as a system under test: API and gates that are off by default."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from gpuassay.capabilities import Why
from gpuassay.system import Pool, System

if TYPE_CHECKING:  # cluster clients: not for `--help`
    from gpuassay.engine.environment import Environment, Host
    from gpuassay.engine.pools import ClusterPool
    from gpuassay.scenarios.lab import Lab
    from gpuassay.toolchain import Assets

POOL = "cluster-gangs"
POD_GROUPS = "pod-groups"
"""Capability: Kubernetes serves PodGroups, and its scheduler heeds them."""


def _open(run: Host, pool: ClusterPool, assets: Assets) -> AbstractContextManager[Environment]:
    from gpuassay.systems.kubernetes.environment import gang_environment

    return gang_environment(run, pool, assets)


def _lab() -> type[Lab]:
    from gpuassay.systems.kubernetes.lab import GangLab

    return GangLab


SYSTEM = System(
    name="kubernetes",
    pools=(Pool(POOL, _open, width=4, programs=("controlplane", "kwok")),),
    pool_of=lambda _: POOL,
    lab=_lab,
    needs=frozenset({POD_GROUPS}),
    why={POD_GROUPS: Why.SWITCHED_OFF},
    remedies={POD_GROUPS: "Kubernetes 1.36 or 1.37 with its feature gates for groups of pods on"},
    mutants="gpuassay.systems.kubernetes.mutants",
)
