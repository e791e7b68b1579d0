"""What survives an upgrade with work in flight: of Kueue, or of Kubernetes' control plane under it (-m upgrade)."""

from __future__ import annotations

import random
from typing import Any

import pytest

from gpuassay import MUST, SHOULD, Manifest, Note, behaviour, dig
from gpuassay.manifest import is_true
from gpuassay.presence import must_have
from gpuassay.systems.kueue import notes
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.judge import upgrade
from gpuassay.systems.kueue.judge.queueing import decided_before, order_findings
from gpuassay.systems.kueue.readings import KueueRecording
from gpuassay.workloads import core
from suites.variants import per_variant

SPEC = "https://kueue.sigs.k8s.io/docs/installation/#upgrading"
CONCEPT = "https://kueue.sigs.k8s.io/docs/concepts/workload/"
ORDER = "https://kueue.sigs.k8s.io/docs/concepts/cluster_queue/#queueing-strategy"
METRICS = "https://kueue.sigs.k8s.io/docs/reference/metrics/"

pytestmark = pytest.mark.upgrade

BEFORE = Note("before", dict[str, Manifest], "what each ClusterQueue counted before the upgrade")
AFTER = Note("after", dict[str, Manifest], "what each counted once the new version had decided on something")

RUNNING = ("steady", "other")
"""Jobs that run when the upgrade begins; with the lone pod they use the cohort's 8 GPUs."""
PODS = 8
WAITING = tuple(f"w{i}" for i in range(6))
FIELDS = ("pendingWorkloads", "reservingWorkloads", "admittedWorkloads", "flavorsReservation", "flavorsUsage")

KILLED = "0.18.4-killed"
VERSIONS = {
    **{version: {"kueue-process", f"program:kueue@{version}"} for version in ("0.17.1", "0.18.4")},
    KILLED: {"kueue-process", "program:kueue@0.18.4", "killed-upgrade"},
    "kubernetes-1.37.1": {"kueue-process", "program:controlplane@1.37.1"},
}
"""Older versions of Kueue: the last minor release before the suite's own, and one more, since users skip releases.

The control plane is upgraded from the suite's own version to the minor release after it.
"""


def deaths(seed: int) -> list[notes.BrokenOff]:
    """Tries that are killed: while manifests are applied, before the new manager is ready, and about when it is."""
    dice = random.Random(f"killed upgrade {seed}")
    spans = ((0.2, 1.0), (1.0, 5.0))
    half = notes.BrokenOff(round(dice.uniform(0.2, 0.9), 2), 0)
    return [half, *(notes.BrokenOff(1, round(dice.uniform(*span), 2)) for span in spans)]


DEATHS = {KILLED: deaths(18)}
"""By variant: how its upgrade is killed before a last try succeeds."""


