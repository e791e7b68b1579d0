"""How long jobs on slices took, with and without what Kubernetes itself takes, and what the twin gives for them.

Run times are scaled down, Kubernetes' own latencies are not: binding, starting and ending a container take seconds
whatever it does. So two times are told of every job. *Gross*: creation of the Job to its Complete condition. *Net*:
the same jobs on the same slots in the same order, as they were seen, if Kubernetes took no time:

    start(j) = max(arrival(j), end(i) of every job i before j on a slot of j),  end(j) = start(j) + run time(j)
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from gpuassay.gpus import GpuModel
from gpuassay.stats.quantiles import quantile
from gpuassay.systems.slices.judge.performance import Stay, at_once, slots
from gpuassay.systems.slices.model.slices import Completion, SliceJob, Slicer, completion, simulate

DRAWS = 100
"""Orders among waiting jobs that the twin tries: Kubernetes promises none."""


@dataclass(frozen=True)
class Times:
    """Completion times (s), the most jobs at once, and first creation to last end (s)."""

    completion: Completion
    peak: int
    makespan: float


def gross(found: Sequence[Stay]) -> Times:
    """As Kubernetes told it. Raises ValueError where no job completed."""
    done = [(one.created, one.completed) for one in found if one.completed is not None]
    times = completion([end - begin for begin, end in done])
    return Times(times, at_once(found), max(end for _, end in done) - min(begin for begin, _ in done))


def net_spans(found: Sequence[Stay], gpus: Sequence[GpuModel]) -> dict[str, tuple[float, float]]:
    """When each job would have begun and ended had Kubernetes taken no time (s), by job; of those that stood."""
    free: dict[tuple[int, int], float] = {}
    spans: dict[str, tuple[float, float]] = {}
    standing = [(one.scheduled, one, one.place) for one in found if one.scheduled is not None and one.place is not None]
    for _, one, place in sorted(standing, key=lambda entry: entry[0]):
        mine = slots(place, gpus)
        start = max([one.job.arrival, *(free.get(slot, 0.0) for slot in mine)])
        spans[one.job.name] = start, start + one.job.run
        free |= dict.fromkeys(mine, start + one.job.run)
    return spans


def net(found: Sequence[Stay], gpus: Sequence[GpuModel]) -> Times:
    """Had Kubernetes taken no time. Raises ValueError where no job stood anywhere."""
    spans = net_spans(found, gpus)
    arrivals = {one.job.name: one.job.arrival for one in found if one.job.name in spans}
    times = completion([spans[name][1] - arrival for name, arrival in arrivals.items()])
    edges = sorted([(start, 1) for start, _ in spans.values()] + [(end, -1) for _, end in spans.values()])
    levels = accumulate(change for _, change in edges)
    makespan = max(end for _, end in spans.values()) - min(arrivals.values())
    return Times(times, max(levels), makespan)


@dataclass(frozen=True)
class Latencies:
    """What Kubernetes took, as medians (s).

    Attributes:
        decide: creation to decision, of jobs that did not wait.
        start: decision to running.
        complete: the container's end as seen to Complete.
        hand_over: a job's end to the next one's decision on the same slots; None where nobody waited.
    """

    decide: float
    start: float
    complete: float
    hand_over: float | None


def latencies(found: Sequence[Stay], gpus: Sequence[GpuModel]) -> Latencies:
    """Measured in this recording. Raises statistics.StatisticsError where nothing ran."""
    last: dict[tuple[int, int], float] = {}
    decide: list[float] = []
    hand_over: list[float] = []
    for one in sorted((one for one in found if one.scheduled is not None), key=lambda one: one.scheduled or 0.0):
        assert one.scheduled is not None
        mine = slots(one.place, gpus) if one.place is not None else frozenset[tuple[int, int]]()
        before = [last[slot] for slot in mine if slot in last]
        if before and max(before) > one.created:
            hand_over.append(one.scheduled - max(before))
        elif not before:
            decide.append(one.scheduled - one.created)
        if one.ended is not None:
            last |= dict.fromkeys(mine, one.ended)
    ran = [one for one in found if one.running is not None and one.scheduled is not None]
    over = [one.completed - one.ended for one in found if one.completed is not None and one.ended is not None]
    return Latencies(
        statistics.median(decide),
        statistics.median((one.running or 0.0) - (one.scheduled or 0.0) for one in ran),
        statistics.median(over),
        statistics.median(hand_over) if hand_over else None,
    )


@dataclass(frozen=True)
class Expected:
    """The twin's runs of the same jobs, one for each order that it tried."""

    runs: tuple[Times, ...]

    def interval(self, of: Callable[[Times], float], margin: float = 0.0) -> tuple[float, float]:
        """From the 2.5th to the 97.5th percentile of a figure, each end moved out by a share `margin`."""
        values = [of(one) for one in self.runs]
        return quantile(values, 0.025) * (1 - margin), quantile(values, 0.975) * (1 + margin)


def expected(jobs: Sequence[SliceJob], slicer: Callable[[], Slicer], draws: int = DRAWS) -> Expected:
    """What the twin gives for `jobs` when those that wait are tried in `draws` random orders."""
    found: list[Times] = []
    for seed in range(draws):
        run = simulate(jobs, slicer(), shuffle=random.Random(seed))
        found.append(Times(completion([one.completion for one in run.runs]), run.peak, run.makespan))
    return Expected(tuple(found))


def bias(gross_pair: tuple[float, float], net_pair: tuple[float, float]) -> float:
    """What latencies add to the difference of two arms, as a share of their net difference; infinite for none."""
    effect = net_pair[1] - net_pair[0]
    return abs((gross_pair[1] - gross_pair[0]) - effect) / abs(effect) if effect else float("inf")
