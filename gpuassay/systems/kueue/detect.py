"""Which Kueue somebody's cluster has."""

from __future__ import annotations

from gpuassay.cluster import base
from gpuassay.cluster.api import Api
from gpuassay.cluster.base import Component
from gpuassay.cluster.errors import ApiRefused
from gpuassay.cluster.existing import Detected, Site
from gpuassay.manifest import dig

KUEUE_NAMESPACE = "kueue-system"


def detect(site: Site) -> Detected:
    """Look for Kueue."""
    found = _kueue(site.api)
    return Detected(frozenset({base.KUEUE}), (found,)) if found else Detected()


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
