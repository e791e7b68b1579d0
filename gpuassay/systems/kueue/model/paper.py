"""What the paper on Kueue, DAS and llm-d states about its five queue configurations, and a job mix like its own.

Only what is known here is filled in; a missing cell is None. The ratios of Table 3 were computed from its printed
minimum, median and maximum, which for three runs are the three runs.
"""

from __future__ import annotations

from dataclasses import dataclass

from gpuassay.systems.kueue.model.twin import TwinJob
from gpuassay.workloads.run_times import runtimes

GPUS = 8
"""GPUs of the paper's node, and the quota of its ClusterQueue."""


@dataclass(frozen=True)
class MakespanRatio:
    """A row of Table 3: makespan relative to plain Jobs, with the Welch interval (95 %) on logarithms of three runs."""

    configuration: str
    ratio: float
    low: float | None
    high: float | None
    p: float | None


TABLE_3 = (
    MakespanRatio("pure", 1.0, None, None, None),
    MakespanRatio("fifo", 1.033, 0.99, 1.13, 0.065),
    MakespanRatio("priority", 0.904, 0.84, 0.98, 0.030),
    MakespanRatio("preemption", 0.845, 0.79, 0.92, 0.008),
    MakespanRatio("two-queues", 0.909, 0.83, 1.07, 0.18),
)
"""Table 3 as ratios of makespan to the baseline. It does not say which of the two queues may borrow."""


@dataclass(frozen=True)
class AdmissionAttempt:
    """A row of Table 4: milliseconds of an admission attempt, from a histogram whose first edge is 5 ms."""

    configuration: str
    p50: float | None
    p95: float | None
    p99: float | None


TABLE_4 = (
    AdmissionAttempt("fifo", 2.67, 7.64, 20.9),
    AdmissionAttempt("priority", 2.51, 4.77, 6.48),
    AdmissionAttempt("preemption", 2.57, 5.48, 12.8),
    AdmissionAttempt("two-queues", 2.82, 17.0, 23.7),
)
"""Table 4. A median below 5 ms is an interpolation inside the first bucket: it says only that most were below 5 ms."""


def table3_mix(
    seed: int,
    scale: float = 1.0,
    *,
    queues: tuple[str, str] = ("cluster-queue", "cluster-queue"),
    priorities: tuple[int, int] = (0, 0),
    spacing: float = 1.0,
) -> list[TwinJob]:
    """The 32 jobs of Table 3: medium and large in turn, medium first, one every `spacing` seconds, one GPU each.

    `queues` and `priorities` are for (medium, large). The text of the paper says large first, its files and its
    reported sequence medium first; the files decide. Run times: `runtimes`.
    """
    jobs: list[TwinJob] = []
    for number, pair in enumerate(zip(*runtimes(seed, scale), strict=True)):
        for side, cls in enumerate(("medium", "large")):
            at = spacing * len(jobs)
            jobs.append(TwinJob(f"{cls}-{number}", queues[side], at, pair[side], 1, priorities[side], cls))
    return jobs
