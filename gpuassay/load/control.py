"""Runs the load generator against a server of known timing, at the load that is to be judged."""

from __future__ import annotations

import contextlib
import math
import urllib.request
from collections.abc import Generator
from pathlib import Path

import msgspec

from gpuassay.load.echo import MODEL
from gpuassay.load.errors import LoadError
from gpuassay.load.gate import Control, control_of
from gpuassay.load.plan import (
    CHAT_COMPLETIONS,
    COMPLETIONS,
    Ask,
    ClosedLoop,
    Plan,
    Poisson,
    Schedule,
    Shape,
    chat_body,
    completion_body,
)
from gpuassay.load.runner import run, start_module
from gpuassay.load.timing import EchoTiming, Truth, read_truths
from gpuassay.waiting import wait

SECONDS = 2.5
READY_TIMEOUT = 30.0


class Echo:
    """A running echo server.

    Attributes:
        url: its base address.
        timing: what it does.
        pid: of its process.
    """

    def __init__(self, port: int, timing: EchoTiming, pid: int) -> None:
        self.url, self.timing, self.pid = f"http://127.0.0.1:{port}", timing, pid

    def truths(self) -> list[Truth]:
        """What it did so far, one per answered request."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.url}/truth", timeout=10) as response:
            return read_truths(response.read())


@contextlib.contextmanager
def echo_server(timing: EchoTiming, directory: Path, *, name: str = "echo") -> Generator[Echo]:
    """An echo server in a process of its own on the loopback; it ends with the block.

    Raises:
        LoadError: it ends instead of serving.
        gpuassay.waiting.WaitTimeout: it does not serve in time.
    """
    directory.mkdir(parents=True, exist_ok=True)
    file, ready, log = (directory / f"{name}.{kind}" for kind in ("timing.json", "port", "log"))
    file.write_bytes(msgspec.json.encode(timing))
    ready.unlink(missing_ok=True)
    process = start_module("gpuassay.load.echo", [file, ready], log)
    try:
        wait(
            lambda: ready.exists() or not process.alive,
            bool,
            what="the echo server to listen",
            timeout=READY_TIMEOUT,
            delay=0.01,
        )
        if not ready.exists():
            raise LoadError(f"the echo server ended: {' | '.join(process.tail(3)) or 'no word'}")
        yield Echo(int(ready.read_text()), timing, process.pid)
    finally:
        process.stop(grace=0)


def control(
    shape: Shape,
    body_bytes: int,
    directory: Path,
    *,
    timing: EchoTiming | None = None,
    seconds: float = SECONDS,
    path: str = COMPLETIONS,
    processes: int = 1,
    name: str = "control",
) -> Control:
    """Measure the generator at the load that is judged: same shape, request size and number of processes.

    A closed loop first sends a warm-up wave, an open loop a tenth of its requests; neither counts. An open loop's
    `Schedule` is played as far as `seconds` reach.

    Args:
        shape: the judged run's.
        body_bytes: size of the judged run's request bodies.
        directory: for plan, rows and logs.
        timing: what the echo server does; take the judged run's, about. None: `EchoTiming()`.
        seconds: about how long it takes.
        path: `/v1/completions` or `/v1/chat/completions`.
        processes: the judged run's.
        name: of the files.

    Raises:
        LoadError: the load could not be put.
        gpuassay.load.gate.NoControl: it measured nothing.
    """
    timing = timing or EchoTiming()
    plan = control_plan(shape, body_bytes, "http://127.0.0.1:1", timing, seconds, path)
    with echo_server(timing, directory, name=f"{name}-echo") as echo:
        plan = msgspec.structs.replace(plan, url=echo.url)
        result = run(plan, directory, name=name, processes=processes)
        return control_of(result, echo.truths(), timing)


def control_plan(
    shape: Shape, body_bytes: int, url: str, timing: EchoTiming, seconds: float, path: str = COMPLETIONS
) -> Plan:
    """The plan of a control run of about `seconds`."""
    match shape:
        case ClosedLoop(concurrency=streams):
            # two answers per stream are the least that tells how soon a stream asks again
            waves = max(2, math.ceil(seconds / timing.answer_seconds)) if timing.answer_seconds else 100
            warm_up, count = streams, streams * (waves + 1)
        case Poisson(rate=rate):
            count = max(3, math.ceil(rate * seconds))
            warm_up = count // 10
        case Schedule(at=at):
            chosen = tuple(time for time in at if time <= at[0] + seconds)
            shape, count, warm_up = Schedule(chosen), len(chosen), len(chosen) // 10
    make = chat_body if path == CHAT_COMPLETIONS else completion_body
    frame = len(msgspec.json.encode({"model": MODEL, **make("", timing.tokens)}))
    prompt = ("word " * math.ceil(max(0, body_bytes - frame) / 5))[: max(0, body_bytes - frame)]
    return Plan(
        url=url,
        path=path,
        model=MODEL,
        bodies={"control": make(prompt, timing.tokens)},
        asks=(Ask("control"),) * count,
        shape=shape,
        warm_up=warm_up,
        timeout=max(10.0, 10 * timing.answer_seconds),
        request_ids="control",
    )
