"""`gpuassay new-suite`: a suite of thirty lines to begin with."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from gpuassay import resources
from gpuassay.arguments import place

if TYPE_CHECKING:
    from gpuassay.commands import SubParsers

TEMPLATE = resources.ROOT / "manifests" / "new-suite"


class NotEmptyError(Exception):
    """The folder holds something already; the message says what to do."""

    exit_code = 2


def add(subparsers: SubParsers) -> None:
    """Register the sub-command."""
    parser = subparsers.add_parser(
        "new-suite",
        help="write a suite of 30 lines to begin with",
        description="Run it with: pytest FOLDER. Judge its recordings again with: pytest FOLDER --replay RUN.",
    )
    parser.add_argument("folder", metavar="FOLDER", type=place, help="a folder that does not exist yet, or is empty")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write it and say how to run it."""
    folder: Path = options.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise NotEmptyError(f"{folder} is not empty: name a new folder")
        for name in ("pytest.ini", "test_queue.py"):
            (folder / name).write_text((TEMPLATE / f"{name}.txt").read_text())
    except OSError as error:
        raise NotEmptyError(f"{folder}: {error.strerror}: name another folder") from None
    print(f"written: {folder}/test_queue.py; run it with: pytest {folder}")
    return 0
