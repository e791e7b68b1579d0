"""`gpuassay demo`: judge the recordings that come with the project. Needs Python alone."""

from __future__ import annotations

import argparse
import os
import sys
import webbrowser
from pathlib import Path

import pytest

from gpuassay.commands import SubParsers

RECORDED = Path(__file__).parents[2] / "tests" / "data" / "recorded-run.tar.xz"


def add(subparsers: SubParsers) -> None:
    """Register the sub-command."""
    parser = subparsers.add_parser("demo", help="judge the recordings that come with the project (no cluster)")
    parser.add_argument("--no-open", action="store_true", help="do not open the report in a browser")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Replay the recorded run and open its report; pytest's exit code."""
    root = Path(__file__).parents[2]
    os.chdir(root)
    code = int(pytest.main(["suites", "-q", "--replay", str(RECORDED)]))
    report = root / "reports" / "latest" / "report.html"
    if report.exists() and sys.stdout.isatty() and not options.no_open:
        webbrowser.open(report.resolve().as_uri())
    return code
