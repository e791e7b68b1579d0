"""What the twin says of a configuration: the same jobs and quotas without any acceleration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gpuassay.manifest import dig
from gpuassay.systems.kueue.model.figures import JobRun
from gpuassay.systems.kueue.model.pending import TwinJob, TwinQueue
from gpuassay.systems.kueue.model.twin import Latencies, simulate
from gpuassay.systems.kueue.whatif.jobs import Job
from gpuassay.systems.kueue.whatif.setup import Place, Setup, beyond_twin, cohort_of, policy_of


@dataclass(frozen=True)
class Handed:
    """A job and where it is handed in.

    Attributes:
        job: the line of the file.
        place: its queues.
        priority: as a number.
        uid: of its Workload, where there is one.
        second: creation second of its Workload, in seconds of the play; None: that of its arrival.
    """

    job: Job
    place: Place
    priority: int
    uid: str = ""
    second: int | None = None


def accelerated(speed: float) -> Latencies:
    """The machinery of a play in seconds of the user's time: Workloads without Jobs and pods, batches stretched."""
    return Latencies(
        create_lag=0.05 * speed, start_lag=0.05 * speed, finish_lag=0.05 * speed,
        requeue_batch=1.02 * speed, evict_lag=0.1 * speed,
    )  # fmt: skip


def predict(setup: Setup, handed: Sequence[Handed], latencies: Latencies | None = None) -> list[JobRun] | str:
    """Runs of all jobs in seconds of the user's time, or why the twin cannot say."""
    used = sorted({one.place.cluster_queue for one in handed})
    if reason := beyond_twin(setup, used):
        return reason
    queues = setup.of_kind("ClusterQueue")
    trees: dict[str, list[str]] = {}
    for name, queue in queues.items():
        if len(setup.quotas(name)) == 1:
            trees.setdefault(cohort_of(queue) or f"={name}", []).append(name)
    runs: dict[str, JobRun] = {}
    for tree, names in trees.items():
        mine = [one for one in handed if one.place.cluster_queue in names]
        if not mine:
            continue
        try:
            found = simulate(
                [_twin_job(one) for one in mine],
                [_twin_queue(setup, name) for name in names],
                latencies,
                cohort=None if tree.startswith("=") else tree,
            )
        except ValueError as error:
            return str(error)
        runs |= {run.name: run for run in found.runs}
    return [runs[one.job.name] for one in handed]


def _twin_job(one: Handed) -> TwinJob:
    job = one.job
    return TwinJob(
        job.name,
        one.place.cluster_queue,
        job.arrival,
        job.seconds,
        job.gpus,
        one.priority,
        job.cls,
        one.uid,
        one.second,
    )


def _twin_queue(setup: Setup, name: str) -> TwinQueue:
    queue = setup.of_kind("ClusterQueue")[name]
    strategy = dig(queue, "spec", "queueingStrategy", default="") or "BestEffortFIFO"
    return TwinQueue(name, setup.quotas(name)[0][1], strategy, policy_of(queue))
