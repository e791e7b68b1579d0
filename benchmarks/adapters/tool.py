"""Finds another load generator, runs it as a program, and turns its wall-clock times into ours."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.adapters import warden
from gpuassay.cluster.process import start
from gpuassay.environment import inherited
from gpuassay.load.engine import head_of
from gpuassay.load.errors import CountsDoNotClose, LoadError
from gpuassay.load.plan import Plan
from gpuassay.load.realtime import GENERATOR
from gpuassay.load.rows import LoadResult, Row, Tail, check_counts
from gpuassay.load.runner import longest
from gpuassay.toolchain.assets import variable_of
from gpuassay.waiting import wait

SECOND_NS = 1_000_000_000

STARTUP = 180.0
"""s that a tool may take to start and to write its report, beside the time of the load itself."""


class ToolMissing(LoadError):  # noqa: N818 - reads as what it is
    """The program is not there; the message says how it is had."""


@dataclass(frozen=True)
class Tool:
    """A load generator of others.

    Attributes:
        name: of its program, and of its asset.
        version: the one whose report is understood.
        advice: how it is had.
        lacks: figures that its report has no numbers for.
    """

    name: str
    version: str
    advice: str
    lacks: str

    def find(self, directory: Path | None = None) -> Path:
        """Its program: in `directory` or its `bin`, in that of GPUASSAY_ASSET_<NAME>, or on PATH.

        Raises ToolMissing.
        """
        named = directory or (Path(value) if (value := os.environ.get(variable_of(self.name))) else None)
        if named is None:
            if found := shutil.which(self.name):
                return Path(found)
            raise ToolMissing(
                f"{self.name} is not on PATH; {self.advice}, then put it on PATH or give --asset {self.name}=DIR"
            )
        for at in (named / self.name, named / "bin" / self.name):
            if at.is_file() and os.access(at, os.X_OK):
                return at.absolute()
        raise ToolMissing(f"--asset {self.name}: {named} holds no program {self.name}, nor does its bin; {self.advice}")

    def check_version(self, said: str, where: str) -> None:
        """LoadError if a report is of another version's shape: major and minor number decide."""
        if said.split(".")[:2] != self.version.split(".")[:2]:
            raise LoadError(
                f"{where} is by {self.name} {said}; this version reads reports of {self.version}, others differ: "
                f"install {self.name}=={self.version}"
            )


@dataclass(frozen=True)
class Ran:
    """How a tool's program went: the clocks at its start, and the id of its process while it ran."""

    started_ns: int
    wall_ns: int
    ended_ns: int

    def monotonic(self, wall_seconds: float) -> int:
        """A time of the wall clock in s as ns of CLOCK_MONOTONIC; a clock that was set meanwhile shifts all alike."""
        return round(wall_seconds * SECOND_NS) - self.wall_ns + self.started_ns


def run_tool(
    name: str, command: Sequence[str | Path], plan: Plan, log: Path, *, cwd: Path, realtime: bool = False
) -> Ran:
    """Run a tool to its end; it and its workers end with this call, and with this process whatever ends it.

    `realtime` puts it under SCHED_RR at our own generator's priority, if the kernel lets it: whoever compares the two
    then compares generators, not schedulers.

    Raises:
        LoadError: it ended with another exit code than 0; its last words are shown.
        gpuassay.waiting.WaitTimeout: it does not end although every request's time is up.
    """
    ended = threading.Event()
    started, wall = time.monotonic_ns(), time.time_ns()
    priority = str(GENERATOR if realtime else 0)
    guarded = [sys.executable, "-IS", str(Path(warden.__file__)), priority, *command]
    process = start(name, guarded, log, env=inherited(), cwd=cwd, on_death=lambda _: ended.set())

    def pause(seconds: float) -> None:
        ended.wait(seconds)

    try:
        wait(
            lambda: process.exit_code,
            lambda code: code is not None,
            what=f"{name} to end",
            timeout=longest(plan) + STARTUP,
            delay=0.25,
            pause=pause,
        )
    finally:
        process.stop(grace=2)
    if process.exit_code != 0:
        raise LoadError(f"{name} ended with exit code {process.exit_code}: {' | '.join(process.tail(5)) or 'no word'}")
    return Ran(started, wall, time.monotonic_ns())


def result_of(tool: Tool, plan: Plan, rows: list[Row], ran: Ran) -> LoadResult:
    """The rows of a tool as a load run of ours: in the order of their starts, the first `warm_up` marked as such.

    The event loop's lag and the CPU time are not known, and left out.

    Raises:
        CountsDoNotClose: there are more or fewer requests than were asked for, or one ends before it starts.
    """
    rows.sort(key=lambda row: row.start_ns)
    for index, row in enumerate(rows):
        row.index, row.warm_up = index, index < plan.warm_up
    if len(rows) != len(plan.asks):
        raise CountsDoNotClose(f"{tool.name} was asked for {len(plan.asks)} requests and reports {len(rows)}")
    ok = sum(row.ok for row in rows)
    generator = f"{tool.name} {tool.version} (does not tell: {tool.lacks})"
    head = head_of(plan, ran.started_ns, ran.wall_ns, generator)
    tail = Tail(
        ended_ns=ran.ended_ns,
        asked=len(rows),
        ok=ok,
        failed=len(rows) - ok,
        interrupted=False,
        lag_ns=[],
        cpu_seconds=0.0,
    )
    result = LoadResult(head, rows, tail)
    try:
        check_counts(result)
    except CountsDoNotClose as error:
        raise CountsDoNotClose(str(error).replace("this is an error of gpuassay", f"so {tool.name} reports")) from None
    return result
