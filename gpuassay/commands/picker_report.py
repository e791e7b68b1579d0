"""`gpuassay picker-report`: what a run found of an endpoint picker, as a versioned JSON file."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from gpuassay.arguments import place
from gpuassay.record.pack import RunError

if TYPE_CHECKING:
    from gpuassay.commands import SubParsers


def add(subparsers: SubParsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "picker-report",
        help="write what a run with --epp-target found of the endpoint picker, as JSON",
        description="One file with the suite's version, the picker, and the state of every behaviour, for conformance.",
    )
    parser.add_argument("folder", metavar="RUN", type=place, help="a run directory")
    parser.add_argument("out", metavar="OUT", type=place, help="the file to write, a new one (.json)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the report; 0 if every MUST behaviour was judged and held, else 1."""
    from gpuassay.systems.llmd.picker_report import conformance

    out: Path = arguments.out
    if out.exists():
        raise RunError(f"{out} is there already: remove it, or name another file")
    found = conformance(arguments.folder)
    out.write_text(json.dumps(found, indent=1) + "\n")
    counts = ", ".join(f"{count} {state}" for state, count in found["counts"].items())
    print(f"{out}: {found['picker']['target']} is {'' if found['conforms'] else 'not '}conformant: {counts}")
    return 0 if found["conforms"] else 1
