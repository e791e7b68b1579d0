"""Starts the load generator as a child process, waits for it and reads its rows."""

from __future__ import annotations

import math
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import gpuassay
from gpuassay.cluster.process import Process, start
from gpuassay.environment import inherited
from gpuassay.load.errors import CountsDoNotClose, LoadError
from gpuassay.load.plan import ClosedLoop, Plan, due_seconds
from gpuassay.load.rows import LoadResult, merge, read_result
from gpuassay.waiting import wait

GRACE = 10.0
"""s that a generator which is told to stop has for writing its rows."""

STARTUP = 60.0


def run(
    plan: Plan, directory: Path, *, name: str = "load", processes: int = 1, environ: Mapping[str, str] | None = None
) -> LoadResult:
    """Carry out `plan` from `processes` processes of their own, each with its share of the asks.

    `environ` is added to their environment: where they find headers and a certificate (`gpuassay.load.credentials`).

    Leaves `<name>.plan.json`, `<name>-<i>.jsonl` (rows) and `<name>-<i>.log` in `directory` (created). The processes
    end with this call, and with this process whatever ends it; when the call is interrupted, rows so far are written.

    Raises:
        LoadError: the plan cannot be carried out (URL dead, model unknown, ...): one line.
        CountsDoNotClose: an error of the engine.
        gpuassay.waiting.WaitTimeout: a generator does not end although every request's time is up.
    """
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / f"{name}.plan.json"
    file.write_bytes(plan.to_json())
    ended = threading.Event()
    rows = [directory / f"{name}-{number}.jsonl" for number in range(processes)]
    children: list[Process] = []
    try:
        for number, path in enumerate(rows):
            path.unlink(missing_ok=True)
            arguments = [file, path, "--shard", f"{number}/{processes}"]
            log = path.with_suffix(".log")
            children.append(
                start_module("gpuassay.load", arguments, log, on_death=lambda _: ended.set(), environ=environ)
            )

        def pause(seconds: float) -> None:
            ended.wait(seconds)
            ended.clear()

        wait(
            lambda: {child.name: child.exit_code for child in children},
            # one that failed ends the run: its share of the asks is missing
            lambda codes: None not in codes.values() or any(codes.values()),
            what=f"load generator {name}",
            timeout=longest(plan) + STARTUP,
            delay=0.25,
            pause=pause,
        )
    finally:
        for child in children:
            if child.alive:
                child.stop(GRACE)
    for child in children:
        _check(child)
    return merge([read_result(path) for path in rows])


def start_module(
    module: str,
    arguments: Sequence[str | Path],
    log: Path,
    on_death: Callable[[Process], None] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Process:
    """Start a module of ours as a program, from whatever folder we were started in; `environ` is added to ours."""
    package = Path(gpuassay.__path__[0]).resolve().parent
    paths = os.pathsep.join(filter(None, (str(package), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", module, *arguments]
    return start(
        log.stem, command, log, env=inherited() | {"PYTHONPATH": paths} | dict(environ or {}), on_death=on_death
    )


def longest(plan: Plan) -> float:
    """Seconds after which every request has been sent and has been answered or has timed out."""
    due = due_seconds(plan)
    if due is not None:
        return due[-1] + plan.timeout
    assert isinstance(plan.shape, ClosedLoop)
    return math.ceil(len(plan.asks) / plan.shape.concurrency) * (plan.timeout + plan.failure_pause)


def _check(child: Process) -> None:
    if child.exit_code == 0:
        return
    lines = child.tail()
    said = next((line.removeprefix("error: ") for line in reversed(lines) if line.startswith("error: ")), None)
    if said is None:
        raise LoadError(f"load generator ended with exit code {child.exit_code}: {' | '.join(lines[-3:]) or 'no word'}")
    raise (CountsDoNotClose if child.exit_code == 3 else LoadError)(said)
