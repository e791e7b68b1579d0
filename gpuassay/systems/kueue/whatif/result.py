"""What a what-if says: each configuration as Kueue played it and as the twin predicts it, and what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from gpuassay.systems.kueue.model.figures import JobRun
from gpuassay.systems.kueue.whatif import figures
from gpuassay.systems.kueue.whatif.figures import Totals

KUEUE, TWIN = "Kueue, accelerated", "twin"
CLOSE = 0.1
"""By how much the makespan of a twin may differ from Kueue's under the same delays."""
SHORT = 10.0
"""Seconds of a job in a play below which Kueue's delay of a second is a large part of it."""


@dataclass(frozen=True)
class Side:
    """One configuration.

    Attributes:
        label: its file's name.
        capacity: GPUs that its queues have together.
        runs: as Kueue played them, in seconds of the user's time.
        twin: as the twin predicts them without acceleration, or why it cannot.
        echo: makespan as played over that of a twin with the play's own acceleration; None without a twin.
        left_out: what of the configuration was played differently.
        too_large: jobs that ask for more than their queue can ever have, with line and the most there is.
        users: whose each job is, "" where the file does not say.
    """

    label: str
    capacity: int
    runs: Sequence[JobRun]
    twin: Sequence[JobRun] | str
    echo: float | None = None
    left_out: Sequence[str] = ()
    too_large: Sequence[str] = ()
    users: Mapping[str, str] = field(default_factory=dict[str, str])

    def sources(self) -> list[tuple[str, Sequence[JobRun]]]:
        """(who says it, runs)."""
        return [*([] if isinstance(self.twin, str) else [(TWIN, self.twin)]), (KUEUE, self.runs)]


@dataclass(frozen=True)
class Answer:
    """All that is to be told.

    Attributes:
        sides: one or two configurations.
        speed: seconds of the user's time in one of the play.
        lag: the most by which a job came late, in seconds of the user's time.
        jobs: how many.
        median_run: median run time in seconds.
        version: Kueue's.
        wall: seconds that the plays took.
    """

    sides: Sequence[Side]
    speed: float
    lag: float
    jobs: int
    median_run: float
    version: str
    wall: float

    def document(self) -> dict[str, Any]:
        """For programs: totals and waits of each configuration, and the runs themselves."""
        return {
            "kueue": self.version, "speed": self.speed, "jobs": self.jobs, "latest_job_s": self.lag,
            "wall_s": self.wall, "caveats": caveats(self),
            "configurations": [
                {
                    "name": side.label, "capacity": side.capacity, "left_out": list(side.left_out),
                    "too_large": list(side.too_large), "played_over_same_twin": side.echo,
                    "twin": side.twin if isinstance(side.twin, str) else None,
                    "said_by": [
                        {
                            "source": source, "totals": asdict(figures.totals(runs, side.capacity)),
                            "queues": [asdict(one) for one in figures.waits(runs, lambda run: run.queue)],
                            "jobs": [asdict(run) for run in runs],
                        }
                        for source, runs in side.sources()
                    ],
                }
                for side in self.sides
            ],
        }  # fmt: skip


def caveats(answer: Answer) -> list[str]:
    """How far the figures go: what acceleration distorts, in the user's time, and how well the twin follows Kueue."""
    said: list[str] = []
    for side in answer.sides:
        if isinstance(side.twin, str):
            said.append(f"{side.label}: there is no twin, for {side.twin}; Kueue's figures stand alone.")
        elif side.echo is None:
            said.append(f"{side.label}: not all jobs came to an end in both, so nothing proves the twin here.")
        else:
            said.append(
                f"{side.label}: Kueue's makespan is {side.echo:.2f} times that of a twin told the play's delays. "
                + ("So the twin knows these queues." if abs(side.echo - 1) <= CLOSE else "Do not trust the twin.")
            )
    if answer.speed > 1:
        said.append(
            f"The twin's times are those of Jobs at their own pace. Kueue's are {answer.speed:.0f} times accelerated: "
            f"the second after which it looks at parked workloads again is {duration(answer.speed)} of your time, and "
            "jobs that come within one may change places, for Kueue orders by whole seconds."
        )
    said.append("Workloads were played without Jobs, pods and nodes: containers start and end at once.")
    if answer.lag > answer.speed:
        said.append(f"This machine was busy: jobs came up to {duration(answer.lag)} late in Kueue's play.")
    if answer.median_run / answer.speed < SHORT:
        said.append(
            f"The median job of {duration(answer.median_run)} took {answer.median_run / answer.speed:.1f} s here, "
            "little beside its second of delay: give --minutes more for figures of Kueue's that lean less on it."
        )
    said += [f"{side.label}: {one}." for side in answer.sides for one in (*side.left_out, *side.too_large)]
    return said


