"""`gpuassay report RUN_DIR`: write the reports of a finished run again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from gpuassay.arguments import place
from gpuassay.report import ReportError, terminal_ending, write
from gpuassay.secrets import hide
from gpuassay.toolchain.background import to_background


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:  # pyright: ignore[reportPrivateUsage]
    """Add the sub-command."""
    parser = subparsers.add_parser(
        "report",
        help="write summary.md, report.html and the Allure extras of a run directory",
        description="Exit code 0: written and the run is green; 1: written, not green; 2: cannot be written.",
    )
    parser.add_argument("run_dir", type=place, metavar="RUN_DIR", help="such as reports/runs/<run-id>")
    parser.add_argument("--background", action="store_true", help="take only the CPU time that nobody else wants")
    parser.set_defaults(run=main)


def main(arguments: argparse.Namespace) -> int:
    """Write the reports and print how the run ended; the exit code says whether it was green."""
    run_dir: Path = arguments.run_dir
    if arguments.background:
        to_background()
    try:
        written = write(run_dir)
    except ReportError as error:
        print(f"gpuassay report: {hide(str(error))}", file=sys.stderr)
        return 2
    print("\n".join(terminal_ending(run_dir)))
    return 0 if written.accounting.green else 1
