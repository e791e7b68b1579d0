"""What may not be stored: bad objects and forbidden changes, each refused by the gate that should."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from gpuassay import MUST, Manifest, behaviour, scenario
from gpuassay.labels import GPU, QUEUE_NAME
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.acts.naming import named
from gpuassay.systems.kueue.judge.refusal import SCHEMA, refusal_findings, twin_label
from gpuassay.systems.kueue.mutants.refusal import with_acceptable
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.systems.kueue.readings import KueueRecording
from gpuassay.verdict import Behaviour
from gpuassay.workloads import core
from suites.kueue import refused
from suites.kueue.refused import Refusal

MUTANT = "validation-missing"


def _of_own_cohort(lab: KueueLab, manifest: Manifest) -> Manifest:
    """Scenarios that act at the same time share no cohort: its gauges would count what the other makes."""
    own = lab.unique(refused.COHORT)
    spec = {key: own if value == refused.COHORT else value for key, value in manifest.get("spec", {}).items()}
    return manifest | ({"spec": spec} if spec else {})


def _attempt_all(lab: KueueLab, cases: Sequence[Refusal]) -> None:
    for case in cases:
        bad, healthy = _of_own_cohort(lab, case.bad), _of_own_cohort(lab, case.healthy)
        lab.attempt(case.label, with_acceptable(named(lab, bad, case.label), healthy))
        lab.attempt(twin_label(case.label), named(lab, healthy, f"{case.label}-twin"))


def _parameters(feature: str, cases: Sequence[Refusal]) -> list[Any]:
    return [
        pytest.param(
            case,
            id=case.label,
            marks=pytest.mark.behaviour(
                Behaviour(
                    f"kueue.webhooks.{feature}", MUST, case.spec, f"the object is stored although {case.fault}", MUTANT
                )
            ),
        )
        for case in cases
    ]


def _judge(recording: KueueRecording, case: Refusal) -> None:
    found = refusal_findings(recording.attempts, case.label, case.gate, case.says)
    assert not found, "\n".join(found)


@scenario()
def bad_cluster_queues(lab: KueueLab) -> None:
    """Every invalid ClusterQueue, and a valid counterpart of it, is sent to the API server."""
    _attempt_all(lab, refused.CLUSTER_QUEUES)


@scenario()
def bad_furniture(lab: KueueLab) -> None:
    """Every invalid ResourceFlavor, Topology and Cohort, and a valid counterpart of it, is sent to the API server."""
    _attempt_all(lab, refused.FURNITURE)


@scenario()
def bad_workloads(lab: KueueLab) -> None:
    """Every invalid Workload, and a valid counterpart of it, is sent to the API server."""
    _attempt_all(lab, refused.WORKLOADS)


@scenario()
def bad_jobs(lab: KueueLab) -> None:
    """Every invalid Job and pod, and a valid counterpart of it, is sent to the API server."""
    _attempt_all(lab, refused.JOBS)


@pytest.mark.parametrize("case", _parameters("cluster-queue", refused.CLUSTER_QUEUES))
def test_a_bad_cluster_queue_is_refused(bad_cluster_queues: KueueRecording, case: Refusal) -> None:
    """A ClusterQueue that breaks a rule is refused by the schema or Kueue's webhook, and a valid one is accepted."""
    _judge(bad_cluster_queues, case)


@pytest.mark.parametrize("case", _parameters("furniture", refused.FURNITURE))
def test_bad_furniture_is_refused(bad_furniture: KueueRecording, case: Refusal) -> None:
    """A ResourceFlavor, Topology or Cohort that breaks a rule is refused, and a valid one is accepted."""
    _judge(bad_furniture, case)


@pytest.mark.parametrize("case", _parameters("workload", refused.WORKLOADS))
def test_a_bad_workload_is_refused(bad_workloads: KueueRecording, case: Refusal) -> None:
    """A Workload that breaks a rule is refused, and a valid one is accepted."""
    _judge(bad_workloads, case)


@pytest.mark.parametrize("case", _parameters("job", refused.JOBS))
def test_a_bad_job_is_refused(bad_jobs: KueueRecording, case: Refusal) -> None:
    """A Job or pod with invalid queueing metadata is refused when it is created, and a valid one is accepted."""
    _judge(bad_jobs, case)


# --- changes ----------------------------------------------------------------------------------------------------------


