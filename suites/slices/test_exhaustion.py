"""A GPU that is full: who comes later waits, is told why, and runs as soon as a slice is free."""

from __future__ import annotations

from gpuassay import MUST, SHOULD, Lab, Measure, behaviour
from gpuassay.systems.slices.acts import node as slicing
from gpuassay.systems.slices.judge import at_rest as slices_rest
from gpuassay.systems.slices.judge import observed as slices_seen
from gpuassay.systems.slices.judge import told as slices_told
from gpuassay.systems.slices.readings import SlicesRecording
from suites.slices.slicers import MIG, per_slicer

SCHEDULING = "https://kubernetes.io/docs/concepts/scheduling-eviction/"
PROFILE = "3g.20gb"
FIRST, LATER = ("a", "b"), ("c", "d")
IDLE = 20.0
"""Seconds that a pod may wait while its slice is free: scheduling, preparing and freeing on a crowded machine."""


@per_slicer(timeout=70, outside=True)
def full_gpu(lab: Lab, slicer: slicing.SlicerName) -> None:
    """Two pods fill a GPU and two more wait; the first is deleted, and the second completes."""
    geometry = {0: [PROFILE, PROFILE]} if slicer == "device-plugin" else None
    with slicing.opened(lab, slicer, gpus=["a100-40gb"], geometry=geometry) as site:
        site.pod("a", PROFILE)
        site.pod("b", PROFILE, 1, ("serve", 8080), ("wait",))
        site.observe_running(*FIRST)
        for name in LATER:
            site.pod(name, PROFILE)
        site.observe_refused(*LATER)
        site.identify(*FIRST)
        site.note_rest("full")
        lab.mark("released")
        site.delete("a")
        lab.observe(lambda: any(site.runs(name) for name in LATER), "one of the later pods runs")
        site.ask("b", "/exit?code=0")
        site.observe_running(*LATER)
        site.identify(*LATER)
        site.note_rest("full-again")
        site.finish(again=True)


@behaviour(
    "slices.exhaustion.pending", level=MUST, spec=SCHEDULING,
    red_when="a pod runs although all slices are taken", mutant="request-lost",
)  # fmt: skip
def test_a_pod_too_many_waits(full_gpu: SlicesRecording) -> None:
    """While two pods fill the GPU no other pod runs, and exactly two slices are allocated."""
    released = full_gpu.mark("released")
    early = [one.pod for one in slices_seen.runs(full_gpu) if one.begun < released]
    assert sorted(early) == list(FIRST), full_gpu.timeline_text()
    assert slices_rest.books_findings(full_gpu, "full", slices=2) == [], full_gpu.timeline_text()


@behaviour(
    "slices.exhaustion.reason", level=MUST, spec=SCHEDULING,
    red_when="the condition of a pod that waits for a slice does not say why", mutant="request-lost",
)  # fmt: skip
def test_a_pod_that_waits_is_told_why(full_gpu: SlicesRecording) -> None:
    """A pod without a free slice is Unschedulable, and its condition's message says what is lacking."""
    for name in LATER:
        told = slices_seen.unscheduled(full_gpu, name)
        assert told, full_gpu.timeline_text()
        reason, message = told[0]
        assert reason == "Unschedulable"
        name = slices_told.resource(slices_told.stands_for(full_gpu, PROFILE))
        lacking = (f"Insufficient {name}", "cannot allocate all claims", f"mig.das.com/{PROFILE}")
        assert any(words in message for words in (*lacking, "no GPU available")), message


@behaviour(
    "slices.exhaustion.after-deletion", level=MUST, spec=SCHEDULING,
    red_when="the slice of a deleted pod is given to nobody", mutant="termination-ignored",
)  # fmt: skip
def test_a_deleted_pod_makes_room(full_gpu: SlicesRecording, measure: Measure) -> None:
    """After a deletion one of the pods that wait runs; the time is measured."""
    assert full_gpu.observed("one of the later pods runs"), full_gpu.timeline_text()
    released = full_gpu.mark("released")
    first = min(one.begun for one in slices_seen.runs(full_gpu) if one.pod in LATER)
    measure.value(after_release_seconds=(first - released) / 1e9)


@behaviour(
    "slices.exhaustion.after-completion", level=MUST, spec=SCHEDULING,
    red_when="the slice of a pod that has ended, and is still there, is given to nobody", mutant="wrong-port",
)  # fmt: skip
def test_a_completed_pod_makes_room(full_gpu: SlicesRecording) -> None:
    """After a pod completes, and before it is deleted, the last waiting pod runs; all invariants hold."""
    assert slices_seen.ran(full_gpu) == {*FIRST, *LATER}, full_gpu.timeline_text()
    assert slices_seen.findings(full_gpu) == [], full_gpu.timeline_text()
    assert slices_rest.books_findings(full_gpu, "full-again", slices=2) == [], full_gpu.timeline_text()


@behaviour(
    "slices.exhaustion.work-conserving", level=SHOULD, spec=SCHEDULING, timed=True,
    red_when=f"a pod waits longer than {IDLE:g} s while a slice for it is free", mutant="held-back",
)  # fmt: skip
def test_nobody_waits_while_a_slice_is_free(full_gpu: SlicesRecording, measure: Measure) -> None:
    """No pod waits long for a node while there is a placement for its slice."""
    assert full_gpu.timelines("Pod"), "no pod was created"
    measure.threshold(IDLE)
    assert slices_rest.idle_findings(full_gpu, IDLE) == [], full_gpu.timeline_text()


@behaviour(
    "slices.exhaustion.nothing-left", level=MUST, spec=MIG,
    red_when="after exhaustion and release a slice, a claim or a CDI device is left", mutant="behind-its-back",
)  # fmt: skip
def test_exhaustion_leaves_nothing(full_gpu: SlicesRecording) -> None:
    """After exhaustion, release and deletion no on-demand slice is left, and static slices are unchanged."""
    assert slices_rest.left_findings(full_gpu) == [], full_gpu.timeline_text()
