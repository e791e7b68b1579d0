"""Names for objects of any kind: of this run's own where the whole cluster shares them."""

from __future__ import annotations

from gpuassay.manifest import Manifest
from gpuassay.scenarios.lab import CLUSTER_SCOPED, Lab


def named(lab: Lab, manifest: Manifest, name: str) -> Manifest:
    """The manifest under that name in the lab's namespace; of a cluster-scoped kind under one that is unique."""
    if manifest["kind"] in CLUSTER_SCOPED:
        return manifest | {"metadata": manifest["metadata"] | {"name": lab.unique(name)}}
    return manifest | {"metadata": manifest["metadata"] | {"name": name, "namespace": lab.namespace}}
