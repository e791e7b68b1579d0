"""`gpuassay demo`: judge the recordings that come with the project. Needs Python alone."""

from __future__ import annotations

import argparse
import sys
import webbrowser
from pathlib import Path

from gpuassay import resources
from gpuassay.commands import SubParsers
from gpuassay.session import bundled


def add(subparsers: SubParsers) -> None:
    """Register the sub-command."""
    parser = subparsers.add_parser("demo", help="judge the recordings that come with the project (no cluster)")
    parser.add_argument("--no-open", action="store_true", help="do not open the report in a browser")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Replay the recorded run and open its report; pytest's exit code."""
    place = Path.cwd() if resources.INSTALLED else resources.ROOT
    code = bundled.run(["-q", f"--replay={resources.RECORDED_RUN}"], place=place)
    report = place / "reports" / "latest" / "report.html"
    if report.exists() and sys.stdout.isatty() and not options.no_open:
        webbrowser.open(report.resolve().as_uri())
    return code
