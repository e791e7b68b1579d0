"""Kueue in front of slices: what is admitted under credits runs on a slice, and quota and slices come back together."""

from __future__ import annotations

from gpuassay import MUST, SHOULD, Measure, behaviour, dig, known_defect
from gpuassay.manifest import condition
from gpuassay.presence import must_have
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.component.profiles import GPC, GPU_MEMORY
from gpuassay.systems.kueue.judge import invariants as referee
from gpuassay.systems.platform import judge as kueue_slices
from gpuassay.systems.platform.readings import PlatformRecording
from gpuassay.systems.slices import notes
from gpuassay.systems.slices.acts.node import SlicerName
from gpuassay.systems.slices.judge import at_rest as slices_rest
from gpuassay.systems.slices.judge import observed as slices_seen
from gpuassay.systems.slices.judge.performance import jobs, models, places, standing_places
from gpuassay.systems.slices.model.paper import LARGE, MEDIUM
from gpuassay.systems.slices.model.placement import Board
from suites.platform.queued import CREDITS, SECONDS, credits, opened, per_slicer
from suites.slices.slicers import MIG

TRANSFORM = (
    "https://kueue.sigs.k8s.io/docs/tasks/manage/administer_cluster_quotas/#transform-resources-for-quota-management"
)
TWICE = "https://github.com/kubernetes-sigs/kueue/issues/14160"
SUSPENDED = "https://kueue.sigs.k8s.io/docs/concepts/workload/"


@per_slicer({}, timeout=90, profile="transformations")
def full_quota(lab: KueueLab, slicer: SlicerName) -> None:
    """A queue has the credits of one of two GPUs: two large jobs fill it, a medium one waits until one of them ends."""
    with opened(lab, slicer) as on:
        queue = on.queue("one-gpu", credits(1))
        for name in ("first", "second"):
            on.job(name, LARGE, queue)
            on.observe_running(name)
        on.job("third", MEDIUM, queue)
        on.observe_decided("third")
        on.note_rest("full")
        on.end("first")
        on.observe_running("third")
        on.bare_pod("bare", MEDIUM, queue)
        on.observe_bare("bare")
        on.note_rest("released")


def in_credits(recording: PlatformRecording, owner: str) -> dict[str, int]:
    """What the Workload of `owner` is charged with, in credits alone."""
    usage = kueue_slices.charged(recording, owner)
    return {resource: amount for resource, amount in usage.items() if resource in (GPC, GPU_MEMORY)}


@behaviour(
    "platform.kueue-slices.admitted-runs", level=MUST, spec=TRANSFORM,
    red_when="an admitted job runs without a slice, on one of another profile, or on another pod's slice",
    mutant="another-profile",
)  # fmt: skip
def test_an_admitted_job_runs_on_its_slice(full_quota: PlatformRecording) -> None:
    """An admitted job is charged its profile's credits and runs on an unshared slice of the profile it asked for."""
    seen = {job: place.profile for job, place in places(full_quota).items() if job}
    assert seen == {one.name: one.profile for one in jobs(full_quota)}, full_quota.timeline_text()
    assert slices_seen.findings(full_quota) == [], full_quota.timeline_text()
    for one in must_have(jobs(full_quota), "jobs"):
        assert in_credits(full_quota, one.name) == CREDITS[one.profile], full_quota.timeline_text()


@behaviour(
    "platform.kueue-slices.quota-binds", level=MUST, spec=TRANSFORM,
    red_when="a job is admitted beyond the credits because a slice is free, or is not told which resource is short",
    mutant="quota-doubled",
)  # fmt: skip
def test_full_quota_holds_back_what_would_fit(full_quota: PlatformRecording) -> None:
    """With the credits used up, a medium job waits although a slice for it is free, until a large job has ended."""
    at = full_quota.mark("full")
    assert kueue_slices.admitted_at(full_quota, at) == ["first", "second"], full_quota.timeline_text()
    if slices_rest.static(full_quota):
        taken = set(slices_rest.owners(full_quota, "full"))
        course = slices_seen.changes(full_quota)
        assert any(one.slice.profile == MEDIUM and one.slice.uuid not in taken for one in course if one.made)
    else:
        assert Board(models(full_quota), standing_places(full_quota, at)).free_places(MEDIUM)
    told = condition(full_quota.workload_of("third").as_of(at) or {}, "QuotaReserved")
    assert told is not None and GPU_MEMORY in told["message"], told
    assert slices_seen.ran(full_quota) >= {one.name for one in kueue_slices.pods_of(full_quota, "third")} != set()


@behaviour(
    "platform.kueue-slices.suspended-holds-nothing", level=MUST, spec=SUSPENDED,
    red_when="a job that waits for quota has a pod, an allocation or a slice", mutant="queue-label-lost",
)  # fmt: skip
def test_a_suspended_job_holds_no_slice(full_quota: PlatformRecording) -> None:
    """While a job waits for quota it has no pod; exactly the slices of the two admitted ones are in use."""
    at = full_quota.mark("full")
    assert dig(full_quota.timelines("Job")["third"].as_of(at), "spec", "suspend") is True, full_quota.timeline_text()
    pods = must_have(kueue_slices.pods_of(full_quota, "third"), "pods of the job, once it was admitted")
    assert all(one.events[0].at > at for one in pods)
    assert slices_rest.books_findings(full_quota, "full", slices=2) == [], full_quota.timeline_text()


