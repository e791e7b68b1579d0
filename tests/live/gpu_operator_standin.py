"""A stand-in for an installed GPU Operator, and for the `helm` that installs it. No operator runs.

    gpu_operator_standin.py install RELEASE CHART --namespace N --kubeconfig FILE

What helm does with NVIDIA's chart, as far as our side of it goes: objects come, ClusterPolicy gets ready, objects go.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import yaml

from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ApiRefused
from gpuassay.manifest import dig
from gpuassay.systems.gpu_operator.judge.objects import OPERANDS
from gpuassay.waiting import wait
from tests import operators

CLASSES = ("nvidia", "nvidia-cdi", "nvidia-legacy")


def install(api: Api) -> None:
    """What a healthy GPU Operator would leave, in a namespace that is there."""
    for node in api.list("Node"):
        api.patch("Node", node["metadata"]["name"], {"metadata": {"labels": operators.node_labels()}})
    api.create(operators.deployment())
    for name in CLASSES:
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


def uninstall(api: Api) -> None:
    """Take away what helm and the operator take away: not CRDs, labels of nodes and the namespace."""
    with suppress(ApiRefused):  # custom objects may have gone before
        api.request("delete", "/apis/nvidia.com/v1/clusterpolicies/cluster-policy")
    api.delete("Deployment", "gpu-operator", operators.NAMESPACE)
    for operand in OPERANDS:
        api.delete("DaemonSet", operand.app, operators.NAMESPACE)
    for name in CLASSES:
        api.delete("RuntimeClass", name)


def main(words: list[str]) -> None:
    """Be `helm`: says what it was asked in a file beside the chart, and refuses a chart that is not there."""
    chart = Path(words[2])
    if words[0] != "uninstall" and not chart.is_dir():
        sys.exit(f"Error: INSTALLATION FAILED: path {words[2]!r} not found")
    if words[0] == "template":
        print(yaml.safe_dump_all([operators.policy_definition(), operators.policy(), operators.deployment()]))
        return
    api = Api.from_kubeconfig(words[words.index("--kubeconfig") + 1])
    install(api) if words[0] == "install" else uninstall(api)
    api.close()


if __name__ == "__main__":
    main(sys.argv[1:])
