"""Slicers whose upgrade does harm."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from gpuassay.scenarios.mutants import Mutant, register

if TYPE_CHECKING:
    from gpuassay.systems.slices.acts.node import SlicedNode


def _ends(site: SlicedNode) -> None:
    from gpuassay.systems.slices.component.dra import resource_slices

    site.part.kill()
    if site.slicer == "dra":
        for one in resource_slices(site.node):
            site.lab.api.delete("ResourceSlice", one["metadata"]["name"])
    site.observe_withdrawn()


register(
    Mutant("upgraded-slicer-ends", "the new version of a slicer ends soon after", copy.deepcopy, disturb_upgrade=_ends)
)
