"""NVIDIA's GPU Operator on somebody's cluster: what is there of it, and how it is installed from its published chart.

Source: https://docs.nvidia.com/datacenter/cloud-native/gpu-operator/latest/ (Installing, Uninstalling).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from gpuassay.cluster import base
from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ApiRefused, ClusterError
from gpuassay.manifest import Manifest, dig
from gpuassay.provision.component import Content, Installation, Provided, Wish
from gpuassay.provision.helm import Chart
from gpuassay.provision.marks import how, image
from gpuassay.provision.objects import Objects, Ref
from gpuassay.provision.source import objects_of
from gpuassay.systems.gpu_operator.judge.installed import OPERANDS, PREFIX
from gpuassay.toolchain import Assets

NAME = NAMESPACE = RELEASE = "gpu-operator"
GROUP = "nvidia.com"
POLICY = (f"{GROUP}/v1", "ClusterPolicy")
FEATURE_DISCOVERY = "nfd.k8s-sigs.io"
"""API group of Node Feature Discovery, which the chart brings unless told not to."""
READY_SECONDS = 1200.0
"""Until every operand is ready: drivers may have to be compiled on every node."""
OTHER_SLICERS = frozenset({"dra-driver", "das"})
"""Components that hand out GPUs in the place of the operator's device plugin."""


def detect(objects: Objects) -> Installation | None:
    """The operator's Deployment, else a ClusterPolicy, whoever made them."""
    for one in objects.list(objects.kinds[("apps/v1", "Deployment")]):
        for container in dig(one, "spec", "template", "spec", "containers", default=[]):
            repository, tag = image(container)
            if repository.rpartition("/")[2] == NAME:
                return Installation(tag or "unknown", one["metadata"]["namespace"], how(one))
    kind = objects.kinds.get(POLICY)
    policies = objects.list(kind) if kind else []
    if not policies:
        return None
    versions = [str(dig(one, "metadata", "labels", "app.kubernetes.io/version", default="")) for one in policies]
    version = next(filter(None, versions), "unknown")
    return Installation(version, NAMESPACE, f"{how(policies[0])}, a ClusterPolicy without an operator that we may see")


def content(assets: Assets, wish: Wish) -> Content:
    """The user's chart: slices under their own names, metrics on, nothing that the cluster has already.

    Raises:
        ClusterError: no chart is named; no Go module holds it, so it cannot be had here.
    """
    del assets
    if not wish.source:
        raise ClusterError(
            "the GPU Operator's chart has to be named: --gpu-operator-source CHART (gpuassay provision: --source "
            "gpu-operator=CHART), a folder, archive, URL or REPOSITORY/NAME such as nvidia/gpu-operator"
        )
    if objects := objects_of(wish.source):
        return Content(objects=objects)
    values, settings = _values(wish)
    chart = Chart(wish.source, RELEASE, NAMESPACE, values, tuple(wish.values), wish.version)
    return Content(chart=chart, version=wish.version, settings=settings)


def _values(wish: Wish) -> tuple[dict[str, Any], str]:
    """Values for the chart, and in words."""
    plugin, discovery = wish.beside.isdisjoint(OTHER_SLICERS), FEATURE_DISCOVERY not in wish.groups
    values: dict[str, Any] = {
        "mig": {"strategy": "mixed"},
        "cdi": {"enabled": True},
        "dcgmExporter": {"enabled": True},
        "devicePlugin": {"enabled": plugin},
        "nfd": {"enabled": discovery},
    }
    said = ["mig.strategy mixed"]
    said += [] if plugin else [f"without device plugin, beside {', '.join(sorted(wish.beside & OTHER_SLICERS))}"]
    said += [] if discovery else ["with the cluster's Node Feature Discovery"]
    return values, ", ".join(said)


