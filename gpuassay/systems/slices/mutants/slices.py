"""Broken systems that slice GPUs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from gpuassay.manifest import Manifest, dig
from gpuassay.scenarios.mutants import Mutant, mutant, register
from gpuassay.systems.slices.mutants.node import node_mutant

if TYPE_CHECKING:
    from gpuassay.cluster.node.real import Node
    from gpuassay.silicon import Silicon


def silicon_mutant(name: str, breaks: str) -> Callable[[Callable[[Silicon], None]], object]:
    """Register a function that does something to the GPUs of a sliced node before they are used."""

    def declare(disturb: Callable[[Silicon], None]) -> Callable[[Silicon], None]:
        register(Mutant(name, breaks, copy.deepcopy, disturb_silicon=disturb))
        return disturb

    return declare


@silicon_mutant("slice-never-freed", "slices are made and never destroyed again")
def _never_freed(silicon: Silicon) -> None:
    from gpuassay.silicon import FOREVER
    from gpuassay.silicon.errors import IN_USE

    for function in ("nvmlComputeInstanceDestroy", "nvmlGpuInstanceDestroy"):
        silicon.inject(function, IN_USE, times=FOREVER)


@silicon_mutant("errors-unheard", "nobody can listen to the errors of GPUs")
def _errors_unheard(silicon: Silicon) -> None:
    from gpuassay.silicon import FOREVER
    from gpuassay.silicon.errors import NOT_SUPPORTED

    silicon.inject("nvmlEventSetCreate", NOT_SUPPORTED, times=FOREVER)


@silicon_mutant("behind-its-back", "slices come and go behind the back of who makes them")
def _behind_its_back(silicon: Silicon) -> None:
    from gpuassay.silicon import seed

    if silicon.slices():
        silicon.reboot()
    else:
        seed(silicon, {len(silicon.gpus) - 1: [("1g.5gb", 6)]})


@node_mutant("slicer-hangs", "the device plugin lives, but does nothing any more")
def _slicer_hangs(node: Node) -> None:
    node.cluster.processes[f"{node.name}-nvidia-device-plugin"].freeze()


def _slices_of(obj: Manifest) -> Iterator[dict[str, str]]:
    """Limits of the containers of a pod that ask for slices."""
    if obj["kind"] == "Pod":
        for container in obj["spec"]["containers"] + obj["spec"].get("initContainers", []):
            yield dig(container, "resources", "limits", default={})


@mutant("another-profile", "pods get a slice of another profile than they ask for")
def _another_profile(obj: Manifest) -> None:
    for limits in _slices_of(obj):
        if "nvidia.com/mig-1g.5gb" in limits:
            limits["nvidia.com/mig-2g.10gb"] = limits.pop("nvidia.com/mig-1g.5gb")


@mutant("request-lost", "pods run without the slices that they ask for")
def _request_lost(obj: Manifest) -> None:
    for limits in _slices_of(obj):
        limits.clear()


@mutant("one-name-for-all", "every container is told the same slice, whatever it was given")
def _one_name_for_all(obj: Manifest) -> None:
    if obj["kind"] == "Pod":
        for container in obj["spec"]["containers"]:
            container["env"] = [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "MIG-of-somebody"}]
            words: list[str] = container.get("args", [])
            for at in range(1, len(words)):  # CDI's edits come after the pod's environment: what is said is changed too
                if words[at - 1 : at + 1] == ["env", "NVIDIA_VISIBLE_DEVICES"]:
                    words[at - 1 : at + 1] = ["print", "NVIDIA_VISIBLE_DEVICES=MIG-of-somebody"]


@mutant("held-back", "pods are never scheduled")
def _held_back(obj: Manifest) -> None:
    if obj["kind"] == "Pod":
        obj["spec"]["schedulingGates"] = [{"name": "gpuassay.io/never"}]


@mutant("resource-quota-lost", "resource quotas limit nothing")
def _resource_quota_lost(obj: Manifest) -> None:
    if obj["kind"] == "ResourceQuota":
        obj["spec"]["hard"] = {}


@mutant("runtime-class-lost", "pods run with the default runtime, whichever they ask for")
def _runtime_class_lost(obj: Manifest) -> None:
    if obj["kind"] == "Pod":
        obj["spec"].pop("runtimeClassName", None)
