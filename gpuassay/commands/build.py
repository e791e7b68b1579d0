"""`gpuassay build`: make the programs that the suite needs, or those named."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gpuassay.toolchain import Assets, catalogue, programs

if TYPE_CHECKING:
    from gpuassay.commands import SubParsers


def add(subparsers: SubParsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "build",
        help="build upstream programs into the cache; exit 3 if Go or the module registry is missing",
        description=(
            f"Known: {', '.join(catalogue.COMPONENTS)}. Groups: "
            + "; ".join(
                f"{group} = {', '.join(members)}" for group, members in catalogue.GROUPS.items() if group != "all"
            )
            + f"; all. Default: {', '.join(catalogue.required())}."
        ),
    )
    parser.add_argument("component", nargs="*", help="what to build: components or groups")
    parser.add_argument("--asset", action="append", default=[], metavar="NAME=DIR", help="programs that you bring")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Get every component named; one line each."""
    assets = Assets.parse(arguments.asset)
    for name in catalogue.selected(arguments.component):
        got = programs(name, assets)
        print(f"{name} {got.version}: {', '.join(got.files)} ({got.source})")
    return 0
