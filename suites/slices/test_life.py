"""The life of a slice: made for a pod, used by it alone, freed; whoever makes it."""

from __future__ import annotations

from gpuassay.behaviour import behaviour
from gpuassay.judge import slices_seen
from gpuassay.record.recording import Recording
from gpuassay.scenario import slicing
from gpuassay.scenario.lab import Lab
from gpuassay.verdict import MUST
from suites.slices.slicers import MIG, per_slicer


@per_slicer(timeout=60)
def two_pods(lab: Lab, slicer: slicing.SlicerName) -> None:
    """Two pods ask for a slice each, say what they were given, and are deleted."""
    with slicing.opened(lab, slicer) as site:
        site.pod("small", "1g.5gb")
        site.pod("large", "3g.20gb")
        site.until_running("small", "large")
        site.identify("small", "large")
        site.note_rest("full")
        site.delete("small", "large")
        if slicer == "dra":
            site.until_empty()
        site.note_rest("empty")


@behaviour(
    "slices.life.granted", level=MUST, spec=MIG,
    red_when="a pod runs without a slice, or with one of another profile", mutant="another-profile",
)  # fmt: skip
def test_a_pod_runs_with_the_slice_that_it_asked_for(two_pods: Recording) -> None:
    """Every invariant holds, and both pods were given exactly one slice of their profile."""
    assert slices_seen.findings(two_pods) == [], two_pods.timeline_text()
    assert {run.pod: len(run.held) for run in slices_seen.runs(two_pods)} == {"small": 1, "large": 1}