def problem(api: Api) -> str:
    """Why it does not work: ClusterPolicy is not ready, or a wanted operand lacks pods of the newest revision."""
    try:
        policies: list[Manifest] = json.loads(api.raw(f"/apis/{POLICY[0]}/clusterpolicies"))["items"]
        sets = [one for one in api.list("DaemonSet") if _operand(one)]
    except ApiRefused as refused:
        return f"ClusterPolicies cannot be read: {refused.message}"
    counted = [one for one in policies if dig(one, "status", "state", default="") != "ignored"]
    if not counted:
        return "there is no ClusterPolicy"
    state = str(dig(counted[0], "status", "state", default="") or "without state")
    nodes = api.list("Node")
    late = [line for app, label in _wanted(counted[0]) if (line := _late(app, label, sets, nodes))]
    if state == "ready" and not late:
        return ""
    return "; ".join([f"ClusterPolicy {counted[0]['metadata']['name']} is {state}", *late])


def _operand(daemonset: Manifest) -> str:
    """The operand that a DaemonSet is of, "" for others'."""
    app = str(dig(daemonset, "metadata", "labels", "app", default=""))
    return app if any(app == one.app for one in OPERANDS) else ""


def _wanted(policy: Manifest) -> list[tuple[str, str]]:
    """Operands that a ClusterPolicy wants, with the label of the nodes on which each belongs."""
    spec: Manifest = policy.get("spec") or {}
    return [
        (one.app, f"{PREFIX}gpu.deploy.{one.deploy}") for one in OPERANDS
        if not one.key or dig(spec, one.key, "enabled", default=True) is not False
    ]  # fmt: skip


def _late(app: str, label: str, sets: Sequence[Manifest], nodes: Sequence[Manifest]) -> str:
    """What an operand lacks on the nodes that are labelled for it."""
    wanted = sum(dig(one, "metadata", "labels", default={}).get(label) == "true" for one in nodes)
    mine = [one for one in sets if _operand(one) == app]
    if wanted and not mine:
        return f"{app} has no DaemonSet"
    ready = sum(_ready(one) for one in mine)
    return f"DaemonSet {app} has {ready} ready pods of its newest revision on {wanted} nodes" if ready < wanted else ""


def _ready(daemonset: Manifest) -> int:
    """Ready pods of the newest revision at least: those ready, less those of older ones."""
    status: Manifest = daemonset.get("status") or {}
    if status.get("observedGeneration", 0) < dig(daemonset, "metadata", "generation", default=0):
        return 0
    old = int(status.get("desiredNumberScheduled", 0)) - int(status.get("updatedNumberScheduled", 0))
    return max(0, int(status.get("numberReady", 0)) - max(0, old))


def in_use(objects: Objects) -> Sequence[Ref]:
    """Pods that hold GPUs or slices: their driver would go with it."""
    pods = objects.list(objects.kinds[("v1", "Pod")])
    return [Ref.of(one) for one in pods if one["metadata"]["namespace"] != NAMESPACE and _holds_gpus(one)]


def _holds_gpus(pod: Manifest) -> bool:
    if dig(pod, "status", "phase") in ("Succeeded", "Failed") or not dig(pod, "spec", "nodeName", default=""):
        return False
    limits: list[Manifest] = [
        dig(one, "resources", "limits", default={}) for one in dig(pod, "spec", "containers", default=[])
    ]
    return any(name.startswith(PREFIX) for one in limits for name in one)


def made(objects: Objects) -> Sequence[Ref]:
    """RuntimeClasses that it makes by itself."""
    kind = objects.kinds.get(("node.k8s.io/v1", "RuntimeClass"))
    found = objects.list(kind) if kind else []
    return [Ref.of(one) for one in found if str(one.get("handler", "")).startswith("nvidia")]


OPERATOR = Provided(
    name=NAME, title="NVIDIA GPU Operator", namespace=NAMESPACE,
    detect=detect, content=content, problem=problem, in_use=in_use, made=made, group=GROUP,
    excludes=frozenset({"device-plugin"}), seconds=READY_SECONDS, capability=base.GPU_OPERATOR,
)  # fmt: skip
