"""Quota of claimed MIG devices in front of the DRA driver: by count, and by a counter that devices share."""

from __future__ import annotations

from gpuassay import INFO, MUST, Measure, behaviour, scenario
from gpuassay.gpus import gpu_model
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.component.profiles import CLAIMED_SLICES, MULTIPROCESSORS
from gpuassay.systems.platform import judge as kueue_slices
from gpuassay.systems.platform.notes import QUOTAS
from gpuassay.systems.platform.readings import PlatformRecording
from gpuassay.systems.slices.judge import at_rest as slices_rest
from gpuassay.systems.slices.judge import observed as slices_seen
from gpuassay.systems.slices.judge.geometry import sharing_findings
from gpuassay.systems.slices.judge.performance import jobs, models, standing_places
from gpuassay.systems.slices.model.paper import GPU_MODEL, LARGE, MEDIUM
from gpuassay.systems.slices.model.placement import Board
from gpuassay.systems.slices.model.slices import Dynamic
from suites.kueue.sharing import claim
from suites.platform.queued import opened
from suites.slices.slicers import MIG

SPEC = "https://kueue.sigs.k8s.io/docs/concepts/dynamic_resource_allocation/"
DRIVER = "program:nvidia-dra"
MODEL = gpu_model(GPU_MODEL)
MIDDLE = "2g.10gb"
BY_COUNT = {MIDDLE: {CLAIMED_SLICES: 1}}
BY_COUNTER = {profile: {MULTIPROCESSORS: MODEL.profile(profile).multiprocessors} for profile in (MEDIUM, LARGE)}
GPU_MULTIPROCESSORS = 7 * MODEL.profile(MEDIUM).multiprocessors
"""Of all slices that stand on one GPU together."""


@scenario("claimed-slices", system="platform", needs={DRIVER}, outside=True, timeout=80)
def claimed(lab: KueueLab) -> None:
    """Under a quota of two claimed devices one job claims both, and another waits until they are released."""
    exactly = {"deviceClassName": f"mig-{MIDDLE}.nvidia.com", "allocationMode": "ExactCount"}
    with opened(lab, "dra", gpus=[GPU_MODEL]) as on:
        queue = on.queue("claims", {CLAIMED_SLICES: 2})
        for name, count in (("two", 2), ("one", 1)):
            claim(lab, name, exactly | {"count": count})
        on.claiming_job("pair", MIDDLE, queue, "two")
        on.observe_running("pair")
        on.claiming_job("late", MIDDLE, queue, "one")
        on.observe_decided("late")
        on.note_rest("full")
        on.end("pair")
        on.observe_running("late")
        on.note_rest("released")


@behaviour(
    "platform.kueue-slices.claims-counted", level=MUST, spec=SPEC,
    red_when="a claim of MIG devices is charged another number than it asks for, or gets another number of slices",
    mutant="device-counts-lost",
)  # fmt: skip
def test_claims_are_charged_by_their_number_of_slices(claimed: PlatformRecording) -> None:
    """A job is charged as many MIG devices as its claim asks for, and gets that many slices, which nobody shares."""
    wanted = {"pair": 2, "late": 1}
    runs = slices_seen.runs(claimed)
    for job, count in wanted.items():
        assert kueue_slices.charged(claimed, job) == {CLAIMED_SLICES: count}, claimed.timeline_text()
        pods = [one.name for one in kueue_slices.pods_of(claimed, job)]
        assert [len(one.held) for one in runs if one.pod in pods] == [count], claimed.timeline_text()
    assert sharing_findings(runs) + slices_rest.mixed_up_findings(claimed, "full") == [], claimed.timeline_text()
    for label in ("full", "released", "end"):
        assert kueue_slices.usage_findings(claimed, label, BY_COUNT) == [], claimed.timeline_text()


@behaviour(
    "platform.kueue-slices.claims-wait", level=MUST, spec=SPEC,
    red_when="a claim is admitted beyond the quota of its devices because the GPU has room for them",
    mutant="quota-doubled",
)  # fmt: skip
def test_a_claim_waits_for_quota_beside_a_free_place(claimed: PlatformRecording) -> None:
    """With the quota of claimed devices used up a job waits, although the GPU has room, and runs after a release."""
    at = claimed.mark("full")
    assert kueue_slices.admitted_at(claimed, at) == ["pair"], claimed.timeline_text()
    assert Board(models(claimed), standing_places(claimed, at)).free_places(MIDDLE)
    begun, back = kueue_slices.first_run(claimed, "late"), kueue_slices.release(claimed, "pair").quota
    assert begun is not None and back is not None and begun > back, claimed.timeline_text()


@scenario("claimed-slices", system="platform", needs={DRIVER}, outside=True, timeout=80)
def counters(lab: KueueLab) -> None:
    """The multiprocessors of one GPU are used up: two large jobs and a medium one; one more waits for quota."""
    of_mig = {"deviceClassName": "mig.nvidia.com", "allocationMode": "ExactCount", "count": 1}
    with opened(lab, "dra", gpus=[GPU_MODEL]) as on:
        queue = on.queue("counters", {MULTIPROCESSORS: GPU_MULTIPROCESSORS})
        for name, profile in (("medium", MEDIUM), ("large", LARGE)):
            chosen = f"device.attributes['gpu.nvidia.com'].profile == '{profile}'"
            claim(lab, name, of_mig | {"selectors": [{"cel": {"expression": chosen}}]})
        for name in ("large-0", "large-1"):
            on.claiming_job(name, LARGE, queue, "large")
            on.observe_running(name)
        on.claiming_job("medium-0", MEDIUM, queue, "medium")
        on.observe_refused("medium-0")
        on.claiming_job("medium-1", MEDIUM, queue, "medium")
        on.observe_decided("medium-1")
        on.note_rest("full")
        on.end_all()


@behaviour(
    "platform.kueue-slices.counters-charged", level=MUST, spec=SPEC,
    red_when="a MIG device is charged another number of multiprocessors than it takes from its GPU",
    mutant="claims-lost",
)  # fmt: skip
def test_a_claim_is_charged_what_its_device_takes_from_the_gpu(counters: PlatformRecording) -> None:
    """A claim by profile is charged its device's multiprocessors, and only jobs within that quota are admitted."""
    for one in jobs(counters):
        assert kueue_slices.charged(counters, one.name) == BY_COUNTER[one.profile], counters.timeline_text()
    at = counters.mark("full")
    admitted = kueue_slices.affordable(jobs(counters), BY_COUNTER, counters.note(QUOTAS))
    assert kueue_slices.admitted_at(counters, at) == [one.name for one in admitted], counters.timeline_text()


@behaviour(
    "platform.kueue-slices.counter-gap", level=INFO, spec=MIG,
    red_when="quota in multiprocessors admits, or the driver places, other jobs than quota and geometry predict",
    mutant="quota-doubled",
)  # fmt: skip
def test_a_counter_admits_what_has_no_place(counters: PlatformRecording, measure: Measure) -> None:
    """Two large jobs and a medium one fit a GPU's multiprocessors, but the last has no placement until a release."""
    at = counters.mark("full")
    admitted = kueue_slices.affordable(jobs(counters), BY_COUNTER, counters.note(QUOTAS))
    placed = kueue_slices.placeable(admitted, Dynamic(models(counters)))
    lost = [one.name for one in admitted if one not in placed]
    seen = kueue_slices.unplaced_at(counters, at)
    measure.value(admitted=len(admitted), placed=len(placed), admitted_not_placed=len(seen))
    assert seen == lost != [], counters.timeline_text()
    assert kueue_slices.unfinished(counters) == [], counters.timeline_text()
