"""`gpuassay power`: how small an effect the rounds of a run can see, and what other numbers of rounds would."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpuassay import resources
from gpuassay.arguments import place
from gpuassay.record.pack import RunError, open_run
from gpuassay.scratch import scratch
from gpuassay.session import bundled

if TYPE_CHECKING:
    from gpuassay.commands import SubParsers

ROUNDS = (3, 5, 10)
"""Numbers of rounds that are told beside the run's own."""


def add(subparsers: SubParsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "power",
        help="how small an effect a run's measurements can see",
        description="For every behaviour that was measured in at least two rounds: the least effect beyond its bar "
        "that a single look finds in 80 and in 90 of 100 runs, one-sided at 1 %, with as many rounds as there were and "
        "with 3, 5 and 10. Exit code 2 for a run without rounds to compare.",
    )
    parser.add_argument("stored", metavar="RUN", type=place, help="a run directory or .tar.xz")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print one line a behaviour.

    Raises:
        RunError: no run, or one in which nothing was measured in two rounds or more.
    """
    opened = open_run(options.stored)
    found = measured(_verdicts(opened))
    if not found:
        with scratch("power") as folder:
            found = measured(_judged_again(opened, folder))
    if not found:
        raise RunError(
            f"{options.stored}: nothing was measured in two rounds or more, so no spread is known; play more rounds"
            " (-m perf --full, or -m paper)"
        )
    for line in lines(found):
        print(line)
    return 0


def measured(verdicts: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The figures of behaviours whose rounds have a spread, by behaviour (`Measure.effect` writes them)."""
    found: dict[str, dict[str, Any]] = {}
    for row in verdicts:
        figures: dict[str, Any] = row.get("measured") or {}
        if figures.get("effect_error") and figures.get("rounds", 0) >= 2:
            found[str(row["behaviour"])] = figures
    return found


def lines(found: dict[str, dict[str, Any]]) -> list[str]:
    """What n rounds can see, one line a behaviour."""
    from gpuassay.session.measure import ALPHA
    from gpuassay.stats.claims import POWERS, detectable
    from gpuassay.stats.evidence import Estimate

    told: list[str] = []
    for name in sorted(found):
        figures = found[name]
        kind, unit = figures["effect_of"], str(figures["effect_unit"])
        here = Estimate(int(figures["rounds"]), 0.0, float(figures["effect_error"]), float(figures["effect_freedom"]))
        parts = [
            f"{n} round{'s' * (n > 1)}"
            + (" (played)" if n == here.n else "")
            + " "
            + " / ".join(_effect(detectable(here.at(n), ALPHA, kind, chance), kind, unit) for chance in POWERS)
            for n in sorted({here.n, *ROUNDS})
        ]
        told.append(f"{name}: {'; '.join(parts)}")
    chances = " / ".join(f"{chance:.0%}" for chance in POWERS)
    return [f"least effect found in {chances} of runs, one-sided at {ALPHA:.0%}", *told]


def _effect(value: float | None, kind: str, unit: str) -> str:
    if value is None:
        return "-"
    return f"{value:.3g} {unit}".strip() if kind == "difference" else f"{100 * value:.3g} %"


def _verdicts(folder: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in (folder / "verdicts.jsonl").read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise RunError(f"{folder / 'verdicts.jsonl'} cannot be read (truncated?): {error}") from error


def _judged_again(run: Path, folder: Path) -> list[dict[str, Any]]:
    """The verdicts of its measurements by today's judges: a run of an older version did not note spreads.

    Raises:
        RunError: pytest could not begin.
    """
    given = ["-q", f"--replay={run}", f"--run-dir={folder}", "-m", "perf or paper", "-p", "no:cacheprovider"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTEST_ADDOPTS"}
    paths = [str(resources.IMPORT_PATH), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    command = [sys.executable, "-m", "pytest", *bundled.pytest_arguments(given)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1, 2, 5):  # 1: a behaviour is refuted; 2: a recording is missing; 5: none is selected
        told = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise RunError(f"{run}: cannot be judged: {told[-1] if told else f'pytest ended with {done.returncode}'}")
    return [row for made in folder.glob("*/verdicts.jsonl") for row in _verdicts(made.parent)]
