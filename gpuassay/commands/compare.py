"""`gpuassay compare EARLIER LATER`: what changed in verdicts and measured effects between two runs."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from gpuassay.arguments import place

if TYPE_CHECKING:
    from gpuassay.commands import SubParsers


def add(subparsers: SubParsers) -> None:
    """Register the sub-command."""
    parser = subparsers.add_parser(
        "compare",
        help="what changed in verdicts and measured effects between two runs",
        description="Prints Markdown, for a pull request. Exit code 1 where a behaviour is refuted in the later run, "
        "or broke, and was not so in the earlier one.",
    )
    parser.add_argument("earlier", type=place, metavar="EARLIER", help="a run directory")
    parser.add_argument("later", type=place, metavar="LATER", help="a run directory")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Compare; 1 where something became worse.

    Raises:
        ReportError: a run directory cannot be read, or the runs have no behaviour in common.
    """
    from gpuassay.report import load
    from gpuassay.report.compare import REGRESSIONS, differences, effects, markdown

    before, after = load(options.earlier), load(options.later)
    found = differences(before.verdicts, after.verdicts)
    if options.json:
        figures = [asdict(one) | {"ratio": one.ratio} for one in effects(before.verdicts, after.verdicts)]
        print(json.dumps({"differences": [asdict(one) for one in found], "effects": figures}, indent=1))
    else:
        print(*markdown(before, after), sep="\n")
    return 1 if any(one.change in REGRESSIONS for one in found) else 0
