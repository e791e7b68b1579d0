"""Carries out a plan on an event loop of its own and counts what came of it."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import signal
import socket
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import uvloop

from gpuassay import pressure
from gpuassay.load.client import Client
from gpuassay.load.clock import SECOND_NS, Alarm, LagProbe
from gpuassay.load.errors import LoadError
from gpuassay.load.headers import REQUEST_ID
from gpuassay.load.plan import Ask, ClosedLoop, Plan, due_seconds
from gpuassay.load.realtime import GENERATOR, realtime
from gpuassay.load.rows import FORMAT, Head, LoadResult, Row, Tail, check_counts

SPARE_HANDLES = 64
"""File handles of the generator beside its connections."""

RARELY = 100_000
"""Objects that may be made between two collections; only failures make cycles at all."""

LEAD_NS = 20_000_000
"""Time between the start of an open loop's clock and the first thing that can be due."""


def carry_out(plan: Plan, shard: tuple[int, int] = (0, 1)) -> LoadResult:
    """Send every `shard[1]`-th ask of the plan, beginning with number `shard[0]`; SIGINT and SIGTERM end it early.

    Raises:
        LoadError: the plan cannot be carried out here, or the preflight failed.
        gpuassay.load.errors.CountsDoNotClose: an error of the engine.
    """
    engine = _Engine(plan, shard)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(engine.run())
    check_counts(result)
    return result


def share_of(concurrency: int, shard: tuple[int, int]) -> int:
    """How many of the streams a shard has. Raises LoadError if it has none."""
    number, shards = shard
    mine = concurrency // shards + (number < concurrency % shards)
    if mine == 0:
        raise LoadError(f"{shards} shards for {concurrency} streams: shard {number} has none; use fewer shards")
    return mine


