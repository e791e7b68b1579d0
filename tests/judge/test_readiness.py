"""Times of jobs that wait for their pods."""

from __future__ import annotations

from typing import Any

import pytest

from gpuassay.manifest import Manifest
from gpuassay.systems.kueue.judge.readiness import (
    backoffs,
    condition_reasons,
    held_s,
    require_in_time,
    require_recovered_in_time,
    reservations,
)
from gpuassay.systems.kueue.readings import KueueRecording
from gpuassay.verdict import Inconclusive

BASE = 1_767_225_600  # 2026-01-01T00:00:00Z


def at(second: int) -> str:
    """A time stamp so many seconds into 2026."""
    return f"2026-01-01T00:00:{second:02d}Z"


def version(second: int, *conditions: tuple[str, str, str, int], requeue: tuple[int, int] | None = None) -> Manifest:
    """The Workload of job "slow" with conditions (type, status, reason, second) and requeueState (count, second)."""
    status: dict[str, Any] = {
        "conditions": [
            {"type": kind, "status": state, "reason": reason, "lastTransitionTime": at(when)}
            for kind, state, reason, when in conditions
        ]
    }
    if requeue:
        status["requeueState"] = {"count": requeue[0], "requeueAt": at(requeue[1])}
    owner = {"kind": "Job", "name": "slow", "uid": "j"}
    obj: Manifest = {"kind": "Workload", "metadata": {"name": "w", "uid": "w", "ownerReferences": [owner]}}
    return {"at": (BASE + second) * 1_000_000_000, "type": "MODIFIED", "object": obj | {"status": status}}


def pod(second: int, *, ready: bool) -> Manifest:
    """The pod of job "slow"."""
    marks = {"batch.kubernetes.io/job-name": "slow"}
    told = [{"type": "Ready", "status": str(ready), "lastTransitionTime": at(second)}]
    obj: Manifest = {
        "kind": "Pod",
        "metadata": {"name": "p", "uid": "p", "labels": marks},
        "status": {"conditions": told},
    }
    return {"at": (BASE + second) * 1_000_000_000, "type": "MODIFIED", "object": obj}


ADMITTED = (("QuotaReserved", "True", "QuotaReserved", 1), ("Admitted", "True", "Admitted", 1))
EVICTED = ("Evicted", "True", "PodsReadyTimeout", 7)


def test_a_story_is_read() -> None:
    """One try, one eviction, one back-off, another try."""
    again = (("QuotaReserved", "True", "QuotaReserved", 9), ("Evicted", "False", "QuotaReserved", 9))
    seen = KueueRecording.of_parts(
        events=[
            version(1, *ADMITTED, ("PodsReady", "False", "WaitForStart", 1)),
            version(7, *ADMITTED, EVICTED, requeue=(1, 8)),
            version(8, ("QuotaReserved", "False", "Pending", 8), EVICTED, requeue=(1, 8)),
            version(9, *again),
        ]
    )
    assert [(one.count, one.wait_s) for one in backoffs(seen, "slow")] == [(1, 1)]
    assert held_s(seen, "slow") == [6]
    assert reservations(seen, "slow") == [BASE + 1, BASE + 9]
    assert condition_reasons(seen, "slow") == [("False", "WaitForStart")]


def test_who_was_ready_in_time_is_judged() -> None:
    """A pod that is ready in time, and one that never is, leave the verdict to the judge."""
    require_in_time(KueueRecording.of_parts(events=[version(1, *ADMITTED), pod(3, ready=True)]), "slow", 6)
    require_in_time(KueueRecording.of_parts(events=[version(1, *ADMITTED), pod(3, ready=False)]), "slow", 6)
    require_in_time(KueueRecording.of_parts(events=[version(1, *ADMITTED)]), "slow", 6)


def test_a_late_pod_says_nothing() -> None:
    """A pod that was ready only in the last second of the timeout makes the recording inconclusive."""
    with pytest.raises(Inconclusive, match="too late"):
        require_in_time(KueueRecording.of_parts(events=[version(1, *ADMITTED), pod(7, ready=True)]), "slow", 6)


def recovery(back: int | None) -> KueueRecording:
    """A job that loses readiness in second 5, and whose pod is ready again in second `back`."""
    story = [version(1, *ADMITTED), pod(2, ready=True), pod(4, ready=False)]
    story.append(version(5, *ADMITTED, ("PodsReady", "False", "WaitForRecovery", 5)))
    return KueueRecording.of_parts(events=[*story, *([] if back is None else [pod(back, ready=True)])])


@pytest.mark.parametrize("back", [6, None], ids=["in time", "never"])
def test_a_recovery_that_could_be_seen_is_judged(back: int | None) -> None:
    """Red when a pod that is ready again in time, or never, is laid at the machine's door."""
    require_recovered_in_time(recovery(back), "slow", 3)


def test_a_late_recovery_says_nothing() -> None:
    """Red when a pod that was ready again after Kueue could be told in time refutes Kueue."""
    with pytest.raises(Inconclusive, match="ready again"):
        require_recovered_in_time(recovery(8), "slow", 3)


def test_without_a_workload_there_is_no_story() -> None:
    """A job whose Workload was never seen is named."""
    with pytest.raises(LookupError, match="slow"):
        held_s(KueueRecording.of_parts(), "slow")
