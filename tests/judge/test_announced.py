"""Events about Workloads: each turn is told, or the referee says that it is not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gpuassay.manifest import Manifest
from gpuassay.systems.kueue.judge import announced
from gpuassay.systems.kueue.judge.invariants import timed
from tests.judge.rests import holding, left, wanting
from tests.record.parts import conditions


def event(reason: str, *, uid: str = "Workload-a") -> Manifest:
    """An Event about the Workload."""
    return {
        "kind": "Event", "metadata": {"name": f"{uid}.{reason}", "namespace": "ns"}, "reason": reason,
        "regarding": {"kind": "Workload", "name": "a", "uid": uid},
    }  # fmt: skip


def turned(workload: Manifest) -> Manifest:
    """The same Workload, in another state."""
    return workload | {"metadata": workload["metadata"] | {"uid": "Workload-a"}}


HELD = turned(holding("a"))
GONE = turned(holding("a"))
GONE["status"] = HELD["status"] | {
    "conditions": conditions(QuotaReserved="True", Admitted="True", Evicted="True Preempted", Preempted="True x")
}
EVICTED = ("EvictedDueToPreempted", "Preempted")


@pytest.mark.parametrize(
    ("states", "events", "silent"),
    [
        ([wanting("a"), HELD], ["QuotaReserved", "Admitted"], []),
        ([wanting("a"), HELD], ["QuotaReserved"], ["Admitted"]),
        ([wanting("a"), HELD], ["Admitted"], ["QuotaReserved"]),
        ([HELD, GONE], ["QuotaReserved", "Admitted", *EVICTED], []),
        ([HELD, GONE], ["QuotaReserved", "Admitted", "Preempted"], ["EvictedDueToPreempted"]),
        ([HELD, GONE], ["QuotaReserved", "Admitted", "EvictedDueToPodsReadyTimeout", "Preempted"], EVICTED[:1]),
        ([HELD, GONE], ["QuotaReserved", "Admitted", EVICTED[0]], ["Preempted"]),
    ],
)
def test_every_turn_is_told(states: list[Manifest], events: list[str], silent: Sequence[str]) -> None:
    """Red when a reservation, an admission or an eviction may go untold."""
    recording = left(*(turned(one) for one in states), *map(event, events))
    assert announced.findings(recording) == [f"no Event {one} tells of what happened to Workload a" for one in silent]


def test_events_of_another_do_not_count() -> None:
    """Red when an Event about an earlier Workload of the same name will do."""
    other = [event(one, uid="older") for one in ("QuotaReserved", "Admitted")]
    assert any("no Event Admitted" in one for one in timed(left(HELD, *other)))


def test_nobody_is_accused_without_events() -> None:
    """Red when a recording without Events, or of a Kueue that was killed, accuses."""
    assert announced.findings(left(HELD)) == []
    assert announced.findings(left(HELD, event("Pending"), notes={"marks": {"killed": 1}})) == []
    assert announced.findings(left(HELD, event("Pending"), notes={"at_rest": False})) == []
