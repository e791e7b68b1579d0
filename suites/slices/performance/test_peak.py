"""The paper's 32 jobs, placed on demand: 25 at once, each where first fit puts it, each on its own slice."""

from __future__ import annotations

from collections import Counter

import pytest

from gpuassay import MUST, Lab, Measure, behaviour, scenario
from gpuassay.systems.slices.acts import node as slicing
from gpuassay.systems.slices.judge import at_rest as slices_rest
from gpuassay.systems.slices.judge import observed as slices_seen
from gpuassay.systems.slices.judge import performance as judged
from gpuassay.systems.slices.model.paper import CROWDED, GPU_MODEL, GPUS, LARGE, MEDIUM, TABLE_6, slice_mix
from gpuassay.systems.slices.model.placement import Board, first_fit
from gpuassay.systems.slices.model.placement_fit import optimum
from gpuassay.systems.slices.readings import SlicesRecording
from suites.slices.performance import exhibits, jobs
from suites.slices.slicers import DRIVER, MIG

pytestmark = [pytest.mark.perf, pytest.mark.timeout(1200)]

PAPER = "paper on Kueue, DAS and llm-d: Table 6"


@scenario(system="slices", needs={"program:nvidia-dra"}, outside=True, timeout=240)
def thirty_two(lab: Lab) -> None:
    """32 jobs, medium and large in turn, each created once the pod of the one before is there; none ends by itself."""
    mix = slice_mix(1, slowdown=CROWDED)
    with slicing.opened(lab, "dra", gpus=(GPU_MODEL,) * GPUS) as site:
        jobs.note(site, mix)
        for one in mix:
            lab.create(jobs.manifest(site, one, ("wait",), whole=False))
            lab.until(lambda name=one.name: name in jobs.pods(site), f"the pod of {one.name}")
        lab.observe(lambda: jobs.placed_or_refused(site, len(mix)), "every pod runs or is refused", timeout=120)
        there = [one for one in jobs.pods(site).values() if one["status"]["phase"] == "Running"]
        site.identify(*(one["metadata"]["name"] for one in there))
        site.note_rest("full")
        lab.mark("placed")
        jobs.clear(site)


@behaviour(
    "slices.performance.peak", level=MUST, spec=PAPER,
    red_when="other than 13 medium and 12 large of the paper's 32 jobs run at once on 8 GPUs",
    mutant="another-profile",
)  # fmt: skip
def test_the_papers_order_gives_twenty_five_at_once(thirty_two: SlicesRecording, measure: Measure) -> None:
    """Of the paper's 32 jobs 13 medium and 12 large run at once, as first fit predicts (the optimum is 28)."""
    mix, gpus = judged.jobs(thirty_two), judged.models(thirty_two)
    there = judged.running_at(thirty_two, thirty_two.mark("placed"))
    running = Counter(one.job.profile for one in there)
    fitting = [one.profile for one in mix]
    oracle = Counter(place.profile for place in first_fit(fitting, gpus) if place is not None)
    best = optimum(Counter(fitting), gpus)
    measure.value(peak=len(there), optimum=best.total, paper=TABLE_6[1].peak)
    measure.threshold(TABLE_6[1].peak)
    exhibits.slice_map(thirty_two, measure, "slices-map-peak", "Slice map: 32 jobs placed on demand, then deleted")
    assert running == oracle, thirty_two.timeline_text()[:6000]
    assert len(there) == TABLE_6[1].peak == running[MEDIUM] + running[LARGE]


@behaviour(
    "slices.performance.layout", level=MUST, spec=MIG,
    red_when="a job's slice is placed elsewhere than first fit in the order of creation predicts",
    mutant="sizes-swapped",
)  # fmt: skip
def test_every_job_stands_where_first_fit_puts_it(thirty_two: SlicesRecording) -> None:
    """Every job's slice is where first fit predicts it, and the fake GPUs hold these slices and no others."""
    mix = judged.jobs(thirty_two)
    oracle = first_fit([one.profile for one in mix], judged.models(thirty_two))
    expected = {one.name: place for one, place in zip(mix, oracle, strict=True) if place is not None}
    at = thirty_two.mark("placed")
    assert {one.job.name: one.place for one in judged.running_at(thirty_two, at)} == expected
    assert sorted(judged.standing_places(thirty_two, at)) == sorted(expected.values())


@behaviour(
    "slices.performance.identity", level=MUST, spec=DRIVER,
    red_when="one of 25 containers is given another slice than its pod's claim names, or shares one",
    mutant="one-name-for-all",
)  # fmt: skip
def test_no_container_has_the_slice_of_another(thirty_two: SlicesRecording, measure: Measure) -> None:
    """Each of 25 containers that run at once has the slice of its own pod's claim, and shares it with nobody."""
    wrong = slices_seen.findings(thirty_two) + slices_rest.mixed_up_findings(thirty_two, "full")
    measure.value(identity_errors=len(wrong), containers=len(slices_seen.runs(thirty_two)))
    assert len(slices_seen.runs(thirty_two)) == TABLE_6[1].peak
    assert wrong == [], thirty_two.timeline_text()[:6000]


@behaviour(
    "slices.performance.padding", level=MUST, spec=MIG,
    red_when="more or fewer than three free memory slices fit no job's profile",
    mutant="another-profile",
)  # fmt: skip
def test_three_memory_slices_are_lost_to_fragmentation(thirty_two: SlicesRecording, measure: Measure) -> None:
    """At the peak exactly three free memory slices fit no job's profile, as many as first fit leaves."""
    gpus = judged.models(thirty_two)
    places = judged.standing_places(thirty_two, thirty_two.mark("placed"))
    oracle = Board(gpus, [one for one in first_fit([job.profile for job in judged.jobs(thirty_two)], gpus) if one])
    seen = Board(gpus, places)
    lost = seen.unplaceable_slots((MEDIUM, LARGE))
    measure.value(unplaceable_slots=lost, free_slots=seen.free_slots(), slots=8 * len(gpus))
    assert lost == oracle.unplaceable_slots((MEDIUM, LARGE)) == 3


@behaviour(
    "slices.performance.freed", level=MUST, spec=DRIVER,
    red_when="one of 25 slices, claims or CDI devices is left once all jobs are deleted", mutant="slice-never-freed",
)  # fmt: skip
def test_thirty_two_deleted_jobs_leave_nothing(thirty_two: SlicesRecording) -> None:
    """With all 32 jobs deleted no slice, claim or CDI device is left."""
    assert slices_rest.left_findings(thirty_two) == [], thirty_two.timeline_text()[:6000]
