"""The twin: a discrete-event model of Kueue over GPU jobs, and of a plain scheduler without Kueue.

It predicts order, starts, ends and evictions from run times. Source of the rules, Kueue v0.19.2:
`pkg/scheduler/scheduler.go` (one head per ClusterQueue and cycle; `makeClassicalIterator` orders the heads),
`pkg/cache/queue/cluster_queue.go` (heap, sticky preemptor, parked workloads; workloads of the shape of a parked one
are parked unseen, `SchedulingEquivalenceHashing`), `pkg/cache/queue/inadmissible_workloads.go` (the requeue batch).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gpuassay.model import preemption
from gpuassay.model.figures import Attempt, JobRun
from gpuassay.model.order import Decision, Inversion, QueuedWorkload, Strategy, Wait, heap_key, inversions
from gpuassay.model.quota import Quota, QuotaTree


@dataclass(frozen=True)
class TwinJob:
    """A job: arrival (s, when it is created), run (s, container start to exit), GPUs, priority, pod class."""

    name: str
    queue: str
    arrival: float
    run: float
    gpus: int = 1
    priority: int = 0
    cls: str = ""
    uid: str = ""
    """Decides between jobs of one creation second; the name if empty."""


@dataclass(frozen=True)
class TwinQueue:
    """A ClusterQueue with GPU quota."""

    name: str
    quota: Quota
    strategy: Strategy = "BestEffortFIFO"
    policy: preemption.Policy = field(default_factory=preemption.Policy)


@dataclass(frozen=True)
class Latencies:
    """Seconds that the machinery takes; none of them scales with the run time of jobs.

    The two batches are constants of the code: the Kubernetes job controller gathers status updates for 1 s
    (`finish_lag`), Kueue gathers requeues of parked workloads for 1 s (`requeue_batch`). The others depend on the
    machine.
    """

    create_lag: float = 0.05
    """Job created to Workload created."""
    start_lag: float = 0.15
    """Decision to container start."""
    finish_lag: float = 1.02
    """Container exit to quota released."""
    requeue_batch: float = 1.02
    """Quota released to parked workloads considered again."""
    evict_lag: float = 0.35
    """Eviction to container gone and quota released."""


INSTANT = Latencies(0, 0, 0, 0, 0)
"""No latency anywhere: what the policy alone does."""


@dataclass(frozen=True)
class OwnLags:
    """Seconds that the machinery took for one job, where they were measured; else those of `Latencies` count.

    Attributes:
        starts: decision to container start, of each admission in turn.
        finish: container exit to quota released.
    """

    starts: tuple[float, ...] = ()
    finish: float | None = None


@dataclass(frozen=True)
class Eviction:
    """`victim` was preempted at `at` (s) for `preemptor`."""

    at: float
    victim: str
    preemptor: str
    reason: str


@dataclass(frozen=True)
class TwinRun:
    """What happened in a simulation; `runs` has every job, finished or not, in input order."""

    capacity: int
    runs: tuple[JobRun, ...]
    decisions: tuple[Decision, ...] = ()
    waits: tuple[Wait, ...] = ()
    evictions: tuple[Eviction, ...] = ()

    @property
    def admissions(self) -> list[str]:
        """Names in the order in which they got quota; a preempted job appears again."""
        return [d.workload.name for d in self.decisions]

    def inversions(self, queue: str, strategy: Strategy = "BestEffortFIFO") -> list[Inversion]:
        """Admissions of `queue` that jumped it."""
        mine = {r.name for r in self.runs if r.queue == queue}
        return inversions(
            [d for d in self.decisions if d.workload.name in mine],
            [w for w in self.waits if w.workload.name in mine],
            strategy,
        )


def simulate(
    jobs: Sequence[TwinJob],
    queues: Sequence[TwinQueue],
    latencies: Latencies | None = None,
    *,
    cohort: str | None = None,
    own: Mapping[str, OwnLags] | None = None,
) -> TwinRun:
    """Run `jobs` through Kueue with `queues`, all of them in `cohort` if one is named; `own` holds lags by job.

    A job that no quota can ever hold stays pending. Raises ValueError on a bad job list or a queue without a whole
    number of GPUs as nominal quota.
    """
    _check(jobs, {q.name for q in queues})
    simulation = _Simulation(queues, latencies or Latencies(), cohort, own or {})
    for job in jobs:
        simulation.add(job)
    return simulation.run()


def simulate_pure(jobs: Sequence[TwinJob], capacity: int, start_lag: float = 0.1) -> TwinRun:
    """Run `jobs` without Kueue: pods of one queue, first come first served on `capacity` GPUs, no preemption.

    A pod that does not fit is passed by smaller ones. The real scheduler retries waiting pods with a back-off, so its
    order after the first pods is looser than this one. `start_lag` is seconds from a free GPU to container start.
    """
    _check(jobs, {j.queue for j in jobs})
    free, now = capacity, 0.0
    waiting: list[TwinJob] = []
    arriving = sorted(jobs, key=lambda j: j.arrival)
    ends: list[tuple[float, str, int]] = []
    done: dict[str, Attempt] = {}
    while arriving or ends:
        now = min([j.arrival for j in arriving[:1]] + [e[0] for e in ends[:1]])
        while ends and ends[0][0] <= now:
            free += heapq.heappop(ends)[2]
        while arriving and arriving[0].arrival <= now:
            waiting.append(arriving.pop(0))
        for job in list(waiting):
            if job.gpus <= free:
                waiting.remove(job)
                free -= job.gpus
                start = now + start_lag
                done[job.name] = Attempt(start, start + job.run)
                heapq.heappush(ends, (start + job.run, job.name, job.gpus))
    return TwinRun(capacity, tuple(_job_run(j, [done[j.name]] if j.name in done else []) for j in jobs))


def _check(jobs: Sequence[TwinJob], queues: set[str]) -> None:
    seen: set[str] = set()
    for job in jobs:
        if job.name in seen:
            raise ValueError(f"two jobs are called {job.name}")
        seen.add(job.name)
        if job.queue not in queues:
            raise ValueError(f"job {job.name} names the unknown queue {job.queue}")
        if job.gpus < 1 or job.run <= 0 or job.arrival < 0:
            raise ValueError(f"job {job.name} needs gpus >= 1, run > 0 and arrival >= 0")


def _job_run(job: TwinJob, attempts: Sequence[Attempt]) -> JobRun:
    return JobRun(job.name, job.cls, job.queue, job.arrival, tuple(attempts), job.gpus, job.priority)


@dataclass(eq=False)
class _Live:
    """A job inside the simulation."""

    job: TwinJob
    queued: QueuedWorkload
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    since: float = 0.0
    reserved_at: float | None = None
    evicted: bool = False
    exited: bool = False
    epoch: int = 0
    """Counts admissions, so that an event of an earlier one is known as stale."""

    def shape(self) -> tuple[str, int, int]:
        return (self.job.cls, self.job.gpus, self.job.priority)

    def holder(self) -> preemption.Holder:
        return preemption.Holder(
            self.job.name,
            self.queued.uid,
            self.job.queue,
            self.job.gpus,
            self.job.priority,
            self.queued.timestamp,
            int(self.reserved_at or 0),
            self.evicted,
        )


@dataclass(eq=False)
class _Heap:
    """A ClusterQueue's active workloads and the parked ("inadmissible") ones."""

    spec: TwinQueue
    active: list[_Live] = field(default_factory=list[_Live])
    parked: list[_Live] = field(default_factory=list[_Live])
    parked_shapes: set[tuple[str, int, int]] = field(default_factory=set[tuple[str, int, int]])
    sticky: _Live | None = None

    def head(self) -> _Live | None:
        best_effort = self.spec.strategy == "BestEffortFIFO"
        return min(
            self.active, key=lambda w: (not (best_effort and w is self.sticky), heap_key(w.queued)), default=None
        )

    def push(self, live: _Live) -> None:
        unseen = self.spec.strategy == "BestEffortFIFO" and live.shape() in self.parked_shapes
        (self.parked if unseen else self.active).append(live)

    def park(self, live: _Live) -> None:
        self.parked_shapes.add(live.shape())
        alike = [w for w in self.active if w.shape() == live.shape()]
        self.active = [w for w in self.active if w.shape() != live.shape()]
        self.parked += alike

    def unpark(self) -> None:
        self.active += self.parked
        self.parked = []
        self.parked_shapes = set()


