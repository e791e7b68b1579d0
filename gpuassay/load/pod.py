"""A load pod as a program: `python -m gpuassay.load.pod FOLDER`, where FOLDER holds the plan in parts.

What Kubernetes gives it: JOB_COMPLETION_INDEX (of an Indexed Job); from the manifest: LOAD_SHARDS, LOAD_START_AT (s
since the epoch), POD_NAME, NODE_NAME, and optionally LOAD_LATEST (s). Rows go to standard output. Exit codes as of
`gpuassay.load`.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from gpuassay.load.control import control
from gpuassay.load.engine import carry_out, share_of
from gpuassay.load.errors import CountsDoNotClose, LoadError
from gpuassay.load.gate import Control
from gpuassay.load.node_clock import machine, node_clock
from gpuassay.load.plan import ClosedLoop, Plan, Poisson, Schedule, Shape
from gpuassay.load.preflight import preflight
from gpuassay.load.spread import PodNote, PodReport, log_lines, read_plan_parts

BAD_INPUT, OWN_ERROR = 2, 3

TOO_LATE = "1.0"
"""s after the common instant from which on a pod does not begin, unless LOAD_LATEST says otherwise: its share would
come after the others'."""


def main(arguments: list[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Run the program; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m gpuassay.load.pod", description="One pod's share of a load.")
    parser.add_argument("plan", type=Path, help="folder with the parts of the plan (plan-000, plan-001, ...)")
    parser.add_argument("--no-control", action="store_true", help="do not measure the generator's own error afterwards")
    chosen = parser.parse_args(arguments)
    try:
        for line in log_lines(_carried_out(read_plan_parts(chosen.plan), environ, with_control=not chosen.no_control)):
            print(line)
    except CountsDoNotClose as error:
        print(f"error: {error}", file=sys.stderr)
        return OWN_ERROR
    except LoadError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    return 0


def _carried_out(plan: Plan, environ: Mapping[str, str], *, with_control: bool) -> PodReport:
    shard = (int(_number(environ, "JOB_COMPLETION_INDEX")), int(_number(environ, "LOAD_SHARDS")))
    start_at = _number(environ, "LOAD_START_AT")
    if plan.preflight:
        asyncio.run(preflight(plan))
    clock = node_clock()
    _await(start_at, _number({"LOAD_LATEST": TOO_LATE, **environ}, "LOAD_LATEST"))
    result = carry_out(msgspec.structs.replace(plan, preflight=False), shard)
    with_control = with_control and not result.tail.interrupted  # who is told to stop has no time for that
    note = PodNote(
        pod=environ.get("POD_NAME") or machine(),
        node=environ.get("NODE_NAME") or machine(),
        clock=clock,
        late_ns=result.head.wall_ns - round(start_at * 1e9),
        control=_own_error(plan, shard) if with_control else None,
    )
    return PodReport(note, result)


def _await(start_at: float, latest: float) -> None:
    """Sleep until the common instant, by this node's clock."""
    if not math.isfinite(start_at):
        raise LoadError(f"LOAD_START_AT={start_at} is no time")
    late = time.time() - start_at
    if late > latest:
        raise LoadError(
            f"ready {late:.1f} s after the common start: pull the image beforehand, or give pods longer (--start-in)"
        )
    time.sleep(max(0.0, -late))


def _number(environ: Mapping[str, str], name: str) -> float:
    given = environ.get(name)
    if given is None:
        raise LoadError(f"{name} is not set: a load pod gets it from the Job's manifest (completionMode: Indexed)")
    try:
        return float(given)
    except ValueError:
        raise LoadError(f"{name}={given!r} is no number") from None


def own_share(shape: Shape, shard: tuple[int, int]) -> Shape:
    """The shape of one shard's part of a load: so many of the streams, or every N-th arrival."""
    number, shards = shard
    match shape:
        case ClosedLoop(concurrency=streams):
            return ClosedLoop(share_of(streams, shard))
        case Poisson(rate=rate, seed=seed):
            return Poisson(rate / shards, seed)
        case Schedule(at=at):
            return Schedule(at[number::shards])


def _own_error(plan: Plan, shard: tuple[int, int]) -> Control:
    """The generator's error on this node, at this pod's share of the load."""
    size = max(len(msgspec.json.encode(plan.bodies[ask.label])) for ask in plan.asks[shard[0] :: shard[1]])
    with tempfile.TemporaryDirectory() as folder:
        return control(own_share(plan.shape, shard), size, Path(folder), path=plan.path)


if __name__ == "__main__":
    sys.exit(main())
