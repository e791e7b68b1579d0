"""What Kueue exports about its queues: sound series pass, doctored ones are refused."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from gpuassay.labels import GPU
from gpuassay.manifest import Manifest
from gpuassay.systems.kueue.judge import series
from gpuassay.systems.kueue.judge.invariants import timed
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.systems.kueue.readings import END
from tests.judge.rests import cluster_queue, holding, left, local_queue, wanting
from tests.record.parts import START, conditions

CQ = {"cluster_queue": "cq"}
LQ = {"namespace": "ns", "name": "lq"}
FLAVOR = {"flavor": "gpu", "resource": GPU}

SOUND: list[tuple[str, dict[str, str], float]] = [
    ("process_start_time_seconds", {}, START / 1e9 - 60),
    ("kueue_reserving_active_workloads", CQ, 2),
    ("kueue_admitted_active_workloads", CQ, 2),
    ("kueue_local_queue_reserving_active_workloads", LQ, 2),
    ("kueue_local_queue_admitted_active_workloads", LQ, 2),
    ("kueue_cluster_queue_resource_reservation", CQ | FLAVOR, 3),
    ("kueue_cluster_queue_resource_usage", CQ | FLAVOR, 3),
    ("kueue_local_queue_resource_reservation", LQ | FLAVOR, 3),
    ("kueue_local_queue_resource_usage", LQ | FLAVOR, 3),
    ("kueue_pending_workloads", CQ | {"status": "inadmissible"}, 1),
    ("kueue_local_queue_pending_workloads", LQ | {"status": "inadmissible"}, 1),
    ("kueue_cluster_queue_resource_pending", CQ | {"resource": GPU}, 4),
    ("kueue_cluster_queue_status", CQ | {"status": "active"}, 1),
    ("kueue_local_queue_status", LQ | {"active": "True"}, 1),
    ("kueue_cluster_queue_nominal_quota", CQ | FLAVOR, 2),
    ("kueue_cluster_queue_borrowing_limit", CQ | FLAVOR, math.inf),
    ("kueue_cluster_queue_lending_limit", CQ | FLAVOR, math.inf),
    ("kueue_cluster_queue_info", CQ | {"parent_cohort": "pool", "root_cohort": "root"}, 1),
    ("kueue_cohort_subtree_quota", {"cohort": "pool"} | FLAVOR, 2),
    ("kueue_cohort_subtree_quota", {"cohort": "root"} | FLAVOR, 2),
    ("kueue_cohort_subtree_resource_reservations", {"cohort": "pool"} | FLAVOR, 3),
    ("kueue_cohort_subtree_resource_reservations", {"cohort": "root"} | FLAVOR, 3),
    ("kueue_cohort_subtree_admitted_active_workloads", {"cohort": "pool"}, 2),
    ("kueue_cohort_subtree_admitted_active_workloads", {"cohort": "root"}, 2),
    ("kueue_quota_reserved_workloads_total", CQ, 2),
    ("kueue_quota_reserved_wait_time_seconds_count", CQ, 2),
    ("kueue_admitted_workloads_total", CQ, 2),
    ("kueue_admission_wait_time_seconds_count", CQ, 2),
    ("kueue_local_queue_quota_reserved_workloads_total", LQ, 2),
    ("kueue_local_queue_quota_reserved_wait_time_seconds_count", LQ, 2),
    ("kueue_local_queue_admitted_workloads_total", LQ, 2),
    ("kueue_local_queue_admission_wait_time_seconds_count", LQ, 2),
]


def of_version(version: str) -> list[tuple[str, dict[str, str], float]]:
    """What a sound Kueue 0.17 exports, which says that it is of a version."""
    lacks = ("kueue_cluster_queue_info", "kueue_cluster_queue_resource_pending")
    rows = [(name, labels, 0.0 if value == math.inf else value) for name, labels, value in SOUND if name not in lacks]
    return [*rows, ("kueue_build_info", {"git_version": version}, 1)]


def page(rows: Sequence[tuple[str, dict[str, str], float]] = SOUND, label: str = END) -> list[Manifest]:
    """Samples as a recording has them."""
    return [
        {"at": 1, "source": "kueue", "label": label, "name": name, "labels": labels, "value": value}
        for name, labels, value in rows
    ]


OBJECTS = [
    cluster_queue(2, pending=1, held=[1, 2], cohort="pool"),
    local_queue(pending=1, held=[1, 2]) | {"status": local_queue(pending=1, held=[1, 2])["status"]},
    kueue.cohort("pool", parent="root"),
    holding("a"),
    holding("b", gpus=2),
    wanting("c", gpus=4),
]
OBJECTS[1]["status"]["conditions"] = conditions(Active="True Ready")


def test_sound_series_pass() -> None:
    """Red when a sound page is refused."""
    assert series.findings(left(*OBJECTS, metrics=page())) == []
    assert timed(left(*OBJECTS, metrics=page())) == []


def test_an_older_version_is_held_to_what_it_exports() -> None:
    """Red when Kueue 0.17 is accused of lacking what came later, or a newer one may lack it."""
    assert series.findings(left(*OBJECTS, metrics=page(of_version("v0.17.1")))) == []
    for newer in ("v0.18.4", "v0.19.2", "main"):
        found = "\n".join(series.findings(left(*OBJECTS, metrics=page(of_version(newer)))))
        assert "kueue_cluster_queue_info of " in found and "kueue_cluster_queue_resource_pending of " in found
        assert "kueue_cluster_queue_borrowing_limit of cluster_queue=cq, flavor=gpu" in found


def test_an_older_version_that_tells_a_limit_which_is_not_set_is_refused() -> None:
    rows = [*of_version("v0.17.1"), ("kueue_cluster_queue_lending_limit", CQ | FLAVOR, 3.0)]
    [found] = series.findings(left(*OBJECTS, metrics=page(rows)))
    assert "lending_limit of cluster_queue=cq" in found and found.endswith("tells 3, recount gives 0")


@pytest.mark.parametrize("index", range(1, len(SOUND)))
@pytest.mark.parametrize("change", [-1.0, 1.0])
def test_every_series_is_recounted(index: int, change: float) -> None:
    """Red when one of the series may tell one more or less than there is."""
    name, labels, value = SOUND[index]
    doctored = [*SOUND[:index], (name, labels, 5.0 if math.isinf(value) else value + change), *SOUND[index + 1 :]]
    found = timed(left(*OBJECTS, metrics=page(doctored)))
    assert any(one.startswith(f"{name} of ") for one in found), found


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("kueue_pending_workloads", {"cluster_queue": "gone", "status": "active"}),
        ("kueue_cluster_queue_nominal_quota", {"cluster_queue": "cq", "flavor": "gone", "resource": GPU}),
        ("kueue_cluster_queue_resource_usage", {"cluster_queue": "gone"} | FLAVOR),
        ("kueue_evicted_workloads_total", CQ | {"reason": "Preempted"}),
        ("kueue_preempted_workloads_total", {"reason": "InClusterQueue"}),
        ("kueue_finished_workloads_total", CQ),
    ],
)
def test_what_is_gone_or_never_was_is_not_told(name: str, labels: dict[str, str]) -> None:
    """Red when series of what does not exist, or did not happen, pass."""
    found = series.findings(left(*OBJECTS, metrics=page([*SOUND, (name, labels, 1.0)])))
    assert len(found) == 1 and found[0].endswith("tells 1, recount gives 0"), found


def test_who_waits_for_pods_may_be_counted_and_nobody_else() -> None:
    """Red when a gauge of who waits may tell more than those who wait for quota or for replacement pods."""
    group = wanting("d")
    group["status"]["conditions"] = conditions(WaitingForReplacementPods="True Preempted")

    def told(waiting: float, *more: Manifest) -> list[str]:
        rows = [
            (name, labels, waiting if name == "kueue_pending_workloads" else value) for name, labels, value in SOUND
        ]
        return series.findings(left(*OBJECTS, *more, metrics=page(rows)))

    assert told(1, group) == told(2, group) == []
    assert told(3, group) == ["kueue_pending_workloads of cluster_queue=cq tells 3, recount gives 1 to 2"]
    assert told(2) == ["kueue_pending_workloads of cluster_queue=cq tells 2, recount gives 1"]


def test_evictions_are_counted_under_their_reason() -> None:
    """Red when evictions are recounted under another reason, or given-up Workloads under their long one."""
    for reason, counted in (("Preempted", "Preempted"), ("DeactivatedDueToRequeuingLimitExceeded", "Deactivated")):
        gone = holding("d")
        gone["status"]["conditions"] = conditions(Evicted=f"True {reason}", Preempted="True InClusterQueue")
        told = [("kueue_evicted_workloads_total", CQ | {"reason": counted}, 1.0)]
        if reason == "Preempted":
            told.append(("kueue_preempted_workloads_total", {"reason": "InClusterQueue"}, 1.0))
        found = series.findings(left(cluster_queue(2), gone, metrics=page([*SOUND[:1], *told])))
        assert [one for one in found if "evicted" in one or "preempted" in one] == []


def test_evictions_of_a_queue_that_was_deleted_are_not_told() -> None:
    """Red when a counter is missed that went with its ClusterQueue, or one that did not go is not."""
    evicted = holding("d")
    evicted["status"]["conditions"] = conditions(Evicted="True Deactivated")
    there = series.findings(left(cluster_queue(2), evicted, metrics=page(SOUND[:1])))
    gone = series.findings(left(evicted, deleted=[cluster_queue(2)], metrics=page(SOUND[:1])))
    told = [[one for one in found if "evicted_workloads" in one] for found in (there, gone)]
    assert (len(told[0]), len(told[1])) == (1, 0), told


def test_counters_of_a_restarted_kueue_are_left_out() -> None:
    """Red when counters that began anew accuse."""
    young: tuple[str, dict[str, str], float] = ("process_start_time_seconds", {}, START / 1e9 + 5)
    rows = [young, *SOUND[1:24]]
    assert series.findings(left(*OBJECTS, metrics=page(rows))) == []


def test_counters_of_a_stopped_local_queue_are_left_out() -> None:
    """Red when counters that Kueue clears with a stop accuse."""
    stopped = kueue.local_queue("lq", "ns", "cq", stop="Hold") | {"status": OBJECTS[1]["status"]}
    again = OBJECTS[1] | {"metadata": OBJECTS[1]["metadata"] | {"uid": "LocalQueue-lq"}}
    found = series.findings(left(OBJECTS[0], stopped, again, *OBJECTS[2:], metrics=page(SOUND[:28])))
    assert [one for one in found if one.startswith("kueue_local_queue_")] == []


def test_nobody_looked() -> None:
    """Red when a recording without such a page, or one that never rested, accuses."""
    assert series.findings(left(*OBJECTS, metrics=page(label="after"))) == []
    assert series.findings(left(*OBJECTS)) == []
    assert series.findings(left(*OBJECTS, metrics=page(SOUND[:3]), notes={"at_rest": False})) == []
