"""NVIDIA's DRA driver on somebody's cluster: upstream's chart, with slices that are cut as claims ask for them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from gpuassay import toolchain
from gpuassay.cluster.access_review import Right
from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ApiRefused
from gpuassay.manifest import Manifest, dig
from gpuassay.provision.component import Content, Installation, Provided, Wish
from gpuassay.provision.helm import Chart
from gpuassay.provision.objects import Objects, Ref
from gpuassay.provision.source import objects_of
from gpuassay.systems.slices.component.dra import COMPONENT, DRIVER, complete
from gpuassay.systems.slices.component.gpu_kit import DRIVER_ROOT
from gpuassay.systems.slices.programs_on_nodes import PRESENT, daemonset_of, gpu_nodes
from gpuassay.toolchain import Assets, catalogue

MODULE = "sigs.k8s.io/dra-driver-nvidia-gpu"
RELEASE = NAMESPACE = "dra-driver-nvidia-gpu"
GROUP = "resource.k8s.io"
REPOSITORIES = ("dra-driver-nvidia-gpu", "k8s-dra-driver-gpu")
"""Of its image; the latter until it moved to Kubernetes' organisation."""

VALUES: dict[str, Any] = {
    "gpuResourcesEnabledOverride": True,  # the chart refuses to offer GPUs without it: no device plugin may be there
    "nvidiaDriverRoot": DRIVER_ROOT,
    "resources": {"computeDomains": {"enabled": False}},
    "featureGates": {"DynamicMIG": True},
}


def detect(objects: Objects) -> Installation | None:
    """Its DaemonSet, whoever made it."""
    found = (daemonset_of(objects, repository, "") for repository in REPOSITORIES)
    return next((one for one in found if one), None)


def content(assets: Assets, wish: Wish) -> Content:
    """Upstream's chart of the version that the suite is for, or what the user names."""
    if objects := objects_of(wish.source):
        return Content(objects=objects)
    folder = f"deployments/helm/{RELEASE}"
    source = wish.source or str(toolchain.module_dir(COMPONENT, MODULE, assets) / folder)
    chart = Chart(source, RELEASE, NAMESPACE, VALUES, tuple(wish.values), wish.version)
    version = "" if wish.source else catalogue.component(COMPONENT).version
    return Content(chart=chart, version=version, settings=f"DynamicMIG, driver below {DRIVER_ROOT}")


def problem(api: Api) -> str:
    """Why no claim could be served: every node with GPUs has to publish all its ResourceSlices."""
    names = [str(one["metadata"]["name"]) for one in gpu_nodes(api)]
    if not names:
        return f"no node carries a label such as {PRESENT}=true, by which the driver's chart chooses nodes"
    try:
        slices = api.list("ResourceSlice")
    except ApiRefused as refused:
        return refused.message
    ours = [one for one in slices if dig(one, "spec", "driver") == DRIVER]
    without = [name for name in names if not complete(_of_node(ours, name))]
    return f"no complete ResourceSlices of {DRIVER} from {', '.join(without[:5])}" if without else ""


def _of_node(slices: Sequence[Manifest], name: str) -> list[Manifest]:
    return [one for one in slices if dig(one, "spec", "nodeName", default="") == name]


def _all(objects: Objects, kind: str) -> list[Manifest]:
    """All of a kind of Kubernetes' own group for devices, in the version that the cluster prefers."""
    served = [one for one in objects.kinds.values() if one.name == kind and one.version.startswith(f"{GROUP}/")]
    return [found for one in served if one.version in objects.preferred for found in objects.list(one)]


def in_use(objects: Objects) -> Sequence[Ref]:
    """Claims that hold devices of the driver: only it can give them back."""

    def holds(claim: Manifest) -> bool:
        results: list[Manifest] = dig(claim, "status", "allocation", "devices", "results", default=[])
        return any(one["driver"] == DRIVER for one in results)

    return [Ref.of(one) for one in _all(objects, "ResourceClaim") if holds(one)]


def made(objects: Objects) -> Sequence[Ref]:
    """ResourceSlices of the driver: it leaves them, and nothing must be allocated from them."""
    return [Ref.of(one) for one in _all(objects, "ResourceSlice") if dig(one, "spec", "driver") == DRIVER]


def lacking(objects: Objects) -> Sequence[str]:
    """Devices are allocated by Kubernetes itself from 1.34 on, or where its owner has switched that on."""
    if any(version.startswith(f"{GROUP}/") for version, _ in objects.kinds):
        return ()
    told = json.loads(objects.api.raw("/version"))
    return (
        f"it needs a Kubernetes that serves {GROUP} (1.34, or feature gate DynamicResourceAllocation), this is "
        f"{told['gitVersion']} without it",
    )


DRA = Provided(
    name="dra-driver", title="NVIDIA DRA driver", namespace=NAMESPACE,
    detect=detect, content=content, problem=problem, in_use=in_use, made=made, lacking=lacking,
    excludes=frozenset({"device-plugin", "das"}), capability="program:nvidia-dra",
    rights=(Right(GROUP, "resourceslices", "delete"),),
)  # fmt: skip
