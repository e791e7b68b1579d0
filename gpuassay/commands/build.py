"""`gpuassay build`: make the programs that the suite needs, or those named."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gpuassay.arguments import text
from gpuassay.toolchain import Assets, available, catalogue, programs
from gpuassay.toolchain.background import to_background
from gpuassay.toolchain.survey import obtainable

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
    parser.add_argument("component", nargs="*", type=text, help="what to build: components or groups")
    parser.add_argument(
        "--background", action="store_true", help="take only the CPU time and disk that nobody else wants"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="build nothing; exit 0 if all is there or could be built, 3 if Go or the module registry is missing",
    )
    parser.add_argument(
        "--asset",
        action="append",
        default=[],
        metavar="NAME=DIR|NAME@VERSION",
        type=text,
        help="programs that you bring, or another version than the suite's own",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Get every component named; one line each."""
    assets = Assets.parse(arguments.asset)
    names = catalogue.selected(arguments.component)
    if arguments.check:
        obtainable([name for name in names if available(name, assets) is not None])
        return 0
    if arguments.background:
        to_background()
    for name in names:
        got = programs(name, assets)
        print(f"{name} {got.version}: {', '.join(got.files)} ({got.source})")
    return 0
