"""Decisions and cycles of Kueue's scheduler, from its JSON log at verbosity 2.

Keys as Kueue v0.19 writes them (pkg/scheduler/scheduler.go): every line of a cycle has `schedulingCycle`; "Obtained
heads" has `headCount` and `waitDuration` (seconds, time blocked on empty queues); "Workload assumed in the cache" has
`workload` with `namespace` and `name`; "Scheduling cycle complete" has `duration` (seconds, the wait included).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from gpuassay.manifest import Manifest, dig

HEADS = "Obtained heads"
ASSUMED = "Workload assumed in the cache"
COMPLETE = "Scheduling cycle complete"

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")


@dataclass(frozen=True)
class Admission:
    """A quota reservation.

    Attributes:
        at_ns: time of the decision (log) or of its receipt (watch), ns since the epoch; None where a line has no time.
        cycle: scheduling cycle, or None where only the watch is known.
        workload: the Workload's name.
        namespace: the Workload's namespace.
        cluster_queue: the ClusterQueue.
    """

    at_ns: int | None
    cycle: int | None
    workload: str
    namespace: str
    cluster_queue: str = ""


@dataclass
class Cycle:
    """One scheduling cycle.

    Attributes:
        number: Kueue's count; starts again at 1 when Kueue does.
        heads: Workloads looked at, or None where that line is missing.
        wait_s: seconds blocked on empty queues.
        duration_s: seconds of work (the wait not included), or None for a cycle whose end was not logged.
        admitted: (namespace, name) of what got quota, in order.
    """

    number: int
    heads: int | None = None
    wait_s: float = 0.0
    duration_s: float | None = None
    admitted: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    @property
    def result(self) -> Literal["success", "inadmissible"]:
        """As the label of Kueue's own histogram: success if anything got quota (a preempting cycle has not)."""
        return "success" if self.admitted else "inadmissible"


def log_time(line: Manifest) -> int | None:
    """A log line's time in ns since the epoch (RFC 3339 with up to nine digits), or None."""
    match = _TIME.fullmatch(str(line.get("ts", "")))
    if match is None:
        return None
    seconds = datetime.fromisoformat(match[1] + match[3].replace("Z", "+00:00")).astimezone(UTC).timestamp()
    return int(seconds) * 1_000_000_000 + int((match[2] or "0").ljust(9, "0"))


def admissions(lines: Iterable[Manifest]) -> list[Admission]:
    """All decisions to reserve quota, in log order."""
    return [
        Admission(
            at_ns=log_time(line),
            cycle=dig(line, "schedulingCycle"),
            workload=str(dig(line, "workload", "name", default="")),
            namespace=str(dig(line, "workload", "namespace", default="")),
            cluster_queue=str(dig(line, "clusterQueue", "name", default="")),
        )
        for line in lines
        if line.get("msg") == ASSUMED
    ]


def cycles(lines: Iterable[Manifest]) -> list[Cycle]:
    """All cycles that looked at a Workload, in log order."""
    found: list[Cycle] = []
    running: dict[int, Cycle] = {}
    for line in lines:
        number = line.get("schedulingCycle")
        message = line.get("msg")
        if not isinstance(number, int) or message not in (HEADS, ASSUMED, COMPLETE):
            continue
        if message == HEADS or (message == ASSUMED and number not in running):
            running[number] = Cycle(number)
            found.append(running[number])
        if number not in running:
            continue  # the end of a cycle whose beginning was before the window, or that found no heads
        cycle = running[number]
        if message == HEADS:
            cycle.heads = int(line.get("headCount", 0))
            cycle.wait_s = float(line.get("waitDuration", 0.0))
        elif message == ASSUMED:
            workload = dig(line, "workload", default={})
            cycle.admitted.append((str(workload.get("namespace", "")), str(workload.get("name", ""))))
        else:
            if cycle.heads is not None:
                cycle.duration_s = float(line["duration"]) - cycle.wait_s
            del running[number]
    return found
