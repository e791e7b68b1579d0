"""GPUs that NVIDIA's DRA driver offers on nodes of somebody's cluster, and the DeviceClasses by which slices are had.

Read from ResourceSlices (attributes of the driver: type, uuid, parentUUID, profile, productName) and ResourceClaims.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuassay import labels
from gpuassay.cluster.errors import ApiRefused, NotFromOutside
from gpuassay.gpus import MODELS, GpuModel, gpu_model
from gpuassay.manifest import Manifest, dig
from gpuassay.systems.slices.component.dra import DRIVER, device_classes
from gpuassay.systems.slices.judge.told import DEVICE
from gpuassay.systems.slices.outside.supply import usable

if TYPE_CHECKING:
    from gpuassay.cluster.api import Api
    from gpuassay.scenarios.lab import Lab

SLICE_CLASS = "mig.nvidia.com"
"""DeviceClass of the driver's chart."""
_OF_GPU = re.compile(r"gpu-(\d+)(?:-|$)")
_ATTRIBUTES = f"device.attributes['{DRIVER}']"


@dataclass(frozen=True)
class Claimable:
    """A node for one scenario.

    Attributes:
        node: its name.
        model: of its GPUs.
        gpus: UUIDs of those that the scenario has, by the number in their devices' names.
        others: UUIDs of GPUs that have to be held meanwhile.
    """

    node: str
    model: GpuModel
    gpus: Mapping[int, str]
    others: tuple[str, ...]


def _devices(slices: Iterable[Manifest]) -> dict[str, list[Manifest]]:
    """Devices of the driver by node."""
    found: dict[str, list[Manifest]] = {}
    for one in slices:
        if dig(one, "spec", "driver") == DRIVER and (node := dig(one, "spec", "nodeName")):
            found.setdefault(str(node), []).extend(dig(one, "spec", "devices", default=None) or [])
    return found


def _told(device: Manifest, attribute: str) -> str:
    return str(dig(device, "attributes", attribute, "string", default=""))


def _used(claims: Iterable[Manifest], ours: Collection[str]) -> dict[str, set[str]]:
    """Devices by node (pool) that claims outside of `ours` hold: namespaces, since a pod's own claim has no label."""
    found: dict[str, set[str]] = {}
    for claim in claims:
        if claim["metadata"]["namespace"] in ours:
            continue
        for one in dig(claim, "status", "allocation", "devices", "results", default=[]):
            if one["driver"] == DRIVER:
                found.setdefault(one["pool"], set()).add(one["device"])
    return found


def claimables(api: Api, run: str, wanted: Sequence[str]) -> list[Claimable]:
    """Nodes on which so many GPUs are free to be cut, whoever of this run uses them now.

    Args:
        api: the cluster.
        run: id of our run.
        wanted: models of the GPUs that the scenario is written for; any that is cut alike will do.

    Raises:
        NotFromOutside: there is none; the message says what the nodes lack.
    """
    try:
        slices, claims = api.list("ResourceSlice"), api.list("ResourceClaim")
    except ApiRefused as refused:
        raise NotFromOutside(f"ResourceSlices and ResourceClaims have to be read: {refused.message}") from None
    ours = {one["metadata"]["name"] for one in api.list("Namespace", label_selector=f"{labels.RUN}={run}")}
    used, found, told = _used(claims, ours), list[Claimable](), list[str]()
    names = {one["metadata"]["name"] for one in usable(api)}
    for node, devices in _devices(slices).items():
        if node not in names:
            continue
        one = _claimable(node, devices, used.get(node, set()), wanted)
        found += [one] if isinstance(one, Claimable) else []
        told += [one] if isinstance(one, str) else []
    if not found:
        raise NotFromOutside("; ".join(told) or f"{DRIVER} offers no device on a node that takes pods")
    return found


def _claimable(node: str, devices: Sequence[Manifest], used: set[str], wanted: Sequence[str]) -> Claimable | str:
    parents: dict[int, Manifest] = {}
    for one in devices:
        if parts := DEVICE.fullmatch(one["name"]):
            parents.setdefault(int(parts[1]), one)
    if not parents:
        return f"the driver on {node} offers no slices: feature gate DynamicMIG"
    products = {_told(one, "productName") for one in parents.values()}
    model = next((one for one in MODELS.values() if {one.product} == products), None)
    if model is None:
        return f"{node} has GPUs of no model, or of several, whose slices are known: {', '.join(sorted(products))}"
    if len(model.profiles) != len(gpu_model(wanted[0]).profiles):
        return f"{node} has {model.product}, which is cut otherwise than a {wanted[0]}"
    busy = {int(parts[1]) for one in used if (parts := _OF_GPU.match(one))}
    free = sorted(parents.keys() - busy)
    if len(free) < len(wanted):
        return f"{len(free)} GPUs of {node} are free, {len(wanted)} are wanted"
    mine, rest = free[: len(wanted)], free[len(wanted) :]
    uuids = {number: _told(parents[number], "parentUUID") for number in free}
    return Claimable(node, model, {one: uuids[one] for one in mine}, tuple(uuids[one] for one in rest))


def profiles(wanted: GpuModel, there: GpuModel) -> dict[str, str]:
    """For each profile of a model the one of another model that NVML knows by the same number."""
    by_index = {one.index: one.name for one in there.profiles}
    return {one.name: by_index[one.index] for one in wanted.profiles if one.index in by_index}


def halves(uuids: Sequence[str], model: GpuModel) -> list[Manifest]:
    """Requests of a claim for two slices of each GPU that take all of it: nothing else may stand there then."""
    profile = next(one.name for one in model.profiles if 2 * one.size == model.memory_slices and one.most > 1)
    return [
        _request(
            f"gpu-{number}", SLICE_CLASS,
            f"{_ATTRIBUTES}.profile == '{profile}' && {_ATTRIBUTES}.parentUUID == {json.dumps(uuid)}", 2,
        )
        for number, uuid in enumerate(uuids)
    ]  # fmt: skip


def _request(name: str, class_: str, expression: str, count: int) -> Manifest:
    exactly = {
        "deviceClassName": class_, "allocationMode": "ExactCount", "count": count,
        "selectors": [{"cel": {"expression": expression}}],
    }  # fmt: skip
    return {"name": name, "exactly": exactly}


def offer_by_name(lab: Lab, model: GpuModel) -> None:
    """Have DeviceClasses by which pods get slices of the model by the device plugin's resource names.

    They are the run's; those that somebody has made are used as they are.

    Raises:
        NotFromOutside: they may not be made, or the cluster does not serve such names (before Kubernetes 1.36).
    """
    there = {one["metadata"]["name"]: one for one in lab.api.list("DeviceClass")}
    served = {str(dig(one, "spec", "extendedResourceName", default="")) for one in there.values()}
    for wanted in device_classes(one.name for one in model.profiles):
        name, extended = wanted["metadata"]["name"], wanted["spec"].get("extendedResourceName")
        if name in there or (extended in served and extended):
            continue
        marked = wanted | {"metadata": {"name": name, "labels": {labels.RUN: lab.run_id}}}
        try:
            made = lab.api.apply(marked)
        except ApiRefused as refused:
            raise NotFromOutside(f"a DeviceClass of each profile is needed: {refused.message}") from None
        if extended and dig(made, "spec", "extendedResourceName") != extended:
            raise NotFromOutside(
                "claims by the name of an extended resource are not served: Kubernetes 1.36, or feature gate "
                "DRAExtendedResource"
            )
