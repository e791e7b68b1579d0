"""Many pods at once: each has slices of its own, and when all are gone nothing is left."""

from __future__ import annotations

from gpuassay import MUST, SHOULD, Lab, Measure, behaviour
from gpuassay.systems.slices.acts import node as slicing
from gpuassay.systems.slices.judge import at_rest as slices_rest
from gpuassay.systems.slices.judge import geometry as slices
from gpuassay.systems.slices.judge import observed as slices_seen
from gpuassay.systems.slices.readings import SlicesRecording
from suites.slices.slicers import MIG, per_slicer

BURST = {
    f"{profile[:2]}-{number}": profile
    for profile, count in (("1g.5gb", 2), ("2g.10gb", 2), ("3g.20gb", 2))
    for number in range(count)
}
"""Fits on two GPUs however slices are placed on demand, as long as large ones come first."""
STATIC = {0: ["3g.20gb", "3g.20gb"], 1: ["2g.10gb", "2g.10gb", "1g.5gb", "1g.5gb"]}
SECONDS = 60.0
"""Within which the whole burst must run, and must be gone."""


@per_slicer(timeout=60, outside=True)
def burst(lab: Lab, slicer: slicing.SlicerName) -> None:
    """Pods of every size are created at once, large ones first, run, and are all deleted at once."""
    with slicing.opened(lab, slicer, geometry=STATIC if slicer == "device-plugin" else None) as site:
        lab.mark("created")
        for name in sorted(BURST, reverse=True):
            site.pod(name, BURST[name])
        site.observe_running(*BURST)
        lab.mark("running")
        site.identify(*BURST)
        site.note_rest("full")
        lab.mark("deleted")
        site.finish()
        lab.mark("gone")


@behaviour(
    "slices.exclusive.burst", level=MUST, spec=MIG,
    red_when="a pod of a burst that fits does not run, or runs on slices that it did not ask for",
    mutant="another-profile",
)  # fmt: skip
def test_every_pod_of_a_burst_gets_its_slice(burst: SlicesRecording) -> None:
    """Six pods that fit on two GPUs all run, each with one slice of its profile; all invariants hold."""
    assert slices_seen.ran(burst) == set(BURST), burst.timeline_text()
    assert slices_seen.findings(burst) == [], burst.timeline_text()
    assert {run.pod: len(run.held) for run in slices_seen.runs(burst)} == dict.fromkeys(BURST, 1)


@behaviour(
    "slices.exclusive.unshared", level=MUST, spec=MIG,
    red_when="two pods that run at the same time are given the same slice", mutant="one-name-for-all",
)  # fmt: skip
def test_no_two_running_pods_share_a_slice(burst: SlicesRecording) -> None:
    """All six pods run, and no two of them hold the same slice at the same time."""
    ran = slices_seen.runs(burst)
    told = {one.pod: len(one.held) for one in ran}
    assert told == dict.fromkeys(BURST, 1), f"expected each of six to be told one slice, seen {told}"
    assert slices.sharing_findings(ran) == [], burst.timeline_text()


@behaviour(
    "slices.exclusive.identity", level=MUST, spec=MIG,
    red_when="in a burst a container is given what is allocated to another pod", mutant="one-name-for-all",
)  # fmt: skip
def test_a_burst_mixes_no_claims_up(burst: SlicesRecording) -> None:
    """In a burst of six pods each container is given the slice that is allocated to its own pod."""
    assert set(slices_rest.owners(burst, "full").values()) == set(BURST), burst.timeline_text()
    assert slices_rest.mixed_up_findings(burst, "full") == [], burst.timeline_text()


@behaviour(
    "slices.exclusive.conserved", level=MUST, spec=MIG,
    red_when="allocations, slices and CDI devices disagree after a burst", mutant="request-lost",
)  # fmt: skip
def test_a_full_node_has_as_many_slices_as_allocations(burst: SlicesRecording) -> None:
    """With all six pods running six slices are allocated, and allocations, slices and CDI devices match."""
    assert slices_rest.books_findings(burst, "full", slices=len(BURST)) == [], burst.timeline_text()


@behaviour(
    "slices.exclusive.all-gone", level=MUST, spec=MIG,
    red_when="after the deletion of a burst a slice, a claim or a CDI device is left", mutant="termination-ignored",
)  # fmt: skip
def test_a_burst_that_is_deleted_leaves_nothing(burst: SlicesRecording) -> None:
    """All pods of the burst are deleted at once: no slice on demand, claim or CDI device is left."""
    assert slices_rest.left_findings(burst) == [], burst.timeline_text()


@behaviour(
    "slices.exclusive.latency", level=SHOULD, spec=MIG, timed=True,
    red_when=f"a burst that fits does not run within {SECONDS:g} s", mutant="held-back",
)  # fmt: skip
def test_a_burst_runs_soon(burst: SlicesRecording, measure: Measure) -> None:
    """The last of six pods runs within a minute of the first one's creation; the time is measured."""
    measure.value(
        running_seconds=(burst.mark("running") - burst.mark("created")) / 1e9,
        gone_seconds=(burst.mark("gone") - burst.mark("deleted")) / 1e9,
    )
    measure.threshold(SECONDS)
    slowest = max(slices_seen.seconds_to_run(burst, name) or float("inf") for name in BURST)
    assert slowest <= SECONDS, burst.timeline_text()
