"""Quota counts, a GPU places: jobs that are admitted and fit nowhere, how many, and until when."""

from __future__ import annotations

from gpuassay import INFO, MUST, SHOULD, Measure, behaviour
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.platform import judge as kueue_slices
from gpuassay.systems.platform.notes import QUOTAS
from gpuassay.systems.platform.readings import PlatformRecording
from gpuassay.systems.slices.acts.node import SlicerName
from gpuassay.systems.slices.judge import at_rest as slices_rest
from gpuassay.systems.slices.judge import observed as slices_seen
from gpuassay.systems.slices.judge.performance import jobs
from gpuassay.systems.slices.model.paper import GPU_MODEL, LARGE, MEDIUM
from suites.platform.queued import SECONDS, credits, expected, opened, per_slicer
from suites.slices.das_known import DAS
from suites.slices.performance import jobs as making
from suites.slices.slicers import MIG
from suites.variants import Deviation

QUOTA = "https://kueue.sigs.k8s.io/docs/concepts/cluster_queue/#resources"
SCHEDULING = "https://kubernetes.io/docs/concepts/scheduling-eviction/"
ONE_GPU = (GPU_MODEL,)
MEDIUMS = tuple(f"medium-{number}" for number in range(4))


@per_slicer({}, timeout=100, profile="transformations")
def full_gpu(lab: KueueLab, slicer: SlicerName) -> None:
    """Jobs use up one GPU's credits, the large one first: some have no placement, and one more waits for quota."""
    with opened(lab, slicer, gpus=ONE_GPU) as on:
        queue = on.queue("one-gpu", credits(1))
        for number, name in enumerate(("large", *MEDIUMS), 1):
            on.job(name, MEDIUM if name in MEDIUMS else LARGE, queue)
            lab.observe(lambda count=number: making.placed_or_refused(on.site, count), f"{name} runs or is refused")
        on.job("beyond", MEDIUM, queue)
        on.observe_waiting(queue, 1)
        on.note_rest("full")
        on.observe_running("large", *MEDIUMS[:2])
        on.end(MEDIUMS[0])
        on.end_all()


@behaviour(
    "platform.kueue-slices.geometry-gap", level=INFO, spec=MIG,
    red_when="quota admits, or the MIG provider places, other jobs than credits and MIG geometry predict",
    mutant="quota-doubled",
)  # fmt: skip
def test_as_many_are_admitted_and_not_placed_as_geometry_says(full_gpu: PlatformRecording, measure: Measure) -> None:
    """Of the jobs admitted under one GPU's credits, exactly those that MIG geometry predicts have no placement."""
    at = full_gpu.mark("full")
    admitted, placed = expected(full_gpu)
    lost = [name for name in admitted if name not in placed]
    seen = kueue_slices.unplaced_at(full_gpu, at)
    measure.value(admitted=len(admitted), placed=len(placed), admitted_not_placed=len(seen))
    measure.threshold(len(lost))
    assert kueue_slices.admitted_at(full_gpu, at) == admitted, full_gpu.timeline_text()
    assert seen == lost != [], full_gpu.timeline_text()
    assert slices_seen.findings(full_gpu) == [], full_gpu.timeline_text()


@behaviour(
    "platform.kueue-slices.unplaced-told", level=MUST, spec=SCHEDULING,
    red_when="an admitted job has no placement, and its pod's conditions do not say so", mutant="held-back",
)  # fmt: skip
def test_who_has_no_place_is_told(full_gpu: PlatformRecording) -> None:
    """The pod of an admitted job without a placement is Unschedulable."""
    unplaced = kueue_slices.unplaced_at(full_gpu, full_gpu.mark("full"))
    assert unplaced, full_gpu.timeline_text()
    for job in unplaced:
        told = [
            reason
            for pod in kueue_slices.pods_of(full_gpu, job)
            for reason, _ in slices_seen.unscheduled(full_gpu, pod.name)
        ]
        assert "Unschedulable" in told, full_gpu.timeline_text()


@behaviour(
    "platform.kueue-slices.gap-ends", level=MUST, spec=SCHEDULING,
    red_when="an admitted job that had no placement does not run once there is one", mutant="wrong-port",
)  # fmt: skip
def test_who_had_no_place_runs_after_a_release(full_gpu: PlatformRecording, measure: Measure) -> None:
    """After a release an admitted job without a placement runs, and in the end every job completes."""
    at = full_gpu.mark("full")
    back = kueue_slices.release(full_gpu, MEDIUMS[0])
    begun = [kueue_slices.first_run(full_gpu, name) for name in kueue_slices.unplaced_at(full_gpu, at)]
    assert back.slice is not None and begun and None not in begun, full_gpu.timeline_text()
    first = min(one for one in begun if one is not None)
    measure.value(runs_after_release_seconds=(first - back.slice) / 1e9)
    assert kueue_slices.unfinished(full_gpu) == [], full_gpu.timeline_text()


