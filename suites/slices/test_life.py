"""The life of a slice: made for a pod, used by it alone, freed; whoever makes it."""

from __future__ import annotations

from collections import Counter

from gpuassay import MUST, SHOULD, Lab, Measure, behaviour
from gpuassay.presence import must_have
from gpuassay.systems.slices.acts import node as slicing
from gpuassay.systems.slices.judge import at_rest as slices_rest
from gpuassay.systems.slices.judge import observed as slices_seen
from gpuassay.systems.slices.readings import SlicesRecording
from suites.slices.elsewhere import silicon_of_ours
from suites.slices.slicers import MIG, per_slicer

PODS = {"small": "1g.5gb", "large": "3g.20gb"}
SECONDS = 20.0
"""Within which a pod must run: ten times what a crowded machine took."""


@per_slicer(timeout=60, outside=True)
def two_pods(lab: Lab, slicer: slicing.SlicerName) -> None:
    """Two pods ask for a slice each, say what they were given, and are deleted."""
    with slicing.opened(lab, slicer, wants=Counter(PODS.values())) as site:
        for name, profile in PODS.items():
            site.pod(name, profile)
        site.observe_running(*PODS)
        site.identify(*PODS)
        site.note_rest("full")
        site.finish(again=True)


@behaviour(
    "slices.life.granted", level=MUST, spec=MIG,
    red_when="a pod runs without a slice, or with one of another profile", mutant="another-profile",
)  # fmt: skip
def test_a_pod_runs_with_the_slice_that_it_asked_for(two_pods: SlicesRecording) -> None:
    """Every invariant holds, and both pods were given exactly one slice of their profile."""
    assert slices_seen.findings(two_pods) == [], two_pods.timeline_text()
    assert {run.pod: len(run.held) for run in slices_seen.runs(two_pods)} == {"small": 1, "large": 1}


@behaviour(
    "slices.life.identity", level=MUST, spec=MIG,
    red_when="a container is given another slice than the one allocated to its pod", mutant="one-name-for-all",
)  # fmt: skip
def test_a_container_has_the_slice_that_is_allocated_to_its_pod(two_pods: SlicesRecording) -> None:
    """Each container is given the slice that the API's claims or the kubelet checkpoint allocate to its pod."""
    assert set(slices_rest.owners(two_pods, "full").values()) == set(PODS), two_pods.timeline_text()
    assert slices_rest.mixed_up_findings(two_pods, "full") == [], two_pods.timeline_text()


@behaviour(
    "slices.life.conserved", level=MUST, spec=MIG,
    red_when="an allocation has no slice, or an on-demand slice has no claim or no CDI device", mutant="request-lost",
)  # fmt: skip
def test_books_and_slices_agree_while_pods_run(two_pods: SlicesRecording) -> None:
    """While two pods run two slices are allocated, and allocations, slices and CDI devices match."""
    assert slices_rest.books_findings(two_pods, "full", slices=2) == [], two_pods.timeline_text()


@behaviour(
    "slices.life.silicon", level=MUST, spec=MIG,
    red_when="a slice is created that no pod asked for, or one that somebody else made is destroyed",
    mutant="behind-its-back",
)  # fmt: skip
def test_the_silicon_moves_only_for_pods(two_pods: SlicesRecording) -> None:
    """On demand one slice of each requested profile is created and destroyed; static slices are left alone."""
    silicon_of_ours(two_pods, "only the silicon tells what was made and destroyed for nobody")
    course = must_have(slices_seen.changes(two_pods), "slices")
    moves = [one for one in course if one.at > two_pods.mark("opened")]
    seen = sorted((one.slice.profile, one.made) for one in moves)
    on_demand = sorted((profile, made) for profile in PODS.values() for made in (True, False))
    assert seen == ([] if slices_rest.static(two_pods) else on_demand), two_pods.timeline_text()


@behaviour(
    "slices.life.freed", level=MUST, spec=MIG,
    red_when="a deleted pod stays, or leaves its slice, its claim or its CDI device", mutant="termination-ignored",
)  # fmt: skip
def test_deleted_pods_leave_nothing(two_pods: SlicesRecording) -> None:
    """When both pods are deleted, on-demand slices, claims and CDI devices are gone; static slices are unchanged."""
    assert slices_rest.left_findings(two_pods) == [], two_pods.timeline_text()


@behaviour(
    "slices.life.latency", level=SHOULD, spec=MIG, timed=True,
    red_when=f"a pod that asks for a free slice does not run within {SECONDS:g} s", mutant="held-back",
)  # fmt: skip
def test_a_free_slice_is_given_soon(two_pods: SlicesRecording, measure: Measure) -> None:
    """A pod that asks for a free slice runs within seconds; the time is measured."""
    seconds = {name: slices_seen.seconds_to_run(two_pods, name) for name in PODS}
    slowest = max((one if one is not None else float("inf")) for one in seconds.values())
    measure.value(**{f"{name}_seconds": one for name, one in seconds.items() if one is not None})
    measure.threshold(SECONDS)
    assert slowest <= SECONDS, two_pods.timeline_text()
