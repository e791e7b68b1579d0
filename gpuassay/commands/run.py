"""`gpuassay run`: the suites that come with the library, with pytest's own arguments."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gpuassay.session import bundled

if TYPE_CHECKING:
    from gpuassay.commands import SubParsers


def add(subparsers: SubParsers) -> None:
    """Register the sub-command."""
    parser = subparsers.add_parser(
        "run",
        help="run the bundled suites; what follows goes to pytest",
        description="Everything after `run` goes to pytest: gpuassay run -k das, gpuassay run suites/kueue -m perf. "
        "Reports are kept below ./reports.",
        add_help=False,
        prefix_chars="\0",  # every option is pytest's
    )
    parser.add_argument("arguments", nargs="*", metavar="PYTEST-ARGUMENT")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run pytest; its exit code."""
    return bundled.run(options.arguments)
