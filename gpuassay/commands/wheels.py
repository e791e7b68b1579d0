"""`gpuassay wheels OUT`: pack built programs into platform wheels, for machines that have no Go."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from gpuassay.arguments import place
from gpuassay.toolchain import ToolchainError, catalogue, golang, module_dir, programs, wheels
from gpuassay.toolchain.progress import say_on_stderr, silent
from gpuassay.toolchain.resolve import cached

if TYPE_CHECKING:
    from gpuassay.commands import SubParsers


def add(subparsers: SubParsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "wheels",
        help="pack built programs into wheels, for machines without Go",
        description=(
            "Writes one wheel for each component, gpuassay-program-<component>, with provenance inside. Elsewhere: "
            "pip install --no-index --find-links OUT gpuassay-program-kueue ... An installed wheel is used if the "
            "checkout there would build the same."
        ),
    )
    parser.add_argument("out", type=place, metavar="OUT", help="folder for the wheels")
    parser.add_argument(
        "component", nargs="*", help="components or groups, built where they are missing; default: all that are built"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the wheels; one line each."""
    out: Path = arguments.out
    built = [name for name, one in catalogue.COMPONENTS.items() if cached(one, silent)]
    names = catalogue.selected(arguments.component) if arguments.component else built
    if not names:
        raise ToolchainError("nothing is built yet: `gpuassay build`, or name what to pack")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ToolchainError(f"{out} cannot be made: {error.strerror}") from None
    go = golang.find(say_on_stderr)
    for name in names:
        component = catalogue.component(name)
        entry = cached(component, say_on_stderr)
        if entry is None:
            programs(name)
            entry = cached(component, say_on_stderr)
        if entry is None:
            raise ToolchainError(f"{name} comes from an installed wheel here and is not built: nothing to pack")
        modules = {one: module_dir(name, one) for one in component.files}
        wheel = wheels.pack(component, entry, modules, go, out)
        print(f"{wheel.name}  {wheel.stat().st_size / 2**20:.1f} MiB")
    return 0
