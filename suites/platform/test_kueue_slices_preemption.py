"""Preemption in front of slices: the victim's slice becomes free, and the preemptor gets one of its own."""

from __future__ import annotations

from gpuassay import MUST, SHOULD, Measure, behaviour, dig
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.judge.cohorts import evictions
from gpuassay.systems.platform import judge as kueue_slices
from gpuassay.systems.platform.readings import PlatformRecording
from gpuassay.systems.slices.acts.node import SlicerName
from gpuassay.systems.slices.judge import observed as slices_seen
from gpuassay.systems.slices.model.paper import GPU_MODEL, LARGE
from suites.platform.queued import CREDITS, credits, opened, per_slicer
from suites.variants import Deviation

SPEC = "https://kueue.sigs.k8s.io/docs/concepts/preemption/"
LOW, HIGH = ("low-0", "low-1"), "high"
GRACE, SHORT_GRACE = 60, 12
"""Seconds for which a victim's pod may go on after it was told to end: until Kueue has given its quota away, or not. On
somebody's cluster nobody can ask it to end earlier: kubelets tell a pod that is going nothing any more.
"""

ACTIVE = Deviation(
    ("device-plugin", "dra", "das"), "https://github.com/kubernetes-sigs/kueue/issues/10076",
    "a Job counts as ended when none of its pods is active, and pods that are terminating are not",
    shows="expected the preemptor's quota after the victim's slice was free",
)  # fmt: skip


@per_slicer({"platform.kueue-slices.victims-quota": ACTIVE}, timeout=100, profile="transformations")
def preempted(lab: KueueLab, slicer: SlicerName) -> None:
    """Two jobs fill a GPU and its credits; a job of higher priority preempts one and ends; the victim runs again."""
    geometry = {0: [LARGE, LARGE]} if slicer == "device-plugin" else None
    with opened(lab, slicer, gpus=[GPU_MODEL], geometry=geometry) as on:
        low, high = lab.priority_class("low", 10), lab.priority_class("high", 1000)
        queue = on.queue("one-gpu", credits(1), preemption={"withinClusterQueue": "LowerPriority"})
        for name in LOW:
            on.job(name, LARGE, queue, priority=low, ends_after=GRACE if on.at_home else SHORT_GRACE)
            on.observe_running(name)
        on.job(HIGH, LARGE, queue, priority=high)
        if lab.observe(lambda: bool(_going(lab)), "a victim's pod is told to end"):
            lab.observe(lambda: lab.has("QuotaReserved", HIGH), "the preemptor has quota before it has ended")
        for pod in _going(lab) if on.at_home else []:
            on.site.ask(pod, "/exit?code=143")
        on.observe_running(HIGH)
        on.note_rest("preempted")
        on.end(HIGH)
        on.observe_running(*LOW)
        on.end_all()


def _going(lab: KueueLab) -> list[str]:
    """Pods that were told to end, and have not."""
    return [one["metadata"]["name"] for one in lab.objects("Pod") if dig(one, "metadata", "deletionTimestamp")]


def victim_of(recording: PlatformRecording) -> str:
    """The one job that was preempted, once; AssertionError where it is not that."""
    seen = evictions(recording)
    assert list(seen.values()) == [["InClusterQueue"]], recording.timeline_text()
    return next(iter(seen))


@behaviour(
    "platform.kueue-slices.preemption-frees", level=MUST, spec=SPEC,
    red_when="the preemptor gets no slice, or one that the victim's pod still has", mutant="preemption-off",
)  # fmt: skip
def test_the_preemptor_gets_a_slice_of_its_own(preempted: PlatformRecording, measure: Measure) -> None:
    """One job is preempted, its slice becomes free, and only then the preemptor runs, on a slice that nobody shares."""
    back = kueue_slices.release(preempted, victim_of(preempted))
    begun = kueue_slices.first_run(preempted, HIGH)
    assert back.slice is not None and begun is not None, preempted.timeline_text()
    measure.value(slice_to_preemptor_seconds=(begun - back.slice) / 1e9)
    assert begun > back.slice, preempted.timeline_text()
    assert slices_seen.findings(preempted) == [], preempted.timeline_text()
    assert kueue_slices.unplaced_at(preempted, preempted.mark("preempted")) == []
    assert kueue_slices.usage_findings(preempted, "preempted", CREDITS) == [], preempted.timeline_text()


@behaviour(
    "platform.kueue-slices.victims-quota", level=SHOULD, spec=SPEC,
    red_when="the preemptor is given the victim's quota while the victim's pod still has its slice",
    mutant="preemption-off",
)  # fmt: skip
def test_quota_stays_with_the_victim_until_its_pod_has_ended(preempted: PlatformRecording, measure: Measure) -> None:
    """The preemptor is admitted only once the victim's pod has ended and its slice is free."""
    back = kueue_slices.release(preempted, victim_of(preempted))
    given = preempted.workload_of(HIGH).when(kueue_slices.holds_quota)
    assert back.slice is not None and given is not None, preempted.timeline_text()
    measure.value(admitted_before_the_slice_is_free_seconds=(back.slice - given) / 1e9)
    assert given >= back.slice, (
        f"expected the preemptor's quota after the victim's slice was free, seen {(back.slice - given) / 1e9:.3f} s"
        f" before\n{preempted.timeline_text()}"
    )


@behaviour(
    "platform.kueue-slices.victim-returns", level=MUST, spec=SPEC,
    red_when="the victim does not run again, on a slice of its own, once the preemptor has ended",
    mutant="preemption-off",
)  # fmt: skip
def test_the_victim_runs_again(preempted: PlatformRecording) -> None:
    """When the preemptor has ended the victim runs a second time, and every job ends well."""
    ran = [one.pod for one in slices_seen.runs(preempted)]
    again = [one.name for one in kueue_slices.pods_of(preempted, victim_of(preempted)) if one.name in ran]
    assert len(again) == 2, preempted.timeline_text()
    assert kueue_slices.unfinished(preempted) == [], preempted.timeline_text()
