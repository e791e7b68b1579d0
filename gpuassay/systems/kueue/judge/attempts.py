"""Admission attempts as Kueue's scheduler logs them: what its counter of attempts must agree with."""

from __future__ import annotations

from gpuassay.systems.kueue.log import ASSUMED, COMPLETE, HEADS, log_time
from gpuassay.systems.kueue.readings import KueueRecording


def attempts_between(recording: KueueRecording, start_ns: int, end_ns: int) -> dict[str, int]:
    """Scheduling cycles with heads that were completed in a span of time, by result, from the scheduler's log.

    A cycle is an attempt if it obtained heads (Kueue v0.19.2, `pkg/scheduler/scheduler.go` `schedule`); it succeeded
    if it gave quota to one of them. Only a recording of a scenario that was alone holds all cycles.

    Raises:
        LookupError: the recording has no log, so nothing can be told.
    """
    if not recording.kueue_log:
        raise LookupError(f"{recording.name}: no log of the scheduler was recorded")
    counts = {"success": 0, "inadmissible": 0}
    heads: set[int] = set()
    gave: set[int] = set()
    for line in recording.kueue_log:
        number = line.get("schedulingCycle")
        if not isinstance(number, int):
            continue
        message, at = line.get("msg"), log_time(line)
        if message == HEADS:
            heads.add(number)
        elif message == ASSUMED:
            gave.add(number)
        elif message == COMPLETE and number in heads:
            heads.discard(number)
            if at is not None and start_ns <= at <= end_ns:
                counts["success" if number in gave else "inadmissible"] += 1
            gave.discard(number)
    return counts
