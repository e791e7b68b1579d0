from __future__ import annotations

from typing import Any

import pytest

from gpuassay.discovery.discover import discover
from gpuassay.discovery.facts import Discovered, GpuNodes
from gpuassay.manifest import Manifest
from tests.discovery.stub import Stub, named, node

GFD = {
    "nvidia.com/gpu.present": "true",
    "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB",
    "nvidia.com/gpu.count": "8",
    "nvidia.com/gpu.memory": "40960",
    "nvidia.com/mig.capable": "true",
    "nvidia.com/mig.strategy": "mixed",
}
SLICES = "/apis/resource.k8s.io/{}/resourceslices"


def slice_(at: str, devices: list[Manifest], generation: int = 1, driver: str = "gpu.nvidia.com") -> Manifest:
    pool = {"name": at, "generation": generation, "resourceSliceCount": 1}
    return named(f"{at}-{generation}", spec={"driver": driver, "nodeName": at, "pool": pool, "devices": devices})


def device(kind: str = "gpu", model: str = "NVIDIA H100 80GB HBM3") -> Manifest:
    facts: dict[str, Any] = {"type": {"string": kind}, "productName": {"string": model}}
    return {"name": f"{kind}-0", "attributes": facts}


def look(nodes: list[Manifest], slices: list[Manifest] | None = None, version: str = "v1", **more: Any) -> Discovered:
    objects = {"/api/v1/nodes": nodes, SLICES.format(version): slices or []}
    return discover(Stub("v1.34.1", objects, groups={"resource.k8s.io": [version]}, **more))


def the_one(found: Discovered) -> GpuNodes:
    assert found.gpus is not None
    [only] = found.gpus
    return only


def test_gfd_and_the_device_plugin_tell_model_count_memory_and_strategy() -> None:
    found = look([node(f"gpu-{i}", labels=GFD, gpus={"nvidia.com/gpu": "8"}) for i in (1, 2)] + [node("cpu")])
    one = the_one(found)
    assert (one.model, one.per_node, one.memory_mib) == ("NVIDIA-A100-SXM4-40GB", 8, 40960)
    assert one.nodes == ("gpu-1", "gpu-2") and one.offered_by == ("device plugin",)
    assert one.mig == "strategy mixed"
    assert not found.warnings


def test_gke_tells_model_and_slices_by_labels_of_its_own() -> None:
    labels = {
        "cloud.google.com/gke-accelerator": "nvidia-tesla-a100",
        "cloud.google.com/gke-gpu-partition-size": "1g.5gb",
    }
    one = the_one(look([node("a", labels=labels, gpus={"nvidia.com/gpu": "7"})]))
    assert one.model == "nvidia-tesla-a100" and one.mig == "all of it in slices of 1g.5gb"
    assert one.per_node is None


def test_nodes_without_gpus_have_none() -> None:
    assert look([node("cpu", gpus={"nvidia.com/gpu": "0"})]).gpus == ()


def test_slices_that_are_offered_are_told_and_gpus_not_counted_by_them() -> None:
    labels = GFD | {"nvidia.com/mig.config": "all-1g.5gb", "nvidia.com/mig.config.state": "success"}
    one = the_one(look([node("a", labels=labels, gpus={"nvidia.com/mig-1g.5gb": "56", "nvidia.com/gpu": "0"})]))
    assert one.allocatable == (("nvidia.com/mig-1g.5gb", "56"),)
    assert one.mig == "slices are offered, strategy mixed, configuration all-1g.5gb, state success"


@pytest.mark.parametrize("suffix", ["-MIG-1g.5gb", "-SHARED"])
def test_slices_and_replicas_that_gfd_counts_as_gpus_are_not_taken_for_gpus(suffix: str) -> None:
    labels = GFD | {"nvidia.com/gpu.product": f"NVIDIA-A100-SXM4-40GB{suffix}", "nvidia.com/gpu.count": "56"}
    assert the_one(look([node("a", labels=labels, gpus={"nvidia.com/gpu": "56"})])).per_node is None


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_resource_slices_tell_gpus_of_every_version_of_the_api(version: str) -> None:
    devices = [device(), device("mig")]
    if version == "v1beta1":
        devices = [{"name": one["name"], "basic": {"attributes": one["attributes"]}} for one in devices]
    one = the_one(look([node("a")], [slice_("a", devices)], version))
    assert (one.model, one.per_node, one.offered_by) == ("NVIDIA H100 80GB HBM3", 1, ("DRA",))
    assert one.devices == (("gpu", 1), ("mig", 1))
    assert one.mig == "slices are offered"


def test_only_the_newest_generation_of_a_pool_counts_and_other_drivers_do_not() -> None:
    slices = [slice_("a", [device()] * 8, 1), slice_("a", [device()] * 2, 2), slice_("a", [device()], 9, "other.io")]
    assert the_one(look([node("a")], slices)).devices == (("gpu", 2),)


@pytest.mark.parametrize(
    ("resources", "both"),
    [
        ({"nvidia.com/gpu": "2"}, "device plugin and DRA"),
        ({"mig.das.com/1g.5gb": "7"}, "DRA and DAS"),
        ({"nvidia.com/gpu": "2", "mig.das.com/1g.5gb": "7"}, "device plugin and DRA and DAS"),
    ],
)
def test_gpus_that_are_offered_twice_on_a_node_are_a_warning(resources: dict[str, str], both: str) -> None:
    found = look([node("a", gpus=resources), node("b", gpus=resources)], [slice_("a", [device()])])
    [warning] = [one for one in found.warnings if one.startswith("node a:")]
    assert f"offered by {both} at once" in warning


def test_gpus_that_nobody_offers_are_a_warning_unless_it_cannot_be_known() -> None:
    bare = node("a", labels={"feature.node.kubernetes.io/pci-10de.present": "true"})
    found = look([bare])
    assert the_one(found).model == "unknown" and "node a has GPUs that nobody offers" in found.warnings[0]
    hidden = look([bare], refused=[SLICES.format("v1")])
    assert not hidden.warnings and any("resourceslices" in one for one in hidden.unreadable)


def test_devices_that_are_not_healthy_are_a_warning() -> None:
    sick = node("a", labels=GFD, gpus={"nvidia.com/gpu": "7"})
    sick["status"]["capacity"] = {"nvidia.com/gpu": "8", "nvidia.com/mig-1g.5gb": "7"}
    assert look([sick]).warnings == ("node a: 1 of 8 nvidia.com/gpu are not healthy: its device plugin's log says why",)
    sick["status"]["capacity"]["nvidia.com/gpu"] = "7"
    assert not look([sick]).warnings
