"""Images of stubs on a cluster like a user's: a shell that sleeps, under the name of what it stands for."""

from __future__ import annotations

from dataclasses import replace

from gpuassay.cluster import images
from gpuassay.cluster.base import Cluster
from gpuassay.cluster.whole.busybox import busybox
from gpuassay.toolchain.progress import silent


def serve(cluster: Cluster, *names: str) -> None:
    """From now on pods of this cluster can pull them; a registry reads what it serves whenever it is written anew."""
    served = cluster.directory / "registry" / "images.json"
    blobs = images.load(served)
    blobs.add(replace(busybox(silent), names=names, arguments=("sleep", "86400")))
    images.save(blobs, served)
