"""The paper's 32 jobs through Kueue onto slices of eight GPUs, cut on demand and cut beforehand."""

from __future__ import annotations

from collections import Counter

import pytest

from gpuassay import MUST, Measure, behaviour
from gpuassay.silicon import Geometry
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.judge.queueing import order_findings
from gpuassay.systems.platform import judge as kueue_slices
from gpuassay.systems.platform.readings import PlatformRecording
from gpuassay.systems.slices import notes
from gpuassay.systems.slices.acts.node import SlicerName
from gpuassay.systems.slices.judge import at_rest as slices_rest
from gpuassay.systems.slices.judge import observed as slices_seen
from gpuassay.systems.slices.judge import performance as judged
from gpuassay.systems.slices.model.paper import GPU_MODEL, GPUS, LARGE, MEDIUM, TABLE_6, slice_mix
from gpuassay.systems.slices.model.placement_fit import optimum
from gpuassay.systems.slices.model.predict import BALANCED
from suites.platform.queued import CREDITS, credits, expected, opened, per_slicer
from suites.slices.performance import exhibits, jobs
from suites.slices.slicers import MIG

pytestmark = pytest.mark.timeout(600)

ORDER = "https://kueue.sigs.k8s.io/docs/concepts/cluster_queue/#queueing-strategy"
PAPER = "paper on Kueue, DAS and llm-d: Table 6, and its future work"
SECTION = "Kueue in front of slices: 32 jobs"


@per_slicer({}, timeout=240, profile="transformations", only=("device-plugin", "dra"))
def thirty_two(lab: KueueLab, slicer: SlicerName) -> None:
    """32 jobs, medium and large in turn, under the credits of 8 GPUs; once no more are placed, running jobs end."""
    asked = slice_mix(1)
    geometry: Geometry | None = dict(enumerate([list(BALANCED)] * GPUS)) if slicer == "device-plugin" else None
    with opened(lab, slicer, gpus=(GPU_MODEL,) * GPUS, geometry=geometry) as on:
        queue = on.queue("eight-gpus", credits(GPUS))
        admitted = {one.name for one in kueue_slices.affordable(asked, CREDITS, credits(GPUS))}
        for one in asked:
            on.job(one.name, one.profile, queue)
            if one.name in admitted:  # slices are given in the order in which pods come
                lab.observe(lambda name=one.name: bool(on.pods(name)), f"the pod of {one.name}")
        lab.observe(lambda: jobs.placed_or_refused(on.site, len(admitted)), "every pod runs or is refused", timeout=120)
        on.observe_waiting(queue, len(asked) - len(admitted))
        on.site.identify(*on.pods(*admitted))
        on.note_rest("full")
        on.end_all()


@behaviour(
    "platform.kueue-slices.mix-of-32", level=MUST, spec=PAPER,
    red_when="of the paper's 32 jobs others are admitted or placed than quota and geometry predict, or one fails",
    mutant="sizes-swapped",
)  # fmt: skip
def test_thirty_two_jobs_pass_kueue_and_the_slicer(thirty_two: PlatformRecording, measure: Measure) -> None:
    """Of 32 jobs 28 are admitted, as many run at once as placement allows (25 on demand), and all complete."""
    at = thirty_two.mark("full")
    admitted, placed = expected(thirty_two)
    lost = kueue_slices.unplaced_at(thirty_two, at)
    peak = judged.at_once(judged.stays(thirty_two))
    measure.value(admitted=len(admitted), peak=peak, admitted_not_placed=len(lost), waiting=32 - len(admitted))
    measure.threshold(len(placed))
    _show(thirty_two, measure)
    assert kueue_slices.admitted_at(thirty_two, at) == admitted, thirty_two.timeline_text()[:6000]
    assert lost == [name for name in admitted if name not in placed], thirty_two.timeline_text()[:6000]
    assert peak == len(placed), thirty_two.timeline_text()[:6000]
    assert kueue_slices.unfinished(thirty_two) == [], thirty_two.timeline_text()[:6000]


