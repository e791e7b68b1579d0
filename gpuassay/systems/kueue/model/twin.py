"""The twin: a discrete-event model of Kueue over GPU jobs, and of a plain scheduler without Kueue.

It predicts order, starts, ends and evictions from run times. Source of the rules, Kueue v0.19.2:
`pkg/scheduler/scheduler.go` (one head per ClusterQueue and cycle; `makeClassicalIterator` orders the heads;
`processEntry` decides what earlier heads leave to later ones),
`pkg/cache/queue/cluster_queue.go` (heap, sticky preemptor, parked workloads; workloads of the shape of a parked one
are parked unseen, `SchedulingEquivalenceHashing`), `pkg/cache/queue/inadmissible_workloads.go` (the requeue batch).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from gpuassay.systems.kueue.model import preemption
from gpuassay.systems.kueue.model.branch import Branch
from gpuassay.systems.kueue.model.figures import Attempt, JobRun
from gpuassay.systems.kueue.model.order import Decision, Inversion, QueuedWorkload, Strategy, Wait, inversions
from gpuassay.systems.kueue.model.pending import Heap, Live, TwinJob, TwinQueue
from gpuassay.systems.kueue.model.quota import Amount, QuotaTree


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
    branch: Branch | None = None,
) -> TwinRun:
    """Run `jobs` through Kueue with `queues`, all of them in `cohort` if one is named; `own` holds lags by job.

    A job that no quota can ever hold stays pending. Where the rules leave several schedules open, the one that `branch`
    tells is taken. Raises ValueError on a bad job list or a queue without a whole number of GPUs as nominal quota.
    """
    _check(jobs, {q.name for q in queues})
    simulation = _Simulation(queues, latencies or Latencies(), cohort, own or {}, branch or Branch((), 0.0))
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


class _Simulation:
    def __init__(
        self,
        queues: Sequence[TwinQueue],
        latencies: Latencies,
        cohort: str | None,
        own: Mapping[str, OwnLags],
        branch: Branch,
    ) -> None:
        self.latencies, self.cohort, self.own, self.branch = latencies, cohort, own, branch
        parents = {q.name: cohort for q in queues} if cohort is not None else {}
        self.tree = QuotaTree({q.name: q.quota for q in queues}, parents)
        nominal = sum((q.quota.nominal for q in queues), 0)
        if nominal != int(nominal):
            raise ValueError(f"GPU quota must be a whole number, not {nominal}")
        self.capacity = int(nominal)
        self.heaps = {q.name: Heap(q) for q in queues}
        self.jobs: dict[str, Live] = {}
        self.events: list[tuple[float, int, Callable[[float], None]]] = []
        self.batches: set[str] = set()
        self.releases: list[float] = []  # times at which quota will be free, known beforehand
        self.unparks: list[float] = []
        self.freed: list[tuple[float, int]] = []  # (time, GPUs) of releases that have happened
        self.decisions: list[Decision] = []
        self.waits: list[Wait] = []
        self.evictions: list[Eviction] = []
        self.count = 0

    def at(self, when: float, what: Callable[[float], None]) -> None:
        self.count += 1
        heapq.heappush(self.events, (when, self.count, what))

    def add(self, job: TwinJob) -> None:
        seen = job.arrival + self.latencies.create_lag
        second = int(seen) if job.second is None else job.second
        live = Live(job, QueuedWorkload(job.name, job.uid or job.name, job.priority, second), since=seen)
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

    def enqueue(self, live: Live, now: float) -> None:
        live.since = live.active_at = now
        self.heaps[live.job.queue].push(live)

    def admit(self, live: Live, now: float) -> None:
        heap = self.heaps[live.job.queue]
        heap.active.remove(live)
        if heap.sticky is live:
            heap.sticky = None
        self.tree.add(live.job.queue, live.job.gpus)
        live.reserved_at, live.epoch = now, live.epoch + 1
        self.branch.admitted(live.job.name, now)
        self.decisions.append(Decision(live.queued, now, live.job.gpus))
        self.waits.append(Wait(live.queued, live.since, now, live.job.gpus))
        epoch = live.epoch
        starts = self.own.get(live.job.name, OwnLags()).starts
        lag = starts[epoch - 1] if epoch <= len(starts) else self.latencies.start_lag
        self.at(now + lag, lambda then: self.start(live, epoch, then))

    def start(self, live: Live, epoch: int, now: float) -> None:
        if live.epoch != epoch or live.reserved_at is None or live.evicted:
            return
        live.attempts.append(Attempt(now))
        self.at(now + live.job.run, lambda then: self.exit(live, epoch, then))

    def exit(self, live: Live, epoch: int, now: float) -> None:
        if live.epoch != epoch or live.reserved_at is None:
            return
        live.exited = True
        live.attempts[-1] = Attempt(live.attempts[-1].start, now)
        finish = self.own.get(live.job.name, OwnLags()).finish
        released = now + (self.latencies.finish_lag if finish is None else finish)
        self.releases.append(released)
        self.at(released, lambda then: self.release(live, then))

    def evict(self, live: Live, preemptor: Live, reason: str, now: float) -> None:
        live.evicted = True
        self.evictions.append(Eviction(now, live.job.name, preemptor.job.name, reason))
        epoch = live.epoch
        self.releases.append(now + self.latencies.evict_lag)
        self.at(now + self.latencies.evict_lag, lambda then: self.gone(live, epoch, then))

    def gone(self, live: Live, epoch: int, now: float) -> None:
        """The evicted container is gone. One that had exited by itself before is finished, not requeued."""
        if live.exited or live.epoch != epoch:
            return
        if live.attempts and live.attempts[-1].end is None:
            live.attempts[-1] = Attempt(live.attempts[-1].start, now, killed=True)
        self.release(live, now)
        self.enqueue(live, now)

    def release(self, live: Live, now: float) -> None:
        self.freed.append((now, live.job.gpus))
        self.tree.remove(live.job.queue, live.job.gpus)
        live.reserved_at, live.evicted = None, False
        root = self.cohort or live.job.queue
        if root not in self.batches:  # requests during a batch join it; the first one sets its time
            self.batches.add(root)
            self.unparks.append(now + self.latencies.requeue_batch)
            self.at(now + self.latencies.requeue_batch, lambda then: self.requeue(root, then))

    def requeue(self, root: str, now: float) -> None:
        self.batches.discard(root)
        for name, heap in self.heaps.items():
            if root in (self.cohort, name):
                heap.unpark(now)

    def schedule(self, now: float) -> None:
        """Scheduling cycles until one changes nothing; a cycle takes milliseconds and has no length here."""
        while self.cycle(now):
            pass

    def cycle(self, now: float) -> bool:
        heads = [(heap, head) for heap in self.heaps.values() if (head := self.head(heap, now)) is not None]
        nominated = [(heap, head, self.nominate(head)) for heap, head in heads]
        nominated.sort(key=lambda n: (self.borrows(n[1]), -n[1].job.priority, n[1].queued.timestamp))
        changed, reserved, leaving = False, list[tuple[str, Amount]](), dict[str, preemption.Holder]()
        for heap, live, targets in nominated:
            if targets is None:
                fits = self.room(live, leaving.values())
                if fits and self.missed(live, now):
                    heap.park(live)
                    changed = True
                elif fits and not self.held(live, now):
                    self.admit(live, now)
                    changed = True
            elif targets:
                holders = {t.holder.name: t.holder for t in targets}
                if holders.keys() & leaving or not self.room(live, [*leaving.values(), *holders.values()]):
                    continue  # an earlier head of this cycle has taken its place or its victims; it comes again
                leaving |= holders
                heap.sticky = live
                fresh = [t for t in targets if not self.jobs[t.holder.name].evicted]
                for target in fresh:
                    self.evict(self.jobs[target.holder.name], live, target.reason, now)
                changed = changed or bool(fresh)
                reserved.append(self.reserve(live, live.job.gpus))  # later heads may not take what it waits for
            elif live.job.name == self.branch.expected and self.branch.soon(self.releases, now):
                continue  # the release may as well have come first
            else:
                if heap.spec.policy.reclaim != "Any":
                    reserved.append(self.reserve(live, self.due(live, heap.spec.policy)))
                if heap.spec.strategy == "BestEffortFIFO":
                    heap.sticky = None if heap.sticky is live else heap.sticky
                    heap.park(live)
                    changed = True
        for queue, amount in reserved:
            self.tree.remove(queue, amount)
        return changed

    def reserve(self, live: Live, amount: Amount) -> tuple[str, Amount]:
        """Count an amount as used for the rest of a cycle."""
        self.tree.add(live.job.queue, amount)
        return live.job.queue, amount

    def due(self, live: Live, policy: preemption.Policy) -> Amount:
        """What a head without victims keeps others from taking in its cycle (`quotaResourcesToReserve`)."""
        node, request = self.tree.queue(live.job.queue), live.job.gpus
        if not preemption.may_preempt(node, request, policy):
            return 0
        if not self.borrows(live):
            return max(0, min(request, node.quota.nominal - node.usage()))
        limit = node.quota.borrowing_limit
        return request if limit is None else max(0, min(request, node.quota.nominal + limit - node.usage()))

    def room(self, live: Live, leaving: Iterable[preemption.Holder]) -> bool:
        """Whether it fits once those that are being preempted in this cycle have gone."""
        gone = list(leaving)
        for holder in gone:
            self.tree.remove(holder.queue, holder.request)
        fits = self.fits(live)
        for holder in gone:
            self.tree.add(holder.queue, holder.request)
        return fits

    def head(self, heap: Heap, now: float) -> Live | None:
        """The head of a heap; behind one that has just come, the one that the live run admitted before it came."""
        head, expected = heap.head(), self.jobs.get(self.branch.expected)
        if head is None or expected is None or expected is head or expected not in heap.active:
            return head
        overtaken = self.fits(expected) and self.just_came(head, now) and self.branch.may_hold(head.job.name, now)
        return expected if overtaken else head

    def held(self, live: Live, now: float) -> bool:
        """Whether `live` waits although it fits: the live run admitted somebody else, for whom it is nearly time."""
        expected = self.jobs.get(self.branch.expected)
        if expected is None or expected is live or not self.branch.may_hold(live.job.name, now):
            return False
        heap = self.heaps[expected.job.queue]
        if expected in heap.active:
            return self.just_came(live, now) if self.fits(expected) else self.branch.soon(self.releases, now)
        if expected in heap.parked:
            return self.branch.soon(self.unparks, now)
        if expected.reserved_at is None:
            return self.branch.soon([expected.since], now)  # it is about to be created
        return expected.evicted and self.branch.soon(self.releases, now)

    def missed(self, live: Live, now: float) -> bool:
        """Whether `live` came at the moment of a release or batch, and in the live run just too late for it."""
        if not self.branch.later(live.job.name, now) or now - live.since > self.branch.slack:
            return False
        if not any(then > now for then in (*self.unparks, *self.releases)):
            return False  # nothing would ever look at it again
        freed = sum(gpus for at, gpus in self.freed if now - at <= self.branch.slack)
        raced = freed > 0 and self.tree.available(live.job.queue) - freed < live.job.gpus
        return raced or any(0 <= now - then <= self.branch.slack for then in self.unparks)

    def fits(self, live: Live) -> bool:
        return live.job.gpus <= self.tree.available(live.job.queue)

    def just_came(self, live: Live, now: float) -> bool:
        return live.active_at > now - self.branch.slack

    def borrows(self, live: Live) -> bool:
        return self.cohort is not None and self.tree.queue(live.job.queue).borrowing_with(live.job.gpus)

    def nominate(self, live: Live) -> list[preemption.Victim] | None:
        """None if it fits, else the victims that would make it fit (none: it has to wait)."""
        if self.fits(live):
            return None
        holders = [w.holder() for w in self.jobs.values() if w.reserved_at is not None]
        return preemption.victims(live.holder(), self.heaps[live.job.queue].spec.policy, holders, self.tree)
