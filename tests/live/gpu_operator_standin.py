"""A stand-in for an installed GPU Operator: the objects that it would leave on a cluster. No operator runs."""

from __future__ import annotations

from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ApiRefused
from gpuassay.judge.gpu_operator import OPERANDS
from gpuassay.manifest import dig
from gpuassay.wait import wait
from tests import operators


def install(api: Api) -> None:
    """What a healthy GPU Operator would leave, in a namespace that is there."""
    for node in api.list("Node"):
        api.patch("Node", node["metadata"]["name"], {"metadata": {"labels": operators.node_labels()}})
    for name in ("nvidia", "nvidia-cdi", "nvidia-legacy"):
        api.create(operators.runtime_class(name))
    for operand in OPERANDS:
        api.create(operators.daemonset(operand.app))
    api.create(operators.policy_definition())
    wait(lambda: _accepted(api), bool, what="ClusterPolicy to be accepted", timeout=60)

    def ready() -> int:
        return sum(int(dig(one, "status", "numberReady", default=0)) for one in api.list("DaemonSet"))

    wait(ready, lambda count: count == 2 * len(OPERANDS), what="all pods to be ready", timeout=120)


def _accepted(api: Api) -> bool:
    try:
        api.request("post", "/apis/nvidia.com/v1/clusterpolicies", operators.policy())
    except ApiRefused as error:  # until the API server serves the new kind
        return error.status == 409
    return True
