"""Drives Kueue with Workload objects and plays their execution, as Kueue's own performance runner does.

Nothing runs: a Workload that is admitted is reported Finished after its run time, one that is evicted gives its quota
back at once (what Kueue's runner does, `test/performance/scheduler/runner/controller`). So the queueing is measured
without Jobs, pods and nodes.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gpuassay.cluster.api import JSON, Api
from gpuassay.cluster.errors import ApiRefused
from gpuassay.manifest import Manifest, dig, is_true, name_of
from gpuassay.record.live import LiveView
from gpuassay.systems.kueue.objects import mixes
from gpuassay.systems.kueue.objects.mixes import Generated, GeneratedSet

CREATORS = 48
"""Threads that create Workloads; with fewer than sets that are due at once, creation falls behind its schedule."""

PLAYERS = 16
"""Threads that report executions."""


class _Schedule:
    """Things to do at times: any thread takes what is due first."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._changed = threading.Condition()
        self._closed = False

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Have `action` called at a monotonic time (s)."""
        with self._changed:
            self._count += 1
            heapq.heappush(self._due, (when, self._count, action))
            self._changed.notify()

    def close(self) -> None:
        """Let the workers end; what is not due yet is dropped."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def work(self) -> None:
        """Do what is due until the schedule is closed."""
        while True:
            with self._changed:
                while not self._closed and (not self._due or self._due[0][0] > time.monotonic()):
                    self._changed.wait(self._due[0][0] - time.monotonic() if self._due else None)
                if self._closed:
                    return
                _, _, action = heapq.heappop(self._due)
            action()


@dataclass
class _Played:
    """What the driver knows of one Workload."""

    run: float
    admitted: bool = False
    epoch: int = 0
    finished: bool = False
    clearing: bool = False


@dataclass
class Mimic:
    """Creates the Workloads of a generator on schedule and plays their execution.

    Attributes:
        api: where Workloads are created and reported.
        view: what tells of admissions.
        generated: queues and sets; their LocalQueues exist already.
        namespace_of: namespace of a set's queue.
        create: creates a Workload; keeps what was asked for.
    """

    api: Api
    view: LiveView
    generated: Generated
    namespace_of: Callable[[str], str]
    create: Callable[[Manifest], object]
    lags: list[float] = field(default_factory=list[float])
    """Seconds between a creation's time and its answer."""
    problems: list[str] = field(default_factory=list[str])
    evictions: int = 0
    _played: dict[tuple[str, str], _Played] = field(default_factory=dict[tuple[str, str], _Played])
    _creating: _Schedule = field(default_factory=_Schedule)
    _playing: _Schedule = field(default_factory=_Schedule)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _done: threading.Event = field(default_factory=threading.Event)
    _left: int = 0

    def run(self, timeout: float, progress: Callable[[int, int], None] = lambda done, of: None) -> bool:
        """Drive until all Workloads are finished; False when `timeout` seconds were not enough."""
        self._left = self.generated.total
        for one in self.generated.sets:
            for name in one.names:
                self._played[self.namespace_of(one.queue), name] = _Played(one.run)
        self.view.listen("Workload", self._hear)
        begin = time.monotonic() + 0.2
        for one in self.generated.sets:
            for number, name in enumerate(one.names, start=1):
                self._plan(one, name, begin + number * one.interval)
        deadline = begin + timeout
        with ThreadPoolExecutor(CREATORS + PLAYERS) as pool:
            for schedule, threads in ((self._creating, CREATORS), (self._playing, PLAYERS)):
                for _ in range(threads):
                    pool.submit(schedule.work)
            try:
                while not self._done.wait(min(10.0, max(0.0, deadline - time.monotonic()))):
                    self.view.check()
                    progress(self.generated.total - self._left, self.generated.total)
                    if time.monotonic() >= deadline:
                        break
            finally:
                self._creating.close()
                self._playing.close()
        return self._done.is_set()

    def _plan(self, one: GeneratedSet, name: str, when: float) -> None:
        manifest = mixes.generated_workload(one, name, self.namespace_of(one.queue))

        def create() -> None:
            self._guarded(f"create {name}", lambda: self.create(manifest))
            with self._lock:
                self.lags.append(time.monotonic() - when)

        self._creating.at(when, create)

    def _guarded(self, what: str, action: Callable[[], object]) -> None:
        """A refusal is kept as a sentence: a thread's exception would be lost."""
        try:
            action()
        except Exception as error:
            with self._lock:
                self.problems.append(f"{what}: {type(error).__name__}: {error}"[:300])

    def _hear(self, change: str, workload: Manifest) -> None:
        """Called by the tailing thread on every change of a Workload."""
        key = (str(dig(workload, "metadata", "namespace", default="")), name_of(workload))
        known = self._played.get(key)
        if known is None or change == "DELETED":
            return
        if is_true(workload, "Finished"):
            if not known.finished:
                known.finished = True
                self._left -= 1
                if self._left == 0:
                    self._done.set()
            return
        admitted = is_true(workload, "Admitted")
        evicted = is_true(workload, "Evicted") and is_true(workload, "QuotaReserved")
        if evicted and not known.clearing:
            known.clearing, known.admitted = True, False
            known.epoch += 1
            self.evictions += 1
            self._playing.at(0.0, lambda: self._guarded(f"evict {key[1]}", lambda: self._give_back(key)))
        elif not is_true(workload, "QuotaReserved"):
            known.clearing = known.admitted = False
        if admitted and not evicted and not known.admitted:
            known.admitted = True
            known.epoch += 1
            epoch = known.epoch
            self._playing.at(
                time.monotonic() + known.run,
                lambda: self._guarded(f"finish {key[1]}", lambda: self._finish(key, known, epoch)),
            )

    def _finish(self, key: tuple[str, str], known: _Played, epoch: int) -> None:
        if known.epoch != epoch or known.clearing:
            return
        condition: Manifest = {
            "type": "Finished",
            "status": "True",
            "reason": "JobFinished",
            "message": "by the driver",
            "lastTransitionTime": _now(),
        }
        append: list[Manifest] = [{"op": "add", "path": "/status/conditions/-", "value": condition}]
        try:
            self.api.patch("Workload", key[1], append, key[0], subresource="status", content_type=JSON)
        except ApiRefused:  # an answer that was lost and asked for again: the first request did it
            if not is_true(self.api.get("Workload", key[1], key[0]) or {}, "Finished"):
                raise

    def _give_back(self, key: tuple[str, str]) -> None:
        for _ in range(5):
            workload = self.api.get("Workload", key[1], key[0])
            if workload is None or not is_true(workload, "QuotaReserved"):
                return
            status: Manifest = workload["status"]
            status.pop("admission", None)
            for condition in status["conditions"]:
                if condition["type"] in {"QuotaReserved", "Admitted"}:
                    condition |= {
                        "status": "False",
                        "reason": "Pending",
                        "message": "by the driver",
                        "lastTransitionTime": _now(),
                    }
            try:
                self.api.replace(workload, subresource="status")
            except ApiRefused as refused:
                if refused.status != 409:
                    raise
            else:
                return


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