@per_variant(VERSIONS, lambda _, __: None, system="kueue", timeout=300, alone="cluster")
def upgraded(lab: KueueLab, version: str) -> None:
    """A cohort of 8 GPUs is full, six jobs wait, one is held; Kueue or Kubernetes is upgraded; jobs get their turns.

    Or three upgrades of Kueue are killed half-way, and the fourth succeeds.
    """
    cohort = lab.unique("cohort")
    # each queue uses its own quota: what a start does to lent quota is kueue.restart.lent-stays-lent
    large = lab.queue(gpus=5, base="large", cohort=cohort)
    small = lab.queue(gpus=3, base="small", cohort=cohort, flavor=large.flavor)
    held = lab.queue(gpus=1, base="held", hold=True)
    classes = [lab.priority_class(f"class-{value}", value) for value in (0, 1, 2)]
    lab.job("steady", large, pods=4)
    lab.job("other", small, pods=3)
    lab.create(core.pod("lone", lab.namespace, large.local))
    lab.until_admitted(*RUNNING, "lone")
    lab.until(lambda: _running(lab) == PODS, f"{PODS} pods run")
    lab.jobs(WAITING, large, each={name: {"priority": classes[i % 3]} for i, name in enumerate(WAITING)})
    lab.job("on-hold", held)
    lab.until_pending(large.name, len(WAITING))
    lab.until_pending(held.name, 1)
    queues = [large.name, small.name, held.name]
    lab.until(lambda: _told(lab, queues)[large.name].get("admittedWorkloads") == 2, "what runs is counted")
    lab.note(BEFORE, _told(lab, queues))
    lab.scrape("before")
    lab.mark("upgrade begins")
    for number, death in enumerate(DEATHS.get(version, ())):
        lab.break_off_upgrade(death)
        lab.attempt(f"{number}", core.job(f"while-down-{number}", lab.namespace, large.local))
    lab.upgrade()
    lab.mark("upgraded")
    # marker: the new version has decided on a queue of its own, so it has seen the cluster
    marker = lab.queue(gpus=1, base="marker", flavor=large.flavor)
    lab.job("marker", marker)
    lab.observe_admitted("marker")
    lab.observe(lambda: _told(lab, queues) == lab.noted(BEFORE), "counted as before")
    lab.note(AFTER, _told(lab, queues))
    lab.scrape("after")
    lab.mark("looked at")
    lab.job("late", large)
    lab.observe(lambda: lab.workload_of("late") is not None, "the late job has a Workload")
    for ended, admitted in (("other", 3), ("steady", 7)):
        lab.delete("Job", ended)
        lab.observe(lambda want=admitted: len(_admitted(lab)) == want, f"{admitted} that waited are admitted")
    lab.mark("all admitted")


def _running(lab: KueueLab) -> int:
    return sum(dig(pod, "status", "phase") == "Running" for pod in lab.objects("Pod"))


def _admitted(lab: KueueLab) -> list[str]:
    return [name for name in (*WAITING, "late") if lab.has("QuotaReserved", name)]


def _told(lab: KueueLab, queues: list[str]) -> dict[str, Manifest]:
    """What the ClusterQueues' statuses tell of their load, without their names' order in lists."""
    found: dict[str, Manifest] = {}
    for queue in queues:
        status: dict[str, Any] = dig(lab.get("ClusterQueue", queue), "status", default={})
        found[queue] = {field: status.get(field) for field in FIELDS}
    return found


def _between(recording: KueueRecording) -> tuple[int, int]:
    return recording.mark("upgrade begins"), recording.mark("looked at")


@behaviour(
    "kueue.upgrade.nobody-loses-quota", level=MUST, spec=SPEC,
    red_when="an upgrade evicts an admitted workload, requeues it or makes its Workload anew", mutant="upgrade-evicts",
)  # fmt: skip
def test_admitted_workloads_keep_their_quota(upgraded: KueueRecording) -> None:
    """What is admitted when Kueue or Kubernetes is upgraded stays admitted all the time and is never evicted."""
    found = upgrade.lost_quota(upgraded, *_between(upgraded), (*RUNNING, "lone"))
    assert found == [], upgraded.timeline_text()


@behaviour(
    "kueue.upgrade.pods-run-on", level=MUST, spec=SPEC,
    red_when="an upgrade suspends a running job, or a pod of it ends, is deleted or made anew", mutant="upgrade-evicts",
)  # fmt: skip
def test_running_pods_are_left_alone(upgraded: KueueRecording) -> None:
    """Each pod that runs when Kueue or Kubernetes is upgraded runs on: the same pod, of a job and by itself."""
    found = upgrade.disturbed_pods(upgraded, *_between(upgraded), PODS)
    assert found == [], upgraded.timeline_text()


@behaviour(
    "kueue.upgrade.killed-lets-nothing-through", level=MUST, spec=CONCEPT,
    red_when="a Job is taken past Kueue while an upgrade lies half-done and no manager runs", mutant="job-wrapped",
)  # fmt: skip
def test_a_broken_off_upgrade_lets_no_job_through(upgraded_0_18_4_killed: KueueRecording) -> None:
    """While an upgrade lies half-done, at whatever moment it was killed, Kueue's webhook refuses Jobs by its name."""
    recording = upgraded_0_18_4_killed
    killed = must_have(recording.note(notes.BROKEN_OFF), "upgrades that were killed", len(DEATHS[KILLED]))
    assert upgrade.let_through(killed, recording.attempts) == []


