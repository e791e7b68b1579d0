"""Acts out Table 3: all configurations side by side, each on eight GPUs of its own, 32 jobs each."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from gpuassay import Note, labels
from gpuassay.manifest import is_true
from gpuassay.systems.kueue import notes
from gpuassay.systems.kueue.acts import own_gpus
from gpuassay.systems.kueue.acts.bench import KueueArm, KueueBench, bench
from gpuassay.systems.kueue.acts.floor import Plan
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.model import figures
from gpuassay.systems.kueue.model.paper import GPUS, table3_mix
from gpuassay.systems.kueue.model.predict import CONFIGURATIONS, predict
from gpuassay.systems.kueue.model.twin import TwinJob
from gpuassay.systems.kueue.objects import mixes
from gpuassay.systems.kueue.objects.table3 import table3_objects
from gpuassay.systems.kueue.options import CHOSEN

CONTROL = "fifo-again"
"""The A/A arm: FIFO once more."""

ARMS: dict[str, str] = {name: name for name in CONFIGURATIONS} | {CONTROL: "fifo"}
"""Configuration of every arm."""

QUEUED = tuple(name for name in ARMS if name != "pure")
"""Arms in which Kueue has a part."""

SCHEDULER = "scheduler"
"""Name of the recording with Kueue's scheduling cycles and histograms of all arms together."""

QUICK = (1 / 30, 1)
FULL = (1 / 10, 5)
"""Time scale of run times, and how many rounds (a round is one run of every arm with one list of run times)."""

QUICK_SEED = 3
"""Its list of run times is short (FIFO: 103 s by the twin, against 151 s of seed 1) and still preempts and borrows."""

PRIORITIES = {"priority": (100, 1000), "preemption": (100, 1000)}
"""(medium, large) where a configuration has priorities, as its manifest has them."""


FINISHED = Note("finished", int, "how many jobs of the arm are complete in the end")
ROUNDS = Note("rounds", int, "how many rounds were played")
GROUND = Note("ground", str, "what the arms' eight GPUs are", default="8 fake GPUs")
COSTS = Note(
    "costs",
    list[dict[str, dict[str, dict[str, float]]]],
    "of each round `before`, once all was `submitted`, and `after`",
)


@dataclass
class Runner:
    """One arm of one round."""

    arm: KueueArm
    configuration: mixes.Configuration
    jobs: list[TwinJob]
    patience: float
    command: str = ""

    def submit(self, begin: float) -> None:
        """Create the jobs on schedule (`begin` is a monotonic time, s)."""
        pause = threading.Event()
        for job in self.jobs:
            pause.wait(max(0.0, begin + job.arrival - time.monotonic()))
            self.arm.lab.view.check()
            made = self.configuration.job(job.cls, job.name, job.run)
            if self.command:
                made["spec"]["template"]["metadata"]["annotations"][labels.COMMAND] = self.command
            self.arm.lab.create(made)

    def finished(self) -> int:
        """How many jobs are complete."""
        return sum(is_true(job, "Complete") for job in self.arm.lab.objects("Job"))


def open_arm(
    on: KueueBench,
    name: str,
    seed: int,
    scale: float,
    number: int,
    configurations: Mapping[str, str] = ARMS,
    node: str = "",
) -> Runner:
    """Make an arm's pool, queues and job list; `node`: of somebody's, whose GPUs it has."""
    configuration = configurations[name]
    arm = on.arm(f"{name}-{number}")
    lab = arm.lab
    places = _places(on, lab, list(configurations).index(name), node)
    made = mixes.configuration(table3_objects(configuration), lab.token, lab.namespace, lab.token, places)
    queues = ("cq-medium", "cq-large") if configuration.startswith("two-queues") else ("cluster-queue",) * 2
    jobs = table3_mix(seed, scale, queues=(queues[0], queues[1]), priorities=PRIORITIES.get(configuration, (0, 0)))
    for manifest in made.queues:
        lab.create(manifest)
    lab.until_active(*(one["metadata"]["name"] for one in made.queues if one["kind"] == "ClusterQueue"))
    lab.note(notes.CONFIGURATION, configuration)
    lab.note(notes.SEED, seed)
    lab.note(notes.SCALE, scale)
    lab.note(notes.ROUND, number)
    lab.note(notes.GPUS, GPUS)
    lab.note(notes.JOBS, jobs)
    predicted = figures.makespan(predict(configuration, seed, scale).runs)
    return Runner(arm, made, jobs, 3 * predicted + 60, "" if on.environment.ours else CHOSEN.job_command)


