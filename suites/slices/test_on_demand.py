"""Slices on demand when the GPU does not do as it is told: calls that fail once, slow calls, refused destruction."""

from __future__ import annotations

from gpuassay import MUST, SHOULD, Lab, behaviour
from gpuassay.silicon.errors import IN_USE, INSUFFICIENT_RESOURCES
from gpuassay.systems.slices.acts import node as slicing
from gpuassay.systems.slices.judge import at_rest as slices_rest
from gpuassay.systems.slices.judge import observed as slices_seen
from gpuassay.systems.slices.readings import SlicesRecording
from suites.slices.slicers import DRIVER, MIG, per_slicer

CREATE_GPU, CREATE_COMPUTE = "nvmlDeviceCreateGpuInstanceWithPlacement", "nvmlGpuInstanceCreateComputeInstance"
DESTROY = "nvmlGpuInstanceDestroy"
ONCE = "4g.20gb"
"""A profile of which a GPU has one place. Not the whole GPU: the driver cannot make a slice of that at all (#1480)."""
SLOW = 2.0
"""Seconds that a slow call takes."""
PATIENCE = 12.0
"""Seconds for what is tried again: the kubelet of these nodes does so every two or three (`slicing.KUBELET`)."""


@per_slicer(timeout=70, only=("dra",))
def creation_fails_once(lab: Lab, slicer: slicing.SlicerName) -> None:
    """The first creation of a GPU instance fails; the pod waits, is deleted, and another one asks."""
    fault = {"function": CREATE_GPU, "code": INSUFFICIENT_RESOURCES}
    with slicing.opened(lab, slicer, gpus=["a100-40gb"], before=fault, agreeing=False) as site:
        site.pod("unlucky", "1g.5gb")
        site.observe_running("unlucky", timeout=PATIENCE)
        site.identify("unlucky")
        site.delete("unlucky", timeout=PATIENCE)
        site.pod("next", "3g.20gb")
        site.observe_running("next", timeout=PATIENCE)
        site.identify("next")
        site.finish()


@behaviour(
    "slices.on-demand.creation-retried", level=MUST, spec=DRIVER,
    red_when="one failed creation keeps a pod from ever running",
)  # fmt: skip
def test_a_failed_creation_is_tried_again(creation_fails_once: SlicesRecording) -> None:
    """A pod whose slice cannot be made at first runs once it can be made."""
    timeline = creation_fails_once.timeline_text()
    assert "next" in slices_seen.ran(creation_fails_once), f"expected the next pod to run\n{timeline}"
    ran = slices_seen.ran(creation_fails_once)
    assert "unlucky" in ran, f"expected the unlucky pod to run once its slice could be made, seen {ran}\n{timeline}"


@behaviour(
    "slices.on-demand.creation-failure-deletable", level=MUST, spec=DRIVER,
    red_when="a pod whose slice could not be made cannot be deleted",
)  # fmt: skip
def test_a_pod_without_its_slice_can_be_deleted(creation_fails_once: SlicesRecording) -> None:
    """A pod whose slice could not be created can be deleted, and leaves no slice, claim or CDI device."""
    timeline = creation_fails_once.timeline_text()
    assert "next" in slices_seen.ran(creation_fails_once), f"expected the pod after it to run\n{timeline}"
    assert creation_fails_once.observed("gone: unlucky"), f"expected the unlucky pod to be gone\n{timeline}"
    assert slices_rest.left_findings(creation_fails_once) == [], creation_fails_once.timeline_text()


@behaviour(
    "slices.on-demand.creation-failure-contained", level=MUST, spec=DRIVER, timed=True,
    red_when="after one failed creation the next pod gets no slice", mutant="held-back",
)  # fmt: skip
def test_a_failed_creation_does_not_harm_the_next_pod(creation_fails_once: SlicesRecording) -> None:
    """After a failed creation, whatever became of its pod, the next pod runs on its slice."""
    assert "next" in slices_seen.ran(creation_fails_once), creation_fails_once.timeline_text()
    assert slices_seen.findings(creation_fails_once) == [], creation_fails_once.timeline_text()


