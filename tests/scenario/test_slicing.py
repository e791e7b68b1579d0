"""How the words of containers, claims and CDI files become UUIDs of slices."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from gpuassay.silicon import Slice, minors
from gpuassay.systems.slices.acts.observations import Witnesses, uuid_at
from gpuassay.systems.slices.judge.observed import claimed_devices

SMALL = Slice(0, "1g.5gb+me", 3, 1, 9, ("MIG-small",), busy=False, serial=1)
LARGE = Slice(1, "3g.20gb", 4, 4, 2, ("MIG-large",), busy=False, serial=2)
BARE = Slice(1, "1g.5gb", 0, 1, 7, (), busy=False, serial=3)
THERE = [SMALL, LARGE, BARE]


def witnesses() -> Witnesses:
    """Of a node on which the three slices stand."""
    driver: Any = SimpleNamespace(silicon=SimpleNamespace(slices=lambda: THERE))
    nothing: Any = None
    return Witnesses(nothing, "dra", nothing, driver, nothing)


def capability(one: Slice, compute: int = 0) -> str:
    """Lines of a container that was given a slice's device nodes."""
    instance = minors.gpu_instance_minor(one.gpu, one.gpu_instance)
    nodes = (instance, minors.compute_instance_minor(one.gpu, one.gpu_instance, compute))
    return "".join(f"nvidia-cap{number}\n" for number in nodes)


def test_a_device_of_the_driver_is_the_slice_at_its_place() -> None:
    """Red when another place, another profile or a GPU instance without compute instance passes for the slice."""
    assert uuid_at(THERE, "gpu-0-mig-1g5gb-me-20-3") == "MIG-small"
    assert uuid_at(THERE, "gpu-1-mig-3g20gb-9-4") == "MIG-large"
    for missing in ("gpu-0-mig-1g5gb-19-3", "gpu-1-mig-3g20gb-9-0", "gpu-1-mig-1g5gb-19-0"):
        assert uuid_at(THERE, missing) == f"{missing}, which does not exist"
    assert uuid_at(THERE, "gpu-0") == "gpu-0, which is no slice"


def test_a_container_that_is_told_names_is_believed() -> None:
    """Red when the list of names is lost, or what is unknown is dropped."""
    said = "NVIDIA_VISIBLE_DEVICES=MIG-b,MIG-a\n.\n"
    assert witnesses().resolve(said) == ["MIG-a", "MIG-b"]
    assert witnesses().resolve(".\n") == []


def test_a_container_with_device_nodes_has_the_slices_behind_them() -> None:
    """Red when device nodes are not led back to slices, or those of a slice that is gone vanish."""
    said = f"NVIDIA_VISIBLE_DEVICES=void\n{capability(SMALL)}{capability(LARGE)}.\n"
    assert witnesses().resolve(said) == ["MIG-large", "MIG-small"]
    gone = Slice(0, "1g.5gb", 0, 1, 5, (), busy=False, serial=4)
    assert witnesses().resolve(f"NVIDIA_VISIBLE_DEVICES=void\n{capability(gone)}.\n") == ["nothing at GPU 0 instance 5"]


def test_the_devices_of_a_claim_are_those_of_its_allocation() -> None:
    """Red when a claim that is not allocated counts as one with devices."""
    results = [{"device": "gpu-0-mig-1g5gb-19-0"}, {"device": "gpu-0-mig-1g5gb-19-1"}]
    assert claimed_devices({"status": {"allocation": {"devices": {"results": results}}}}) == [
        "gpu-0-mig-1g5gb-19-0", "gpu-0-mig-1g5gb-19-1",
    ]  # fmt: skip
    assert claimed_devices({}) == []
