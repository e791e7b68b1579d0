"""Table 3 as the twin predicts it: `python -m gpuassay.systems.kueue.model.predict [--seeds N] [--scale S]`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from gpuassay.stats.quantiles import quantile
from gpuassay.systems.kueue.model import figures
from gpuassay.systems.kueue.model.paper import GPUS, TABLE_3, table3_mix
from gpuassay.systems.kueue.model.preemption import Policy
from gpuassay.systems.kueue.model.quota import Quota
from gpuassay.systems.kueue.model.twin import Latencies, TwinJob, TwinQueue, TwinRun, simulate, simulate_pure

CONFIGURATIONS = ("pure", "fifo", "priority", "preemption", "two-queues-large-borrows", "two-queues-both-borrow")
"""The paper's five; its fifth in the two readings that its text allows."""

_PAPER_NAME = {name: name.removesuffix("-large-borrows").removesuffix("-both-borrow") for name in CONFIGURATIONS}


@dataclass(frozen=True)
class PredictedRow:
    """Medians over seeds. Times in seconds; `ratio` is the median of the per-seed makespan ratios to `pure`."""

    configuration: str
    makespan: float
    ratio: float
    ratio_low: float
    ratio_high: float
    paper_ratio: float
    queue_first_medium: float
    queue_first_large: float
    queue_last_medium: float
    idle_gpu_seconds: float
    wasted_gpu_seconds: float
    evictions: float
    most_evictions_of_one_job: int


def predict(configuration: str, seed: int, scale: float = 1.0, latencies: Latencies | None = None) -> TwinRun:
    """One run of `configuration` (of `CONFIGURATIONS`); ValueError for another name."""
    if configuration not in CONFIGURATIONS:
        raise ValueError(f"unknown configuration {configuration!r}; there are {', '.join(CONFIGURATIONS)}")
    if configuration == "pure":
        return simulate_pure(table3_mix(seed, scale), GPUS)
    queues, cohort = queues_of(configuration)
    return simulate(mix_of(configuration, seed, scale), queues, latencies, cohort=cohort)


def mix_of(configuration: str, seed: int, scale: float = 1.0) -> list[TwinJob]:
    """The 32 jobs of a configuration, in its queues and with its priorities."""
    names = ("cq-medium", "cq-large") if configuration.startswith("two-queues") else ("cluster-queue", "cluster-queue")
    priorities = (100, 1000) if configuration in {"priority", "preemption"} else (0, 0)
    return table3_mix(seed, scale, queues=names, priorities=priorities)


def queues_of(configuration: str) -> tuple[list[TwinQueue], str | None]:
    """ClusterQueues and cohort of a configuration of `CONFIGURATIONS` other than `pure`."""
    if configuration.startswith("two-queues"):
        half = GPUS // 2
        limit = half if configuration.endswith("both-borrow") else 0
        return [TwinQueue("cq-medium", Quota(half, limit)), TwinQueue("cq-large", Quota(half, half))], "whisper"
    policy = Policy(within_queue="LowerPriority" if configuration == "preemption" else "Never")
    return [TwinQueue("cluster-queue", Quota(GPUS), policy=policy)], None


def predicted_table3(
    seeds: Iterable[int], scale: float = 1.0, latencies: Latencies | None = None
) -> list[PredictedRow]:
    """A row per configuration over the same seeds; `ratio_low` and `ratio_high` are the extremes over seeds.

    Raises ValueError without seeds.
    """
    chosen = list(seeds)
    if not chosen:
        raise ValueError("a prediction needs at least one seed")
    pure = [figures.makespan(predict("pure", seed, scale).runs) for seed in chosen]
    printed = {row.configuration: row.ratio for row in TABLE_3}
    rows: list[PredictedRow] = []
    for name in CONFIGURATIONS:
        runs = [predict(name, seed, scale, latencies) for seed in chosen]
        spans = [figures.makespan(run.runs) for run in runs]
        ratios = [span / base for span, base in zip(spans, pure, strict=True)]
        counts = [[figures.evictions(job) for job in run.runs] for run in runs]
        rows.append(
            PredictedRow(
                configuration=name,
                makespan=median(spans),
                ratio=median(ratios),
                ratio_low=min(ratios),
                ratio_high=max(ratios),
                paper_ratio=printed[_PAPER_NAME[name]],
                queue_first_medium=_queueing(runs, "medium", last=False),
                queue_first_large=_queueing(runs, "large", last=False),
                queue_last_medium=_queueing(runs, "medium", last=True),
                idle_gpu_seconds=median(figures.idle_gpu_seconds(run.runs, run.capacity) for run in runs),
                wasted_gpu_seconds=median(figures.wasted_gpu_seconds(run.runs) for run in runs),
                evictions=median(sum(c) for c in counts),
                most_evictions_of_one_job=max(max(c) for c in counts),
            )
        )
    return rows


def _queueing(runs: Sequence[TwinRun], cls: str, *, last: bool) -> float:
    """Median over runs of the median queue time of a class."""
    measure = figures.queue_last if last else figures.queue_first
    return median(quantile([measure(job) for job in run.runs if job.cls == cls], 0.5) for run in runs)


def render(rows: Sequence[PredictedRow]) -> str:
    """The rows as a Markdown table."""
    titles = (
        "configuration",
        "makespan s",
        "ratio (range)",
        "paper",
        "queue first M / L s",
        "queue last M s",
        "idle GPU-s",
        "wasted GPU-s",
        "evictions (most of one job)",
    )
    cells = [
        (
            r.configuration,
            f"{r.makespan:.1f}",
            f"{r.ratio:.3f} ({r.ratio_low:.3f}-{r.ratio_high:.3f})",
            f"{r.paper_ratio:.3f}",
            f"{r.queue_first_medium:.1f} / {r.queue_first_large:.1f}",
            f"{r.queue_last_medium:.1f}",
            f"{r.idle_gpu_seconds:.1f}",
            f"{r.wasted_gpu_seconds:.1f}",
            f"{r.evictions:g} ({r.most_evictions_of_one_job})",
        )
        for r in rows
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in (titles, ["---"] * len(titles), *cells))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the predicted table."""
    parser = argparse.ArgumentParser(prog="python -m gpuassay.systems.kueue.model.predict", description=main.__doc__)
    parser.add_argument("--seeds", type=int, default=25, help="how many seeded job lists (default 25)")
    parser.add_argument("--scale", type=float, default=1.0, help="time scale of run times (default 1: full scale)")
    chosen = parser.parse_args(arguments)
    if chosen.seeds < 1 or not chosen.scale > 0:
        parser.error("--seeds must be at least 1 and --scale positive")
    print(render(predicted_table3(range(chosen.seeds), chosen.scale)))


if __name__ == "__main__":
    main()
