"""Random walks side by side on one Kueue, each with a recording of its own; what is found is shrunk there."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from gpuassay.engine import recordings
from gpuassay.engine.bench import Arm
from gpuassay.engine.environment import Environment
from gpuassay.record import facts
from gpuassay.record.lines import LineIndex
from gpuassay.record.notes import Note
from gpuassay.systems.kueue import notes
from gpuassay.systems.kueue.acts.bench import KueueBench
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.acts.walker import Walker
from gpuassay.systems.kueue.component import Kueue
from gpuassay.systems.kueue.judge import shrink, walks
from gpuassay.systems.kueue.objects.walks import Step, Walk
from gpuassay.systems.kueue.readings import END, LOG, RESTARTED, KueueRecording

WIDTH = 6
"""Walks at a time: most of a walk is waiting."""
FOLDER = "walks"
"""Of the run directory: shrunk walks as files."""
GAUGES = ("_info", "_status", "_quota", "_workloads", "_reservation", "_usage", "_reservations")
"""Ends of the names of Kueue's gauges of queues and cohorts."""
MADE_ANEW = "StorageError: invalid object"
"""Error of a status that came too late, for an object that was deleted and made anew meanwhile; it is tried again."""


class Shrunk(msgspec.Struct, frozen=True):
    """A walk that found something, with the steps that it needs.

    Attributes:
        seed: of the walk.
        findings: what was wrong after all of its steps.
        steps: those that are left, as lines.
        file: where the walk lies, in the run directory.
        of: how many steps there were.
        attempts: walks that were taken to find that out.
    """

    seed: int
    findings: list[str]
    steps: list[str]
    file: str
    of: int
    attempts: int


SEEDS = Note("walk_seeds", dict[str, int], "seed of the walk in each arm", default={})
REFUSED = Note("walk_refused", list[str], "steps that were refused, or that found nothing to act on", default=[])
SHRUNK = Note("walks_shrunk", list[Shrunk], "walks that found something, with the steps that they need", default=[])
TOOK = Note("walks_took", dict[str, float], "walks, steps, and seconds that they took together", default={})


