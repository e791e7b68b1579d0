"""NVIDIA's device plugin on somebody's cluster: upstream's chart, with the values that its GPUs need."""

from __future__ import annotations

from typing import Any

from gpuassay import toolchain
from gpuassay.cluster.api import Api
from gpuassay.manifest import Manifest, dig
from gpuassay.provision.component import Content, Installation, Provided, Wish
from gpuassay.provision.helm import Chart
from gpuassay.provision.objects import Objects
from gpuassay.provision.source import objects_of
from gpuassay.systems.slices.component.gpu_kit import DRIVER_ROOT
from gpuassay.systems.slices.programs_on_nodes import PRESENT, daemonset_of
from gpuassay.toolchain import Assets, catalogue

MODULE = "github.com/NVIDIA/k8s-device-plugin"
DEVICE_PLUGIN = "nvidia-device-plugin"
FAKE_DRIVER = "gpuassay.io/fake-driver"
"""Label of nodes whose driver is ours: it lies where the GPU Operator's driver containers have theirs."""


def detect(objects: Objects) -> Installation | None:
    """A DaemonSet that runs the plugin, whoever made it; the GPU Operator's is the operator's."""
    return daemonset_of(objects, "k8s-device-plugin", "plugin")


def content(assets: Assets, wish: Wish) -> Content:
    """Upstream's chart: MIG slices under their own names."""
    if objects := objects_of(wish.source):
        return Content(objects=objects)
    module = toolchain.module_dir(DEVICE_PLUGIN, MODULE, assets) if not wish.source else None
    source = wish.source or str(module and module / "deployments" / "helm" / DEVICE_PLUGIN)
    values: dict[str, Any] = {"migStrategy": "mixed", "nvidiaDriverRoot": DRIVER_ROOT, "nfd": {"enabled": False}}
    chart = Chart(source, DEVICE_PLUGIN, DEVICE_PLUGIN, values, tuple(wish.values), wish.version)
    version = "" if wish.source else catalogue.component(DEVICE_PLUGIN).version
    return Content(chart=chart, version=version, settings="migStrategy mixed")


def problem(api: Api) -> str:
    """Why no GPU can be had: every node that has some has to offer them."""
    nodes = [one for one in api.list("Node") if dig(one, "metadata", "labels", default={}).get(PRESENT) == "true"]
    if not nodes:
        return f"no node carries the label {PRESENT}=true, by which the plugin's chart chooses nodes"
    without = [one["metadata"]["name"] for one in nodes if not _offered(one)]
    return f"no GPU is allocatable on {', '.join(without[:5])}" if without else ""


def _offered(node: Manifest) -> bool:
    there: dict[str, str] = dig(node, "status", "allocatable", default={})
    return any(name.startswith("nvidia.com/") and value != "0" for name, value in there.items())


PLUGIN = Provided(
    name="device-plugin", title="NVIDIA device plugin", namespace=DEVICE_PLUGIN,
    detect=detect, content=content, problem=problem, excludes=frozenset({"dra-driver", "das", "gpu-operator"}),
    capability="program:nvidia-device-plugin",
)  # fmt: skip
