"""`gpuassay calibrate`: write this machine's figures into the thresholds file, with where they come from."""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from gpuassay.arguments import at_least, place
from gpuassay.commands import SubParsers

if TYPE_CHECKING:
    from gpuassay.manifest import Manifest

THRESHOLDS = Path("suites/kueue/performance/thresholds.json")
SUITE = "suites/kueue/performance"

FIGURES = {"kueue.throughput.rate": ("workloads_per_s", "throughput_{divisor:g}_per_s", "1/s")}
"""By behaviour: the measured value, the figure's name (filled in from the other measured values), its unit."""

LEAST = 3
"""Runs without which a standard deviation says nothing."""


class BadRuns(Exception):  # noqa: N818 - reads as what it is
    """The runs cannot be calibrated from; the message is one line."""

    exit_code = 2


def add(subparsers: SubParsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "calibrate",
        help="measure this machine and write thresholds with their provenance",
        description="Runs the throughput measurement several times, or takes stored runs, and writes mean, standard"
        " deviation and run ids into the thresholds file. Review the difference and commit it.",
    )
    parser.add_argument("--repeat", type=at_least(LEAST, 1000), default=5, help="runs to make (default: %(default)s)")
    parser.add_argument("--from", dest="runs", nargs="+", type=place, metavar="RUN", help="stored run directories")
    parser.add_argument("--full", action="store_true", help="the long version of the measurement")
    parser.add_argument("--thresholds", type=place, default=THRESHOLDS, help="file to write (default: %(default)s)")
    parser.add_argument("--run-dir", type=place, default=Path("reports/runs"), help="where new runs are kept")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measure or collect, then write; 0, or 2 when the runs are no good."""
    from gpuassay.stats import thresholds

    known = thresholds.load(options.thresholds)
    runs: list[Path] = options.runs or _measure(options.repeat, options.full, options.run_dir)
    machine, figures = collect(runs, known.limit("cpu_stall_share"))
    thresholds.calibrate(options.thresholds, machine, figures)
    for name, one in figures.items():
        print(f"{name}: mean {one['mean']:.4g} {one['unit']}, sd {one['sd']:.2g}, n {one['n']}")
    print(f"written to {options.thresholds} for machine {machine['fingerprint']}")
    return 0


def _measure(repeat: int, full: bool, run_dir: Path) -> list[Path]:
    before = set(run_dir.glob("*")) if run_dir.exists() else set[Path]()
    more = ["--full"] if full else []
    for number in range(1, repeat + 1):
        print(f"run {number} of {repeat}", flush=True)
        subprocess.run(
            [sys.executable, "-m", "pytest", f"{SUITE}/test_throughput.py", "-q", "-m", "perf", "--no-header",
             "--run-dir", str(run_dir), *more],
            check=False,
        )  # fmt: skip
    return sorted(set(run_dir.glob("*")) - before)


def _read(folder: Path) -> tuple[Manifest, list[Manifest]]:
    """`run.json` and the verdicts of a finished run."""
    try:
        told = json.loads((folder / "run.json").read_text())
        lines = [json.loads(line) for line in (folder / "verdicts.jsonl").read_text().splitlines()]
        _ = told["machine"]["fingerprint"], told["run_id"], [(line["behaviour"], line["measured"]) for line in lines]
    except OSError as error:
        raise BadRuns(f"{folder} is no finished run: {error.strerror}: {error.filename}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise BadRuns(f"{folder} is no finished run: {type(error).__name__}: {error}") from None
    return told, lines


def collect(runs: list[Path], stall_limit: float) -> tuple[Manifest, dict[str, Manifest]]:
    """The machine that all runs share, and the figures of the runs that were calm enough.

    Args:
        runs: run directories.
        stall_limit: largest share of time in which work may have waited for a CPU.

    Raises:
        BadRuns: another machine among them, a damaged run, or fewer than three calm ones.
    """
    machines: dict[str, Manifest] = {}
    values: dict[str, list[tuple[str, float]]] = defaultdict(list)
    units: dict[str, str] = {}
    noisy: list[str] = []
    seen: dict[str, Path] = {}
    for folder in runs:
        told, lines = _read(folder)
        run_id = str(told["run_id"])
        if run_id in seen:
            raise BadRuns(f"{folder} is the run of {seen[run_id]}: name each run once")
        if told.get("mutant"):
            raise BadRuns(f"{folder} ran with the mutant {told['mutant']}: calibrate from runs of sound systems")
        seen[run_id] = folder
        machines[told["machine"]["fingerprint"]] = told["machine"]
        for line in lines:
            if line["behaviour"] not in FIGURES:
                continue
            key, pattern, unit = FIGURES[line["behaviour"]]
            measured: dict[str, Any] = line["measured"]
            if key not in measured:
                continue
            stall = measured.get("cpu_stall_share")
            try:
                calm = stall is not None and 0 <= float(stall) <= stall_limit
                name, value = pattern.format(**measured), float(measured[key])
            except (ValueError, KeyError, TypeError) as error:
                raise BadRuns(f"{folder}: {line['behaviour']} has no usable figures ({error})") from None
            if not 0 <= value < math.inf:
                raise BadRuns(f"{folder}: {line['behaviour']} has {key} {value}, which is no figure")
            if not calm:
                noisy.append(run_id)
                continue
            values[name].append((run_id, value))
            units[name] = unit
    if len(machines) != 1:
        raise BadRuns(f"the runs are of {len(machines)} machines: calibrate from runs of one")
    if not values or min(len(found) for found in values.values()) < LEAST:
        raise BadRuns(
            f"fewer than {LEAST} usable runs of {len(runs)}; too busy a machine in: {', '.join(noisy) or 'none'}"
        )
    figures = {
        name: {
            "n": len(found),
            "mean": round(fmean(value for _, value in found), 4),
            "sd": round(stdev(value for _, value in found), 4),
            "unit": units[name],
            "runs": [run_id for run_id, _ in found],
        }
        for name, found in values.items()
    }
    return next(iter(machines.values())), figures
