"""A restart of Kueue after a scenario: what it changes is found, what it may change is not."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest

from gpuassay.manifest import Manifest
from gpuassay.record.recording import RecordingMeta
from gpuassay.systems.kueue.judge import known, restarted
from gpuassay.systems.kueue.judge.invariants import timed
from gpuassay.systems.kueue.readings import END, RESTARTED, KueueRecording
from tests.judge.rests import cluster_queue, holding, local_queue, wanting
from tests.record.parts import MS, START, conditions, meta

AT = START + 5_000 * MS
OBJECTS = [cluster_queue(2, pending=1, held=[1, 2]), local_queue(pending=1, held=[1, 2]), holding("a"),
           holding("b", gpus=2), wanting("c", gpus=4)]  # fmt: skip


def told(
    *after: Manifest, deleted: Sequence[Manifest] = (), metrics: Sequence[Manifest] = (), restart: int = AT
) -> KueueRecording:
    """A scenario that left `OBJECTS`, a restart, and the objects that changed then."""
    lines = [_line(START + MS * n, "ADDED", obj, n) for n, obj in enumerate(OBJECTS, 1)]
    lines += [_line(AT + MS * n, "MODIFIED", obj, 10 + n) for n, obj in enumerate(after, 1)]
    lines += [_line(AT + MS * n, "DELETED", obj, 20 + n) for n, obj in enumerate(deleted, 1)]
    about: RecordingMeta = meta(notes={"at_rest": True, "restarted_at": restart})
    return KueueRecording.of_parts(about, events=lines, metrics=metrics)


def _line(at: int, change: str, obj: Manifest, version: int) -> Manifest:
    body = copy.deepcopy(obj)
    body["metadata"] |= {
        "resourceVersion": str(version), "uid": f"{obj['kind']}-{obj['metadata']['name']}",
        "creationTimestamp": "2026-11-22T00:00:00Z",
    }  # fmt: skip
    return {"at": at, "type": change, "object": body}


def changed(obj: Manifest, **status: Any) -> Manifest:
    """The object with other fields of its status."""
    return obj | {"status": obj["status"] | status}


def gauge(label: str, value: float, name: str = "kueue_reserving_active_workloads", **labels: str) -> Manifest:
    """A sample."""
    return {
        "at": 1, "source": "kueue", "label": label, "name": name, "value": value,
        "labels": {"cluster_queue": "cq"} | labels,
    }  # fmt: skip


CQ, LQ, A, B, C = OBJECTS
LATER = changed(A, conditions=[one | {"lastTransitionTime": "later"} for one in A["status"]["conditions"]][::-1])


@pytest.mark.parametrize("after", [(), (LATER,), (A, B, C, CQ, LQ)])
def test_the_same_state_passes(after: tuple[Manifest, ...]) -> None:
    """Red when times, or an object that was written anew, accuse."""
    assert restarted.findings(told(*after)) == []


@pytest.mark.parametrize(
    ("recording", "finding"),
    [
        (told(changed(C, conditions=conditions(QuotaReserved="True"))), "changed Workload c"),
        (
            told(changed(A, conditions=conditions(QuotaReserved="True", Admitted="True", Evicted="True x"))),
            "Workload a",
        ),
        (told(changed(CQ, reservingWorkloads=1)), 'ClusterQueue cq: {"reservingWorkloads": 2} became'),
        (told(changed(CQ, conditions=conditions(Active="False Stopped"))), "changed ClusterQueue cq"),
        (told(changed(CQ, pendingWorkloads=0)), "recount gives 1, after a restart of Kueue"),
        (told(changed(LQ, admittedWorkloads=0)), "changed LocalQueue lq"),
        (told(deleted=[B]), "a restart of Kueue removed Workload b"),
        (told(holding("new")), "a restart of Kueue brought Workload new"),
        (told(metrics=[gauge(END, 2), gauge(RESTARTED, 1)]), "moved kueue_reserving_active_workloads"),
        (told(metrics=[gauge(END, 2), gauge(RESTARTED, 2, name="x")]), "from 2 to 0"),
    ],
)
def test_a_change_is_found(recording: KueueRecording, finding: str) -> None:
    """Red when a restart may change what Kueue says or holds."""
    found = timed(recording)
    assert any(finding in one for one in found), found


def test_gauges_of_local_queues_that_fall_to_zero_are_the_known_defect() -> None:
    """Red when the referee does not tell the known defect from others."""
    name = "kueue_local_queue_resource_usage"
    fallen = restarted.findings(told(metrics=[gauge(END, 2, name), gauge(RESTARTED, 0, name)]))
    halved = restarted.findings(told(metrics=[gauge(END, 2, name), gauge(RESTARTED, 1, name)]))
    assert len(fallen) == 1 and known.news(fallen) == [] and known.news(halved) == halved != []


def test_active_and_inadmissible_may_change_places() -> None:
    """Red when what hangs on who was tried last accuses."""
    page = [
        gauge(END, 1, "kueue_pending_workloads", status="inadmissible"),
        gauge(RESTARTED, 1, "kueue_pending_workloads", status="active"),
    ]
    assert restarted.findings(told(metrics=page)) == []
    assert restarted.findings(told(metrics=[page[0], gauge(RESTARTED, 0, "kueue_pending_workloads")])) != []


def test_only_who_waits_for_pods_may_leave_the_count() -> None:
    """Red when a restart may move a count of who waits, or the known defect is not told from others."""
    group = changed(
        wanting("d"), conditions=conditions(QuotaReserved="False", WaitingForReplacementPods="True Preempted")
    )
    name = "kueue_pending_workloads"

    def moved(before: int, after: int, *more: Manifest) -> list[str]:
        lines = [_line(START + 50 * MS, "ADDED", obj, 9) for obj in more]
        about: RecordingMeta = meta(notes={"at_rest": True, "restarted_at": AT})
        lines += [_line(START + MS * n, "ADDED", obj, n) for n, obj in enumerate(OBJECTS, 1)]
        page = [gauge(END, before, name), gauge(RESTARTED, after, name)]
        found = restarted.findings(KueueRecording.of_parts(about, events=lines, metrics=page))
        return [one for one in found if " moved " in one]

    assert len(moved(2, 1, group)) == 1 and known.news(moved(2, 1, group)) == []
    for red in (moved(2, 1), moved(3, 1, group), moved(1, 2, group), moved(2, 1, changed(group, conditions=[]))):
        assert len(red) == 1 and known.news(red) == red


def test_the_scenario_itself_ends_before_the_restart() -> None:
    """Red when judges of the scenario see what the restart brought."""
    seen = told(changed(C, conditions=conditions(QuotaReserved="True")))
    assert seen.timelines("Workload")["c"].final["status"]["conditions"][0]["status"] == "False"
    assert seen.with_restart.timelines("Workload")["c"].final["status"]["conditions"][0]["status"] == "True"


def test_without_a_restart_nothing_is_said() -> None:
    """Red when a recording without a restart is compared with itself."""
    assert restarted.findings(told(changed(CQ, reservingWorkloads=1), restart=0)) == []
