"""A sliced node whose slicer is replaced by another version of it while pods hold slices.

As a rolling update of its DaemonSet does: the old program is asked to end, then the new one is started with the same
command line. The image's pull, which makes the gap longer, is not acted out.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from gpuassay.systems.slices.acts import node as slicing
from gpuassay.systems.slices.acts.pods import SlicerName

if TYPE_CHECKING:  # cluster clients: not for replays
    from gpuassay.scenarios.lab import Lab

BEGINS, UPGRADED = "upgrade begins", "upgraded"

PROGRAMS: dict[SlicerName, tuple[str, str]] = {
    "device-plugin": ("nvidia-device-plugin", "nvidia-device-plugin"),
    "dra": ("nvidia-dra", "gpu-kubelet-plugin"),
}
"""Component and program of each slicer whose versions can be built."""


@contextmanager
def opened(lab: Lab, slicer: SlicerName, version: str, **options: Any) -> Generator[slicing.SlicedNode]:
    """Open a node with the older of two versions of a slicer: the suite's own, and `version`.

    Raises:
        gpuassay.toolchain.errors.ToolchainError: a version cannot be had.
    """
    older, _ = _ends(lab, slicer, version)
    with slicing.opened(lab, slicer, assets=older, **options) as site:
        yield site


@contextmanager
def replaced(site: slicing.SlicedNode, version: str) -> Generator[None]:
    """The slicer is away for the length of a `with` block, then its newer version takes its place.

    The mutant of the run, if there is one, does its harm to the node meanwhile, and to the site afterwards.
    """
    from gpuassay.systems.slices.component.program import upstream

    slicer = cast("SlicerName", site.slicer)
    _, newer = _ends(site.lab, slicer, version)
    component, program = PROGRAMS[slicer]
    site.lab.mark(BEGINS)
    with site.slicer_away(kill=False):
        yield
        site.part.become(upstream(site.node, component, program, newer))
    site.lab.mark(UPGRADED)
    if site.lab.mutant is not None:
        site.lab.mutant.disturb_upgrade(site)


def _ends(lab: Lab, slicer: SlicerName, version: str) -> tuple[Any, Any]:
    from gpuassay.toolchain import Assets

    return (lab.cluster.assets or Assets()).upgrade(PROGRAMS[slicer][0], version)
