"""Whether nodes offer what their labels count: no more, no less, under one name, and by one way only.

Sources: NVIDIA/k8s-device-plugin (internal/lm: what GPU feature discovery counts under which MIG strategy; README: time
slicing, `renameByDefault`), Kubernetes' device manager (a resource that nobody offers any more stays with 0).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from gpuassay.discovery.gpus import DRIVER as DRA_DRIVER
from gpuassay.discovery.gpus import gpus
from gpuassay.manifest import Manifest, dig
from gpuassay.systems.gpu_operator.judge.exporter import models_told
from gpuassay.systems.gpu_operator.judge.moving import settled
from gpuassay.systems.gpu_operator.judge.objects import (
    GPU,
    PREFIX,
    PRESENT,
    Seen,
    by_dra,
    by_plugin,
    facts,
    for_containers,
    gpu_nodes,
    labels_of,
    name_of,
    wants,
)

SHARED = ".shared"
MIG = f"{PREFIX}mig-"
COMPUTE_SLICES = 7
"""Of one GPU: so many slices of one compute slice each stand on it at most."""


@dataclass(frozen=True)
class Count:
    """How much of a resource labels promise: exactly `least`, or anything up to `most`."""

    least: int
    most: int

    def __contains__(self, number: int) -> bool:
        return self.least <= number <= self.most

    def __str__(self) -> str:
        return str(self.least) if self.least == self.most else f"{self.least} to {self.most}"


def capacity_findings(seen: Seen) -> list[str]:
    """On every GPU node of a device plugin the capacity of each GPU or slice resource is what labels count."""
    nodes = gpu_nodes(seen)
    if not nodes:
        return [f"no node has the label {PRESENT}=true"]
    return [f"node {name_of(one)}: {text}" for one in judged_nodes(seen) for text in _of_node(seen, one)]


def judged_nodes(seen: Seen) -> list[Manifest]:
    """Nodes whose offers can be judged by labels: of containers, at rest."""
    return [one for one in settled(seen) if for_containers(one)]


def countable(seen: Seen) -> bool:
    """Whether any node has both: a device plugin that offers its GPUs, and labels that count them."""
    return any(by_plugin(seen, one) and counted(labels_of(one)) for one in judged_nodes(seen))


def _of_node(seen: Seen, node: Manifest) -> list[str]:
    offered, allocatable = resources(node, "capacity"), resources(node, "allocatable")
    if not by_plugin(seen, node):
        return []
    labels = labels_of(node)
    if labels.get(f"{GPU}.product", "").endswith("MIG-INVALID"):
        return ["its slices do not fit MIG strategy single, so that none is offered (GPU feature discovery: INVALID)"]
    expected = counted(labels, several=len(models_told(seen, name_of(node))) > 1)
    if not expected:
        return ["no label counts GPUs or slices"] if wants(seen, "gfd") else []
    found: list[str] = []
    for name, count in expected.items():
        whole, shared = _live(offered, allocatable, name)
        if whole and shared:
            found.append(f"{name} is offered under two names at once, {whole} whole and {shared} shared")
        elif whole + shared not in count and not _renamed(node, name, count):
            found.append(f"labels count {count} of {name}, its capacity is {whole + shared}")
    return found


def stale_findings(seen: Seen) -> list[str]:
    """No GPU node offers a GPU or slice resource that no label counts, as after a change that went half way."""
    nodes = gpu_nodes(seen)
    if not nodes:
        return [f"no node has the label {PRESENT}=true"]
    found: list[str] = []
    for node in judged_nodes(seen):
        known = counted(labels_of(node)) if by_plugin(seen, node) else {}
        names = {one for name in known for one in (name, f"{name}{SHARED}")}
        found += [
            f"node {name_of(node)}: {count} of {name} are offered, and no label counts them"
            for name, count in sorted(resources(node, "allocatable").items()) if count and name not in names
        ]  # fmt: skip
    return found


def _live(offered: Mapping[str, int], allocatable: Mapping[str, int], name: str) -> tuple[int, int]:
    """Capacity under the name itself and under that of shares; without one that the kubelet is about to forget."""
    whole, shared = offered.get(name, 0), offered.get(f"{name}{SHARED}", 0)
    if whole and shared:
        whole *= bool(allocatable.get(name))
        shared *= bool(allocatable.get(f"{name}{SHARED}"))
    return whole, shared


def _renamed(node: Manifest, name: str, count: Count) -> bool:
    """Whether the device plugin's configuration gives GPUs a name of its owner's choice."""
    capacity: dict[str, str] = dig(node, "status", "capacity", default={})
    others = [
        value for key, value in capacity.items()
        if key.startswith(PREFIX) and not key.startswith((GPU, MIG)) and str(value).isdigit()
    ]  # fmt: skip
    return name == GPU and resources(node, "capacity").get(GPU, 0) == 0 and any(int(one) in count for one in others)


def resources(node: Manifest, field: str) -> dict[str, int]:
    """GPUs and slices of the device plugin, by resource; `field` is `capacity` or `allocatable`."""
    told: dict[str, object] = dig(node, "status", field, default={})
    return {
        name: int(str(value)) for name, value in told.items()
        if (name in (GPU, f"{GPU}{SHARED}") or name.startswith(MIG)) and str(value).isdigit()
    }  # fmt: skip


def counted(labels: Mapping[str, str], *, several: bool = False) -> dict[str, Count]:
    """How much of each resource a node's labels promise.

    Where only some GPUs of a node are cut, labels count all of them as GPUs: then between one and those that the
    slices leave over are whole. With `several` models on a node labels count one model alone.
    """
    found: dict[str, Count] = {}
    for label, value in labels.items():
        name = label.removesuffix(".count")
        if label.endswith(".count") and (name == GPU or name.startswith(MIG)) and value.isdigit():
            number = int(value) * max(1, int(labels.get(f"{name}.replicas", "1") or 1))
            found[name] = Count(number, number)
    if labels.get(f"{PREFIX}mig.strategy") == "mixed" and GPU in found:
        gpus, replicas = int(labels[f"{GPU}.count"]), int(labels.get(f"{GPU}.replicas", "1") or 1)
        cut = _least_cut(labels)
        if replicas == 0:
            del found[GPU]  # all GPUs are in MIG mode
        elif cut:
            found[GPU] = Count(replicas, max(1, gpus - cut) * replicas)
    if several and GPU in found:
        found[GPU] = Count(found[GPU].least, found[GPU].most * 16)
    return found


def _least_cut(labels: Mapping[str, str]) -> int:
    """On how many GPUs the slices that labels count stand at least."""
    slices = 0
    for label, value in labels.items():
        if label.startswith(MIG) and label.endswith(".count") and value.isdigit():
            size = labels.get(f"{label.removesuffix('.count')}.slices.gi", "1")
            slices += int(value) * (int(size) if size.isdigit() else 1)
    return math.ceil(slices / COMPUTE_SLICES)


def unhealthy_findings(seen: Seen) -> list[str]:
    """Of every resource that is offered all devices are healthy: as many are allocatable as there are.

    A resource of which none is allocatable and that no label counts is one that the kubelet has not forgotten yet.
    """
    nodes = gpu_nodes(seen)
    if not nodes:
        return [f"no node has the label {PRESENT}=true"]
    found: list[str] = []
    for node in settled(seen):
        capacity, allocatable = resources(node, "capacity"), resources(node, "allocatable")
        known = counted(labels_of(node))
        for name, count in sorted(capacity.items()):
            usable = allocatable.get(name, 0)
            forgotten = not usable and (
                name.removesuffix(SHARED) not in known or bool(allocatable.get(f"{name}{SHARED}"))
            )
            if usable < count and not forgotten:
                found.append(f"node {name_of(node)}: {count - usable} of {count} {name} are not healthy")
    return found


def doubled_findings(seen: Seen) -> list[str]:
    """No node's GPUs are offered by more than one of device plugin, DRA and DAS: each would hand them out again."""
    groups, _ = gpus(facts(seen, "Node"), facts(seen, "ResourceSlice"))
    return [
        f"GPUs of node {name} are offered by {' and '.join(one.offered_by)} at once"
        for one in groups if len(one.offered_by) > 1 for name in one.nodes
    ]  # fmt: skip


def unoffered_findings(seen: Seen) -> list[str]:
    """With a GPUCluster every GPU node has devices in ResourceSlices of NVIDIA's DRA driver."""
    if not by_dra(seen):
        return []
    groups, _ = gpus(facts(seen, "Node"), facts(seen, "ResourceSlice"))
    offered = {name for one in groups if one.devices for name in one.nodes}
    return [
        f"node {name_of(one)} has no device in ResourceSlices of {DRA_DRIVER}"
        for one in judged_nodes(seen) if name_of(one) not in offered
    ]  # fmt: skip
