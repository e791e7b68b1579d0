"""NVIDIA's GPU Operator on somebody's cluster: what is there of it, and how it is installed from its published chart.

Source: https://docs.nvidia.com/datacenter/cloud-native/gpu-operator/latest/ (Installing, Uninstalling).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpuassay.cluster import base
from gpuassay.cluster.access_review import Right
from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ApiRefused, ClusterError
from gpuassay.manifest import Manifest, dig
from gpuassay.provision import olm
from gpuassay.provision.component import Content, Installation, Provided, Wish
from gpuassay.provision.helm import Chart
from gpuassay.provision.marks import how, image
from gpuassay.provision.objects import Objects, Ref
from gpuassay.provision.source import objects_of
from gpuassay.systems.gpu_operator.acts.read import read_operator
from gpuassay.systems.gpu_operator.judge.objects import DEPLOY, PREFIX, labels_of, name_of
from gpuassay.systems.gpu_operator.judge.offers import capacity_findings, resources
from gpuassay.systems.gpu_operator.judge.watch import lacks
from gpuassay.toolchain import Assets

NAME = NAMESPACE = RELEASE = "gpu-operator"
GROUP = "nvidia.com"
CONFIGURED = ((f"{GROUP}/v1", "ClusterPolicy"), (f"{GROUP}/v1alpha1", "GPUCluster"))
FEATURE_DISCOVERY = "nfd.k8s-sigs.io"
"""API group of Node Feature Discovery, which the chart brings unless told not to."""
READY_SECONDS = 1200.0
"""Until every operand is ready: drivers may have to be compiled on every node."""
PLUGIN_LABEL = f"{DEPLOY}device-plugin"
OTHER_SLICERS = frozenset({"dra-driver", "das"})
"""Components that hand out GPUs in the place of the operator's device plugin."""


def detect(objects: Objects) -> Installation | None:
    """The operator's Deployment, else a ClusterPolicy or a GPUCluster, whoever made them."""
    for one in objects.list(objects.kinds[("apps/v1", "Deployment")]):
        for container in dig(one, "spec", "template", "spec", "containers", default=[]):
            repository, tag = image(container)
            if repository.rpartition("/")[2] == NAME:
                return Installation(tag or "unknown", one["metadata"]["namespace"], how(one))
    kinds = [kind for key in CONFIGURED if (kind := objects.kinds.get(key))]
    told = [(kind.name, one) for kind in kinds for one in objects.list(kind)]
    if not told:
        return None
    versions = [str(dig(one, "metadata", "labels", "app.kubernetes.io/version", default="")) for _, one in told]
    name, first = told[0]
    version = next(filter(None, versions), "unknown")
    return Installation(version, NAMESPACE, f"{how(first)}, a {name} without an operator that we may see")


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
    if named := olm.channel_and_catalog(wish.source):
        return _by_olm(wish, *named)
    if objects := objects_of(wish.source):
        return Content(objects=objects)
    values, settings = _values(wish)
    chart = Chart(wish.source, RELEASE, NAMESPACE, values, tuple(wish.values), wish.version)
    return Content(chart=chart, version=wish.version, settings=settings)


def _by_olm(wish: Wish, channel: str, catalog: str) -> Content:
    """NVIDIA's certified operator, and the ClusterPolicy of its example, with what of the chart's values is in it."""
    values, settings = _values(wish)
    overlay = {key: values[key] for key in ("mig", "devicePlugin", "dcgmExporter")}
    starts = Ref(CONFIGURED[0][0], CONFIGURED[0][1], "", "gpu-cluster-policy")
    package = olm.Package(
        "gpu-operator-certified", "nvidia-gpu-operator", starts, channel, catalog or "certified-operators",
        own_namespace=True, overlay=overlay,
    )  # fmt: skip
    olm.refuse_without(package, wish.groups)
    version = f"channel {channel or 'of its default'}"
    return Content(package=package, objects=package.objects, version=version, settings=settings)


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


def lacking(objects: Objects) -> Sequence[str]:
    """Nodes whose GPUs somebody's device plugin offers already, in a line; its owner may keep the operator's away."""
    nodes = [one for one in objects.list(objects.kinds[("v1", "Node")]) if any(resources(one, "allocatable").values())]
    names = [name_of(one) for one in nodes if labels_of(one).get(PLUGIN_LABEL) != "false"]
    if not names:
        return ()
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return (
        f"node {names[0]}{more} offers GPUs of nvidia.com already, so each would be offered twice: remove the device "
        f"plugin there, or label such nodes {PLUGIN_LABEL}=false",
    )


def problem(api: Api) -> str:
    """Why it does not work: it is not ready, operands lack ready pods of their newest revision, or GPUs are missing."""
    try:
        seen = read_operator(api)
    except ApiRefused as refused:
        return f"its objects cannot be read: {refused.message}"
    return "; ".join(lacks(seen) or capacity_findings(seen))


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
    detect=detect, content=content, problem=problem, in_use=in_use, made=made, lacking=lacking, group=GROUP,
    excludes=frozenset({"device-plugin"}), seconds=READY_SECONDS, capability=base.GPU_OPERATOR,
    rights=(Right("node.k8s.io", "runtimeclasses", "delete"),),
)  # fmt: skip
