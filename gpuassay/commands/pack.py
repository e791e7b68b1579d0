"""`gpuassay pack`: a run directory as one file that can be sent, kept, and replayed."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gpuassay.arguments import place
from gpuassay.record.pack import pack

if TYPE_CHECKING:
    from gpuassay.commands import SubParsers


def add(subparsers: SubParsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "pack",
        help="write a run directory to one .tar.xz file",
        description="The file can be replayed with --replay. Equal run directories give equal files.",
    )
    parser.add_argument("folder", metavar="RUN", type=place, help="a run directory")
    parser.add_argument("out", metavar="OUT", type=place, help="the archive to write, a new file (.tar.xz)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the archive and say how large it is."""
    pack(arguments.folder, arguments.out)
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e6:.2f} MB")
    return 0
