"""A restart of Kueue changes nothing: a rich state looks the same before and after.

Every scenario can be such a test (`--restart-kueue`); those that have Kueue for themselves always are.
"""

from __future__ import annotations

from gpuassay import MUST, behaviour, known_defect, scenario
from gpuassay.labels import PRIORITY_CLASS
from gpuassay.manifest import is_true
from gpuassay.systems.kueue import notes
from gpuassay.systems.kueue.acts import admission_checks as checks
from gpuassay.systems.kueue.acts import workloads as byhand
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.judge import known, restarted
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.systems.kueue.readings import KueueRecording

METRICS = "https://kueue.sigs.k8s.io/docs/reference/metrics/"


@scenario(alone="cluster", needs={"kueue-process"}, timeout=120)
def everything(lab: KueueLab) -> None:
    """Workloads run, borrow, wait, wait for a check, are finished, given up, evicted and half done, in seven queues."""
    root, leaf = lab.unique("root"), lab.unique("leaf")
    lab.create(kueue.cohort(root))
    lab.create(kueue.cohort(leaf, parent=root))
    flavor = lab.flavor("shared")
    preempts = {"withinClusterQueue": "LowerPriority", "reclaimWithinCohort": "Any"}
    borrower = lab.queue(gpus=1, base="borrower", flavor=flavor, cohort=leaf, borrowing=2)
    lender = lab.queue(gpus=5, base="lender", flavor=flavor, cohort=root, lending=2, preemption=preempts)
    strict = lab.queue(gpus=1, base="strict", strategy="StrictFIFO")
    check = checks.check(lab, "slow")
    checked = lab.cluster_queue("checked", [kueue.gpu_group(lab.flavor("checked"), 2)], checks=[check])
    lab.local_queue("checked", checked)
    lab.local_queue("halted", lender.name, stop="Hold")
    held = lab.queue(gpus=1, base="held", hold=True)
    low, high = lab.priority_class("low", 1), lab.priority_class("high", 9)
    for name, queue, more in (
        ("one", borrower, {}), ("two", borrower, {"gpus": 2}), ("too-much", borrower, {"gpus": 3}),
        ("half-done", lender, {"count": 2}), ("first", strict, {}), ("blocked", strict, {"gpus": 2}),
        ("behind", strict, {}), ("in-halted", "halted", {}), ("in-held", held, {}), ("asked", "checked", {}),
        ("given-up", lender, {}),
    ):  # fmt: skip
        byhand.workload(lab, name, queue, distinct=True, **more)
    lab.until_admitted("one", "two", "first", "half-done", "given-up")
    checks.observe_asked(lab, "asked", check)
    byhand.finish(lab, "given-up")
    lab.patch("Workload", "half-done", _half(), subresource="status")
    lab.create(
        kueue.workload("later", lab.namespace, "borrower", [kueue.pod_set(requests={"nvidia.com/gpu": 3})], priority=9)
    )
    byhand.observe_weighed(lab, "too-much", "blocked", "later")
    lab.patch("Workload", "behind", {"spec": {"active": False}})
    lab.observe(lambda: lab.has("QuotaReserved", "asked"), "asked has quota")
    for name, urgency in (("old", low), ("new", high)):
        manifest = kueue.workload(name, lab.namespace, "strict", [kueue.pod_set(requests={"nvidia.com/gpu": 1})])
        manifest["metadata"]["labels"] = {PRIORITY_CLASS: urgency}
        lab.create(manifest)
    byhand.observe_pending(lab, strict, 3)


def _half() -> dict[str, object]:
    return {"status": {"reclaimablePods": [{"name": "main", "count": 1}]}}


@behaviour(
    "kueue.restart.changes-nothing", level=MUST, spec="https://kueue.sigs.k8s.io/docs/overview/", timed=True,
    red_when="a restart of Kueue changes a status, what a queue or cohort counts or holds, or who runs",
)  # fmt: skip
def test_a_restart_changes_nothing(everything: KueueRecording) -> None:
    """After a restart of Kueue every status, every count, every gauge and every pod is as it was before."""
    seen = everything.workloads()
    holding = [one for one in seen if is_true(one, "QuotaReserved")]
    if not everything.note(notes.RESTARTED) or len(seen) < 14 or len(holding) < 5:
        raise LookupError(f"Kueue was not restarted over a rich state: {everything.timeline_text()}")
    found = known.news(restarted.findings(everything))
    assert found == [], "\n".join(found)


@known_defect(
    known.GAUGES_AFTER_RESTART, "these gauges are written when a LocalQueue changes, a restart is no change",
    shows="kueue_local_queue_resource_",
)  # fmt: skip
@behaviour(
    "kueue.restart.local-queue-gauges", level=MUST, spec=METRICS, timed=True,
    red_when="after a restart of Kueue the gauges of a LocalQueue's resources are lower than what is held",
)  # fmt: skip
def test_a_restart_keeps_the_gauges_of_local_queues(everything: KueueRecording) -> None:
    """After a restart of Kueue the gauges of what a LocalQueue reserves and uses have the values they had before."""
    found = [one for one in _moved(everything) if "kueue_local_queue_resource_" in one]
    assert found == [], "\n".join(found)


@known_defect(
    known.COHORT_GAUGE_AFTER_RESTART, "workloads that are read before their cohort's parent is are not counted there",
    shows="kueue_cohort_subtree_admitted_active_workloads", racy=True,
)  # fmt: skip
@behaviour(
    "kueue.restart.cohort-gauge", level=MUST, spec=METRICS, timed=True,
    red_when="after a restart of Kueue a cohort's gauge of admitted workloads is lower than what runs in its subtree",
)  # fmt: skip
def test_a_restart_keeps_the_gauge_of_cohorts(everything: KueueRecording) -> None:
    """After a restart of Kueue the gauge of admitted workloads in a cohort's subtree has the value it had before."""
    found = [one for one in _moved(everything) if "kueue_cohort_subtree_admitted_active_workloads" in one]
    assert found == [], "\n".join(found)


def _moved(recording: KueueRecording) -> list[str]:
    if not recording.note(notes.RESTARTED):
        raise LookupError(f"Kueue was not restarted: {recording.timeline_text()}")
    return restarted.findings(recording)
