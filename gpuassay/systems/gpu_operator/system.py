"""Somebody's GPU Operator as a system under test: no cluster of ours has one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from gpuassay.system import Pool, Rule, System

if TYPE_CHECKING:  # cluster clients: not for `--help`
    from gpuassay.cluster.existing import Detector
    from gpuassay.engine.environment import Environment, Host
    from gpuassay.engine.pools import ClusterPool
    from gpuassay.provision.component import Provided
    from gpuassay.toolchain import Assets

POOL = "gpu-operator"

RULES = (
    Rule("nvidia.com", "clusterpolicies nvidiadrivers gpuclusters", "list"),
    Rule("apps", "daemonsets controllerrevisions", "list"),
    Rule("resource.k8s.io", "resourceslices", "list"),
    Rule("", "pods nodes", "list"),
    Rule("", "configmaps", "get (MIG manager's configurations)"),
    Rule("node.k8s.io", "runtimeclasses", "list"),
    Rule("", "pods/proxy", "get (DCGM exporters)"),
    Rule("", "podtemplates", "list (a load for GPUs, labelled gpuassay.io/gpu-load)"),
    Rule("", "nodes", "patch (only with --allow-cluster-mutation, and only nodes labelled gpuassay.io/mig-trial)"),
)
"""The operator is read, and changed in nothing but what is said here."""


def _open(run: Host, pool: ClusterPool, assets: Assets) -> AbstractContextManager[Environment]:
    from gpuassay.cluster import base
    from gpuassay.engine.pools import Unavailable

    where = "--cluster existing --gpuassay-kubeconfig FILE"
    raise Unavailable(f"the cluster lacks: {base.GPU_OPERATOR} (a cluster that has one: {where})")


def _detect() -> Detector:
    from gpuassay.systems.gpu_operator.detect import detect

    return detect


def _provides() -> Sequence[Provided]:
    from gpuassay.systems.gpu_operator.provision import OPERATOR

    return (OPERATOR,)


SYSTEM = System(
    name="gpu-operator",
    pools=(Pool(POOL, _open, width=1),),
    pool_of=lambda _: POOL,
    needs=frozenset({"gpu-operator"}),
    rules=RULES,
    detect=_detect,
    components=("gpu-operator",),
    provides=_provides,
    mutants="gpuassay.systems.gpu_operator.mutants",
)
