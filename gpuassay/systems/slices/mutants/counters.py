"""Broken systems that give out devices by claims: GPUs whose counters lie, claims that lose what they ask for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gpuassay.manifest import Manifest, dig
from gpuassay.scenarios.mutants import mutant
from gpuassay.systems.slices.mutants.node import node_mutant

if TYPE_CHECKING:  # cluster clients: not for replays
    from gpuassay.cluster.node.real import Node

_MEMORY, _INSTANCES = "memory-slice-", "instances-of-"


def _devices(obj: Manifest) -> list[Manifest]:
    """The devices of a ResourceSlice."""
    return dig(obj, "spec", "devices", default=[]) if obj["kind"] == "ResourceSlice" else []


def _consumed(obj: Manifest) -> Iterator[dict[str, Manifest]]:
    """The counters that each place on a GPU consumes; not those of whole GPUs."""
    for device in _devices(obj):
        if "profile" in device["attributes"]:
            yield device["consumesCounters"][0]["counters"]


def _memory(counters: dict[str, Manifest]) -> list[int]:
    return sorted(int(name.removeprefix(_MEMORY)) for name in counters if name.startswith(_MEMORY))


@mutant("counter-forgotten", "places of several memory slices do not consume the last of them")
def _counter_forgotten(obj: Manifest) -> None:
    for counters in _consumed(obj):
        *others, last = _memory(counters)
        if others:
            del counters[f"{_MEMORY}{last}"]


@mutant("slice-too-many", "places consume one memory slice more than they take")
def _slice_too_many(obj: Manifest) -> None:
    for counters in _consumed(obj):
        first = _memory(counters)[0]
        if first:
            counters[f"{_MEMORY}{first - 1}"] = {"value": "1"}


@mutant("limit-forgotten", "places do not count how many of their profile there are")
def _limit_forgotten(obj: Manifest) -> None:
    for counters in _consumed(obj):
        for name in [name for name in counters if name.startswith(_INSTANCES)]:
            del counters[name]


@mutant("counters-ignored", "devices consume no counters")
def _counters_ignored(obj: Manifest) -> None:
    for device in _devices(obj):
        device.pop("consumesCounters", None)


@mutant("places-reversed", "a GPU's places are listed from the last to the first")
def _places_reversed(obj: Manifest) -> None:
    _devices(obj).reverse()


def _requests(obj: Manifest) -> list[Manifest]:
    """The requests of a claim or of a template of claims."""
    spec = dig(obj, "spec", "spec") or dig(obj, "spec", default={})
    return dig(spec, "devices", "requests", default=[]) if obj["kind"].startswith("ResourceClaim") else []


@mutant("selectors-lost", "claims are given any device of their class")
def _selectors_lost(obj: Manifest) -> None:
    for request in _requests(obj):
        request["exactly"].pop("selectors", None)


@mutant("count-lost", "claims are given one device, however many they ask for")
def _count_lost(obj: Manifest) -> None:
    for request in _requests(obj):
        request["exactly"]["count"] = 1


@mutant("pod-claims-lost", "pods run without the devices that they claim")
def _pod_claims_lost(obj: Manifest) -> None:
    if obj["kind"] == "Pod":
        obj["spec"].pop("resourceClaims", None)
        for container in obj["spec"]["containers"]:
            container.get("resources", {}).pop("claims", None)


@mutant("pods-never-go", "pods that are deleted stay, bound and not ended")
def _pods_never_go(obj: Manifest) -> None:
    if obj["kind"] == "Pod":
        obj["metadata"]["finalizers"] = ["gpuassay.io/never"]
        # a pod that runs would end when it is deleted, and an ended pod holds no claim
        obj["metadata"].setdefault("annotations", {})["gpuassay.io/start-delay"] = "1h"


@mutant("one-device-for-all", "every container is told the same device, whatever its claim holds")
def _one_device_for_all(obj: Manifest) -> None:
    if obj["kind"] == "Pod":
        for container in obj["spec"]["containers"]:
            words: list[str] = container.get("args", [])
            for at in range(1, len(words)):  # what the driver sets comes after a pod's own: what is said is changed
                if words[at - 1 : at + 1] == ["env", "GPU_DEVICE_"]:
                    words[at - 1 : at + 1] = ["print", "GPU_DEVICE_0=gpu-0"]


@mutant("gpu-pretended", "containers that were given no GPU are told that they have one")
def _gpu_pretended(obj: Manifest) -> None:
    if obj["kind"] == "Pod":
        for container in obj["spec"]["containers"]:
            container["env"] = [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}]


@node_mutant("prepared-forgotten", "while it is away the example driver forgets what it has prepared")
def _prepared_forgotten(node: Node) -> None:
    from gpuassay.systems.slices.component.example import CHECKPOINT

    node.paths.at(CHECKPOINT).unlink()
