"""Broken systems that slice GPUs."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING

from gpuassay.manifest import Manifest, dig
from gpuassay.scenario.mutants import MUTANTS, Mutant, mutant

if TYPE_CHECKING:
    from gpuassay.silicon import Silicon

_IN_USE = 19


def silicon_mutant(name: str, breaks: str) -> Callable[[Callable[[Silicon], None]], object]:
    """Register a function that does something to the GPUs of a sliced node before they are used."""

    def register(disturb: Callable[[Silicon], None]) -> Callable[[Silicon], None]:
        if name in MUTANTS:
            raise ValueError(f"mutant {name!r} is registered twice")
        MUTANTS[name] = Mutant(name, breaks, copy.deepcopy, disturb_silicon=disturb)
        return disturb

    return register


@silicon_mutant("slice-never-freed", "slices are made and never destroyed again")
def _never_freed(silicon: Silicon) -> None:
    from gpuassay.silicon import FOREVER

    for function in ("nvmlComputeInstanceDestroy", "nvmlGpuInstanceDestroy"):
        silicon.inject(function, _IN_USE, times=FOREVER)


@mutant("another-profile", "pods get a slice of another profile than they ask for")
def _another_profile(obj: Manifest) -> None:
    if obj["kind"] != "Pod":
        return
    for container in obj["spec"]["containers"]:
        limits: dict[str, str] = dig(container, "resources", "limits", default={})
        if "nvidia.com/mig-1g.5gb" in limits:
            limits["nvidia.com/mig-2g.10gb"] = limits.pop("nvidia.com/mig-1g.5gb")
