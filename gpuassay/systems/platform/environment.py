"""The environment of Kueue in front of slices: a control plane and Kueue; nodes come with the scenarios. Root only."""

from __future__ import annotations

from contextlib import AbstractContextManager

from gpuassay import toolchain
from gpuassay.cluster import base
from gpuassay.engine.embedded import on_embedded
from gpuassay.engine.environment import Environment, Host
from gpuassay.engine.pools import ClusterPool
from gpuassay.record.resources import DEFAULT_RESOURCES
from gpuassay.systems.kueue.environment import installer
from gpuassay.systems.slices.environment import RECORDED, built_of, ready_or_lacking

QUEUES = tuple(one for one in DEFAULT_RESOURCES if one.kind not in {known.kind for known in RECORDED})
"""What is recorded of Kueue besides."""

DESCRIPTION = "control plane and Kueue as processes and real nodes (kubelet, containerd, runc) in namespaces"


def platform_environment(run: Host, pool: ClusterPool, assets: toolchain.Assets) -> AbstractContextManager[Environment]:
    """Open the environment for the length of a `with` block.

    Raises:
        Unavailable: no real node can be had here.
    """
    ready_or_lacking(assets)
    built = built_of(pool, assets)  # an incomplete directory is refused before anything is started
    return on_embedded(
        run, pool, assets, description=DESCRIPTION, capabilities=built | {"platform", "own-node", base.REAL_KUBELET},
        recorded=(*RECORDED, *QUEUES), tier="embedded/T2", prepare=installer(run.say, pool.name),
    )  # fmt: skip
