"""Our driver and Kueue's own performance runner on the same minimal Kueue, in turn (`python -m benchmarks`)."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from gpuassay.arguments import at_least
from gpuassay.commands import SubParsers

if TYPE_CHECKING:
    from gpuassay.manifest import Manifest
    from gpuassay.systems.kueue.judge.throughput import Throughput

TARGET = 0.95
"""Our driver must reach this share of the runner's Workloads per second."""

OURS, THEIRS = "gpuassay", "kueue-runner"


def add(subparsers: SubParsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "compare-runner",
        help="measure our Workload driver against Kueue's own performance runner",
        description="Runs Kueue's baseline generator through our driver and through Kueue's own runner, in turn, each"
        " time on a fresh control plane with Kueue's minimal manager. Builds runner and manager on first use.",
    )
    parser.add_argument("--pairs", type=at_least(1), default=3, help="runs of each (default: %(default)s)")
    parser.add_argument("--divide", type=at_least(1), default=10, help="divisor of the counts (default: %(default)s)")
    parser.add_argument("--timeout", type=float, default=480, help="seconds for one run (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="write the figures there as JSON")
    parser.add_argument("--asset", action="append", default=[], metavar="NAME=DIR", help="programs that you bring")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measure and judge; 0 when our driver reaches the target, 1 when not, 3 when the pairs cannot tell."""
    from gpuassay.cluster.errors import ClusterError
    from gpuassay.stats.ratios import paired_ratio, three_valued
    from gpuassay.toolchain import Assets
    from gpuassay.waiting import WaitError

    assets = Assets.parse(options.asset)
    rates: dict[str, list[float]] = {OURS: [], THEIRS: []}
    runs: list[Manifest] = []
    try:
        for pair in range(options.pairs):
            for who in (OURS, THEIRS) if pair % 2 == 0 else (THEIRS, OURS):
                found, stall = _measure(who, options.divide, options.timeout, assets)
                rates[who].append(found.rate)
                runs.append(_described(who, pair, found, stall))
                print(json.dumps(runs[-1]), flush=True)
    except (ClusterError, WaitError) as error:
        print(f"benchmarks compare-runner: {error}", file=sys.stderr)
        return 2
    result: Manifest = {"divide": options.divide, "runs": runs, "target": TARGET}
    if options.pairs > 1:
        interval = paired_ratio(rates[OURS], rates[THEIRS])
        outcome = three_valued(interval, TARGET, "higher")
        result |= {"ratio": interval.ratio, "low": interval.low, "high": interval.high, "outcome": outcome}
    else:
        ratio = rates[OURS][0] / rates[THEIRS][0]
        outcome = "inconclusive"
        result |= {"ratio": ratio, "low": None, "high": None, "outcome": outcome}
    spread = f"{result['low']} to {result['high']}"
    print(f"ours / Kueue's runner: {result['ratio']:.3f} ({spread}), target {TARGET}: {outcome}")
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n")
    return {"pass": 0, "fail": 1}.get(outcome, 3)


def _measure(who: str, divide: int, timeout: float, assets: object) -> tuple[Throughput, float | None]:
    """One run on a fresh control plane; judged from what the recorder saw, whoever drove."""
    from gpuassay import pressure
    from gpuassay.record.recording import RecordingMeta, write_recording
    from gpuassay.systems.kueue.acts import minimal_manager as minimal
    from gpuassay.systems.kueue.judge.throughput import throughput
    from gpuassay.systems.kueue.objects import mixes
    from gpuassay.systems.kueue.readings import KueueRecording
    from gpuassay.toolchain import Assets

    used = assets if isinstance(assets, Assets) else None
    document = mixes.divided(minimal.generator_document(used), divide)
    generated = mixes.generated(document)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gpuassay-compare-")))
        on = stack.enter_context(minimal.minimal(folder / "cluster", used))
        started, began = time.time_ns(), pressure.read()
        token = "compare"
        lags: list[float] = []
        if who == OURS:
            lags = minimal.drive(on, generated, token, timeout).lags
        else:
            minimal.run_upstream(on, document, generated, token, timeout)
        share = pressure.shares(began)["cpu_stall_share"]
        meta = RecordingMeta(
            scenario=who, token=token, started_ns=started, ended_ns=time.time_ns(),
            notes={"total": generated.total, "lags": lags},
        )  # fmt: skip
        write_recording(folder / "recording", meta, events=on.view.lines(token))
        return throughput(KueueRecording.load(folder / "recording")), share


def _described(who: str, pair: int, found: Throughput, stall: float | None) -> Manifest:
    from gpuassay.stats.quantiles import quantile

    return {
        "driver": who,
        "pair": pair,
        "workloads": found.finished,
        "never_admitted": sum(found.never_admitted.values()),
        "wall_s": round(found.wall, 2),
        "workloads_per_s": round(found.rate, 2),
        "admission_p50_p95_s": {
            cls: [round(quantile(waits, q), 2) for q in (0.5, 0.95)] for cls, waits in found.admission.items() if waits
        },
        "creation_lag_p95_s": round(quantile(found.lags, 0.95), 3) if found.lags else None,
        "evictions": found.evictions,
        "cpu_stall_share": stall,
    }
