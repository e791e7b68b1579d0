"""What GPUs and workers did while something was measured, from a monitoring system's samples: only fresh ones count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

FRESH_SECONDS = 60.0
"""Oldest sample that still tells of a moment: twice the 30 s at which dcgm-exporter collects by default. Prometheus
itself repeats a sample for five minutes after its source has fallen silent."""
LEAST_SHARE = 0.5
"""Of a scenario's moments that have a fresh sample; with fewer nothing is said of it."""

Key = tuple[tuple[str, str], ...]
"""Labels of a series, sorted."""


@dataclass(frozen=True)
class Figure:
    """A row of the table.

    Attributes:
        title: what it is, with its unit.
        value: PromQL of the value, by series.
        stamp: PromQL of the time of the latest sample of each series, with the same labels.
        scale: by what values are multiplied.
    """

    title: str
    value: str
    stamp: str
    scale: float = 100.0


def _of_dcgm(title: str, metric: str, scale: float = 100.0) -> Figure:
    return Figure(title, metric, f"timestamp({metric})", scale)


_IDLE = 'node_cpu_seconds_total{mode="idle"}'
FIGURES = (
    _of_dcgm("GPU busy, %", "DCGM_FI_DEV_GPU_UTIL", 1.0),
    _of_dcgm("graphics engine active, %", "DCGM_FI_PROF_GR_ENGINE_ACTIVE"),
    _of_dcgm("tensor cores active, %", "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE"),
    _of_dcgm("DRAM active, %", "DCGM_FI_PROF_DRAM_ACTIVE"),
    Figure(
        "workers' CPUs busy, %",
        f"1 - avg by (instance) (rate({_IDLE}[2m]))",
        f"min by (instance) (timestamp({_IDLE}))",
    ),
)
"""The rows of the paper's Tables 5 and 6 that need a monitoring system: names as dcgm-exporter (its default counters)
and node_exporter give them."""


@dataclass(frozen=True)
class Activity:
    """A figure over one scenario.

    Attributes:
        series: GPUs, slices or workers that tell it.
        mean, most: over their fresh samples, times the figure's scale; None where too few are fresh.
        fresh: share of the scenario's moments, over all series, that have a fresh sample.
        oldest: age of the oldest sample that was offered, s; None where there is none.
    """

    series: int
    mean: float | None
    most: float | None
    fresh: float
    oldest: float | None


Points = Mapping[Key, Sequence[tuple[float, float]]]
"""(time in s, value) of each series."""


def activity(
    values: Points, stamps: Points, moments: int, scale: float = 1.0, bound: float = FRESH_SECONDS
) -> Activity:
    """Mean and maximum of what fresh samples tell.

    Args:
        values: of the figure, at the moments that were asked for.
        stamps: the times of the samples behind them; a value without one is not fresh.
        moments: how many were asked for.
        scale: by what values are multiplied.
        bound: age in s up to which a sample is fresh.
    """
    ages: list[float] = []
    kept: list[float] = []
    for key, points in values.items():
        sampled = dict(stamps.get(key, ()))
        for at, value in points:
            if at not in sampled:
                continue
            ages.append(at - sampled[at])
            if ages[-1] <= bound:
                kept.append(value * scale)
    fresh = len(kept) / (moments * len(values)) if values and moments else 0.0
    told = kept if fresh >= LEAST_SHARE else []
    return Activity(
        len(values), fmean(told) if told else None, max(told, default=None), fresh, max(ages, default=None)
    )  # fmt: skip
