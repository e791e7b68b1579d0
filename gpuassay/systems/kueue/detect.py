"""Which Kueue somebody's cluster has."""

from __future__ import annotations

from gpuassay.cluster import base
from gpuassay.cluster.api import Api
from gpuassay.cluster.base import Component
from gpuassay.cluster.errors import ApiRefused
from gpuassay.cluster.existing import Detected, Detection
from gpuassay.manifest import dig
from gpuassay.systems.kueue import frameworks
from gpuassay.systems.kueue.system import FRAMEWORKS

KUEUE_NAMESPACE = "kueue-system"


def detect(site: Detection) -> Detected:
    """Look for Kueue."""
    served = frameworks_of(site.api)
    found = _kueue(site.api)
    return Detected(frozenset({base.KUEUE, *served}), (found,)) if found else Detected(frozenset(served))


def frameworks_of(api: Api) -> set[str]:
    """Capabilities of a cluster that serves frameworks' objects, and whose controllers of these work."""
    served = {capability for group, capability in FRAMEWORKS.items() if _serves(api, group)}
    work = {one.capability for one in frameworks.ALL if FRAMEWORKS[one.group] in served and not one.problem(api)}
    return served | work


def _serves(api: Api, group: str) -> bool:
    try:
        api.raw(f"/apis/{group}")
    except ApiRefused:
        return False
    return True


def _kueue(api: Api) -> Component | None:
    """The Kueue that is installed, or None."""
    try:
        api.raw("/apis/kueue.x-k8s.io/v1beta2/clusterqueues?limit=1")
    except ApiRefused:
        return None
    version = "unknown"
    try:
        for deployment in api.list("Deployment", KUEUE_NAMESPACE):
            for container in dig(deployment, "spec", "template", "spec", "containers", default=[]):
                image, _, tag = str(container["image"]).partition("@")[0].rpartition(":")
                if "kueue" in image:
                    version = tag
    except ApiRefused:
        pass  # the version is a courtesy; the right to read that namespace is not ours to ask for
    return Component("kueue", version, "found on the cluster")