@behaviour(
    "platform.kueue-slices.usage-is-slices", level=MUST, spec=TRANSFORM, timed=True,
    red_when="a queue's usage differs from the credits of the slices in use", mutant="behind-its-back",
)  # fmt: skip
def test_usage_is_what_the_slices_in_use_cost(full_quota: PlatformRecording) -> None:
    """When full, after a release and at the end, a queue's usage equals the credits of the slices in use."""
    for label in ("full", "released", "end"):
        found = kueue_slices.usage_findings(full_quota, label, CREDITS)
        assert found == [], f"{found}; {full_quota.timeline_text()}"


@behaviour(
    "platform.kueue-slices.released-together", level=SHOULD, spec=TRANSFORM, timed=True,
    red_when=f"an ended job keeps its quota, or keeps its slice {SECONDS:g} s longer than its quota",
    mutant="wrong-port",
)  # fmt: skip
def test_quota_and_slice_come_back_together(full_quota: PlatformRecording, measure: Measure) -> None:
    """A job's end gives back its quota and its slice; the time between them is measured."""
    back, released = kueue_slices.release(full_quota, "first"), full_quota.mark("released")
    assert back.apart is not None, full_quota.timeline_text()
    assert back.quota is not None and back.quota <= released, "its quota was released by its deletion, not by its end"
    measure.value(slice_after_quota_seconds=back.apart)
    measure.threshold(SECONDS)
    assert back.apart <= SECONDS, full_quota.timeline_text()


@behaviour(
    "platform.kueue-slices.within-quota", level=MUST, spec=TRANSFORM,
    red_when="slices in use ever cost more than the quota, or Kueue breaks one of its own invariants",
    mutant="quota-doubled",
)  # fmt: skip
def test_slices_in_use_never_cost_more_than_the_quota(full_quota: PlatformRecording) -> None:
    """At no time do running jobs use slices that cost more than the quota; all of Kueue's invariants hold."""
    asked = must_have(jobs(full_quota), "jobs")
    assert len(slices_seen.runs(full_quota)) >= len(asked), full_quota.timeline_text()
    assert kueue_slices.beyond_quota_findings(full_quota, CREDITS) == [], full_quota.timeline_text()
    assert referee.untimed(full_quota) == [], full_quota.timeline_text()


@behaviour(
    "platform.kueue-slices.pod-like-job", level=MUST, spec=TRANSFORM,
    red_when="a pod whose MIG resource a webhook has renamed is charged other credits than a Job, or does not run",
    mutant="another-profile",
)  # fmt: skip
def test_a_pod_is_charged_like_a_job(full_quota: PlatformRecording, measure: Measure) -> None:
    """A pod without a Job is charged the same credits as a Job's pod, even if DAS's webhook renames its resource."""
    names = {owner: requested(full_quota, owner) for owner in ("bare", "third")}
    measure.value(**{f"{owner}_asks_kueue_for": name for owner, name in names.items()})
    assert names["third"] == f"nvidia.com/mig-{MEDIUM}"
    assert names["bare"] == (f"mig.das.com/{MEDIUM}" if full_quota.note(notes.SLICER) == "das" else names["third"])
    assert in_credits(full_quota, "bare") == in_credits(full_quota, "third") == CREDITS[MEDIUM], (
        full_quota.timeline_text()
    )
    assert "bare" in slices_seen.ran(full_quota), full_quota.timeline_text()


def requested(recording: PlatformRecording, owner: str) -> str:
    """The resource by which Kueue sees the slice that `owner` asks for."""
    asked = dig(
        recording.workload_of(owner).first, "spec", "podSets", 0, "template", "spec", "containers", 0, "resources"
    )
    return ", ".join(sorted(asked["limits"]))


@known_defect(
    TWICE, "what a transformation replaces is charged as a device of DRA all the same, if requests name it",
    shows="expected credits alone to be charged, seen the device as well",
)  # fmt: skip
@behaviour(
    "platform.kueue-slices.replaced", level=MUST, spec=TRANSFORM,
    red_when="a DRA device whose resource is transformed into credits is also charged by the resource's name",
    mutant="transformation-bypassed",
)  # fmt: skip
def test_what_is_replaced_by_credits_is_not_charged(full_quota_dra: PlatformRecording) -> None:
    """With strategy Replace, a pod whose extended resource is served by DRA is charged in credits alone."""
    seen, credits = kueue_slices.charged(full_quota_dra, "bare"), CREDITS[MEDIUM]
    assert credits.items() <= seen.items(), f"expected {credits} to be charged, seen {seen}"
    assert seen == credits, f"expected credits alone to be charged, seen the device as well: {seen}"


@behaviour(
    "platform.kueue-slices.nothing-left", level=MUST, spec=MIG,
    red_when="a deleted job leaves a pod, or an on-demand slice, claim or CDI device", mutant="termination-ignored",
)  # fmt: skip
def test_deleted_jobs_leave_nothing(full_quota: PlatformRecording) -> None:
    """When all jobs are deleted, on-demand slices, claims and CDI devices are gone; static slices are unchanged."""
    assert slices_rest.left_findings(full_quota) == [], full_quota.timeline_text()
