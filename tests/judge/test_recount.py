"""Numbers in the status of queues: a recount of the Workloads must give them."""

from __future__ import annotations

from typing import Any

import pytest

from gpuassay.manifest import Manifest
from gpuassay.systems.kueue.judge import known, recount
from gpuassay.systems.kueue.judge.invariants import timed
from gpuassay.systems.kueue.objects import queues as kueue
from tests.judge.rests import cluster_queue, holding, left, local_queue, wanting
from tests.judge.test_walks import told
from tests.record.parts import conditions

WORKLOADS = [holding("a"), holding("b"), wanting("c")]


def rest(cq: Manifest, lq: Manifest | None = None, **more: Any) -> list[str]:
    """Findings where two hold a GPU each and one waits."""
    return recount.findings(left(cq, lq or local_queue(pending=1, held=[1, 1]), *WORKLOADS, **more))


def test_sound_numbers_pass() -> None:
    """Red when a sound status is refused."""
    assert rest(cluster_queue(pending=1, held=[1, 1])) == []
    assert rest(cluster_queue(1, pending=1, held=[1, 1], cohort="pool")) == []


@pytest.mark.parametrize(
    ("cq", "lq", "finding"),
    [
        (cluster_queue(pending=2, held=[1, 1]), None, "ClusterQueue cq counts pendingWorkloads=2, recount gives 1"),
        (cluster_queue(pending=0, held=[1, 1]), None, "ClusterQueue cq counts pendingWorkloads=0, recount gives 1"),
        (cluster_queue(pending=1, held=[2]), None, "ClusterQueue cq counts reservingWorkloads=1, recount gives 2"),
        (cluster_queue(pending=1, held=[1, 2]), None, "tells flavorsReservation 3 of nvidia.com/gpu in flavor gpu"),
        (cluster_queue(pending=1, held=[1, 1], used=1), None, "tells flavorsUsage 1 of nvidia.com/gpu"),
        (cluster_queue(1, pending=1, held=[1, 1], cohort="pool") | {"kind": "ClusterQueue"}, None, ""),
        (cluster_queue(pending=1, held=[1, 1]), local_queue(pending=1, held=[1]), "LocalQueue lq counts reserving"),
        (cluster_queue(pending=1, held=[1, 1]), local_queue(pending=2, held=[1, 1]), "LocalQueue lq counts pending"),
        (cluster_queue(pending=1, held=[1, 1]), local_queue(pending=1, held=[1, 3]), "LocalQueue lq tells"),
    ],
)
def test_a_wrong_number_is_refused(cq: Manifest, lq: Manifest | None, finding: str) -> None:
    """Red when a status may tell what is not so."""
    found = rest(cq, lq)
    assert any(finding in one for one in found) if finding else found == [], found


def test_a_wrong_borrowed_amount_is_refused() -> None:
    """Red when borrowing is not recounted."""
    cq = cluster_queue(1, pending=1, held=[1, 1], cohort="pool")
    cq["status"]["flavorsReservation"][0]["resources"][0]["borrowed"] = "0"
    assert any("borrowed 0 of nvidia.com/gpu, recount gives 1" in one for one in rest(cq))


def test_one_too_few_in_a_local_queue_is_the_known_defect() -> None:
    """Red when the referee does not tell the known defect from others."""
    cq = cluster_queue(pending=1, held=[1, 1])
    found = rest(cq, local_queue(pending=0, held=[1, 1]))
    assert found == ["LocalQueue lq counts one waiting Workload too few: 0 of 1"]
    assert known.news(found) == []
    more = recount.findings(left(cq, local_queue(held=[1, 1]), *WORKLOADS, wanting("d")))
    assert any("LocalQueue lq counts pendingWorkloads=0" in one for one in known.news(more))


def test_counting_those_of_a_deleted_queue_is_the_known_defect() -> None:
    """Red when the referee does not tell the known defect from others."""
    gone = local_queue(pending=1)
    found = recount.findings(left(cluster_queue(pending=1), wanting("c"), deleted=[gone]))
    assert found == ["ClusterQueue cq still counts 1 waiting Workloads of a LocalQueue that was stopped or deleted"]
    assert known.news(found) == []
    assert known.news(recount.findings(left(cluster_queue(pending=2), wanting("c"), deleted=[gone]))) != []