@behaviour(
    "platform.kueue-slices.gap-bounded", level=SHOULD, spec=SCHEDULING, timed=True,
    red_when=f"an admitted job waits longer than {SECONDS:g} s for a node while its slice could be placed",
    mutant="held-back",
)  # fmt: skip
def test_quota_never_waits_beside_a_free_place(full_gpu: PlatformRecording, measure: Measure) -> None:
    """No admitted job waits long for a node while there is a placement for its slice."""
    assert len(slices_seen.ran(full_gpu)) == len(jobs(full_gpu)), full_gpu.timeline_text()
    measure.threshold(SECONDS)
    assert slices_rest.idle_findings(full_gpu, SECONDS) == [], full_gpu.timeline_text()


BY_NAME = {profile: {making.RESOURCE + profile: 1} for profile in (MEDIUM, LARGE)}
"""What a slice costs where quota is in devices."""

RENAMED = Deviation(
    ("das",), f"{DAS}/pull/958",
    "pods are renamed before Kueue sees them, so one without a Job finds no quota by NVIDIA's name",
    shows="expected the pod without a Job to be charged",
)  # fmt: skip


@per_slicer({"platform.kueue-slices.counted-once": RENAMED}, timeout=80, profile="claimed-slices")
def by_profile(lab: KueueLab, slicer: SlicerName) -> None:
    """Quota counts devices, as many of each profile as `all-balanced` creates; one more job of each profile asks."""
    with opened(lab, slicer, gpus=ONE_GPU) as on:
        queue = on.queue("devices", {making.RESOURCE + MEDIUM: 2, making.RESOURCE + LARGE: 1})
        for name, profile in (("medium-0", MEDIUM), ("large-0", LARGE), ("medium-1", MEDIUM)):
            on.job(name, profile, queue)
            on.observe_running(name)
        for name, profile in (("large-1", LARGE), ("medium-2", MEDIUM)):
            on.job(name, profile, queue)
            on.observe_decided(name)
        on.note_rest("full")
        on.end("medium-0")
        on.observe_running("medium-2")
        on.note_rest("released")
        on.end("medium-1")
        on.bare_pod("bare", MEDIUM, queue)
        on.observe_bare("bare")


@behaviour(
    "platform.kueue-slices.devices-placeable", level=MUST, spec=QUOTA,
    red_when="with quota equal to the devices of one geometry, a job without a placement is admitted",
    mutant="quota-doubled",
)  # fmt: skip
def test_quota_of_one_geometry_admits_only_what_can_be_placed(by_profile: PlatformRecording) -> None:
    """With quota equal to the devices of one geometry, exactly the jobs within it are admitted, and all are placed."""
    quota = by_profile.note(QUOTAS)
    for label, gone in (("full", ()), ("released", ("medium-0",))):
        at = by_profile.mark(label)
        asked = [one for one in jobs(by_profile) if one.name not in gone]
        fits = [one.name for one in kueue_slices.affordable(asked, BY_NAME, quota)]
        assert kueue_slices.admitted_at(by_profile, at) == fits, by_profile.timeline_text()
        assert kueue_slices.unplaced_at(by_profile, at) == [], by_profile.timeline_text()
    assert slices_seen.findings(by_profile) == [], by_profile.timeline_text()


@behaviour(
    "platform.kueue-slices.counted-once", level=MUST, spec=QUOTA,
    red_when="a slice is not charged exactly once, but as an extended resource and again as a DRA device",
    mutant="slices-asked-twice",
)  # fmt: skip
def test_a_slice_is_counted_once(by_profile: PlatformRecording) -> None:
    """A job or pod that asks for one slice is charged one device of its profile and nothing else, and has one slice."""
    bare = kueue_slices.charged(by_profile, "bare")
    assert bare == BY_NAME[MEDIUM], (
        f"expected the pod without a Job to be charged {BY_NAME[MEDIUM]}, seen {bare}\n{by_profile.timeline_text()}"
    )
    for one in jobs(by_profile):
        if one.name != "large-1":
            assert kueue_slices.charged(by_profile, one.name) == BY_NAME[one.profile], by_profile.timeline_text()
    assert slices_rest.books_findings(by_profile, "full", slices=3) == [], by_profile.timeline_text()
    assert kueue_slices.usage_findings(by_profile, "full", BY_NAME) == [], by_profile.timeline_text()
