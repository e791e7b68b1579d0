"""Kueue's manager as an image, under the names that upstream's manifests and chart ask for."""

from __future__ import annotations

from collections.abc import Iterator

from gpuassay import toolchain
from gpuassay.cluster.images import NONROOT, Source
from gpuassay.toolchain import Assets
from gpuassay.toolchain.catalogue import AT, COMPONENTS

COMPONENT = "kueue"
STAGING = "us-central1-docker.pkg.dev/k8s-staging-images/kueue/kueue"
RELEASED = "registry.k8s.io/kueue/kueue"


def images(assets: Assets) -> Iterator[Source]:
    """The manager, and those of other versions, where their programs are there."""
    taken: set[str] = set()
    for component in (COMPONENT, *(one for one in COMPONENTS if one.startswith(f"{COMPONENT}{AT}"))):
        if toolchain.available(component, assets) is not None:
            continue
        programs = toolchain.programs(component, assets)
        branch = "release-" + ".".join(programs.version.removeprefix("v").split(".")[:2])
        own = (f"{STAGING}:main",) if component == COMPONENT else ()
        asked = (*own, f"{STAGING}:{branch}", f"{RELEASED}:{programs.version}")
        names = tuple(one for one in asked if one not in taken)
        taken.update(names)
        if names:
            yield Source(names, {"/manager": programs.path("kueue")}, ("/manager",), user=f"{NONROOT}:{NONROOT}")
