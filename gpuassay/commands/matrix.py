"""`gpuassay matrix`: the same behaviours on several versions of a component, side by side."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gpuassay.arguments import place, text
from gpuassay.scratch import scratch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuassay.commands import SubParsers
    from gpuassay.verdict import Verdict

JUDGED = (0, 1)
"""Exit codes of pytest after which there are verdicts."""

OTHERWISE = {"kubernetes": "controlplane"}
"""What a component is called by people, and by the toolchain."""


class NoRunError(Exception):
    """A version could not be judged at all; the message says which, and what the run said last."""

    exit_code = 2


def add(subparsers: SubParsers) -> None:
    """Register the sub-command."""
    parser = subparsers.add_parser(
        "matrix",
        help="run behaviours on several versions of a component and print what differs",
        description="One run after the other: gpuassay matrix --version kueue=0.18.4,0.19.2 -- -k lifecycle. What "
        "follows `--` goes to pytest. Prints Markdown. Exit code 1 where a behaviour is refuted on the last "
        "version and was not on the first.",
    )
    parser.add_argument(
        "--version", required=True, type=text, metavar="NAME=V,V..", help="a component and two or more of its versions"
    )
    parser.add_argument("--runs", type=place, metavar="DIR", help="keep the run directories below this folder")
    parser.add_argument("arguments", nargs="*", metavar="PYTEST-ARGUMENT")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run once per version; 1 where the last one is worse than the first.

    Raises:
        ToolchainError: a version cannot be had, told before anything is run.
        NoRunError: a version could not be judged.
    """
    from gpuassay.report.compare import REGRESSIONS, differences, matrix

    name, versions = _asked(options.version)
    found: dict[str, Sequence[Verdict]] = {}
    with scratch("matrix") as spare:
        base = (options.runs or spare).absolute()
        for version in versions:
            print(f"judging {name} {version}", file=sys.stderr)
            found[f"{name} {version}"] = _judged(name, version, base / f"{name}-{version}", options.arguments)
    print(*matrix(found), sep="\n")
    columns = list(found.values())
    return 1 if any(one.change in REGRESSIONS for one in differences(columns[0], columns[-1])) else 0


def _asked(option: str) -> tuple[str, list[str]]:
    """The component, and its versions without doubles."""
    from gpuassay.toolchain import ToolchainError
    from gpuassay.toolchain.catalogue import at_version

    called, equals, listed = option.partition("=")
    name = OTHERWISE.get(called, called)
    versions = list(dict.fromkeys(one.strip().removeprefix("v") for one in listed.split(",") if one.strip()))
    if not equals or len(versions) < 2:
        raise ToolchainError(f"--version {option}: give a component and two versions or more, kueue=0.18.4,0.19.2")
    for version in versions:
        at_version(name, version)
    return name, versions


def _judged(name: str, version: str, folder: Path, arguments: Sequence[str]) -> Sequence[Verdict]:
    from gpuassay.report import load

    command = [sys.executable, "-m", "gpuassay", "run", f"--asset={name}@{version}", f"--run-dir={folder}", *arguments]
    # progress belongs beside the table, not into it
    code = subprocess.run(command, stdout=sys.stderr, check=False).returncode
    runs = sorted(folder.glob("*/run.json")) if folder.is_dir() else []
    if code not in JUDGED or not runs:
        raise NoRunError(f"{name} {version} could not be judged: pytest ended with exit code {code}")
    return load(runs[-1].parent).verdicts