@scenario()
def forbidden_changes(lab: KueueLab) -> None:
    """A LocalQueue, an admitted Workload, a running Job and a StatefulSet are changed in ways they must not be.

    Each forbidden change has a control: another change of the same object that must go through.
    """
    queue = lab.queue(gpus=8)
    other = lab.local_queue("other", queue.name)
    elsewhere = lab.queue(gpus=1, base="elsewhere", flavor=queue.flavor)

    local = kueue.local_queue("moving", lab.namespace, queue.name)
    lab.create(with_acceptable(local, kueue.local_queue("moving", lab.namespace, elsewhere.name)))
    lab.attempt_patch(twin_label("local-queue-moved"), "LocalQueue", "moving", {"spec": {"stopPolicy": "Hold"}})
    lab.attempt_patch("local-queue-moved", "LocalQueue", "moving", {"spec": {"clusterQueue": elsewhere.name}})

    def by_hand(name: str, count: int, queued: str) -> Manifest:
        return kueue.workload(name, lab.namespace, queued, [kueue.pod_set(count=count, requests={GPU: 1})])

    grown = by_hand("grown", 2, queue.local)["spec"]
    lab.create(with_acceptable(by_hand("grown", 1, queue.local), by_hand("grown", 2, queue.local)))
    lab.create(with_acceptable(by_hand("moved", 1, queue.local), by_hand("moved", 1, other)))
    running = core.job("running", lab.namespace, queue.local)
    lab.create(with_acceptable(running, core.job("running", lab.namespace, other)))
    lab.create(with_acceptable(
        core.stateful_set("serving", lab.namespace, refused.NOWHERE, replicas=1),
        core.stateful_set("serving", lab.namespace, refused.NOWHERE, replicas=2),
    ))  # fmt: skip
    lab.until_admitted("grown", "moved", "running")
    for name in ("grown", "moved"):
        lab.attempt_patch(twin_label(name), "Workload", name, {"spec": {"priority": 1}})
    lab.attempt_patch("grown", "Workload", "grown", {"spec": {"podSets": grown["podSets"]}})
    lab.attempt_patch("moved", "Workload", "moved", {"spec": {"queueName": other}})
    lab.until(
        lambda: not (lab.get("Job", "running") or {"spec": {}})["spec"].get("suspend", True), "running unsuspended"
    )
    lab.attempt_patch(twin_label("running"), "Job", "running", {"metadata": {"labels": {"example.com/a": "b"}}})
    lab.attempt_patch("running", "Job", "running", {"metadata": {"labels": {QUEUE_NAME: other}}})
    lab.attempt_patch(twin_label("serving"), "StatefulSet", "serving", {"metadata": {"labels": {"example.com/a": "b"}}})
    lab.attempt_patch("serving", "StatefulSet", "serving", {"spec": {"replicas": 2}})


def _changes(recording: KueueRecording, label: str, gate: str, says: str) -> None:
    found = refusal_findings(recording.attempts, label, gate, says)
    assert not found, "\n".join([*found, recording.timeline_text([label])])


@behaviour(
    "kueue.webhooks.local-queue-stays", level=MUST, spec="https://kueue.sigs.k8s.io/docs/concepts/local_queue/",
    red_when="a LocalQueue can be moved to another ClusterQueue", mutant=MUTANT,
)  # fmt: skip
def test_a_local_queue_keeps_its_cluster_queue(forbidden_changes: KueueRecording) -> None:
    """A LocalQueue cannot be moved to another ClusterQueue, while its stop policy can change."""
    _changes(forbidden_changes, "local-queue-moved", SCHEMA, "field is immutable")


@behaviour(
    "kueue.webhooks.reserved-pod-sets-stay", level=MUST, spec=f"{refused.CONCEPTS}/workload/",
    red_when="the pod sets of a Workload can grow while it holds quota", mutant=MUTANT,
)  # fmt: skip
def test_pod_sets_cannot_grow_while_quota_is_reserved(forbidden_changes: KueueRecording) -> None:
    """A Workload's pod sets cannot grow while it holds quota, but its priority can change."""
    _changes(forbidden_changes, "grown", "vworkload.kb.io", "field is immutable")


@behaviour(
    "kueue.webhooks.reserved-queue-stays", level=MUST, spec=f"{refused.CONCEPTS}/workload/",
    red_when="the queue name of a Workload can change while it holds quota", mutant=MUTANT,
)  # fmt: skip
def test_the_queue_cannot_change_while_quota_is_reserved(forbidden_changes: KueueRecording) -> None:
    """A Workload's queue cannot change while it holds quota."""
    _changes(forbidden_changes, "moved", SCHEMA, "queueName is immutable while workload quota reserved")


@behaviour(
    "kueue.webhooks.running-job-stays", level=MUST, spec="https://kueue.sigs.k8s.io/docs/tasks/run/jobs/",
    red_when="a running Job can be moved to another queue", mutant=MUTANT,
)  # fmt: skip
def test_a_running_job_keeps_its_queue(forbidden_changes: KueueRecording) -> None:
    """The queue name of a running Job cannot change, while other labels can."""
    _changes(forbidden_changes, "running", "vjob.kb.io", "field is immutable")


@behaviour(
    "kueue.webhooks.stateful-set-size-stays", level=MUST,
    spec="https://kueue.sigs.k8s.io/docs/tasks/run/statefulset/",
    red_when="a queued StatefulSet can be scaled from one replica to two", mutant=MUTANT,
)  # fmt: skip
def test_a_queued_stateful_set_keeps_its_size(forbidden_changes: KueueRecording) -> None:
    """A queued StatefulSet cannot be scaled from one replica to two, while its labels can change."""
    _changes(forbidden_changes, "serving", "vstatefulset.kb.io", "field is immutable")
