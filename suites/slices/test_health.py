"""Slices that break: an Xid on one must withdraw it, whichever it is."""

from __future__ import annotations

from gpuassay import MUST, Lab, Note, behaviour
from gpuassay.systems.slices.acts import node as slicing
from gpuassay.systems.slices.readings import SlicesRecording
from suites.slices.slicers import PLUGIN, per_slicer

PROFILE = "1g.5gb"
XID = 79
"""The GPU has fallen off the bus: NVIDIA's Xid catalogue counts it as fatal."""


AFTER = {
    case: Note(f"after_{case}", int, f"slices that the node offers once broken {case}")
    for case in ("alone", "together")
}


@per_slicer(timeout=60, only=("device-plugin",))
def broken_slices(lab: Lab, slicer: slicing.SlicerName) -> None:
    """One slice breaks that is alone on its GPU; then two that share a GPU."""
    with slicing.opened(lab, slicer, geometry={0: [PROFILE] * 2, 1: [PROFILE]}) as site:
        one, other, alone = site.silicon.slices()
        for label, broken, left in (("alone", [alone], 2), ("together", [one, other], 0)):
            for each in broken:
                site.break_slice(each, XID)
            lab.observe(lambda wanted=left: site.offers(PROFILE) == wanted, f"{label} withdrawn", timeout=10)
            lab.note(AFTER[label], site.offers(PROFILE))
        site.finish()


@behaviour(
    "slices.health.alone", level=MUST, spec=PLUGIN, timed=True,
    red_when="a broken slice is still offered to pods", mutant="slicer-hangs",
)  # fmt: skip
def test_a_broken_slice_is_withdrawn(broken_slices: SlicesRecording) -> None:
    """A critical Xid on the only slice of a GPU takes exactly that slice out of what the node offers."""
    assert broken_slices.note(AFTER["alone"]) == 2, broken_slices.timeline_text()


@behaviour(
    "slices.health.together", level=MUST, spec=PLUGIN,
    red_when="of several broken slices of a GPU only one is withdrawn",
)  # fmt: skip
def test_every_broken_slice_of_a_gpu_is_withdrawn(broken_slices: SlicesRecording) -> None:
    """Critical Xids on two slices of one GPU withdraw both."""
    seen = broken_slices.note(AFTER["together"])
    assert seen == 0, f"expected 0 of the broken slices on offer, seen {seen}\n{broken_slices.timeline_text()}"
