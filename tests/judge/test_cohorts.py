"""Judges of sharing refuse recordings in which a cohort shared wrongly."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gpuassay.labels import GPU
from gpuassay.manifest import Manifest
from gpuassay.systems.kueue.judge.cohorts import (
    evictions,
    flavor_of,
    holding,
    pending,
    requested,
    reservations_beyond,
    sharing_findings,
    usage_at_end,
)
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.systems.kueue.readings import KueueRecording


def asked(borrowing: int | None = None, lending: int | None = None) -> list[Manifest]:
    """A cohort of a borrower and a lender with 2 GPUs each."""
    return [
        kueue.cluster_queue("borrower", [kueue.gpu_group("gpu", 2, borrowing=borrowing)], cohort="pool"),
        kueue.cluster_queue("lender", [kueue.gpu_group("gpu", 2, lending=lending)], cohort="pool"),
        kueue.local_queue("b", "ns", "borrower"),
        kueue.local_queue("l", "ns", "lender"),
    ]


def workload(
    name: str, local: str = "b", *, queue: str = "", gpus: int = 1, more: list[dict[str, Any]] | None = None
) -> Manifest:
    """A Workload that holds quota of `queue`, or waits."""
    obj = kueue.workload(name, "ns", local, [kueue.pod_set(requests={GPU: gpus})])
    obj["metadata"]["uid"] = name
    reserved = {"type": "QuotaReserved", "status": "True" if queue else "False", "reason": "Pending"}
    status: dict[str, Any] = {"conditions": [reserved, *(more or [])]}
    if queue:
        assignment = {"name": "main", "count": 1, "flavors": {GPU: "gpu"}, "resourceUsage": {GPU: str(gpus)}}
        status["admission"] = {"clusterQueue": queue, "podSetAssignments": [assignment]}
    return obj | {"status": status}


def recording(objects: list[Manifest], *changes: Manifest) -> KueueRecording:
    """Workloads seen one after another, of what was asked."""
    events = [{"at": at, "type": "MODIFIED", "object": one} for at, one in enumerate(changes, start=1)]
    return KueueRecording.of_parts(asked=objects, events=events)


def held(count: int) -> list[Manifest]:
    """`count` Workloads with one GPU each of the borrower's."""
    return [workload(f"w{index}", queue="borrower") for index in range(count)]


def test_a_healthy_cohort_has_no_findings() -> None:
    """Four of four GPUs are used and a fifth workload waits."""
    seen = recording(asked(), *held(4), workload("late"))
    assert sharing_findings(seen) == []
    assert holding(seen, "b") == ["w0", "w1", "w2", "w3"]
    assert pending(seen, "b") == ["late"]


def test_a_cohort_in_which_nobody_holds_or_has_anything_is_told() -> None:
    """Red when quota that nobody uses, or that nobody declared, counts as shared well."""
    assert "no Workload holds any nvidia.com/gpu at the end" in sharing_findings(recording(asked()))
    assert "no ClusterQueue with a quota of nvidia.com/gpu was asked for" in sharing_findings(recording([]))


def test_an_exceeded_cohort_is_found() -> None:
    """A fifth GPU of four is found."""
    assert any("pool" in one for one in sharing_findings(recording(asked(), *held(5))))


def test_an_exceeded_borrowing_limit_is_found() -> None:
    """With borrowingLimit 1, four GPUs are one too many."""
    assert any("borrowing limit 1" in one for one in sharing_findings(recording(asked(borrowing=1), *held(4))))


def test_an_exceeded_lending_limit_is_found() -> None:
    """With lendingLimit 1, the cohort has three GPUs for the borrower."""
    assert sharing_findings(recording(asked(lending=1), *held(3))) == []
    assert sharing_findings(recording(asked(lending=1), *held(4))) != []


def test_a_moment_is_enough() -> None:
    """What was exceeded once is found, although it is mended in the end."""
    assert sharing_findings(recording(asked(), *held(5), workload("w4"))) != []


def test_idle_quota_is_found() -> None:
    """A workload that waits although it would fit is found, and named with its numbers."""
    found = sharing_findings(recording(asked(), *held(3), workload("late")))
    assert found == ["Workload late waits for 1 nvidia.com/gpu while borrower may use 1"]


@settings(deadline=None)
@given(used=st.integers(0, 6), limit=st.one_of(st.none(), st.integers(0, 3)))
def test_only_exact_use_passes(used: int, limit: int | None) -> None:
    """With a workload waiting, exactly one number of used GPUs passes: own and borrowed ones within the limit."""
    due = 2 + (2 if limit is None else min(2, limit))
    seen = recording(asked(borrowing=limit), *held(used), workload("late"))
    assert (sharing_findings(seen) == []) == (used == due)


def test_evictions_tell_who_preempted_why() -> None:
    """The reason of a preemption is that of condition Preempted; an ended and repeated eviction counts twice."""
    yes = [
        {"type": "Evicted", "status": "True", "reason": "Preempted"},
        {"type": "Preempted", "status": "True", "reason": "InCohortReclamation"},
    ]
    late = [{"type": "Evicted", "status": "True", "reason": "PodsReadyTimeout"}]
    seen = recording([], workload("w"), workload("w", more=yes), workload("w"), workload("w", more=late))
    assert evictions(seen) == {"w": ["InCohortReclamation", "PodsReadyTimeout"]}


def test_reservations_beyond_a_lowered_limit_are_found() -> None:
    """What was held before counts, but only new reservations are at fault."""
    seen = recording(asked(), *held(3), workload("w0"), workload("new", queue="borrower"))
    assert reservations_beyond(seen, "borrower", 2, since=3) == [
        "Workload new got quota: borrower then held 3, may hold 2"
    ]
    assert reservations_beyond(seen, "borrower", 3, since=3) == []


def test_assignments_are_read() -> None:
    """Flavor, usage and request of a Workload; nothing where there is none."""
    seen = recording([], workload("w", queue="borrower", gpus=3), workload("late"))
    assert (flavor_of(seen, "w"), flavor_of(seen, "late"), flavor_of(seen, "nobody")) == ("gpu", None, None)
    assert (usage_at_end(seen, "w"), usage_at_end(seen, "nobody")) == ({GPU: 3}, {})
    assert requested(workload("w", gpus=3), GPU) == 3
