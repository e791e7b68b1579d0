"""Puts NVIDIA's GPU Operator on somebody's cluster as its users do: its published chart, by the user's own `helm`.

Source: https://docs.nvidia.com/datacenter/cloud-native/gpu-operator/latest/ (Installing, Uninstalling).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import yaml

from gpuassay.access.kubeconfig import members
from gpuassay.cluster import base
from gpuassay.cluster.api import Api
from gpuassay.cluster.base import Cluster
from gpuassay.cluster.errors import ApiRefused, ClusterError
from gpuassay.manifest import Manifest, dig
from gpuassay.systems.gpu_operator.detect import gpu_operator_on
from gpuassay.waiting import WaitTimeout, wait

RELEASE = "gpuassay"
NAMESPACE = "gpu-operator"
READY_SECONDS = 1200.0
"""Until every operand is ready: drivers may have to be compiled on every node."""
GONE_SECONDS = 300.0
HELM_SECONDS = 600.0
LABELS = ("nvidia.com/", "feature.node.kubernetes.io/")
"""Prefixes of what the operator, and the feature discovery that comes with it, write onto nodes and leave there."""
NO_HELM = (
    "--install-gpu-operator runs helm, and there is none: install helm, or install the GPU Operator by hand and leave "
    "the option out"
)


def check(cluster: Cluster) -> None:
    """Refuse what can be seen to be wrong before anything is begun.

    Raises:
        ClusterError: no helm, no permission, or an operator, or what a killed run left of one, is there already.
    """
    if shutil.which("helm") is None:
        raise ClusterError(NO_HELM)
    if base.CLUSTER_WIDE not in cluster.capabilities:
        raise ClusterError("--install-gpu-operator changes the whole cluster: add --allow-cluster-mutation")
    if base.GPU_OPERATOR in cluster.capabilities:
        raise ClusterError(f"a GPU Operator is already installed on {cluster.name}: leave out --install-gpu-operator")
    if cluster.api.get("Namespace", NAMESPACE):
        raise ClusterError(
            f"{cluster.name} has a namespace {NAMESPACE} already: where a killed run left it, run helm uninstall "
            f"{RELEASE} -n {NAMESPACE} and delete it"
        )


@contextmanager
def deployed(
    cluster: Cluster, chart: str, values: str | None = None, *, patience: float = READY_SECONDS
) -> Generator[None]:
    """Install the GPU Operator for the length of a `with` block; afterwards what it brought is gone.

    One that does not become ready is no error: that is for the judges to tell.

    Args:
        cluster: a cluster on which cluster-wide configuration may be changed.
        chart: what `helm install` takes: a folder, an archive, a URL or REPOSITORY/NAME.
        values: a file of values for the chart.
        patience: seconds until the ClusterPolicy should be ready.

    Raises:
        ClusterError: as `check`, or helm refuses; one line says why.
    """
    check(cluster)
    api = cluster.api
    definitions = _new_definitions(api, _helm(cluster, "show", "crds", chart))
    with ExitStack() as stack:
        stack.callback(_restore_labels, api, {one["metadata"]["name"]: _labels(one) for one in api.list("Node")})
        stack.callback(_delete, api, "CustomResourceDefinition", *definitions)
        stack.callback(_delete, api, "Namespace", NAMESPACE)
        api.create(_namespace())
        where = ("--namespace", NAMESPACE)
        stack.callback(_helm, cluster, "uninstall", RELEASE, *where, "--ignore-not-found")
        _helm(cluster, "install", RELEASE, chart, *where, *(("--values", values) if values else ()))
        with suppress(WaitTimeout):  # what is not ready is the judges' to tell
            wait(lambda: _ready(api), bool, what="the GPU Operator to be ready", timeout=patience, delay=0.5)
        if found := gpu_operator_on(api):
            cluster.capabilities |= {base.GPU_OPERATOR}
            name = Path(chart).name if Path(chart).exists() else chart  # no folder of this machine in a report
            cluster.tell([replace(found, source=f"installed by us, chart {name}")])
        yield


def _helm(cluster: Cluster, *words: str) -> str:
    """What helm prints; ClusterError with its last line where it fails."""
    files = members(cluster.kubeconfig)
    context = ["--kube-context", cluster.context] if cluster.context and files else []
    where = ["--kubeconfig", str(files[0])] if len(files) == 1 else []  # helm knows a list from its environment only
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)} if len(files) > 1 else None
    try:
        done = subprocess.run(
            ["helm", *words, *where, *context],
            env=environment, capture_output=True, text=True, timeout=HELM_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ClusterError(f"helm {words[0]} took more than {HELM_SECONDS:g} s") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["no word about why"]
        raise ClusterError(f"helm {words[0]} failed ({done.returncode}): {said[-1]}")
    return done.stdout


def _new_definitions(api: Api, told: str) -> list[str]:
    """Names of the chart's CRDs that the cluster does not have yet: helm leaves them behind."""
    names = [str(one["metadata"]["name"]) for one in yaml.safe_load_all(told) if one]
    return [name for name in names if api.get("CustomResourceDefinition", name) is None]


def _namespace() -> Manifest:
    """The operator's namespace, in which pods may be privileged."""
    labels = {"pod-security.kubernetes.io/enforce": "privileged"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}


def _ready(api: Api) -> bool:
    try:
        policies: list[Manifest] = json.loads(api.raw("/apis/nvidia.com/v1/clusterpolicies"))["items"]
    except ApiRefused:  # until the new kind is served
        return False
    return any(dig(one, "status", "state", default="") == "ready" for one in policies)


def _delete(api: Api, kind: str, *names: str) -> None:
    """Delete objects of the whole cluster and wait until they are gone, which is after all that is in them."""
    for name in names:
        api.delete(kind, name)

    def left() -> list[str]:
        return [name for name in names if api.get(kind, name)]

    wait(left, lambda found: not found, what=f"{kind} {', '.join(names)} to be gone", timeout=GONE_SECONDS, delay=0.2)


def _labels(node: Manifest) -> dict[str, str]:
    labels: dict[str, str] = dig(node, "metadata", "labels", default={})
    return {key: value for key, value in labels.items() if key.startswith(LABELS)}


def _restore_labels(api: Api, before: Mapping[str, Mapping[str, str]]) -> None:
    """Give nodes the operator's labels that they had, and no others."""
    for node in api.list("Node"):
        name, now = node["metadata"]["name"], _labels(node)
        former = before.get(name, {})
        if now != former:
            api.patch("Node", name, {"metadata": {"labels": dict.fromkeys(now) | dict(former)}})
