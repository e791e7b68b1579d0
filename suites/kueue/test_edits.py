"""Edits of what is in use: each of these was found by a random walk (`test_walks`), and is its shortest form."""

from __future__ import annotations

from gpuassay import MUST, behaviour, known_defect, scenario
from gpuassay.manifest import is_true
from gpuassay.presence import must_have
from gpuassay.systems.kueue.acts import workloads as byhand
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.judge import known, series
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.systems.kueue.readings import END, KueueRecording

METRICS = "https://kueue.sigs.k8s.io/docs/reference/metrics/"
QUOTA = "https://kueue.sigs.k8s.io/docs/concepts/workload/"


@scenario()
def deactivated_while_it_ends(lab: KueueLab) -> None:
    """The Workload that holds the only GPU is deactivated, and its pods are slow to end; another waits for the GPU."""
    queue = lab.queue(gpus=1)
    lab.until_admitted(byhand.workload(lab, "ending", queue, distinct=True))
    byhand.workload(lab, "next", queue, distinct=True)
    byhand.observe_weighed(lab, "next")
    lab.patch("Workload", "ending", {"spec": {"active": False}})
    lab.observe(lambda: "ending" in byhand.evicted(lab), "ending is evicted")
    lab.observe_admitted("next", timeout=5)
    lab.mark("pods gone")
    if "ending" in byhand.evicted(lab):
        byhand.end_eviction(lab, "ending")
    lab.observe_admitted("next")


@known_defect(
    "https://github.com/kubernetes-sigs/kueue/blob/v0.19.2/pkg/workload/workload.go#L1271",
    "what a deactivated Workload has reserved counts no longer, as soon as it is deactivated",
    shows="next was admitted while the pods of ending had not ended",
)
@behaviour(
    "kueue.edits.deactivated-keeps-quota", level=MUST, spec=QUOTA, mutant="quota-doubled",
    red_when="quota of a deactivated Workload is given to another while its pods still end",
)  # fmt: skip
def test_a_deactivated_workload_keeps_its_quota_until_its_pods_end(deactivated_while_it_ends: KueueRecording) -> None:
    """A deactivated Workload keeps its quota until its pods have ended, as one that is preempted does."""
    recording = deactivated_while_it_ends
    ended = recording.mark("pods gone")
    admitted = recording.timelines("Workload")["next"].when(lambda one: is_true(one, "Admitted"))
    story = recording.timeline_text()
    assert recording.observed("ending is evicted"), f"expected ending to be evicted\n{story}"
    assert admitted is not None, f"expected next to be admitted in the end\n{story}"
    assert admitted > ended, f"next was admitted while the pods of ending had not ended\n{story}"


@scenario(needs={"kueue-metrics", "kueue-process"})
def moved_away(lab: KueueLab) -> None:
    """The only ClusterQueue of a flavor leaves its cohort for another, while a Workload runs in it and one waits."""
    old, new = lab.unique("old"), lab.unique("new")
    for name in (old, new):
        lab.create(kueue.cohort(name))
    queue = lab.queue(gpus=6, cohort=old)
    lab.until_admitted(byhand.workload(lab, "running", queue, gpus=4, distinct=True))
    byhand.workload(lab, "waiting", queue, gpus=3, distinct=True)
    byhand.observe_weighed(lab, "waiting")
    byhand.observe_pending(lab, queue, 1)
    lab.patch("ClusterQueue", queue.name, {"spec": {"cohortName": new}})
    byhand.next_second(lab)
    lab.delete("Workload", "waiting")
    byhand.observe_pending(lab, queue, 0)


@known_defect(
    known.GAUGES_AFTER_EDITS, "gauges of a cohort that lost a ClusterQueue, or got one, are not written anew",
    shows="kueue_cohort_subtree_",
)  # fmt: skip
@behaviour(
    "kueue.edits.cohort-gauges", level=MUST, spec=METRICS, timed=True,
    red_when="after a ClusterQueue has moved a gauge of its old or new cohort differs from a recount",
)  # fmt: skip
def test_the_gauges_of_cohorts_follow_a_move(moved_away: KueueRecording) -> None:
    """After a ClusterQueue has moved from one cohort to another the gauges of both equal a recount."""
    must_have([one for one in moved_away.samples() if one["label"] == END], "series at the end", least=10)
    found = series.findings(moved_away)
    assert found == [], "\n".join(found)
