"""What the twin predicts for the paper's Tables 5 and 6: whole GPUs, slices on demand, slices cut beforehand.

Placement is exact; run times are modelled (`paper_slices`), so ratios between rows mean more than the minutes.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence
from functools import cache

from gpuassay.gpus import gpu_model
from gpuassay.systems.slices.model.paper import (
    ALONE,
    CROWDED,
    GPU_MODEL,
    GPUS,
    LARGE,
    MEDIUM,
    CompletionTimes,
    Slowdown,
    slice_mix,
)
from gpuassay.systems.slices.model.placement import Place
from gpuassay.systems.slices.model.placement_fit import static_geometries
from gpuassay.systems.slices.model.slices import (
    Dynamic,
    SliceJob,
    Slicer,
    SlicesRun,
    Static,
    Whole,
    completion,
    simulate,
)

BALANCED = ((MEDIUM, 0), (MEDIUM, 1), ("2g.10gb", 2), (LARGE, 4))
"""The GPU Operator's `all-balanced` for this GPU: two 1g.5gb, one 2g.10gb, one 3g.20gb (profile, start)."""


def balanced(gpus: int = GPUS) -> list[Place]:
    """`BALANCED` on every GPU."""
    return [Place(gpu, start, profile) for gpu in range(gpus) for profile, start in BALANCED]


@cache
def best_static(gpus: int = GPUS, seeds: int = 5) -> tuple[Place, ...]:
    """The static geometry with the least mean completion time of Table 6's jobs, over `seeds` draws of run times.

    All geometries of the two profiles are tried to which nothing can be added; a job that never gets a slice rules
    a geometry out.
    """
    model = gpu_model(GPU_MODEL)
    best: tuple[float, tuple[Place, ...]] | None = None
    for geometry in static_geometries((MEDIUM, LARGE), model, gpus):
        places = tuple(Place(gpu, one.start, one.profile) for gpu, ones in enumerate(geometry) for one in ones)
        if {place.profile for place in places} != {MEDIUM, LARGE}:
            continue
        runs = [simulate(slice_mix(seed, 16, CROWDED), Static([model] * gpus, places)) for seed in range(seeds)]
        mean = statistics.fmean(one.completion for run in runs for one in run.runs)
        if best is None or mean < best[0]:
            best = (mean, places)
    assert best is not None
    return best[1]


def slicers(gpus: int = GPUS) -> dict[str, Callable[[], Slicer]]:
    """Every configuration by name, as a factory of fresh slicers."""
    models = [gpu_model(GPU_MODEL)] * gpus
    return {
        "whole GPUs": lambda: Whole(gpus),
        "dynamic slices": lambda: Dynamic(models),
        "static slices, balanced": lambda: Static(models, balanced(gpus)),
        "static slices, best": lambda: Static(models, best_static(gpus)),
    }


def row(configuration: str, runs: Sequence[SlicesRun]) -> CompletionTimes:
    """Figures of a configuration over several runs: times pooled, in minutes; median of peaks and makespans."""
    times = completion([one.completion / 60 for run in runs for one in run.runs])
    return CompletionTimes(
        configuration,
        len(runs[0].runs),
        int(statistics.median_low([run.peak for run in runs])),
        times.mean,
        times.median,
        times.p95,
        times.deviation,
        statistics.median([run.makespan / 60 for run in runs]),
    )


def _predicted(each: int, slowdown: Slowdown, seeds: int) -> list[CompletionTimes]:
    rows: list[CompletionTimes] = []
    for name, make in slicers().items():
        runs: list[SlicesRun] = []
        for seed in range(seeds):
            jobs: list[SliceJob] = slice_mix(seed, each, None if name == "whole GPUs" else slowdown)
            # Kubernetes promises no order among pods that wait: its back-off queue is modelled by chance.
            runs.append(simulate(jobs, make(), shuffle=random.Random(seed)))
        rows.append(row(name, runs))
    return rows


def table_5(seeds: int = 30) -> list[CompletionTimes]:
    """Predicted rows for 8 jobs, pooled over `seeds` draws of run times."""
    return _predicted(4, ALONE, seeds)


def table_6(seeds: int = 30) -> list[CompletionTimes]:
    """Predicted rows for 32 jobs, pooled over `seeds` draws of run times."""
    return _predicted(16, CROWDED, seeds)
