"""The queue-order oracle."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuassay.systems.kueue.model.order import (
    Decision,
    QueuedWorkload,
    Wait,
    from_workload,
    heap_key,
    heap_order,
    inversions,
)

QUIET = settings(derandomize=True, deadline=None, max_examples=80)


@st.composite
def queues(draw: st.DrawFn) -> list[QueuedWorkload]:
    """Workloads with distinct UIDs and many ties in everything else; at most one is sticky."""
    uids = draw(st.lists(st.text("0123456789abcdef", min_size=1, max_size=4), unique=True, min_size=1, max_size=12))
    sticky = draw(st.integers(-1, len(uids) - 1))
    return [
        QueuedWorkload(
            f"w{i}",
            uid,
            draw(st.integers(-1, 2)),
            draw(st.integers(0, 3)),
            draw(st.none() | st.integers(0, 5)),
            i == sticky,
        )
        for i, uid in enumerate(uids)
    ]


@QUIET
@given(queues(), st.randoms(use_true_random=False))
def test_order_does_not_depend_on_submission(workloads: list[QueuedWorkload], source: random.Random) -> None:
    """Red when two workloads compare equal, so that the sort keeps the order of input."""
    shuffled = list(workloads)
    source.shuffle(shuffled)
    assert heap_order(shuffled) == heap_order(workloads)
    assert len({heap_key(w) for w in workloads}) == len(workloads)


@QUIET
@given(queues())
def test_neighbours_stand_in_the_documented_order(workloads: list[QueuedWorkload]) -> None:
    """Red when any of sticky, priority, timestamp and UID is left out, reversed or weighed in another order."""
    by_name = {w.name: w for w in workloads}
    ordered = [by_name[name] for name in heap_order(workloads)]
    for a, b in pairwise(ordered):
        if a.sticky or b.sticky:
            assert a.sticky
        elif a.priority != b.priority:
            assert a.priority > b.priority
        elif a.timestamp != b.timestamp:
            assert a.timestamp < b.timestamp
        else:
            assert a.uid < b.uid


def workload(**status: Any) -> dict[str, Any]:
    """A Workload as the API gives it."""
    return {
        "metadata": {"name": "job-a", "uid": "u1", "creationTimestamp": "2026-11-21T10:00:07Z"},
        "spec": {"priority": 5},
        "status": status,
    }


@pytest.mark.parametrize(
    ("reason", "status", "moved"),
    [
        ("PodsReadyTimeout", "True", True),
        ("AdmissionCheck", "True", True),
        ("Preempted", "True", False),
        ("PodsReadyTimeout", "False", False),
    ],
)
def test_only_two_evictions_move_the_timestamp(reason: str, status: str, moved: bool) -> None:
    """Red when a preempted workload loses its place, or an eviction that is over still counts."""
    evicted = {"type": "Evicted", "status": status, "reason": reason, "lastTransitionTime": "2026-11-21T10:00:09Z"}
    found = from_workload(workload(conditions=[evicted]))
    assert (found.name, found.uid, found.priority) == ("job-a", "u1", 5)
    assert found.timestamp - found.created == (2 if moved else 0)


def test_a_workload_without_priority_has_priority_zero() -> None:
    """Red when a missing or null priority is an error or sorts first."""
    bare = workload()
    bare["spec"] = {"priority": None}
    assert from_workload(bare).priority == 0


@pytest.mark.parametrize("broken", [{}, {"metadata": {"name": "x"}}, {"metadata": None}])
def test_a_workload_without_identity_is_refused(broken: dict[str, Any]) -> None:
    """Red when a truncated object is read as one created at the epoch."""
    with pytest.raises(ValueError, match="lacks"):
        from_workload(broken)


def test_a_time_without_zone_is_refused() -> None:
    """Red when a local time is taken for UTC."""
    odd = workload()
    odd["metadata"]["creationTimestamp"] = "2026-11-21T10:00:07"
    with pytest.raises(ValueError, match="zone"):
        from_workload(odd)


FIRST = QueuedWorkload("first", "a", 0, 1)
SECOND = QueuedWorkload("second", "b", 0, 2)


def test_an_admission_that_jumps_the_queue_is_found() -> None:
    """Red when a swapped pair of admissions passes as ordered."""
    waits = [Wait(FIRST, 1.0, 6.0), Wait(SECOND, 2.0, 5.0)]
    found = inversions([Decision(SECOND, 5.0), Decision(FIRST, 6.0)], waits)
    assert [(i.admitted, i.passed) for i in found] == [("second", ("first",))]
    assert inversions([Decision(FIRST, 5.0), Decision(SECOND, 6.0)], [Wait(FIRST, 1, 5), Wait(SECOND, 2, 6)]) == []


def test_a_workload_that_never_got_quota_was_passed_too() -> None:
    """Red when only admitted workloads are looked at: starvation would be invisible."""
    assert inversions([Decision(SECOND, 5.0)], [Wait(FIRST, 1.0), Wait(SECOND, 2.0, 5.0)])


def test_best_effort_may_pass_what_asks_for_more_but_strict_may_not() -> None:
    """Red when the strategies are judged alike."""
    waits = [Wait(FIRST, 1.0, None, request=2), Wait(SECOND, 2.0, 5.0)]
    assert inversions([Decision(SECOND, 5.0)], waits, "BestEffortFIFO") == []
    assert len(inversions([Decision(SECOND, 5.0)], waits, "StrictFIFO")) == 1


def test_a_workload_seen_just_before_the_decision_was_not_passed() -> None:
    """Red when the race between watch and scheduler counts as an inversion."""
    waits = [Wait(FIRST, 4.97, 6.0), Wait(SECOND, 2.0, 5.0)]
    assert inversions([Decision(SECOND, 5.0)], waits) == []
    assert len(inversions([Decision(SECOND, 5.0)], waits, grace=0.01)) == 1