@per_slicer(timeout=80, only=("dra",))
def half_a_slice(lab: Lab, slicer: slicing.SlicerName) -> None:
    """A GPU instance is created but its compute instance is not; the driver is killed and restarted."""
    fault = {"function": CREATE_COMPUTE, "code": INSUFFICIENT_RESOURCES}
    with slicing.opened(lab, slicer, gpus=["a100-40gb"], before=fault, agreeing=False) as site:
        site.pod("unlucky", ONCE)
        site.observe_stuck("unlucky")
        site.note_rest("half")
        site.delete("unlucky", grace=0)
        with site.slicer_away(kill=True):
            pass
        lab.observe(lambda: not site.silicon.slices(), "the half slice is swept", timeout=5)
        site.pod("next", ONCE)
        site.observe_running("next", timeout=PATIENCE)
        site.identify("next")
        site.finish()


@behaviour(
    "slices.on-demand.half-slice-swept", level=MUST, spec=DRIVER,
    red_when="a GPU instance without a compute instance survives a restart of the driver",
)  # fmt: skip
def test_half_a_slice_is_swept_at_the_start(half_a_slice: SlicesRecording) -> None:
    """A GPU instance whose compute instance could not be created is gone after the driver's restart."""
    swept = half_a_slice.observed("the half slice is swept")
    assert swept, f"expected half a slice to be swept, it is left\n{half_a_slice.timeline_text()}"


@behaviour(
    "slices.on-demand.half-slice-usable", level=MUST, spec=DRIVER,
    red_when="the placement of a GPU instance without a compute instance is never usable again",
)  # fmt: skip
def test_the_place_of_half_a_slice_can_be_used_again(half_a_slice: SlicesRecording) -> None:
    """After the driver's restart the next pod gets the place that the incomplete slice had occupied."""
    ran = slices_seen.ran(half_a_slice)
    half = [one for one in half_a_slice.silicon if one.kind == slices_seen.MADE]
    asked = half_a_slice.timelines("Pod").keys()
    assert half and "next" in asked, f"expected a slice without its half, and a pod after it, seen {half}, {asked}"
    assert "next" in ran, (
        f"expected a pod to run in the place of half a slice, seen {ran}\n{half_a_slice.timeline_text()}"
    )


@per_slicer(timeout=70, only=("dra",))
def slow_and_reluctant(lab: Lab, slicer: slicing.SlicerName) -> None:
    """Making a slice takes seconds; destroying it is refused once, as while a process still uses it."""
    slow = {"function": CREATE_GPU, "delay": SLOW}
    with slicing.opened(lab, slicer, gpus=["a100-40gb"], before=slow) as site:
        site.silicon.inject(DESTROY, IN_USE)
        site.pod("slow", "1g.5gb")
        site.pod("other", "3g.20gb")
        site.observe_running("slow", "other")
        site.identify("slow", "other")
        site.note_rest("full")
        site.delete("slow")
        site.finish()


@behaviour(
    "slices.on-demand.slow-creation", level=SHOULD, spec=DRIVER,
    red_when="a slow GPU makes pods fail, or mixes their slices up", mutant="another-profile",
)  # fmt: skip
def test_a_slow_creation_mixes_nothing_up(slow_and_reluctant: SlicesRecording) -> None:
    """When a slice takes two seconds to make, both pods run all the same, each on its slice."""
    assert slices_seen.ran(slow_and_reluctant) == {"slow", "other"}, slow_and_reluctant.timeline_text()
    assert slices_seen.findings(slow_and_reluctant) == [], slow_and_reluctant.timeline_text()
    assert slices_rest.mixed_up_findings(slow_and_reluctant, "full") == [], slow_and_reluctant.timeline_text()


@behaviour(
    "slices.on-demand.destruction-retried", level=MUST, spec=MIG,
    red_when="a slice whose destruction was refused once is left for ever", mutant="slice-never-freed",
)  # fmt: skip
def test_a_refused_destruction_is_tried_again(slow_and_reluctant: SlicesRecording) -> None:
    """A slice that could not be destroyed at first is gone in the end, with its claim and its CDI device."""
    refused = [one for one in slow_and_reluctant.silicon if one.kind == "refused"]
    assert refused, "no destruction was refused, so nothing was retried"
    assert slices_rest.left_findings(slow_and_reluctant) == [], slow_and_reluctant.timeline_text()
