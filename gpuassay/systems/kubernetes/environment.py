"""The environment of Kubernetes' own gangs: a control plane with the gates on, and no nodes but those of scenarios."""

from __future__ import annotations

from contextlib import AbstractContextManager

from gpuassay import toolchain
from gpuassay.cluster import base
from gpuassay.engine.embedded import on_embedded
from gpuassay.engine.environment import Environment, Host
from gpuassay.engine.pools import ClusterPool, Unavailable
from gpuassay.record.resources import DEFAULT_RESOURCES, Resource
from gpuassay.systems.kubernetes.system import POD_GROUPS
from gpuassay.systems.kubernetes.versions import POD_GROUPS as KNOWN
from gpuassay.systems.kubernetes.versions import pod_groups

WATCHED = {"Namespace", "Pod", "Event"}


def gang_environment(run: Host, pool: ClusterPool, assets: toolchain.Assets) -> AbstractContextManager[Environment]:
    """Open the environment for the length of a `with` block.

    Raises:
        Unavailable: this Kubernetes' API for groups of pods is not known here.
    """
    version = toolchain.programs("controlplane", assets).version
    native = pod_groups(version)
    if native is None:
        known = " and ".join(KNOWN)
        raise Unavailable(f"the cluster lacks: {POD_GROUPS} (Kubernetes {version}: known are those of {known})")
    watched = tuple(one for one in DEFAULT_RESOURCES if one.kind in WATCHED)
    return on_embedded(
        run, pool, assets,
        description=f"control plane of Kubernetes {version} with {', '.join(native.gates)} on",
        capabilities={POD_GROUPS, base.FAKE_NODES},
        recorded=(*watched, Resource("PodGroup", f"/apis/{native.group_version}/podgroups")),
        feature_gates=dict.fromkeys(native.gates, True), served=(native.group_version,),
    )  # fmt: skip
