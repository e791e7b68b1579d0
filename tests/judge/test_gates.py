"""Doctored pods and Workloads that the judge of scheduling gates must see through."""

from __future__ import annotations

import pytest

from gpuassay.manifest import Manifest
from gpuassay.record.recording import Timeline
from gpuassay.systems.kueue.judge.gates import ADMISSION_GATE, bound, gate_findings, gated, pod_set_shapes
from gpuassay.systems.kueue.readings import KueueRecording
from tests.record.parts import conditions, event, meta

GATE = [{"name": ADMISSION_GATE}]


def story(*, first_gates: list[Manifest], opened: int | None, placed: int | None, admitted: int | None) -> list[str]:
    """Findings for a pod created at version 1; the numbers are the versions of what happened to it."""
    changes: dict[int, Manifest] = {}
    if opened is not None:
        changes[opened] = {}
    if placed is not None:
        changes[placed] = {"nodeName": "n"}
    events = [event(1, "ADDED", "Pod", "p", 1, spec={"schedulingGates": first_gates})]
    for version, spec in sorted(changes.items()):
        closed = opened is None or version < opened
        events.append(
            event(version, "MODIFIED", "Pod", "p", version, spec=spec | ({"schedulingGates": GATE} if closed else {}))
        )
    events.append(event(1, "ADDED", "Workload", "w", 2))
    if admitted is not None:
        events.append(event(2, "MODIFIED", "Workload", "w", admitted, conditions=conditions(Admitted="True")))
    recording = KueueRecording.of_parts(meta(), events=events)
    return gate_findings(recording.timelines("Pod")["p"], recording.timelines("Workload")["w"])


def test_a_pod_that_is_freed_after_admission_is_fine() -> None:
    assert story(first_gates=GATE, opened=5, placed=6, admitted=4) == []


def test_a_pod_that_waits_with_its_workload_is_fine() -> None:
    assert story(first_gates=GATE, opened=None, placed=None, admitted=None) == []


@pytest.mark.parametrize(
    ("first", "opened", "placed", "admitted", "part"),
    [
        ([], 5, 6, 4, "from the start, seen none"),
        (GATE, 3, 6, 4, "removed before its Workload was admitted"),
        (GATE, 5, 6, None, "never admitted"),
        (GATE, None, None, 4, "never removed"),
        (GATE, 5, 3, 2, "it had a node before"),
        ([{"name": "example.com/other"}], 5, 6, 4, "from the start, seen none"),
    ],
)
def test_each_doctored_pod_is_found(
    first: list[Manifest], opened: int | None, placed: int | None, admitted: int | None, part: str
) -> None:
    found = story(first_gates=first, opened=opened, placed=placed, admitted=admitted)
    assert any(part in one for one in found), found


def test_a_freed_pod_without_a_workload_is_found() -> None:
    events = [
        event(1, "ADDED", "Pod", "p", 1, spec={"schedulingGates": GATE}),
        event(2, "MODIFIED", "Pod", "p", 2, spec={}),
    ]
    pod: Timeline = KueueRecording.of_parts(meta(), events=events).timelines("Pod")["p"]
    assert any("never admitted" in one for one in gate_findings(pod, None))


def test_gate_and_node_are_read_from_the_pod() -> None:
    assert gated({"spec": {"schedulingGates": GATE}}) and not gated({"spec": {}})
    assert bound({"spec": {"nodeName": "n"}}) and not bound({"spec": {}})


def test_shapes_count_requests_and_limits() -> None:
    def pod_set(count: int, resources: Manifest) -> Manifest:
        return {"name": "x", "count": count, "template": {"spec": {"containers": [{"resources": resources}]}}}

    workload: Manifest = {"spec": {"podSets": [
        pod_set(2, {"requests": {"gpu": "2"}}), pod_set(1, {}), pod_set(3, {"limits": {"gpu": "1"}}),
    ]}}  # fmt: skip
    assert pod_set_shapes(workload, "gpu") == [(1, "0"), (2, "2"), (3, "1")]