NAMES: Mapping[str, str] = {
    "finished": "jobs finished", "never": "jobs never started", "makespan": "makespan", "wait_mean": "mean wait",
    "preempted": "preemptions", "wasted": "GPU-hours thrown away", "idle": "GPU-hours idle while jobs waited",
    "utilisation": "GPUs in use",
}  # fmt: skip


def total_rows(answer: Answer) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of the totals, configurations side by side; with two, what changes as each source says."""
    found = [
        (f"{side.label}: {source}", figures.totals(runs, side.capacity))
        for side in answer.sides
        for source, runs in side.sources()
    ]
    rows = [[title, *(shown(key, getattr(one, key)) for _, one in found)] for key, title in NAMES.items()]
    columns = ["", *(name for name, _ in found)]
    if len(answer.sides) > 1:
        before, after = (dict(side.sources()) for side in answer.sides)
        for source in [one for one in before if one in after]:
            one, other = (
                figures.totals(runs[source], side.capacity)
                for side, runs in zip(answer.sides, (before, after), strict=True)
            )
            columns.append(f"change ({source})")
            for row, key in zip(rows, NAMES, strict=True):
                row.append(change(key, one, other))
    return columns, rows


def change(key: str, before: Totals, after: Totals) -> str:
    """What the second configuration does to one figure."""
    one, other = float(getattr(before, key)), float(getattr(after, key))
    if key in ("finished", "never", "preempted"):
        return f"{other - one:+.0f}" if other != one else "same"
    if key == "utilisation":
        return f"{100 * (other - one):+.1f} points"
    if not one:
        return "same" if not other else f"from 0 to {shown(key, other)}"
    return f"{100 * (other / one - 1):+.1f} %"


def shown(key: str, value: float) -> str:
    """A figure in words."""
    if key in ("makespan", "wait_mean"):
        return duration(value)
    if key == "utilisation":
        return f"{100 * value:.1f} %"
    return f"{value:.1f}" if key in ("wasted", "idle") else f"{value:.0f}"


def duration(seconds: float | None) -> str:
    """`4 s`, `12:05`, `3:12:05` (hours, minutes, seconds)."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def wait_rows(answer: Answer, by: str) -> tuple[list[str], list[list[str]]]:
    """Waits of each group (`queue`, `class` or `user`) in each configuration."""
    columns = ["configuration", "by", by, "jobs", "median wait", "P95", "longest", "preempted", "never started"]
    rows = [
        [
            side.label, source, one.group or "-", str(one.jobs), duration(one.median), duration(one.p95),
            duration(one.longest), str(one.preempted), str(one.never),
        ]
        for side in answer.sides
        for source, runs in side.sources()
        for one in figures.waits(runs, lambda run, side=side: _group(side, run, by))
    ]  # fmt: skip
    return columns, rows


def _group(side: Side, run: JobRun, by: str) -> str:
    return {"queue": run.queue, "class": run.cls}.get(by, side.users.get(run.name, ""))


def groupings(answer: Answer) -> list[str]:
    """By what waits are worth telling: queues always, classes and users where the file names any."""
    first = answer.sides[0]
    classes, users = {run.cls for run in first.runs}, set(first.users.values())
    return ["queue", *(["class"] if classes - {""} else []), *(["user"] if users - {""} else [])]