def raise_handle_limit(needed: int) -> None:
    """Raise the soft limit of open files to the hard one. LoadError if that is not enough for `needed`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and needed > hard:
        raise LoadError(
            f"{needed} file handles are needed, the hard limit is {hard}; raise it (ulimit -Hn) or use more shards"
        )


class _Engine:
    """One run of one shard."""

    def __init__(self, plan: Plan, shard: tuple[int, int]) -> None:
        number, shards = shard
        if not 0 <= number < shards:
            raise LoadError(f"shard {number} of {shards}: shards are numbered from 0")
        self.plan, self.shard = plan, shard
        self.streams = share_of(plan.shape.concurrency, shard) if isinstance(plan.shape, ClosedLoop) else None
        raise_handle_limit((self.streams or 0) + SPARE_HANDLES)
        self.bodies = {label: _serialised(plan, label) for label in {ask.label for ask in plan.asks}}
        self.todo = list(enumerate(plan.asks))[number::shards]
        if not self.todo:
            raise LoadError(f"shard {number} of {shards} has none of the {len(plan.asks)} asks; use fewer shards")
        self.due = due_seconds(plan)
        self.rows: list[Row] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.idle = asyncio.Event()
        self.errors: list[BaseException] = []
        self.interrupted = False
        self.scheduling = ""

    async def run(self) -> LoadResult:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._interrupt)
        if self.plan.preflight:
            # its HTTP client takes longer to import than all the rest of this program
            from gpuassay.load.preflight import preflight

            await preflight(self.plan)
        client = Client(self.plan, loop)
        # what lives now lives to the end: a collection would only stop the loop to find that out
        gc.collect()
        gc.freeze()
        threshold = gc.get_threshold()
        gc.set_threshold(RARELY)
        probe = LagProbe(loop)
        wall, started, cpu = time.time_ns(), time.monotonic_ns(), time.process_time()
        used = pressure.busy()
        try:
            # only now: what comes before computes for a second, and nobody waits for it
            with realtime(GENERATOR, self.plan.realtime) as self.scheduling:
                if self.streams is not None:
                    await self._closed_loop(client, self.streams)
                else:
                    await self._open_loop(client, started + LEAD_NS)
        finally:
            ended = time.monotonic_ns()
            probe.close()
            await client.close()
            gc.set_threshold(*threshold)
            gc.unfreeze()
        ok = sum(row.ok for row in self.rows)
        return LoadResult(
            self._head(started, wall),
            sorted(self.rows, key=lambda row: row.index),
            Tail(
                ended_ns=ended,
                asked=len(self.rows),
                ok=ok,
                failed=sum(not row.ok for row in self.rows),
                interrupted=self.interrupted,
                lag_ns=probe.samples_ns,
                cpu_seconds=time.process_time() - cpu,
                busy_share=pressure.busy_share(used, (ended - started) / 1e9),
            ),
        )

    async def _closed_loop(self, client: Client, streams: int) -> None:
        todo = iter(self.todo)
        for stream in range(streams):
            self._spawn(self._stream(client, todo, stream))
        await self._finish()

    async def _stream(self, client: Client, todo: Iterator[tuple[int, Ask]], stream: int) -> None:
        for index, one in todo:  # shared by all streams, so that asks start in the plan's order
            row = self._row(index, one)
            row.stream = stream
            await self._send(client, one, row)
            if row.error and self.plan.failure_pause:
                await asyncio.sleep(self.plan.failure_pause)

    async def _open_loop(self, client: Client, origin: int) -> None:
        assert self.due is not None
        due = self.due
        alarm = Alarm(asyncio.get_running_loop())

        async def dispatch() -> None:
            for index, one in self.todo:
                at = origin + round(due[index] * SECOND_NS)
                await alarm.until(at)
                row = self._row(index, one)
                row.due_ns = at
                self._spawn(self._send(client, one, row))

        self._spawn(dispatch())
        try:
            await self._finish()
        finally:
            alarm.close()

    def _row(self, index: int, one: Ask) -> Row:
        warm_up = index < self.plan.warm_up
        return Row(index=index, label=one.label, warm_up=warm_up, request_id=f"{self.plan.request_ids}-{index}")

    async def _send(self, client: Client, one: Ask, row: Row) -> None:
        self.rows.append(row)
        body, streamed = self.bodies[one.label]
        await client.ask(body, {REQUEST_ID: row.request_id, **one.headers}, row, streamed=streamed, path=one.path)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        if self.interrupted:
            work.close()
            return
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.errors.append(error)
            self._interrupt()
        if not self.tasks:
            self.idle.set()

    async def _finish(self) -> None:
        """Wait until every task has ended; what one raises, but for our own cancellation, is the engine's error."""
        if self.tasks:
            await self.idle.wait()
        for error in self.errors:
            raise error

    def _interrupt(self) -> None:
        self.interrupted = True
        for task in list(self.tasks):
            task.cancel()

    def _head(self, started: int, wall: int) -> Head:
        generator = f"gpuassay.load (uvloop {uvloop.__version__}, {self.scheduling})"
        whole = head_of(self.plan, started, wall, generator)
        return msgspec.structs.replace(whole, mine=len(self.todo), concurrency=self.streams, shard=self.shard)


def _serialised(plan: Plan, label: str) -> tuple[bytes, bool]:
    """The body as it is sent, and whether its answer is to be streamed."""
    body = plan.bodies[label]
    try:
        if isinstance(body, str):
            return body.encode(), _asks_for_stream(body)
        return msgspec.json.encode({"model": plan.model, **body}), body.get("stream") is True
    except UnicodeEncodeError:
        raise LoadError(f"body {label!a} has half of a surrogate pair, which is no character") from None


def _asks_for_stream(body: str) -> bool:
    """Whether a text asks for a stream; one that is no JSON does so if it says so."""
    try:
        told: object = json.loads(body)
    except (ValueError, RecursionError):
        return '"stream":true' in "".join(body.split())
    return isinstance(told, dict) and cast("dict[str, object]", told).get("stream") is True


def boot() -> str:
    """Tells one monotonic clock from another: the boot id of the kernel, or the host's name."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return socket.gethostname() or str(os.getpid())


def head_of(plan: Plan, started_ns: int, wall_ns: int, generator: str) -> Head:
    """The head of a run of the whole plan: `started_ns` by CLOCK_MONOTONIC, `wall_ns` since the epoch."""
    return Head(
        format=FORMAT,
        plan=plan.digest(),
        url=plan.url,
        path=plan.path,
        model=plan.model,
        planned=len(plan.asks),
        mine=len(plan.asks),
        warm_up=plan.warm_up,
        concurrency=plan.shape.concurrency if isinstance(plan.shape, ClosedLoop) else None,
        shard=(0, 1),
        started_ns=started_ns,
        wall_ns=wall_ns,
        boot=boot(),
        generator=generator,
    )
