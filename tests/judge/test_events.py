"""Events must be about the very object, of the right reason and type."""

from __future__ import annotations

import pytest

from gpuassay.manifest import Manifest
from gpuassay.systems.kueue.judge.events import missing_events
from gpuassay.systems.kueue.readings import KueueRecording
from tests.record.parts import event, meta

JOB = event(1, "ADDED", "Job", "j", 1)
WORKLOAD = event(2, "ADDED", "Workload", "w", 2, owner="j")
EXPECTED = [("Workload of j", "Admitted", "Normal")]


def told(**changes: str) -> Manifest:
    about = {"kind": "Workload", "namespace": "ns", "name": "w", "uid": "u-Workload-w"}
    rest = {"reason": "Admitted", "type": "Normal"}
    regarding = about | {key: value for key, value in changes.items() if key in about}
    more: Manifest = rest | {key: value for key, value in changes.items() if key in rest}
    return event(3, "ADDED", "Event", "e", 3, regarding=regarding, **more)


def judged(*events: Manifest, expected: list[tuple[str, str, str]] = EXPECTED) -> list[str]:
    return missing_events(KueueRecording.of_parts(meta(), events=[JOB, WORKLOAD, *events]), expected)


def test_an_event_of_the_very_object_is_enough_and_may_come_often() -> None:
    assert judged(told()) == []
    assert judged(told(), told(), told(reason="Pending", type="Warning")) == []


@pytest.mark.parametrize(
    "other",
    [
        {"uid": "u-another"}, {"name": "v"}, {"namespace": "other"}, {"kind": "Job"},
        {"reason": "Pending"}, {"type": "Warning"},
    ],
)  # fmt: skip
def test_an_event_of_something_else_does_not_count(other: dict[str, str]) -> None:
    [found] = judged(told(**other))
    assert found.startswith("expected a Normal event Admitted of Workload of j, seen ")


def test_an_object_that_is_not_there_is_said_to_be_missing() -> None:
    assert judged(expected=[("Job x", "Started", "Normal"), ("Workload of x", "Admitted", "Normal")]) == [
        "expected an event Started of Job x, but there is no such object",
        "expected an event Admitted of Workload of x, but there is no such object",
    ]
