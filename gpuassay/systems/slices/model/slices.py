"""The twin of a slicer: a discrete-event model of jobs that ask for slices, and how long they take then.

Placement follows the rules of `placement`; execution is modelled by the run times that the jobs bring. A slicer is a
policy: cut on demand (first fit), cut once and for all, or do not cut. A job that gets nothing waits; whenever a
slice is freed, those that wait are tried in an order of which Kubernetes promises nothing: by creation or at random.
"""

from __future__ import annotations

import heapq
import random
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from gpuassay.gpus import GpuModel
from gpuassay.systems.slices.model.placement import Board, Place


@dataclass(frozen=True)
class SliceJob:
    """A job that asks for one slice: created at `arrival` (s), runs for `run` (s) once it has it."""

    name: str
    profile: str
    arrival: float
    run: float


@dataclass(frozen=True)
class SliceRun:
    """What became of a job: where it ran, from `start` to `end` (s)."""

    job: SliceJob
    place: Place
    start: float
    end: float

    @property
    def completion(self) -> float:
        """Creation to end (s)."""
        return self.end - self.job.arrival


class Slicer(Protocol):
    """Gives slices and takes them back."""

    def take(self, profile: str) -> Place | None:
        """A slice, or None if there is none now."""
        ...

    def give(self, place: Place) -> None:
        """The slice is free again."""
        ...


class Dynamic:
    """Slices are cut when they are asked for, by first fit, and vanish with their job (DAS, dynamic MIG by DRA)."""

    def __init__(self, gpus: Sequence[GpuModel]) -> None:
        self._board = Board(gpus)

    def take(self, profile: str) -> Place | None:
        """See `Slicer`."""
        return self._board.first_fit(profile)

    def give(self, place: Place) -> None:
        """See `Slicer`."""
        self._board.remove(place)


class Static:
    """Slices were cut beforehand; a job takes one of exactly the profile that it asks for (device plugin)."""

    def __init__(self, gpus: Sequence[GpuModel], places: Iterable[Place]) -> None:
        """Raises ValueError if `places` are illegal."""
        self._free = Board(gpus, places).places

    def take(self, profile: str) -> Place | None:
        """See `Slicer`."""
        for place in self._free:
            if place.profile == profile:
                self._free.remove(place)
                return place
        return None

    def give(self, place: Place) -> None:
        """See `Slicer`."""
        self._free.append(place)
        self._free.sort()


class Stock:
    """As `Static`, of slices of which is known how many there are, and not where they stand."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        self._free = Counter(counts)

    def take(self, profile: str) -> Place | None:
        """See `Slicer`."""
        if self._free[profile] == 0:
            return None
        self._free[profile] -= 1
        return Place(0, 0, profile)

    def give(self, place: Place) -> None:
        """See `Slicer`."""
        self._free[place.profile] += 1


class Whole:
    """Every job takes a GPU, whatever it asks for."""

    def __init__(self, gpus: int) -> None:
        self._free = [Place(gpu, 0, "gpu") for gpu in range(gpus)]

    def take(self, profile: str) -> Place | None:
        """See `Slicer`."""
        return self._free.pop(0) if self._free else None

    def give(self, place: Place) -> None:
        """See `Slicer`."""
        self._free.append(place)
        self._free.sort()


@dataclass(frozen=True)
class SlicesRun:
    """A simulation: jobs in the order of their ends."""

    runs: tuple[SliceRun, ...]

    @property
    def peak(self) -> int:
        """The most jobs that ran at once."""
        changes = sorted([(one.start, 1) for one in self.runs] + [(one.end, -1) for one in self.runs])
        level = most = 0
        for _, change in changes:
            level += change
            most = max(most, level)
        return most

    @property
    def makespan(self) -> float:
        """First creation to last end (s)."""
        return max(one.end for one in self.runs) - min(one.job.arrival for one in self.runs)


@dataclass(frozen=True)
class Completion:
    """Completion times (s): mean, median, 95th percentile (linear between ranks), population standard deviation."""

    mean: float
    median: float
    p95: float
    deviation: float


def completion(seconds: Sequence[float]) -> Completion:
    """Figures of completion times in seconds; ValueError if there are none."""
    if not seconds:
        raise ValueError("no job has completed")
    p95 = float(np.percentile(seconds, 95))
    return Completion(statistics.fmean(seconds), statistics.median(seconds), p95, statistics.pstdev(seconds))


def simulate(jobs: Sequence[SliceJob], slicer: Slicer, *, shuffle: random.Random | None = None) -> SlicesRun:
    """Run `jobs` on `slicer`.

    Args:
        jobs: any number, each with a profile that the slicer can give.
        slicer: with nothing taken.
        shuffle: those that wait are tried in a random order; None: by creation.

    Raises:
        ValueError: jobs are left that never get a slice.
    """
    arrivals = sorted(jobs, key=lambda job: job.arrival)
    waiting: list[SliceJob] = []
    running: list[tuple[float, int, SliceRun]] = []
    done: list[SliceRun] = []
    while arrivals or running:
        now = min([job.arrival for job in arrivals[:1]] + [end for end, _, _ in running[:1]])
        while running and running[0][0] <= now:
            ended = heapq.heappop(running)[2]
            slicer.give(ended.place)
            done.append(ended)
        while arrivals and arrivals[0].arrival <= now:
            waiting.append(arrivals.pop(0))
        if shuffle is not None:
            shuffle.shuffle(waiting)
        for job in list(waiting):
            place = slicer.take(job.profile)
            if place is not None:
                waiting.remove(job)
                run = SliceRun(job, place, now, now + job.run)
                heapq.heappush(running, (run.end, len(done) + len(running), run))
    if waiting:
        raise ValueError(f"{len(waiting)} jobs never get a slice, first {waiting[0].name} ({waiting[0].profile})")
    return SlicesRun(tuple(done))
