"""Runs scenarios ahead of the tests: concurrently within a Kueue profile, each in its own namespace and queues.

The engine lives in one process (with pytest-xdist: the controller). Tests, in whatever process, wait for the
recording to appear in the run directory, so the run directory is the only thing they share.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gpuassay import pressure
from gpuassay.cluster.errors import ClusterError, ComponentDied
from gpuassay.record.recording import RecordingMeta, write_recording
from gpuassay.wait import WaitError, halt, resume

if TYPE_CHECKING:
    from gpuassay.scenario.declare import Scenario
    from gpuassay.scenario.stage import Stage

CONCURRENCY = 12
"""Scenarios at a time: most of a scenario is waiting for one-second batches, so more than the machine's cores."""

QUIET = 1.3
"""Seconds without an event after which a scenario counts as at rest: longer than Kueue's 1 s status batch."""

WATCH = 0.3
"""Seconds between two looks at whether the stage still stands. It must be seen broken twice: a Kueue that lost its port
while starting is dead for an instant, and started again."""

BROKEN_OFF = "the run was broken off"


@dataclass
class Engine:
    """Acts out scenarios on a stage (cluster, Kueue, recorder) and leaves recordings.

    Attributes:
        open_stage: opens the stage; called once, in the engine's thread.
        run_dir: where `recordings/` grows.
        say: prints a progress line.
        full: long versions of measurements.
        problem: why the stage could not be opened or taken down in order, "" when it could.
    """

    open_stage: Callable[[], AbstractContextManager[Stage]]
    run_dir: Path
    say: Callable[[str], None] = lambda _: None
    full: bool = False
    problem: str = ""
    _stop: threading.Event = field(default_factory=threading.Event)
    _acted: threading.Event = field(default_factory=threading.Event)
    _collapsed: threading.Event = field(default_factory=threading.Event)
    _aborted: bool = False
    _thread: threading.Thread | None = None
    _stage: Stage | None = None
    _left: set[str] = field(default_factory=set[str])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, scenarios: Sequence[Scenario]) -> None:
        """Begin acting in a thread of its own."""
        self._left = {scenario.id for scenario in scenarios}
        self._status("running")
        self._thread = threading.Thread(target=self._run, args=(list(scenarios),), name="gpuassay-engine", daemon=True)
        self._thread.start()

    def stop(self, *, abort: bool = False) -> None:
        """Take the stage down and return.

        Scenarios under way are broken off if `abort` is set, and when no test waits for them any more.
        """
        self._stop.set()
        with self._lock:
            # never once the stage is being taken down: that waits for things to be gone
            self._aborted = (abort or bool(self._left)) and not self._acted.is_set()
            if self._aborted:
                halt(BROKEN_OFF)  # also what opens the stage
        if self._aborted and self._stage is not None:
            self._stage.abort(BROKEN_OFF)
        if self._thread is not None:
            self._thread.join()
        resume()

    def _status(self, state: str, reason: str = "") -> None:
        write_status(self.run_dir, state, reason)

    def _run(self, scenarios: list[Scenario]) -> None:
        try:
            with self.open_stage() as stage:
                self._stage = stage
                threading.Thread(target=self._watch, args=(stage,), name="gpuassay-watch", daemon=True).start()
                try:
                    for profile in dict.fromkeys(scenario.profile for scenario in scenarios):
                        self._act_profile(stage, profile, [one for one in scenarios if one.profile == profile])
                finally:
                    with self._lock:
                        self._acted.set()
                self._status("done")
                stage.at_rest()
        except Exception as error:
            if self._aborted:
                self._status("failed", BROKEN_OFF)
            elif not self._collapsed.is_set():  # what collapsed cannot be taken down in order, and need not be
                self.problem = f"{type(error).__name__}: {error}"
                (self.run_dir / "engine-error.txt").write_text(traceback.format_exc())
                self._status("failed", self.problem)

    def _watch(self, stage: Stage) -> None:
        """End everything under way as soon as a component or the recorder is dead: nothing more can come of it."""
        before = None
        while not self._acted.wait(WATCH):
            why = stage.broken()
            if why is not None and why == before:
                stage.abort(why)
                self._collapsed.set()
                return
            before = why

    def _act_profile(self, stage: Stage, profile: str, scenarios: list[Scenario]) -> None:
        if self._stop.is_set():
            return
        able = [one for one in scenarios if not self._skip(stage, one)]
        if not able:
            return
        outcome = "skip"
        try:
            problem = None if self._collapsed.is_set() else stage.set_profile(profile)
        except (ClusterError, WaitError) as error:
            outcome, problem = "error", f"profile {profile}: {self._reason(stage, error)}"
        if problem:
            for one in able:
                self._write_outcome(stage, one, outcome, problem)
            return
        together = [one for one in able if not one.alone]
        with ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="scenario") as pool:
            # the longest first: the profile takes as long as its longest scenario, not as the last one started
            ordered = sorted(together, key=lambda one: -one.timeout)
            acting = [pool.submit(self._act, stage, one) for one in ordered]
        for one in acting:
            one.result()  # a recording that could not be written is a broken run
        for one in able:
            if one.alone:
                self._act(stage, one)

    def _skip(self, stage: Stage, scenario: Scenario) -> bool:
        lacking = sorted(scenario.needs - stage.capabilities)
        if lacking:
            self._write_outcome(stage, scenario, "skip", f"the cluster lacks: {', '.join(lacking)}")
        return bool(lacking)

    def _write_outcome(self, stage: Stage, scenario: Scenario, outcome: str, reason: str) -> None:
        meta = RecordingMeta(scenario=scenario.id, profile=scenario.profile, token="", outcome=outcome, error=reason)
        write_recording(self.run_dir / "recordings" / scenario.id, meta)
        self._done(scenario, outcome)

    def _done(self, scenario: Scenario, outcome: str) -> None:
        with self._lock:
            self._left.discard(scenario.id)
            left = len(self._left)
        self.say(f"scenario {scenario.id}: {outcome} ({left} to go)")

    def _act(self, stage: Stage, scenario: Scenario) -> None:
        if self._stop.is_set():
            return
        if self._collapsed.is_set():
            self._write_outcome(stage, scenario, "error", stage.broken() or "")
            return
        token = f"{scenario.short}-x{secrets.token_hex(3)}"
        lab = stage.lab(token, full=self.full, progress=lambda text: self.say(f"{scenario.id}: {text}"))
        lab.place = self.run_dir / "recordings" / scenario.id
        started, stall = time.time_ns(), pressure.cpu_stall_us()
        marks = stage.positions()
        outcome, reason = "ok", ""
        try:
            stage.prepare(lab)
            scenario.function(lab)
            stage.settle(lab, QUIET)
        except Exception as error:
            outcome, reason = "error", self._reason(stage, error)
            self._keep_traceback(scenario)
        if outcome == "ok" and (broken := stage.broken()):
            # what was observed last may be the death and not the behaviour
            outcome, reason = "error", broken
        ended = time.time_ns()
        meta = RecordingMeta(
            scenario=scenario.id,
            profile=scenario.profile,
            token=token,
            namespaces=lab.namespaces,
            started_ns=started,
            ended_ns=ended,
            outcome=outcome,
            error=reason,
            notes=lab.notes,
            gaps=stage.view.gaps(token),
            pressure={"cpu_stall_share": pressure.stall_share(stall, started, ended)},
        )
        audit, log = stage.lines(token, marks, everything=scenario.alone)
        write_recording(
            self.run_dir / "recordings" / scenario.id,
            meta,
            asked=lab.asked,
            events=stage.view.lines(token),
            audit=audit,
            metrics=lab.samples,
            log=log,
        )
        self._done(scenario, outcome)
        with contextlib.suppress(*([ClusterError] if stage.broken() else [])):
            stage.clear(lab)

    def _reason(self, stage: Stage, error: Exception) -> str:
        """Why a scenario broke: what died, if something died, else what was raised."""
        if not isinstance(error, WaitError):
            self._collapsed.wait(3 * WATCH)  # a refused request may be the first sign of a death
        broken = stage.broken()
        said = str(error) if isinstance(error, ComponentDied) else f"{type(error).__name__}: {error}"
        if broken is None:
            return said
        return broken if broken in said else f"{broken}\nthen {said}"

    def _keep_traceback(self, scenario: Scenario) -> None:
        logs = self.run_dir / "logs"
        logs.mkdir(exist_ok=True)
        (logs / f"{scenario.id}.traceback.txt").write_text(traceback.format_exc())


def write_status(run_dir: Path, state: str, reason: str = "") -> None:
    """Write `engine.json` atomically: what tests in other processes know of the engine."""
    target = run_dir / "engine.json"
    draft = target.with_suffix(".new")
    draft.write_text(json.dumps({"state": state, "reason": reason}))
    draft.replace(target)


def read_status(run_dir: Path) -> tuple[str, str]:
    """State ("running", "done", "failed", or "absent") and reason."""
    target = run_dir / "engine.json"
    if not target.exists():
        return "absent", ""
    status = json.loads(target.read_text())
    return status["state"], status["reason"]