@pytest.mark.parametrize(
    ("stopped_at", "gone_at", "excused"),
    [(20, 30, True), (30, 20, False), (None, 30, False)],  # stopped, then deleted; the other way round; never stopped
)
def test_who_was_deleted_in_a_stopped_queue_may_still_be_counted(
    stopped_at: int | None, gone_at: int, *, excused: bool
) -> None:
    """Red when one who waited in a LocalQueue that was stopped is news once deleted, or one deleted before is not."""
    lq, stopped = local_queue(), local_queue()
    stopped["spec"] = stopped["spec"] | {"stopPolicy": "Hold"}
    events = [(0, cluster_queue(pending=1)), (1, lq), (2, wanting("c")), (gone_at, wanting("c"))]
    deleted = [3]
    if stopped_at is not None:
        events.insert(3 if stopped_at < gone_at else 4, (stopped_at, stopped))
        deleted = [4 if stopped_at < gone_at else 3]
    found = recount.findings(told(*events, deleted=deleted))
    assert len(found) == 1 and (known.news(found) == []) is excused, found


INCOMPLETE = wanting("d") | {
    "status": {"conditions": conditions(QuotaReserved="False Pending", WaitingForReplacementPods="True Preempted")}
}
COUNTED = "counts 1 Workloads as waiting for quota that wait for replacement pods"


def test_counting_those_that_wait_for_pods_is_the_known_defect() -> None:
    """Red when the referee does not tell the known defect from others, or takes it for sound."""
    cq, lq, waits = cluster_queue(pending=2), local_queue(pending=2), wanting("c")
    found = recount.findings(left(cq, lq, waits, INCOMPLETE))
    assert found == [f"ClusterQueue cq {COUNTED}", f"LocalQueue lq {COUNTED}"]
    assert known.news(found) == []
    assert recount.findings(left(cluster_queue(pending=1), local_queue(pending=1), waits, INCOMPLETE)) == []


@pytest.mark.parametrize(
    ("pending", "others"),
    [
        (2, []),  # no group at all
        (3, [INCOMPLETE]),  # more than there are
        (0, [INCOMPLETE]),  # fewer than wait
        (2, [INCOMPLETE | {"spec": INCOMPLETE["spec"] | {"queueName": "elsewhere"}}]),
        (2, [INCOMPLETE | {"spec": INCOMPLETE["spec"] | {"active": False}}]),
        (2, [holding("d") | {"status": {"conditions": conditions(Finished="True", WaitingForReplacementPods="True")}}]),
    ],
)
def test_no_other_count_is_excused_by_it(pending: int, others: list[Manifest]) -> None:
    """Red when a wrong count passes for the known defect where no group of the queue waits for pods, or too few do."""
    found = recount.findings(left(cluster_queue(pending=pending), local_queue(pending=1), wanting("c"), *others))
    assert any("ClusterQueue cq counts pendingWorkloads=" in one for one in known.news(found)), found


def with_status(workload: Manifest, **status: Any) -> Manifest:
    """The Workload with further fields of its status."""
    return workload | {"status": workload["status"] | status}


@pytest.mark.parametrize(
    "out",
    [
        wanting("c", active=False),
        with_status(wanting("c"), conditions=conditions(QuotaReserved="False OnHold")),
        with_status(wanting("c"), conditions=conditions(Finished="True Succeeded")),
        with_status(wanting("c"), requeueState={"count": 1, "requeueAt": "2099-01-01T00:00:00Z"}),
    ],
)
def test_who_is_out_of_the_queue_does_not_wait(out: Manifest) -> None:
    """Red when Workloads that are out of the queue are expected in its counts."""
    assert recount.findings(left(cluster_queue(), local_queue(), out)) == []
    assert recount.findings(left(cluster_queue(pending=1), local_queue(), out)) != []


def test_doubtful_ones_may_be_counted_or_not() -> None:
    """Red when a Workload whose claims cannot be resolved must be, or must not be, in a queue."""
    odd = with_status(wanting("c"), conditions=conditions(QuotaReserved="False Inadmissible", Requeued="False x"))
    for pending in (0, 1):
        assert recount.findings(left(cluster_queue(pending=pending), local_queue(pending=pending), odd)) == []


def test_only_at_rest() -> None:
    """Red when counts that are still catching up accuse."""
    assert rest(cluster_queue(pending=5), notes={"at_rest": False}) == []


def test_a_stopped_queue_has_nobody_waiting() -> None:
    """Red when those who wait in a stopped LocalQueue are expected in its count."""
    stopped = kueue.local_queue("lq", "ns", "cq", stop="Hold") | {"status": local_queue()["status"]}
    assert recount.findings(left(cluster_queue(), stopped, wanting("c"))) == []


def test_the_referee_recounts() -> None:
    """Red when the referee does not ask for the recount."""
    assert timed(left(cluster_queue(pending=7))) != []
