"""The judge of the order of decisions, on recordings that lie."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuassay.record.recording import RecordingError
from gpuassay.systems.kueue.judge.queueing import (
    asked_priority,
    decided_before,
    decisions,
    order_findings,
    unwitnessed_findings,
)
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.systems.kueue.readings import KueueRecording
from gpuassay.workloads import core
from tests.judge.queues import One, queue, shown
from tests.record.parts import START

ONES = [One("a", "u3"), One("b", "u1"), One("c", "u2", priority=5), One("d", "u0", created=1)]
RIGHT = ["c", "b", "a", "d"]


def test_the_right_order_passes() -> None:
    """Red when the judge accuses a healthy queue."""
    assert order_findings(queue(ONES, RIGHT)) == []


@pytest.mark.parametrize(
    ("order", "told"),
    [
        (["b", "c", "a", "d"], "decision 1 of 4: expected c (priority 5"),
        (["c", "a", "b", "d"], "decision 2 of 4: expected b"),
        (["c", "b", "d", "a"], "decision 3 of 4: expected a"),
        (["c", "b", "a"], "never given quota: d"),
        (["c", "a", "b"], "decision 2 of 3: expected b"),
        (["a", "b"], "decision 1 of 2: expected b"),
        (["c", "b", "a", "d", "b"], "decided on more than once: b"),
        ([], "never given quota: a, b, c, d"),
    ],
)
def test_a_wrong_order_is_told(order: list[str], told: str) -> None:
    """Red when priority, creation second, UID, completeness or repetition is not looked at."""
    findings = order_findings(queue(ONES, order))
    assert any(told in finding for finding in findings), findings


def test_nothing_that_was_asked_for_has_no_order() -> None:
    """Red when an empty recording, or one without the workloads that are named, passes as in order."""
    assert order_findings(queue([], [])) == ["0 workloads were asked for, expected some"]
    assert "0 workloads were asked for, expected 2" in order_findings(queue(ONES, RIGHT), ["x", "y"])
    assert "1 workloads were asked for, expected 2" in order_findings(queue(ONES, RIGHT), ["a", "y"])


def test_a_decision_that_the_watch_never_showed_is_told() -> None:
    """Red when the lack of an eviction is believed of a watch that shows nothing."""
    shows = [shown(20 + n, one, 2, QuotaReserved="True QuotaReserved 5") for n, one in enumerate(ONES)]
    assert unwitnessed_findings(queue(ONES, RIGHT, events=shows)) == []
    (told,) = unwitnessed_findings(queue(ONES, RIGHT, events=shows[1:]))
    assert told == "Workload a got quota by the log, and the watch never showed it"
    assert unwitnessed_findings(queue(ONES, [])) == ["no decision was made on any workload"]


def test_the_stored_priority_does_not_count() -> None:
    """Red when a system that lost a priority is judged by what it lost."""
    lost = [one._replace(stored=0) for one in ONES]
    assert order_findings(queue(lost, ["b", "c", "a", "d"])), "the order without priorities must be refused"
    assert not order_findings(queue(lost, RIGHT))


def test_a_job_without_workload_is_told() -> None:
    """Red when a job that runs unmanaged is forgotten."""
    healthy = queue(ONES, RIGHT)
    recording = KueueRecording.of_parts(
        healthy.meta,
        asked=[*healthy.asked, core.job("lost", "ns", "queue")],
        log=healthy.kueue_log,
        events=[{"at": e.at, "type": e.type, "object": e.object} for e in healthy.events],
    )
    assert "5 were asked for, 4 Workloads were seen" in order_findings(recording)


def test_decisions_of_other_scenarios_do_not_count() -> None:
    """Red when a cycle that decided on two scenarios' workloads at once confuses the judge."""
    recording = queue(ONES, ["a", *RIGHT], namespaces={"a": "elsewhere"})
    assert decisions(recording) == ["c", "b", "d"]


def test_decided_before_a_moment() -> None:
    """Red when a decision before a release goes unnoticed; and when a mark that is missing counts as never."""
    recording = queue(ONES, RIGHT, notes={"marks": {"released q": START + 2_500_000_000}})
    assert decided_before(recording, recording.mark("released q")) == ["c", "b"]
    with pytest.raises(RecordingError, match="no mark 'killed'; there are: released q"):
        recording.mark("killed")


def test_whose_priority_counts() -> None:
    """Red when the pods' PriorityClass goes before the workload's class, or a class that does not exist counts."""
    pod_class = {"kind": "PriorityClass", "metadata": {"name": "pods"}, "value": 7}
    recording = KueueRecording.of_parts(asked=[kueue.priority_class("high", 100), pod_class])
    both = core.job("both", "ns", "q", priority="high", priorityClassName="pods")
    assert asked_priority(recording, both) == 100
    assert asked_priority(recording, core.job("pods", "ns", "q", priorityClassName="pods")) == 7
    assert asked_priority(recording, core.job("none", "ns", "q", priority="missing")) == 0


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.permutations(range(4)))
def test_exactly_one_order_passes(places: list[int]) -> None:
    """Red when any other order of four workloads is let through."""
    order = [RIGHT[place] for place in places]
    assert (order_findings(queue(ONES, order)) == []) is (order == RIGHT)
