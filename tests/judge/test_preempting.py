"""The judge of preemption, on recordings that lie."""

from __future__ import annotations

import pytest

from gpuassay.manifest import Manifest
from gpuassay.systems.kueue.judge.preempting import (
    evictions,
    expected_victims,
    gpus_of,
    told_evictions,
    victims_by_name,
)
from gpuassay.systems.kueue.model.preemption import Policy
from gpuassay.systems.kueue.readings import KueueRecording
from gpuassay.workloads import core
from tests.judge.queues import One, asked, queue, shown

LOW, NEW, HIGH = One("low", priority=1), One("new", priority=1), One("high", priority=9)
LOWER = Policy(within_queue="LowerPriority")


def filled(*events: Manifest, stored: int | None = None) -> KueueRecording:
    """Two holders, the second reserved a second later, and a preemptor."""
    ones = [one._replace(stored=stored) for one in (LOW, NEW, HIGH)]
    held = [shown(20, ones[0], 2, QuotaReserved="True R 5"), shown(21, ones[1], 2, QuotaReserved="True R 6")]
    return queue(ones, ["low", "new"], events=[*held, *events])


def gone(ms: float, one: One, rv: int, reason: str = "Preempted") -> Manifest:
    """The Workload is evicted and still holds its quota."""
    return shown(ms, one, rv, QuotaReserved="True R 5", Evicted=f"True {reason} 9")


def test_each_change_to_evicted_counts_once() -> None:
    """Red when a repeated event counts as a second eviction, or a second eviction does not count."""
    back = shown(50, NEW, 5, QuotaReserved="True R 12", Evicted="False QuotaReserved 12")
    recording = filled(gone(30, NEW, 3), gone(40, NEW, 4), back, gone(60, NEW, 6))
    assert [one.workload for one in evictions(recording)] == ["new", "new"]
    assert victims_by_name(recording) == {"new": 2}


def test_only_preemptions_make_victims() -> None:
    """Red when a workload that was evicted for another reason counts as preempted."""
    recording = filled(gone(30, LOW, 3, "ClusterQueueStopped"), gone(31, NEW, 3))
    assert victims_by_name(recording) == {"new": 1}
    assert [one.reason for one in evictions(recording)] == ["ClusterQueueStopped", "Preempted"]


def test_the_expected_victim_is_the_newest() -> None:
    """Red when reservation times are not read."""
    assert expected_victims(filled(), "high", ["low", "new"], 2, LOWER) == ["new"]


def test_expectation_knows_what_was_asked() -> None:
    """Red when a system that lost its priorities is expected to preempt by what is left."""
    assert expected_victims(filled(stored=0), "high", ["low", "new"], 2, LOWER) == ["new"]


def test_expectation_looks_at_the_time_before() -> None:
    """Red when a reservation after the eviction decides about the eviction."""
    later = shown(100, LOW, 3, QuotaReserved="True R 50")
    recording = filled(later)
    assert expected_victims(recording, "high", ["low", "new"], 2, LOWER) == ["low"]
    before = recording.timelines("Workload")["low"].events[-1].at
    assert expected_victims(recording, "high", ["low", "new"], 2, LOWER, before=before) == ["new"]


def test_a_workload_that_was_never_seen_is_named() -> None:
    """Red when a missing preemptor ends in a stack trace instead of its name."""
    blind = KueueRecording.of_parts(asked=[asked(LOW)], events=[])
    with pytest.raises(LookupError, match="no Workload was seen of low"):
        expected_victims(blind, "low", [], 2, LOWER)


def test_gpus_are_counted_over_pods() -> None:
    """Red when the number of pods, or a limit without a request, is not counted."""
    assert gpus_of(core.job("j", "ns", "q", pods=3, gpus=2)) == 6
    assert gpus_of(asked(One("w", gpus=4))) == 4
    assert gpus_of(core.job("cpu", "ns", "q", gpus=None)) == 0


def test_statistics_are_read_by_reason() -> None:
    """Red when evictions for other reasons are counted in."""
    entries = [{"reason": "Preempted", "count": 2}, {"reason": "Deactivated", "count": 5}]
    assert told_evictions({"status": {"schedulingStats": {"evictions": entries}}}) == 2
    assert told_evictions({}) == 0
