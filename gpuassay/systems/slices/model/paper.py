"""What the paper on Kueue, DAS and llm-d states about slices (Tables 5 and 6), and jobs like its own.

A node of 8 A100 with 40 GB. Medium jobs (Whisper medium) ask for a 1g.5gb slice, large ones for 3g.20gb; without
slices each takes a GPU. Completion time: creation of a job to its Complete condition; mean, median, 95th percentile
and population standard deviation over the jobs of three runs. Times in minutes, rounded by the paper to whole ones.
"""

from __future__ import annotations

from dataclasses import dataclass

from gpuassay.systems.slices.model.slices import SliceJob
from gpuassay.workloads.run_times import runtimes

GPUS = 8
GPU_MODEL = "a100-40gb"
MEDIUM, LARGE = "1g.5gb", "3g.20gb"


@dataclass(frozen=True)
class CompletionTimes:
    """A row: number of jobs, most that ran at once, completion times in minutes; makespan where it is printed."""

    configuration: str
    jobs: int
    peak: int
    mean: float
    median: float
    p95: float
    deviation: float
    makespan: float | None = None


TABLE_5 = (CompletionTimes("whole GPUs", 8, 8, 14, 10, 36, 11), CompletionTimes("slices", 8, 8, 17, 13, 40, 11))
"""8 jobs: as many as GPUs, so that slices can only make each of them slower."""

TABLE_6 = (
    CompletionTimes("whole GPUs", 32, 8, 28, 28, 51, 14, 60.5),
    CompletionTimes("dynamic slices", 32, 25, 18, 16, 36, 9),
)
"""32 jobs: four times as many as GPUs. The makespan without slices stands in Table 3."""


@dataclass(frozen=True)
class Slowdown:
    """How much longer a job's transcription takes on its slice than on a whole GPU."""

    medium: float
    large: float


ALONE = Slowdown(1.6, 1.11)
"""Calibrated on Table 5: few jobs side by side. This is fitted to the paper, not measured."""

CROWDED = Slowdown(2.0, 1.2)
"""Calibrated on Table 6: 25 jobs share the node's processors and disks. This is fitted to the paper, not measured."""

SETUP_SECONDS = 72.0
"""Image, audio and model download of each job, which no slice makes slower (1.2 min; fitted)."""


def slice_mix(seed: int, each: int = 16, slowdown: Slowdown | None = None, spacing: float = 1.0) -> list[SliceJob]:
    """`each` medium and large jobs in turn, medium first, one every `spacing` seconds, with the paper's run times.

    Args:
        seed: decides the run times (`paper.runtimes`: times on a whole GPU).
        each: 4 for Table 5, 16 for Table 6.
        slowdown: of a slice; None: whole GPUs.
        spacing: seconds between creations.
    """
    jobs: list[SliceJob] = []
    factors = (1.0, 1.0) if slowdown is None else (slowdown.medium, slowdown.large)
    for number, pair in enumerate(zip(*runtimes(seed, each=each), strict=True)):
        for name, profile, factor, run in zip(("medium", "large"), (MEDIUM, LARGE), factors, pair, strict=True):
            seconds = SETUP_SECONDS + max(0.0, run - SETUP_SECONDS) * factor
            jobs.append(SliceJob(f"{name}-{number}", profile, spacing * len(jobs), seconds))
    return jobs
