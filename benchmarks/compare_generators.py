"""How wrong our load generator is, and others are, at the same server in turn (`python -m benchmarks`)."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gpuassay.arguments import at_least
from gpuassay.commands import SubParsers

if TYPE_CHECKING:
    from benchmarks.trials import Summary, Trial
    from gpuassay.load.plan import Plan
    from gpuassay.load.rows import LoadResult
    from gpuassay.load.timing import EchoTiming

OURS = "gpuassay.load"
GOAL_STREAMS, GOAL_P50, GOAL_P99, GOAL_RATIO = 64, 0.2, 0.9, 10.0
"""Ours: at most these errors (ms) at so many streams, and this many times below GuideLLM's in the same run."""

BODY_BYTES = 4000


def add(subparsers: SubParsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "compare-generators",
        help="measure the error of our load generator and of others",
        description="Puts the same load on an echo server of known timing from our generator, GuideLLM and"
        " inference-perf (those that are installed), in turn and in an order shuffled by round, and prints what each"
        " adds to TTFT. Exit code 1: ours misses its goal.",
    )
    parser.add_argument("--streams", type=at_least(1), nargs="+", default=[1, 8, 64], help="default: 1 8 64")
    parser.add_argument("--rounds", type=at_least(1), default=1, help="runs of each (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=6, help="of load in every run (default: %(default)s)")
    parser.add_argument("--ttft-ms", type=float, default=80, help="mean TTFT of the server, +-50 %% (default: 80)")
    parser.add_argument("--itl-ms", type=float, default=20, help="its inter-token latency (default: 20)")
    parser.add_argument("--tokens", type=at_least(1), default=64, help="of every answer (default: 64)")
    parser.add_argument(
        "--usual-scheduling",
        action="store_true",
        help="measure all under the kernel's usual scheduling (default: all under real-time scheduling, where allowed)",
    )
    parser.add_argument("--only", action="append", metavar="TOOL", help="measure only these (repeatable)")
    parser.add_argument("--out", type=Path, help="write every figure there as JSON")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep plans, reports, rows and logs there")
    parser.add_argument("--asset", action="append", default=[], metavar="NAME=DIR", help="where a tool is installed")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measure; 0 when our generator keeps its goal (or was not measured at 64 streams), 1 when not, 2 on bad input."""
    import msgspec

    from benchmarks.trials import summaries
    from gpuassay.load.errors import LoadError
    from gpuassay.load.gate import NoControl
    from gpuassay.load.timing import EchoTiming
    from gpuassay.record.rundir import machine
    from gpuassay.waiting import WaitError

    try:
        timing = EchoTiming(ttft_ms=options.ttft_ms, itl_ms=options.itl_ms, tokens=options.tokens)
        tools = _tools(_assets(options.asset), options.only, realtime=not options.usual_scheduling)
        with tempfile.TemporaryDirectory(prefix="gpuassay-generators-") as scratch:
            trials = _trials(tools, timing, options, options.keep or Path(scratch))
    except (LoadError, NoControl, WaitError, ValueError) as error:
        print(f"benchmarks compare-generators: {error}", file=sys.stderr)
        return 2
    found = summaries(trials)
    print("\n".join(table(found)))
    met = goal(found)
    for sentence, kept in met:
        print(f"{'met' if kept else 'MISSED'}: {sentence}")
    if options.out:
        scheduling = "usual" if options.usual_scheduling else "real-time where allowed"
        report = {
            "machine": machine(),
            "scheduling": scheduling,
            "timing": timing,
            "body_bytes": BODY_BYTES,
            "trials": trials,
            "summary": found,
        }
        options.out.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    return 0 if all(kept for _, kept in met) else 1


def table(found: Sequence[Summary]) -> list[str]:
    """The summary as a Markdown table: errors on TTFT in ms, CPU in us."""
    lines = [
        "| streams | generator | error P50 | P90 | P99 | rate | CPU/token | requests | failed |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in found:
        price = "-" if one.cpu_us_per_token is None else f"{one.cpu_us_per_token:.0f}"
        lines.append(
            f"| {one.streams} | {one.tool} | {one.error_p50:.2f} | {one.error_p90:.2f} | {one.error_p99:.2f} "
            f"| {one.rate_share:.1%} | {price} | {one.requests} | {one.failed} |"
        )
    return lines


def goal(found: Sequence[Summary]) -> list[tuple[str, bool]]:
    """The goals that these figures can be held to, each with whether it is met."""
    at = {one.tool: one for one in found if one.streams == GOAL_STREAMS}
    ours = at.get(OURS)
    if ours is None:
        return []
    judged = [
        (
            f"ours errs by {ours.error_p50:.2f} / {ours.error_p99:.2f} ms (P50 / P99) at {GOAL_STREAMS} streams; "
            f"goal {GOAL_P50} / {GOAL_P99} ms",
            ours.error_p50 <= GOAL_P50 and ours.error_p99 <= GOAL_P99,
        )
    ]
    for tool, one in at.items():
        if tool.startswith("guidellm"):
            p50, p99 = one.error_p50 / ours.error_p50, one.error_p99 / ours.error_p99
            judged.append(
                (
                    f"{tool} errs {p50:.0f} / {p99:.0f} times as much; goal {GOAL_RATIO:.0f}",
                    min(p50, p99) >= GOAL_RATIO,
                )
            )
    return judged


def _assets(options: Sequence[str]) -> dict[str, Path]:
    """`NAME=DIR` options. Raises ValueError."""
    from benchmarks.adapters import TOOLS

    found: dict[str, Path] = {}
    for option in options:
        name, equals, directory = option.partition("=")
        if not equals or not directory:
            raise ValueError(f"--asset takes NAME=DIR, not {option!r}")
        if name not in TOOLS:
            raise ValueError(f"--asset {option}: no generator is called {name!r}; there are {', '.join(TOOLS)}")
        found[name] = Path(directory).expanduser()
    return found


def _tools(
    assets: dict[str, Path], only: Sequence[str] | None, *, realtime: bool
) -> dict[str, Callable[[Plan, Path], LoadResult]]:
    """What can be measured here, ours first. A tool that is not there is named on standard error, unless asked for.

    Raises ValueError (an unknown name), ToolMissing (one that was asked for).
    """
    import msgspec

    from benchmarks.adapters import TOOLS
    from benchmarks.adapters.tool import ToolMissing
    from gpuassay.load.runner import run as run_ours

    names = [OURS, *TOOLS]
    unknown = [name for name in only or () if name not in names]
    if unknown:
        raise ValueError(f"--only {unknown[0]}: there are {', '.join(names)}")
    found: dict[str, Callable[[Plan, Path], LoadResult]] = {}
    if not only or OURS in only:
        found[OURS] = lambda plan, folder: run_ours(msgspec.structs.replace(plan, realtime=realtime), folder)
    for name, (tool, carry_out) in TOOLS.items():
        if only and name not in only:
            continue
        try:
            program = tool.find(assets.get(name))
        except ToolMissing as error:
            if name in (only or ()) or name in assets:
                raise
            print(f"not measured: {error}", file=sys.stderr)
            continue
        found[f"{name} {tool.version}"] = _bound(carry_out, program, realtime)
    return found


def _bound(carry_out: Callable[..., LoadResult], program: Path, realtime: bool) -> Callable[[Plan, Path], LoadResult]:
    return lambda plan, folder: carry_out(plan, folder, program=program, realtime=realtime)


def _trials(
    tools: dict[str, Callable[[Plan, Path], LoadResult]],
    timing: EchoTiming,
    options: argparse.Namespace,
    directory: Path,
) -> list[Trial]:
    found: list[Trial] = []
    order = random.Random(timing.seed)
    for number in range(options.rounds):
        for streams in options.streams:
            names = list(tools)
            order.shuffle(names)
            for name in names:
                folder = directory / f"{name.replace(' ', '-')}-{streams}-{number}"
                found.append(_trial(name, tools[name], number, streams, timing, options.seconds, folder))
                one = found[-1]
                print(
                    f"{name}, {streams} streams: error {one.error_p50:.2f} / {one.error_p99:.2f} ms, "
                    f"{one.wall_seconds:.0f} s, CPU stall {one.stall_share}",
                    file=sys.stderr,
                )
    return found


def _trial(
    name: str,
    carry_out: Callable[[Plan, Path], LoadResult],
    number: int,
    streams: int,
    timing: EchoTiming,
    seconds: float,
    folder: Path,
) -> Trial:
    from benchmarks.treecpu import TreeCpu
    from benchmarks.trials import trial_of
    from gpuassay import pressure
    from gpuassay.load.control import control_plan, echo_server
    from gpuassay.load.plan import ClosedLoop

    with echo_server(timing, folder) as echo:
        plan = control_plan(ClosedLoop(streams), BODY_BYTES, echo.url, timing, seconds)
        began = pressure.read()
        cpu = TreeCpu(without={echo.pid})
        try:
            result = carry_out(plan, folder)
        finally:
            cpu.close()
        share = pressure.shares(began)["cpu_stall_share"]
        return trial_of(name, number, streams, result, echo.truths(), timing, cpu=cpu.samples, stall_share=share)