class _Simulation:
    def __init__(
        self, queues: Sequence[TwinQueue], latencies: Latencies, cohort: str | None, own: Mapping[str, OwnLags]
    ) -> None:
        self.latencies, self.cohort, self.own = latencies, cohort, own
        parents = {q.name: cohort for q in queues} if cohort is not None else {}
        self.tree = QuotaTree({q.name: q.quota for q in queues}, parents)
        nominal = sum((q.quota.nominal for q in queues), 0)
        if nominal != int(nominal):
            raise ValueError(f"GPU quota must be a whole number, not {nominal}")
        self.capacity = int(nominal)
        self.heaps = {q.name: _Heap(q) for q in queues}
        self.jobs: dict[str, _Live] = {}
        self.events: list[tuple[float, int, Callable[[float], None]]] = []
        self.batches: set[str] = set()
        self.decisions: list[Decision] = []
        self.waits: list[Wait] = []
        self.evictions: list[Eviction] = []
        self.count = 0

    def at(self, when: float, what: Callable[[float], None]) -> None:
        self.count += 1
        heapq.heappush(self.events, (when, self.count, what))

    def add(self, job: TwinJob) -> None:
        seen = job.arrival + self.latencies.create_lag
        live = _Live(job, QueuedWorkload(job.name, job.uid or job.name, job.priority, int(seen)))
        self.jobs[job.name] = live
        self.at(seen, lambda now: self.enqueue(live, now))

    def run(self) -> TwinRun:
        while self.events:
            when, _, what = heapq.heappop(self.events)
            what(when)
            if not (self.events and self.events[0][0] == when):  # all that happens at one instant, then one pass
                self.schedule(when)
        for heap in self.heaps.values():
            self.waits += [Wait(w.queued, w.since, None, w.job.gpus) for w in heap.active + heap.parked]
        runs = tuple(_job_run(w.job, w.attempts) for w in self.jobs.values())
        return TwinRun(self.capacity, runs, tuple(self.decisions), tuple(self.waits), tuple(self.evictions))

    def enqueue(self, live: _Live, now: float) -> None:
        live.since = now
        self.heaps[live.job.queue].push(live)

    def admit(self, live: _Live, now: float) -> None:
        heap = self.heaps[live.job.queue]
        heap.active.remove(live)
        if heap.sticky is live:
            heap.sticky = None
        self.tree.add(live.job.queue, live.job.gpus)
        live.reserved_at, live.epoch = now, live.epoch + 1
        self.decisions.append(Decision(live.queued, now, live.job.gpus))
        self.waits.append(Wait(live.queued, live.since, now, live.job.gpus))
        epoch = live.epoch
        starts = self.own.get(live.job.name, OwnLags()).starts
        lag = starts[epoch - 1] if epoch <= len(starts) else self.latencies.start_lag
        self.at(now + lag, lambda then: self.start(live, epoch, then))

    def start(self, live: _Live, epoch: int, now: float) -> None:
        if live.epoch != epoch or live.reserved_at is None or live.evicted:
            return
        live.attempts.append(Attempt(now))
        self.at(now + live.job.run, lambda then: self.exit(live, epoch, then))

    def exit(self, live: _Live, epoch: int, now: float) -> None:
        if live.epoch != epoch or live.reserved_at is None:
            return
        live.exited = True
        live.attempts[-1] = Attempt(live.attempts[-1].start, now)
        finish = self.own.get(live.job.name, OwnLags()).finish
        self.at(now + (self.latencies.finish_lag if finish is None else finish), lambda then: self.release(live, then))

    def evict(self, live: _Live, preemptor: _Live, reason: str, now: float) -> None:
        live.evicted = True
        self.evictions.append(Eviction(now, live.job.name, preemptor.job.name, reason))
        epoch = live.epoch
        self.at(now + self.latencies.evict_lag, lambda then: self.gone(live, epoch, then))

    def gone(self, live: _Live, epoch: int, now: float) -> None:
        """The evicted container is gone. One that had exited by itself before is finished, not requeued."""
        if live.exited or live.epoch != epoch:
            return
        if live.attempts and live.attempts[-1].end is None:
            live.attempts[-1] = Attempt(live.attempts[-1].start, now, killed=True)
        self.release(live, now)
        self.enqueue(live, now)

    def release(self, live: _Live, now: float) -> None:
        self.tree.remove(live.job.queue, live.job.gpus)
        live.reserved_at, live.evicted = None, False
        root = self.cohort or live.job.queue
        if root not in self.batches:  # requests during a batch join it; the first one sets its time
            self.batches.add(root)
            self.at(now + self.latencies.requeue_batch, lambda then: self.requeue(root))

    def requeue(self, root: str) -> None:
        self.batches.discard(root)
        for name, heap in self.heaps.items():
            if root in (self.cohort, name):
                heap.unpark()

    def schedule(self, now: float) -> None:
        """Scheduling cycles until one changes nothing; a cycle takes milliseconds and has no length here."""
        while self.cycle(now):
            pass

    def cycle(self, now: float) -> bool:
        heads = [(heap, head) for heap in self.heaps.values() if (head := heap.head()) is not None]
        nominated = [(heap, head, self.nominate(head)) for heap, head in heads]
        nominated.sort(key=lambda n: (self.borrows(n[1]), -n[1].job.priority, n[1].queued.timestamp))
        changed, reserved = False, list[_Live]()
        for heap, live, targets in nominated:
            if targets is None:
                if live.job.gpus <= self.tree.available(live.job.queue):
                    self.admit(live, now)
                    changed = True
            elif targets:
                heap.sticky = live
                fresh = [t for t in targets if not self.jobs[t.holder.name].evicted]
                for target in fresh:
                    self.evict(self.jobs[target.holder.name], live, target.reason, now)
                changed = changed or bool(fresh)
                reserved.append(live)  # later heads of this cycle may not take what the preemptor waits for
                self.tree.add(live.job.queue, live.job.gpus)
            elif heap.spec.strategy == "BestEffortFIFO":
                heap.sticky = None if heap.sticky is live else heap.sticky
                heap.park(live)
                changed = True
        for live in reserved:
            self.tree.remove(live.job.queue, live.job.gpus)
        return changed

    def borrows(self, live: _Live) -> bool:
        return self.cohort is not None and self.tree.queue(live.job.queue).borrowing_with(live.job.gpus)

    def nominate(self, live: _Live) -> list[preemption.Victim] | None:
        """None if it fits, else the victims that would make it fit (none: it has to wait)."""
        if live.job.gpus <= self.tree.available(live.job.queue):
            return None
        holders = [w.holder() for w in self.jobs.values() if w.reserved_at is not None]
        return preemption.victims(live.holder(), self.heaps[live.job.queue].spec.policy, holders, self.tree)
