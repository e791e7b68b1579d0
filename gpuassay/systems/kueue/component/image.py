"""Kueue's manager as an image, under the names that upstream's manifests and chart ask for."""

from __future__ import annotations

from collections.abc import Iterator

from gpuassay import toolchain
from gpuassay.cluster.images import NONROOT, Source
from gpuassay.toolchain import Assets

COMPONENT = "kueue"
STAGING = "us-central1-docker.pkg.dev/k8s-staging-images/kueue/kueue"
RELEASED = "registry.k8s.io/kueue/kueue"


def images(assets: Assets) -> Iterator[Source]:
    """The manager, where its program is there."""
    if toolchain.available(COMPONENT, assets) is None:
        programs = toolchain.programs(COMPONENT, assets)
        branch = "release-" + ".".join(programs.version.removeprefix("v").split(".")[:2])
        names = (f"{STAGING}:main", f"{STAGING}:{branch}", f"{RELEASED}:{programs.version}")
        yield Source(names, {"/manager": programs.path("kueue")}, ("/manager",), user=f"{NONROOT}:{NONROOT}")