@dataclass
class Party:
    """Walks on the cluster and Kueue that a scenario has for itself.

    Attributes:
        lab: the scenario's.
        take: acts a walk out, and returns it as it was taken.
        judge: what is wrong after it.
        leave: takes away what a walk has made besides its objects, once it is recorded.
        restart: whether Kueue is restarted after each round: all must be as before. It must be the scenario's alone.
        until: end of the time for shrinking (`time.monotonic`).
    """

    lab: KueueLab
    take: Callable[[KueueLab, Walk], Walk] = field(default=lambda lab, walk: take(lab, walk))
    judge: Callable[[KueueRecording], list[str]] = walks.findings
    leave: Callable[[KueueLab], None] = lambda _: None
    restart: bool = True
    until: float = 0.0
    _bench: KueueBench = field(init=False)
    _known: set[str] = field(default_factory=set[str])
    """Kinds of findings that were shrunk."""
    _walks: int = 0
    _steps: int = 0
    _begun: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        """Raises RuntimeError where Kueue is not a process of ours."""
        lab = self.lab
        if not isinstance(lab.kueue, Kueue):
            raise RuntimeError("walks restart Kueue: they need one that is a process of this run")
        environment = Environment(
            run_id=lab.run_id, cluster=lab.cluster, view=lab.view, capabilities=lab.cluster.capabilities,
            mutant=lab.mutant, logs={LOG: LineIndex(lab.kueue.log_path, lab.cluster.directory.parent)},
        )  # fmt: skip
        self._bench = KueueBench(environment, lab, kueue=lab.kueue)

    def go(self, chosen: Sequence[Walk]) -> list[tuple[Walk, list[str]]]:
        """Take walks side by side; each as it was taken, with what was wrong after it.

        Recordings of the first round stay, and of every walk that was not sound.
        """
        keep_all = self._walks == 0
        return self._go(chosen, restart=self.restart, keep=lambda findings: keep_all or bool(findings))

    def _go(
        self, chosen: Sequence[Walk], *, restart: bool, keep: Callable[[list[str]], bool]
    ) -> list[tuple[Walk, list[str]]]:
        arms: list[Arm[KueueLab]] = []
        for walk in chosen:
            self._walks, self._steps = self._walks + 1, self._steps + len(walk.steps)
            arms.append(self._bench.arm(f"walk{self._walks}"))
        with ThreadPoolExecutor(WIDTH, thread_name_prefix="walk") as pool:
            taken = list(pool.map(self.take, [one.lab for one in arms], chosen))
            list(pool.map(self._settle, arms))
            for one in arms:
                one.lab.scrape_own(END)
            if restart:
                for one in arms:
                    one.lab.note(notes.RESTARTED, time.time_ns())
                self._kueue.stop()
                self._kueue.start()
                self._until_steady()
                list(pool.map(self._settle, arms))
                for one in arms:
                    one.lab.scrape_own(RESTARTED)
            found = list(pool.map(self._close, arms))
        for one, walk, findings in zip(arms, taken, found, strict=True):
            if keep(findings):
                self.lab.note_under(SEEDS, one.name, walk.seed)
            else:
                shutil.rmtree(self._place(one))
                self.lab.note(facts.ARMS, [name for name in self.lab.noted(facts.ARMS) if name != one.name])
        spent = {"walks": self._walks, "steps": self._steps, "seconds": time.monotonic() - self._begun}
        self.lab.note(TOOK, {name: round(float(number), 1) for name, number in spent.items()})
        return list(zip(taken, found, strict=True))

    @property
    def _kueue(self) -> Kueue:
        """The bench's own: walks are not taken on somebody's cluster."""
        assert self._bench.kueue is not None
        return self._bench.kueue

    def _until_steady(self) -> None:
        """Give a Kueue that has just started time to read everything: until its gauges stand still."""

        def gauges() -> str:
            rows = [row for row in self._kueue.metrics() if str(row["name"]).startswith("kueue_")]
            return repr([row for row in rows if row["name"].endswith(GAUGES)])

        seen, since = gauges(), time.monotonic()

        def steady() -> bool:
            nonlocal seen, since
            now = gauges()
            if now != seen:
                seen, since = now, time.monotonic()
            return time.monotonic() - since > recordings.QUIET

        self.lab.observe(steady, "Kueue has read everything after its restart", timeout=30)

    def _place(self, arm: Arm[KueueLab]) -> Path:
        """Of its recording."""
        place = self.lab.place
        assert place is not None, "the engine says where recordings go"
        return place.with_name(f"{place.name}.{arm.name}")

    def _settle(self, arm: Arm[KueueLab]) -> None:
        self._bench.environment.settle(arm.lab, recordings.QUIET, self._bench.settled)

    def _close(self, arm: Arm[KueueLab]) -> list[str]:
        """Write the arm's recording, judge it, and take its load off the cluster."""
        self._bench.close(arm)
        self._bench.arms.remove(arm)
        recording = KueueRecording.load(self._place(arm))
        recording.system = "kueue"
        self._bench.environment.clear(arm.lab, [("apis/kueue.x-k8s.io/v1beta2", "workloads")])
        self.leave(arm.lab)
        try:
            return self.judge(recording)
        except LookupError:
            return []

    def shrink(self, walk: Walk, findings: Sequence[str]) -> None:
        """Leave steps out of a walk as long as the same kind of finding shows and time is left; note what is left.

        A kind that was looked into before is not looked into again.
        """
        sought, attempts = shrink.kinds(findings) - self._known, 0
        restart = all(one.startswith("a restart") for one in sought)
        self._known |= sought
        if not sought or time.monotonic() > self.until:
            return

        def reproduces(tried: Sequence[Sequence[Step]]) -> int | None:
            nonlocal attempts
            for start in range(0, len(tried), WIDTH):
                if time.monotonic() > self.until:
                    return None
                batch = [walk.of(steps) for steps in tried[start : start + WIDTH]]
                attempts += len(batch)
                for index, (_, seen) in enumerate(self._go(batch, restart=restart, keep=lambda _: False)):
                    if sought & shrink.kinds(seen):
                        return start + index
            return None

        left = shrink.shrink(walk.steps, reproduces, over=lambda: time.monotonic() > self.until)
        place = self.lab.place
        assert place is not None, "the engine says where recordings go"
        file = Path(FOLDER) / f"{place.name}.{walk.seed}.json"
        walk.of(left).save(place.parents[1] / file)
        shown = [one.text() for one in left]
        self.lab.note_next(SHRUNK, Shrunk(walk.seed, list(findings), shown, str(file), len(walk.steps), attempts))


def take(lab: KueueLab, walk: Walk) -> Walk:
    """Act out a walk over queues; the walk as it was taken."""
    lab.note(notes.QUOTA_CHANGED, [lab.unique(name) for name in walk.site.queues])
    lab.note(notes.EDITED_IN_USE, True)
    lab.note(notes.EXPECTED_ERRORS, [MADE_ANEW])
    walker = Walker(lab, walk)
    walker.set_up()
    walker.go()
    walker.rest()
    lab.note(REFUSED, walker.refused)
    return walk.of(walker.taken)
