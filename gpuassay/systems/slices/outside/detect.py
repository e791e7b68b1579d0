"""Who makes slices on somebody's cluster."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gpuassay.cluster.base import Component
from gpuassay.cluster.errors import ApiRefused
from gpuassay.cluster.existing import Detected, Detection
from gpuassay.manifest import Manifest, dig
from gpuassay.systems.slices.component.dra import DRIVER
from gpuassay.systems.slices.outside.supply import profile_of

if TYPE_CHECKING:
    from gpuassay.cluster.api import Api

PLUGIN, DRA = "program:nvidia-device-plugin", "program:nvidia-dra"


def detect(site: Detection) -> Detected:
    """Look for nodes that offer GPUs or slices by the device plugin, and for ResourceSlices of the DRA driver.

    A cluster without either may get one for the run, so that scenarios of slices may be asked of any.
    """
    found: dict[str, Component] = {}
    if any(map(_offers, site.nodes)):
        found[PLUGIN] = Component("nvidia-device-plugin", "unknown", "found on the cluster")
    if _has_slices(site.api):
        found[DRA] = Component("nvidia-dra", "unknown", "found on the cluster")
    return Detected(frozenset({"slices", *found}), tuple(found.values()))


def _offers(node: Manifest) -> bool:
    there: dict[str, str] = dig(node, "status", "allocatable", default={})
    return any(profile_of(name) and count != "0" for name, count in there.items())


def _has_slices(api: Api) -> bool:
    try:
        slices: list[Manifest] = json.loads(api.raw("/apis/resource.k8s.io/v1/resourceslices"))["items"]
    except ApiRefused:
        return False
    return any(dig(one, "spec", "driver") == DRIVER for one in slices)
