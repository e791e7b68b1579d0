"""Runs scenarios ahead of the tests, on one cluster or on several side by side.

The engine lives in one process (with pytest-xdist: the controller). Tests, in whatever process, wait for the
recording to appear in the run directory, so the run directory is the only thing they share.
"""

from __future__ import annotations

import gc
import json
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gpuassay import pressure
from gpuassay.engine.builds import Builds, missing
from gpuassay.engine.pools import ClusterPool, MachineLock, Unavailable, shared_out
from gpuassay.engine.runner import Runner, remedy, write_outcome
from gpuassay.engine.timeline import BUILDS, Timeline
from gpuassay.record import rundir
from gpuassay.secrets import hide
from gpuassay.system import Pool
from gpuassay.toolchain import Assets, UnobtainableError, halting
from gpuassay.toolchain.catalogue import required
from gpuassay.waiting import count_by, halt, resume

if TYPE_CHECKING:
    from gpuassay.engine.environment import Environment
    from gpuassay.scenarios.declare import Scenario

BROKEN_OFF = "the run was broken off"

Opener = Callable[[ClusterPool], AbstractContextManager["Environment"]]
"""Opens the environment (cluster, Kueue, recorder) of a pool; called once for each, in the pool's thread."""


@dataclass
class Engine:
    """Acts out scenarios and leaves recordings.

    Attributes:
        open_environment: opens the environment of a pool.
        run_dir: where `recordings/` grows.
        say: prints a progress line.
        full: long versions of measurements.
        absent: capabilities that no cluster will have: what needs one is skipped at once.
        only: the one pool that there is; None: those of the scenarios' systems, side by side.
        programs: components that a pool waits for.
        assets: directories that users name for components.
        problem: why an environment could not be opened or taken down in order, "" when all could.
    """

    open_environment: Opener
    run_dir: Path
    say: Callable[[str], None] = lambda _: None
    full: bool = False
    only: Pool | None = None
    programs: Callable[[ClusterPool], Sequence[str]] = lambda _: ()
    assets: Assets = field(default_factory=Assets)
    absent: frozenset[str] = frozenset()
    problem: str = ""
    _stop: threading.Event = field(default_factory=threading.Event)
    _aborted: bool = False
    _thread: threading.Thread | None = None
    _planned: list[ClusterPool] = field(default_factory=list[ClusterPool])
    _runners: dict[str, Runner] = field(default_factory=dict[str, Runner])
    _left: set[str] = field(default_factory=set[str])
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _machine_lock: MachineLock = field(default_factory=lambda: MachineLock(()))
    _builds: Builds = field(default_factory=Builds)
    _timeline: Timeline = field(default_factory=Timeline)

    def start(self, scenarios: Sequence[Scenario]) -> None:
        """Begin acting in threads of its own; what is missing is built meanwhile.

        Raises:
            ToolchainError: a directory that the user names for a component is incomplete.
        """
        self._left = {scenario.id for scenario in scenarios}
        count_by(pressure.OwnClock())  # a busy neighbour makes scenarios slower, and breaks none
        able = [one for one in scenarios if not self._lacks(one)]  # no cluster is opened for what it cannot have
        self._planned = shared_out(able, self.only)
        self._machine_lock = MachineLock(one.name for one in self._planned)
        self._builds = self._plan_builds()
        self._status("building" if self._builds.busy else "running")
        for line in self._builds.forecast():
            self.say(line)
        self._timeline.start()
        self._builds.start()
        self._thread = threading.Thread(target=self._run, name="gpuassay-engine", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether nothing acts any more, in order or not."""
        return self._thread is not None and not self._thread.is_alive()

    def _lacks(self, scenario: Scenario) -> bool:
        lacking = sorted(scenario.needs & self.absent)
        if lacking:
            write_outcome(self.run_dir, scenario, "skip", f"the cluster lacks: {', '.join(lacking)}{remedy(lacking)}")
            self._left.discard(scenario.id)
        return bool(lacking)

    def stop(self, *, abort: bool = False) -> None:
        """Take the stages down and return.

        Scenarios under way are broken off if `abort` is set, and when no test waits for them any more.
        """
        self._stop.set()
        with self._lock:
            # never once everything is being taken down: that waits for things to be gone
            under_way = sum(one.acted.is_set() for one in self._runners.values()) < len(self._planned)
            self._aborted = (abort or bool(self._left)) and under_way
            if self._aborted:
                halt(BROKEN_OFF)  # also what opens the environment
                halting.halt(BROKEN_OFF)
        self._machine_lock.close()
        self._builds.stop()
        if self._aborted:
            for one in self._runners.values():
                if not one.acted.is_set():
                    one.environment.abort(BROKEN_OFF)
        if self._thread is not None:
            self._thread.join()
        if self._aborted:
            _drop_broken_connections()
        count_by(time.monotonic)
        resume()
        halting.resume()

    def _status(self, state: str, reason: str = "") -> None:
        write_status(self.run_dir, state, reason)

    def _run(self) -> None:
        threads = [
            threading.Thread(target=self._run_pool, args=(pool,), name=f"gpuassay-{pool.name}", daemon=True)
            for pool in self._planned
        ]
        for one in threads:
            one.start()
        self._builds.wait_idle()
        self._status("running")
        for one in threads:
            one.join()
        for build in self._builds.done():
            self._timeline.add(BUILDS, build.component, build.began, build.ended)
        self._timeline.stop()
        self._timeline.write(self.run_dir / "exhibits")
        if self._builds.names:
            rundir.describe(self.run_dir, builds=self._builds.told())
        if self._aborted or self.problem:
            self._status("failed", BROKEN_OFF if self._aborted else self.problem)
        else:
            self._status("done")

    def _run_pool(self, pool: ClusterPool) -> None:
        """Open the pool's environment, act on it, take it down; whatever happens, the other pools go on."""
        acting: Runner | None = None
        try:
            self._await_programs(pool)
            self._machine_lock.enter(pool)
            spent, opening = partial(self._timeline.add, pool.name), time.time_ns()
            with self.open_environment(pool) as environment:
                spent("opening", opening, time.time_ns())
                environment.beside = self._builds.beside
                acting = Runner(
                    environment, self.run_dir, self._stop, self._done, self.say, pool.width, self.full, spent
                )
                self._runners[pool.name] = acting
                environment.watch(until=acting.acted)
                measuring = [one for one in pool.scenarios if one.alone == "machine"]
                try:
                    acting.act_all([one for one in pool.scenarios if one not in measuring])
                    if measuring:
                        self._machine_lock.leave(pool.name)
                        self._builds.wait_idle()
                        with self._machine_lock.alone():
                            acting.act_all(measuring)
                finally:
                    with self._lock:
                        acting.acted.set()
                environment.at_rest()
        except Unavailable as lack:
            for one in pool.scenarios:
                write_outcome(self.run_dir, one, "skip", str(lack))
                self._done(one, "skip")
        except Exception as error:
            # what collapsed cannot be taken down in order, and need not be
            if not self._aborted and not (acting and acting.environment.collapsed.is_set()):
                self._fail(pool, error)
        finally:
            self._machine_lock.leave(pool.name)

    def _plan_builds(self) -> Builds:
        """What has to be built; at full speed while no pool can begin without it."""
        lacking = [missing(self.programs(pool), self.assets) for pool in self._planned]
        names = [name for names in lacking for name in names]
        first = lacking[0] if all(lacking) and lacking else []
        return Builds(list(dict.fromkeys(names)), first, self.assets, self.run_dir / "builds", self.say)

    def _await_programs(self, pool: ClusterPool) -> None:
        """Wait until the pool's programs are built.

        Raises:
            Unavailable: one of them cannot be had on this machine.
            ToolchainError: the build of one failed.
        """
        problems = self._builds.wait_for(self.programs(pool))
        for name in pool.kind.programs:
            problem = problems.get(name)
            if isinstance(problem, UnobtainableError):
                if name in required():  # a run that lacks what it was made for is not green
                    with self._lock:
                        self.problem = self.problem or f"{name} could not be built: {problem}"
                raise Unavailable(f"the cluster lacks: program:{name} ({problem})")
            if problem is not None:
                raise problem

    def _fail(self, pool: ClusterPool, error: Exception) -> None:
        """Keep why a pool's environment could not be opened or taken down, and tell the tests that wait for it."""
        reason = hide(f"{type(error).__name__}: {error}")
        with self._lock:
            self.problem = self.problem or reason
            with (self.run_dir / "engine-error.txt").open("a") as file:
                file.write(f"{pool.name}:\n{hide(traceback.format_exc())}")
            waiting = [one for one in pool.scenarios if one.id in self._left]
        for one in waiting:
            write_outcome(self.run_dir, one, "error", reason)
            self._done(one, "error")

    def _done(self, scenario: Scenario, outcome: str) -> None:
        with self._lock:
            self._left.discard(scenario.id)
            left = len(self._left)
        self.say(f"scenario {scenario.id}: {outcome} ({left} to go)")


def _drop_broken_connections() -> None:
    """Collect connections whose request was broken off: nobody is left to close them, and nobody need hear of that."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def write_status(run_dir: Path, state: str, reason: str = "") -> None:
    """Write `engine.json` atomically: what tests in other processes know of the engine."""
    target = run_dir / "engine.json"
    draft = target.with_suffix(".new")
    draft.write_text(json.dumps({"state": state, "reason": reason}))
    draft.replace(target)


def read_status(run_dir: Path) -> tuple[str, str]:
    """State ("building", "running", "done", "failed", or "absent") and reason."""
    target = run_dir / "engine.json"
    if not target.exists():
        return "absent", ""
    status = json.loads(target.read_text())
    return status["state"], status["reason"]
