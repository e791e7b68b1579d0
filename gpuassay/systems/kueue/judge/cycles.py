"""Scheduling cycles of a measurement: exact durations from the log, beside the histogram that Kueue exports."""

from __future__ import annotations

import bisect
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gpuassay.manifest import Manifest, dig
from gpuassay.stats.quantiles import BucketQuantile, bucket_quantile, quantile
from gpuassay.systems.kueue import log as kueuelog
from gpuassay.systems.kueue.log import Cycle
from gpuassay.systems.kueue.readings import KueueRecording

HISTOGRAM = "kueue_admission_attempt_duration_seconds"

EDGES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, math.inf)
"""Upper edges of that histogram (s): the Prometheus client's defaults, made for web requests."""

RESULTS = ("success", "inadmissible")
QUANTILES = (0.5, 0.95, 0.99)


def complete(lines: Iterable[Manifest]) -> list[Cycle]:
    """Cycles that looked at a Workload and came to their end."""
    return [cycle for cycle in kueuelog.cycles(lines) if cycle.duration_s is not None]


def own_cycles(scheduler: KueueRecording, arm: KueueRecording) -> tuple[list[Cycle], int]:
    """The cycles in which only this arm's Workloads were heads, and how many it shared with other arms.

    A cycle takes one head of every ClusterQueue that has one, so arms on one Kueue meet in a cycle now and then; what
    such a cycle took belongs to neither. `scheduler` is the recording with the cycles of all arms.
    """
    mine = set(arm.meta.namespaces)
    seen: dict[int, set[str]] = defaultdict(set)
    for line in scheduler.kueue_log:
        number, namespace = line.get("schedulingCycle"), dig(line, "workload", "namespace")
        if isinstance(number, int) and namespace:
            seen[number].add(str(namespace))
    cycles = [cycle for cycle in complete(scheduler.kueue_log) if seen[cycle.number] & mine]
    own = [cycle for cycle in cycles if seen[cycle.number] <= mine]
    return own, len(cycles) - len(own)


def durations(cycles: Iterable[Cycle], result: str) -> list[float]:
    """Seconds of the cycles of one result."""
    return [cycle.duration_s for cycle in cycles if cycle.result == result and cycle.duration_s is not None]


def bucketed(values: Sequence[float]) -> dict[float, float]:
    """Cumulative counts by edge: what Kueue's histogram makes of these durations (s)."""
    ordered = sorted(values)
    return {edge: float(bisect.bisect_right(ordered, edge)) for edge in EDGES}


def histogram_delta(recording: KueueRecording, result: str) -> dict[float, float]:
    """Kueue's own histogram of one result, "after" less "before", as cumulative counts by edge (s)."""
    before = dict(recording.metrics("before").buckets(HISTOGRAM, result=result))
    after = recording.metrics("after").buckets(HISTOGRAM, result=result)
    return {edge: count - before.get(edge, 0.0) for edge, count in after}


@dataclass(frozen=True)
class CycleRow:
    """Cycles of one configuration and result: exact quantiles (ms) and what a histogram can say (ms)."""

    configuration: str
    result: str
    n: int
    exact: tuple[float, ...]
    histogram: tuple[BucketQuantile, ...]


def row(configuration: str, result: str, values: Sequence[float], buckets: Mapping[float, float]) -> CycleRow | None:
    """A row from durations (s) and cumulative counts, or None where there was no such cycle."""
    if not values:
        return None
    return CycleRow(
        configuration,
        result,
        len(values),
        tuple(1000 * quantile(values, q) for q in QUANTILES),
        tuple(bucket_quantile(buckets, q) for q in QUANTILES),
    )
