"""Figures of an arm, computed once, and those that the twin gives for the same jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

from gpuassay.systems.slices.judge import observed as slices_seen
from gpuassay.systems.slices.judge import performance as slices
from gpuassay.systems.slices.judge import times as slices_times
from gpuassay.systems.slices.judge.geometry import sharing_findings
from gpuassay.systems.slices.judge.times import Expected, Times
from gpuassay.systems.slices.readings import SlicesRecording
from suites.slices.performance import tables


def rounds(arms: Mapping[str, SlicesRecording], table: str, way: str) -> list[SlicesRecording]:
    """The recordings of one way of one table, round by round."""
    found = [one for one in arms.values() if (one.note(tables.TABLE), one.note(tables.WAY)) == (table, way)]
    return sorted(found, key=lambda one: one.note(tables.ROUND))


def complete(arms: Mapping[str, SlicesRecording], table: str, way: str) -> list[SlicesRecording]:
    """The same, once it is certain that every job stood somewhere and completed; AssertionError says which did not."""
    found = rounds(arms, table, way)
    for arm in found:
        lacking = lacking_findings(arm)
        assert lacking == [], f"{arm.name}: {lacking}"
    return found


def lacking_findings(arm: SlicesRecording) -> list[str]:
    """Jobs that had no slice or GPU, or did not complete, as sentences."""
    where, done = slices.places(arm), {one.job.name for one in slices.stays(arm) if one.completed is not None}
    names = [one.name for one in slices.jobs(arm)]
    found = [f"{name} had no slice or GPU" for name in names if name not in where]
    return found + [f"{name} did not complete" for name in names if name not in done]


def slice_findings(arm: SlicesRecording) -> list[str]:
    """What is wrong with the arm's slices at any time; of whole GPUs, which two pods ran on one."""
    if arm.note(tables.WAY) == "whole":
        return sharing_findings(slices_seen.runs(arm))
    return slices_seen.invariant_findings(arm)


@cache
def gross_of(arm: SlicesRecording) -> Times:
    """As Kubernetes told it."""
    return slices_times.gross(slices.stays(arm))


@cache
def net_of(arm: SlicesRecording) -> Times:
    """Had Kubernetes taken no time."""
    return slices_times.net(slices.stays(arm), slices.models(arm))


@cache
def expected_of(arm: SlicesRecording) -> Expected:
    """The twin's runs of the arm's jobs."""
    return slices_times.expected(slices.jobs(arm), tables.twin(arm.note(tables.WAY)))


def ratio_interval(one: SlicesRecording, base: SlicesRecording, of: Callable[[Times], float]) -> tuple[float, float]:
    """From the least to the greatest ratio of a figure that the twin's intervals of both arms leave open."""
    low, high = expected_of(one).interval(of)
    least, most = expected_of(base).interval(of)
    return low / most, high / least


def stall(arm: SlicesRecording) -> float:
    """Share of time in which work waited for a CPU; 1 where the kernel does not say."""
    share = arm.meta.pressure.get("cpu_stall_share")
    return 1.0 if share is None else float(share)