def _places(on: KueueBench, lab: KueueLab, number: int, node: str) -> mixes.Places | None:
    """An arm's eight places: a fake node of 8 GPUs; on somebody's cluster, its own GPUs or places on a lent node."""
    if node:
        return mixes.Places({own_gpus.HOST: node}, labels.GPU, own_gpus.TOLERATED)
    if on.environment.ours:
        on.environment.cluster.add_nodes(1, labels={mixes.POOL: lab.token}, prefix=f"pool-{lab.token}")
        return None
    floor = lab.floor(Plan({"pool": "pool"}, per_rack=1, each=GPUS, first=number))
    return mixes.Places(floor.labels, floor.resource)


def play(runners: Sequence[Runner], progress_of: KueueLab, on: KueueBench) -> dict[str, dict[str, float]]:
    """Submit all arms' jobs, a fraction of a second apart, and give them time to finish; costs when all are created."""
    begin = time.monotonic() + 0.5
    spoken = begin
    with ThreadPoolExecutor(len(runners)) as pool:
        # The arms' creations are spread over the second: one cycle of the shared scheduler then mostly has one arm.
        futures = [pool.submit(one.submit, begin + number / len(runners)) for number, one in enumerate(runners)]

        submitted: dict[str, dict[str, float]] = {}

        def all_finished() -> bool:
            nonlocal spoken, submitted
            if not submitted and all(future.done() for future in futures):
                submitted = on.costs()
            counts = [one.finished() for one in runners]
            if time.monotonic() - spoken > 20:
                spoken = time.monotonic()
                said = ", ".join(f"{one.arm.name} {n}/32" for one, n in zip(runners, counts, strict=True))
                progress_of.progress(f"jobs finished: {said}")
            return all(future.done() for future in futures) and min(counts) == 32

        runners[0].arm.lab.observe(all_finished, "all arms finished", timeout=max(one.patience for one in runners))
        for future in futures:
            future.result()
    for one in runners:
        one.arm.lab.note(FINISHED, one.finished())
    return submitted


def _ground() -> str:
    """What the arms' GPUs are on somebody's cluster, and what runs on them."""
    runs = f"real containers that run `{CHOSEN.job_command}`" if CHOSEN.job_command else "real containers that sleep"
    if CHOSEN.own_gpus:
        return f"the 8 GPUs of a node of the cluster's ({runs})"
    return f"8 places (an extended resource of the arm's own, no GPU; {runs})"


def batched(names: Iterable[str], size: int) -> list[list[str]]:
    """Names in groups of at most `size`. Raises ValueError unless size >= 1."""
    listed = list(names)
    return [listed[first : first + size] for first in range(0, len(listed), size)]


def act(lab: KueueLab) -> None:
    """Every arm, in as many rounds as the mode has; the scheduler's log and histograms apart."""
    scale, rounds = FULL if lab.full else QUICK
    with bench(lab) as on:
        nodes = [""] * len(ARMS)
        if not on.environment.ours:
            nodes = own_gpus.some(lab.api, GPUS, lab.run_id) if CHOSEN.own_gpus else nodes
            lab.note(GROUND, _ground())
        scheduler = on.arm(SCHEDULER)
        scheduler.lab.scrape("before")
        costs: list[dict[str, dict[str, dict[str, float]]]] = []
        for number in range(1, rounds + 1):
            seed = number if lab.full else QUICK_SEED
            for names in batched(ARMS, len(nodes)):
                lab.progress(f"round {number} of {rounds}: {len(names)} arms side by side, run times x {scale:.3g}")
                with ThreadPoolExecutor(len(names)) as pool:
                    opening = [
                        pool.submit(open_arm, on, name, seed, scale, number, node=node)
                        for name, node in zip(names, nodes, strict=False)
                    ]
                    runners = [one.result() for one in opening]
                before = on.costs()
                submitted = play(runners, lab, on)
                on.settle()
                for one in runners:
                    on.arms.remove(one.arm)
                    on.close(one.arm)
                costs.append({"before": before, "submitted": submitted, "after": on.costs()})
        scheduler.lab.scrape("after")
        cycles = [line for line in on.all_lines(scheduler.began.positions) if "schedulingCycle" in line]
        on.close_with(scheduler, cycles)
        lab.note(notes.SCALE, scale)
        lab.note(ROUNDS, rounds)
        lab.note(COSTS, costs)
