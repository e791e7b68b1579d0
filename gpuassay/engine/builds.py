"""Missing programs are built beside the run, in the order in which cluster pools need them.

Each build is a child process (`gpuassay build NAME`) with a log of its own in the run directory. The first pool has
nothing to do without its programs, so these are built at normal priority; once scenarios run, builds get only the CPU
time that nobody else wants (SCHED_IDLE, sched(7)).
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gpuassay.cluster.process import Process, start
from gpuassay.toolchain import Assets, ToolchainError, UnobtainableError, available, catalogue
from gpuassay.toolchain.progress import build_seconds, duration, silent

TOLD_EVERY = 30.0
"""Seconds between two lines about a build's progress."""
STOPPED = "the run ended before it was built"


class StoppedError(ToolchainError):
    """The run ended while a component was being built or waited for its turn."""


def command_of(name: str, assets: Assets, background: bool) -> list[str]:
    """`gpuassay build NAME` with the interpreter that runs us."""
    chosen = [f"--asset={word}" for word in assets.words]
    return [sys.executable, "-m", "gpuassay", "build", name, *(["--background"] if background else []), *chosen]


@dataclass
class Build:
    """One component that is made for this run.

    Attributes:
        component: its name.
        began: ns since the epoch, 0 before its turn.
        ended: likewise, 0 while it is not done.
        problem: why there is no program, None where there is one.
        recordings: names of those made meanwhile.
    """

    component: str
    began: int = 0
    ended: int = 0
    problem: Exception | None = None
    recordings: list[str] = field(default_factory=list[str])


@dataclass
class Builds:
    """Builds components one after the other in a thread of its own.

    Attributes:
        names: what is missing, in the order in which it is needed.
        first: those of `names` that the first cluster pool waits for.
        assets: directories that users name, handed on to the builds.
        folder: where the builds' logs go.
        say: prints a progress line.
        command: the command line of one build, and whether it runs in the background.
    """

    names: Sequence[str] = ()
    first: Collection[str] = ()
    assets: Assets = field(default_factory=Assets)
    folder: Path = Path()
    say: Callable[[str], None] = silent
    command: Callable[[str, Assets, bool], Sequence[str]] = command_of
    _builds: dict[str, Build] = field(default_factory=dict[str, Build])
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _process: Process | None = None
    _stopping: bool = False

    def __post_init__(self) -> None:
        self._builds = {name: Build(name) for name in self.names}

    @property
    def busy(self) -> bool:
        """Whether something is being built or has still to be."""
        with self._changed:
            return any(not one.ended for one in self._builds.values())

    def beside(self, recording: str, start_ns: int, end_ns: int) -> list[str]:
        """Components that were being built while a recording was made (ns since the epoch); remembered for `told`."""
        with self._changed:
            begun = [one for one in self._builds.values() if one.began]
            found = [one for one in begun if one.began <= end_ns and not 0 < one.ended < start_ns]
            for one in found:
                one.recordings.append(recording)
        return [one.component for one in found]

    def done(self) -> list[Build]:
        """The builds that have ended, well or not."""
        with self._changed:
            return [one for one in self._builds.values() if one.began and one.ended]

    def told(self) -> list[dict[str, object]]:
        """For `run.json`: each build with its seconds, the recordings made beside it, and why it failed if it did."""
        return [
            {
                "component": one.component,
                "seconds": round((one.ended - one.began) / 1e9, 1),
                "problem": str(one.problem or ""),
                "recordings_beside": sorted(one.recordings),
            }
            for one in self.done()
        ]

    def forecast(self) -> list[str]:
        """What is built, how long that takes on this machine at most, and when the first verdicts come."""
        if not self.names:
            return []
        seconds = {name: build_seconds(catalogue.component(name).cpu_seconds) for name in self.names}
        each = ", ".join(f"{name} ({duration(seconds[name])})" for name in self.names)
        lines = [f"to be built from Go modules, once: {each}; {duration(sum(seconds.values()))} in all at the most"]
        waiting = sum(seconds[name] for name in self.first)
        if waiting:
            lines.append(
                f"the first verdicts come in about {duration(waiting + 30)}; the rest is built beside the scenarios, "
                "measurements begin when nothing is built any more"
            )
        return lines

    def start(self) -> None:
        """Begin."""
        if self.names:
            self.folder.mkdir(exist_ok=True)
            threading.Thread(target=self._build_all, name="gpuassay-builds", daemon=True).start()

    def wait_for(self, names: Iterable[str]) -> dict[str, Exception]:
        """Return when the builds of `names` have ended: why there is no program, for those that failed.

        Raises:
            StoppedError: the builds were stopped.
        """
        builds = [self._builds[name] for name in names if name in self._builds]
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or all(one.ended for one in builds))
            for one in builds:
                # The stopped build may have been noted as ended before this thread woke.
                if not one.ended or isinstance(one.problem, StoppedError):
                    raise StoppedError(f"{one.component}: {STOPPED}")
        return {one.component: one.problem for one in builds if one.problem is not None}

    def wait_idle(self) -> None:
        """Return when nothing is built any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or all(one.ended for one in self._builds.values()))

    def stop(self) -> None:
        """End the build under way, with its compilers; what is not built stays so."""
        with self._changed:
            self._stopping = True
            process = self._process
            self._changed.notify_all()
        if process is not None:
            process.stop(grace=0)

    def _build_all(self) -> None:
        for count, build in enumerate(self._builds.values(), start=1):
            with self._changed:
                if self._stopping:
                    return
                build.began = time.time_ns()
            problem: Exception | None = None
            try:
                self._build(build.component, f"{count} of {len(self.names)}")
            except Exception as error:
                problem = error
                self.say(f"no {build.component}: {error}")
            with self._changed:
                build.problem, build.ended = problem, time.time_ns()
                self._changed.notify_all()

    def _build(self, name: str, which: str) -> None:
        """Run one build to its end.

        Raises:
            UnobtainableError, ToolchainError: as `wait_for`.
        """
        command = self.command(name, self.assets, name not in self.first)
        log = self.folder / f"{name}.log"
        with self._changed:
            if self._stopping:
                return
            process = self._process = start(f"build {name}", command, log)
        self.say(f"building {name} ({which})")
        while not process.wait(TOLD_EVERY):
            self.say(next(reversed(process.tail(1)), f"building {name}"))
        code = process.exit_code
        if code == 0:
            self.say(f"{name} is built")
            return
        if self._stopping:
            raise StoppedError(f"{name}: {STOPPED}")
        lines = [line.removeprefix("gpuassay: ") for line in process.tail() if line.strip()]
        reason = lines[-1] if lines else "it printed nothing"
        if code is not None and code < 0:
            raise ToolchainError(f"the build of {name} was killed by signal {-code}; the next run builds it again")
        raise (UnobtainableError if code == UnobtainableError.exit_code else ToolchainError)(reason)


def missing(names: Iterable[str], assets: Assets) -> list[str]:
    """Those of `names` that have to be built, each once, in order.

    Raises:
        ToolchainError: a directory that the user names is incomplete.
    """
    return [name for name in dict.fromkeys(names) if available(name, assets) is not None]
