"""Workloads per second and time to admission, from a recording of Workload objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gpuassay.manifest import dig, is_true
from gpuassay.stats.quantiles import quantile
from gpuassay.systems.kueue import notes
from gpuassay.systems.kueue.readings import KueueRecording

CLASS = "kueue.x-k8s.io/performance-scheduler-class"
"""Label with the class of a Workload, as Kueue's own runner writes it."""


@dataclass(frozen=True)
class Throughput:
    """What a driver's run amounts to.

    Attributes:
        asked: Workloads that were to be created.
        created: Workloads that were seen.
        finished: Workloads that came to their end.
        wall: seconds from the first Workload seen to the last one finished.
        admission: seconds from first sight to first admission, by class.
        never_admitted: Workloads that were seen and never admitted, by class.
        evictions: losses of quota before the end.
        lags: seconds by which creations were behind their schedule.
    """

    asked: int
    created: int
    finished: int
    wall: float
    admission: Mapping[str, Sequence[float]]
    never_admitted: Mapping[str, int]
    evictions: int
    lags: Sequence[float]

    @property
    def rate(self) -> float:
        """Workloads finished per second."""
        return self.finished / self.wall if self.wall > 0 else 0.0


def throughput(recording: KueueRecording) -> Throughput:
    """Judge a recording whose notes hold `total` of the driver, and its `lags` where it tells them."""
    admission: dict[str, list[float]] = {}
    never: dict[str, int] = {}
    first, last = float("inf"), float("-inf")
    finished = evictions = 0
    histories = list(recording.timelines("Workload").values())
    for history in histories:
        cls = str(dig(history.first, "metadata", "labels", CLASS, default=""))
        seen = history.events[0].at / 1e9
        first = min(first, seen)
        admitted = history.when(lambda obj: is_true(obj, "Admitted"))
        waits = admission.setdefault(cls, [])
        never.setdefault(cls, 0)
        if admitted is None:
            never[cls] += 1
        else:
            waits.append(admitted / 1e9 - seen)
        ended = history.when(lambda obj: is_true(obj, "Finished"))
        if ended is not None:
            finished += 1
            last = max(last, ended / 1e9)
        held = False
        for event in history.events:
            holds = is_true(event.object, "QuotaReserved")
            evictions += held and not holds
            held = holds
    return Throughput(
        asked=recording.note(notes.TOTAL),
        created=len(histories),
        finished=finished,
        wall=max(0.0, last - first),
        admission=admission,
        never_admitted=never,
        evictions=evictions,
        lags=recording.note(notes.LAGS),
    )


def rows(name: str, found: Throughput) -> list[list[Any]]:
    """Table rows: name, class, n, P50, P95, P99 of time to admission (s), never admitted."""
    made: list[list[Any]] = []
    for cls, waits in sorted(found.admission.items()):
        shown = [round(quantile(waits, q), 2) for q in (0.5, 0.95, 0.99)] if waits else [None] * 3
        made.append([name, cls, len(waits) + found.never_admitted[cls], *shown, found.never_admitted[cls]])
    return made