def _show(recording: PlatformRecording, measure: Measure) -> None:
    slicer = recording.note(notes.SLICER)
    exhibits.slice_map(
        recording, measure, f"kueue-slices-map-{slicer}", f"Slice map: 32 jobs through Kueue, slices by {slicer}",
        section=SECTION,
    )  # fmt: skip
    at = recording.mark("full")
    seen = (kueue_slices.admitted_at(recording, at), kueue_slices.placed_at(recording, at))
    profiles = {one.name: one.profile for one in judged.jobs(recording)}
    rows: list[list[object]] = []
    for what, (admitted, placed) in {"live": seen, "quota and geometry": expected(recording)}.items():
        kinds = Counter(profiles[name] for name in placed)
        rows.append([what, len(admitted), len(placed), kinds[MEDIUM], kinds[LARGE], len(admitted) - len(placed)])
    best = optimum(Counter(profiles.values()), judged.models(recording))
    rows.append(["best placement", None, best.total, best.counts[MEDIUM], best.counts[LARGE], None])
    rows.append(["paper, without Kueue", None, TABLE_6[1].peak, None, None, None])
    measure.exhibit(
        f"kueue-slices-{slicer}",
        title=f"32 jobs under the credits of 8 GPUs, slices by {slicer}",
        kind="table",
        columns=["source", "admitted", "running", "medium", "large", "admitted, no place"],
        rows=rows,
        notes=["Before any job ended. Placement is real, GPUs are fake, jobs wait until they are told to end."],
        section=SECTION,
    )


@behaviour(
    "platform.kueue-slices.mix-order", level=MUST, spec=ORDER,
    red_when="jobs that waited for quota get it in another order than priority, creation second, UID",
    mutant="last-job-first",
)  # fmt: skip
def test_who_waits_for_quota_gets_it_in_heap_order(thirty_two: PlatformRecording) -> None:
    """Jobs that wait for quota are admitted in the order of Kueue's heap once quota is released."""
    admitted, _ = expected(thirty_two)
    waiting = [one.name for one in judged.jobs(thirty_two) if one.name not in admitted]
    assert waiting
    assert order_findings(thirty_two, waiting) == [], thirty_two.timeline_text(waiting)


@behaviour(
    "platform.kueue-slices.mix-identity", level=MUST, spec=MIG,
    red_when="a container is given another pod's slice, or one of another profile than it asked for",
    mutant="one-name-for-all",
)  # fmt: skip
def test_no_job_of_the_mix_has_the_slice_of_another(thirty_two: PlatformRecording, measure: Measure) -> None:
    """No container has another pod's slice, and the slices of running jobs never cost more than the quota."""
    wrong = slices_seen.findings(thirty_two) + slices_rest.mixed_up_findings(thirty_two, "full")
    measure.value(identity_errors=len(wrong), containers=len(slices_seen.runs(thirty_two)))
    assert len(slices_seen.runs(thirty_two)) == len(judged.jobs(thirty_two)), thirty_two.timeline_text()[:6000]
    assert wrong == [], thirty_two.timeline_text()[:6000]
    assert kueue_slices.beyond_quota_findings(thirty_two, CREDITS) == [], thirty_two.timeline_text()[:6000]


@behaviour(
    "platform.kueue-slices.mix-freed", level=MUST, spec=MIG,
    red_when="one of 32 jobs leaves a pod, a slice, a claim or a CDI device, or quota in use",
    mutant="pods-never-go",
)  # fmt: skip
def test_the_mix_leaves_nothing(thirty_two: PlatformRecording) -> None:
    """When all 32 jobs are gone, no on-demand slice is left, static slices are unchanged and no quota is in use."""
    assert slices_rest.left_findings(thirty_two) == [], thirty_two.timeline_text()[:6000]
    assert kueue_slices.usage_findings(thirty_two, "end", CREDITS) == [], thirty_two.timeline_text()[:6000]
