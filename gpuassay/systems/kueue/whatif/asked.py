"""One what-if from files to answer."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gpuassay.systems.kueue.model.figures import JobRun
from gpuassay.systems.kueue.whatif import observed
from gpuassay.systems.kueue.whatif.jobs import Job
from gpuassay.systems.kueue.whatif.play import Played, Say, control_plane, play
from gpuassay.systems.kueue.whatif.predicted import Handed, accelerated, predict
from gpuassay.systems.kueue.whatif.result import Answer, Side
from gpuassay.systems.kueue.whatif.setup import Setup
from gpuassay.toolchain import Assets

START = 25.0
"""Seconds that a control plane with Kueue may take of the time that was given."""


@dataclass(frozen=True)
class Asked:
    """What is to be played.

    Attributes:
        setups: one or two configurations.
        jobs: in order of arrival.
        source: the file of the jobs, for messages.
        minutes: that all plays together may take.
        speed: how many times as fast; None: as slow as the minutes allow.
        profile: of Kueue's own configuration.
        directory: for logs of the control planes; None: kept nowhere.
        assets: programs that users bring.
    """

    setups: Sequence[Setup]
    jobs: Sequence[Job]
    source: Path
    minutes: float = 4.0
    speed: float | None = None
    profile: str = "default"
    directory: Path | None = None
    assets: Assets | None = None


def handed(setup: Setup, jobs: Sequence[Job], source: Path) -> list[Handed]:
    """Where each job goes in this configuration.

    Raises:
        WhatIfError: a queue or a priority is not known.
    """
    return [Handed(job, setup.place(job, source), setup.priority(job, source)) for job in jobs]


def too_large(setup: Setup, jobs: Sequence[Handed], source: Path) -> list[str]:
    """Jobs that can never be admitted, a sentence for each, the first ten."""
    most = {name: setup.most(name) for name in {one.place.cluster_queue for one in jobs}}
    found = [one for one in jobs if one.job.gpus > most[one.place.cluster_queue]]
    said = [
        f"{source.name} line {one.job.line}: {one.job.name} asks for {one.job.gpus}, {one.place.cluster_queue} can "
        f"have {most[one.place.cluster_queue]} at most, so it is never admitted"
        for one in found[:10]
    ]
    return said + ([f"{len(found) - 10} more jobs are too large"] if len(found) > 10 else [])


def answer(asked: Asked, say: Say) -> Answer:
    """Play all configurations, one after the other, each on a control plane of its own.

    Raises:
        WhatIfError: the files do not fit each other, or the time was not enough.
        ClusterError: a program died.
    """
    given = [(setup, handed(setup, asked.jobs, asked.source)) for setup in asked.setups]
    twins = [predict(setup, jobs) for setup, jobs in given]
    each = asked.minutes * 60 / len(given)
    speed = asked.speed or fitting(asked.jobs, twins, [setup.capacity() for setup in asked.setups], each - START)
    say(f"{len(asked.jobs)} jobs, {speed:.0f} times as fast as they are")
    sides: list[Side] = []
    lag, versions, began = 0.0, set[str](), time.monotonic()
    for number, ((setup, jobs), twin) in enumerate(zip(given, twins, strict=True)):
        folder = asked.directory / f"cluster-{number + 1}" if asked.directory else None
        with control_plane(folder, asked.profile, asked.assets or Assets()) as (cluster, version):
            say(f"{setup.label}: Kueue {version} is up")
            played = play(cluster, version, setup, jobs, speed, 2 * each + 60, lambda text, of=setup: say(
                f"{of.label}: {text}"
            ))  # fmt: skip
        lag, versions = max(lag, played.lag * speed), versions | {version}
        sides.append(_side(setup, jobs, played, twin, speed, asked.source))
    median = statistics.median(one.seconds for one in asked.jobs)
    return Answer(sides, speed, lag, len(asked.jobs), median, ", ".join(sorted(versions)), time.monotonic() - began)


def fitting(
    jobs: Sequence[Job], twins: Sequence[Sequence[JobRun] | str], capacities: Sequence[int], seconds: float
) -> float:
    """The speed at which all jobs are through in `seconds`, at least 1; told by the twin, or else by arithmetic."""
    spans: list[float] = []
    for twin, capacity in zip(twins, capacities, strict=True):
        if isinstance(twin, str):
            work = sum(one.gpus * one.seconds for one in jobs)
            longest = max(one.arrival + one.seconds for one in jobs)
            spans.append(max(longest, 1.5 * work / max(1, capacity)))
        else:
            spans.append(max((run.finished or run.created for run in twin), default=0.0))
    return max(1.0, max(spans) / (0.8 * max(10.0, seconds)))


def _side(
    setup: Setup, jobs: Sequence[Handed], played: Played, twin: Sequence[JobRun] | str, speed: float, source: Path
) -> Side:
    runs = observed.runs(jobs, played.seen, played.names, speed)
    return Side(
        setup.label, setup.capacity(), runs, twin, _echo(setup, jobs, played, runs, speed), tuple(setup.left_out),
        tuple(too_large(setup, jobs, source)), {one.job.name: one.job.user for one in jobs},
    )  # fmt: skip


def _echo(setup: Setup, jobs: Sequence[Handed], played: Played, runs: Sequence[JobRun], speed: float) -> float | None:
    """Makespan as played over that of the twin that is told the play's arrivals, seconds, UIDs and delays."""
    told = [
        replace(
            one, job=replace(one.job, arrival=max(0.0, run.created - 0.05 * speed)), uid=seen.uid, second=seen.second
        )
        for one, run in zip(jobs, runs, strict=True)
        if (seen := played.seen.get(played.names[one.job.name])) is not None
    ]
    twin = predict(setup, told, accelerated(speed))
    if isinstance(twin, str) or len(told) < len(jobs):
        return None
    ends = [[run.finished for run in of if run.finished is not None] for of in (runs, twin)]
    first = [min(run.created for run in of) for of in (runs, twin)]
    if not all(ends) or len(ends[0]) != len(ends[1]):
        return None
    return (max(ends[0]) - first[0]) / (max(ends[1]) - first[1])
