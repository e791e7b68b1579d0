"""What the twin's jobs and queues are, and who waits in them: heap, parked workloads, sticky preemptor."""

from __future__ import annotations

from dataclasses import dataclass, field

from gpuassay.systems.kueue.model import preemption
from gpuassay.systems.kueue.model.figures import Attempt
from gpuassay.systems.kueue.model.order import QueuedWorkload, Strategy, heap_key
from gpuassay.systems.kueue.model.quota import Quota


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
    second: int | None = None
    """Creation second of its Workload; None: that of arrival and lag."""


@dataclass(frozen=True)
class TwinQueue:
    """A ClusterQueue with GPU quota."""

    name: str
    quota: Quota
    strategy: Strategy = "BestEffortFIFO"
    policy: preemption.Policy = field(default_factory=preemption.Policy)


@dataclass(eq=False)
class Live:
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

    active_at: float = 0.0
    """When it was last put into the heap, or back from the parked ones."""

    def shape(self) -> tuple[str, int, int]:
        """Workloads of one shape fit, or do not, together."""
        return (self.job.cls, self.job.gpus, self.job.priority)

    def holder(self) -> preemption.Holder:
        """What preemption may take from it."""
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
class Heap:
    """A ClusterQueue's active workloads and the parked ("inadmissible") ones."""

    spec: TwinQueue
    active: list[Live] = field(default_factory=list[Live])
    parked: list[Live] = field(default_factory=list[Live])
    parked_shapes: set[tuple[str, int, int]] = field(default_factory=set[tuple[str, int, int]])
    sticky: Live | None = None

    def head(self) -> Live | None:
        """The best active one."""
        best_effort = self.spec.strategy == "BestEffortFIFO"
        return min(
            self.active, key=lambda w: (not (best_effort and w is self.sticky), heap_key(w.queued)), default=None
        )

    def push(self, live: Live) -> None:
        """Enter one; of a parked shape it is parked unseen."""
        unseen = self.spec.strategy == "BestEffortFIFO" and live.shape() in self.parked_shapes
        (self.parked if unseen else self.active).append(live)

    def park(self, live: Live) -> None:
        """Park one that does not fit, and all of its shape."""
        self.parked_shapes.add(live.shape())
        alike = [w for w in self.active if w.shape() == live.shape()]
        self.active = [w for w in self.active if w.shape() != live.shape()]
        self.parked += alike

    def unpark(self, now: float) -> None:
        """Look at the parked ones again."""
        for live in self.parked:
            live.active_at = now
        self.active += self.parked
        self.parked = []
        self.parked_shapes = set()
