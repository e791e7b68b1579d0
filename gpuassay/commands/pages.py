"""Pages of `docs/` that are made from the code: written by a command, or compared by it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from gpuassay import resources

if TYPE_CHECKING:
    from pathlib import Path

    from gpuassay.commands import SubParsers


class NoCheckoutError(Exception):
    """There are no pages to write in an installed wheel; the message says where to run the command."""

    exit_code = 2


def add(subparsers: SubParsers, command: str, help: str, file: Path, text: Callable[[], str]) -> None:
    """Register `command`, which makes `file` from `text()`."""
    parser = subparsers.add_parser(command, help=help)
    parser.add_argument("--check", action="store_true", help="only say whether the page is up to date")

    def run(options: argparse.Namespace) -> int:
        """Write the page, or with `--check` compare it: 1 when it is out of date."""
        if resources.INSTALLED:
            raise NoCheckoutError(f"docs/{file.name} belongs to the repository: run `{command}` in a checkout")
        made = text()
        if not options.check:
            file.write_text(made)
            return 0
        if file.read_text() != made:
            print(f"docs/{file.name} is out of date: run `python -m gpuassay {command}`")
            return 1
        return 0

    parser.set_defaults(run=run)