@behaviour(
    "kueue.upgrade.counted-as-before", level=MUST, spec=SPEC,
    red_when="ClusterQueues count other usage, reservations or waiting workloads after an upgrade than before",
    mutant="upgrade-evicts",
)  # fmt: skip
def test_usage_is_counted_as_before(upgraded: KueueRecording) -> None:
    """Usage, reservations and counts in the status of each ClusterQueue are as before the upgrade."""
    assert upgrade.uncounted(upgraded.note(BEFORE), upgraded.note(AFTER)) == []


@behaviour(
    "kueue.upgrade.same-order", level=MUST, spec=ORDER,
    red_when="an upgrade changes the order of waiting workloads, or loses one", mutant="priority-reversed",
)  # fmt: skip
def test_the_order_survives(upgraded: KueueRecording) -> None:
    """Workloads that wait when Kueue or Kubernetes is upgraded get quota by priority and creation, as without it."""
    assert order_findings(upgraded, WAITING) == [], upgraded.timeline_text()
    early = set(WAITING) & set(decided_before(upgraded, upgraded.mark("looked at")))
    assert not early, f"admitted although the cohort was full: {', '.join(sorted(early))}"


@behaviour(
    "kueue.upgrade.objects-keep-their-meaning", level=MUST, spec=SPEC,
    red_when="an upgrade changes, drops or deletes what a user wrote into a queue, cohort, flavor or priority class",
    mutant="upgrade-forgets-limits",
)  # fmt: skip
def test_objects_keep_what_was_written(upgraded: KueueRecording) -> None:
    """Flavors, queues, cohorts and priority classes hold after the upgrade all that they held before."""
    assert upgrade.changed_specs(upgraded, *_between(upgraded)) == []


@behaviour(
    "kueue.upgrade.held-stays-held", level=MUST, spec=CONCEPT,
    red_when="a queue on Hold admits after an upgrade, although another queue shows that the new version decides",
    mutant="upgrade-lifts-holds",
)  # fmt: skip
def test_a_held_queue_stays_held(upgraded: KueueRecording) -> None:
    """The job in a queue with stopPolicy Hold still waits, while a new job elsewhere is admitted."""
    assert is_true(upgraded.workload_of("marker").final, "Admitted"), upgraded.timeline_text(["marker"])
    assert not is_true(upgraded.workload_of("on-hold").final, "QuotaReserved"), upgraded.timeline_text(["on-hold"])


@behaviour(
    "kueue.upgrade.new-work-runs", level=MUST, spec=SPEC,
    red_when="a job that is made after the upgrade is refused, not queued, or never gets its turn",
    mutant="late-job-unlabelled",
)  # fmt: skip
def test_new_jobs_are_queued_and_admitted(upgraded: KueueRecording) -> None:
    """A job that is created after the upgrade is queued behind those that wait, and admitted once there is room."""
    assert upgraded.observed("the late job has a Workload"), upgraded.timeline_text(["late"])
    late = upgraded.workload_of("late")
    assert is_true(late.final, "Admitted"), upgraded.timeline_text(["late"])


@behaviour(
    "kueue.upgrade.metrics-go-on", level=SHOULD, spec=METRICS,
    red_when="gauges of the new version differ from what the ClusterQueues count", mutant="upgrade-evicts",
)  # fmt: skip
def test_gauges_go_on(upgraded: KueueRecording) -> None:
    """Soon after the upgrade the gauges of waiting, reserving and admitted workloads say what they said before."""
    told = upgraded.note(BEFORE)
    gauges = {
        "kueue_pending_workloads": "pendingWorkloads",
        "kueue_reserving_active_workloads": "reservingWorkloads",
        "kueue_admitted_active_workloads": "admittedWorkloads",
    }
    seen = {
        (queue, gauge): upgraded.metrics("after").sum(gauge, cluster_queue=queue) for queue in told for gauge in gauges
    }
    expected = {(queue, gauge): told[queue].get(field) or 0 for queue in told for gauge, field in gauges.items()}
    assert seen == expected
