"""`gpuassay whatif QUEUES JOBS`: a list of jobs played on real Kueue with somebody's queues, faster than life."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gpuassay.arguments import path, place, positive, text

if TYPE_CHECKING:
    from gpuassay.commands import SubParsers
    from gpuassay.systems.kueue.whatif.setup import Setup

LIVE = "cluster"
"""Instead of a file: the queues of the cluster that the kubeconfig names."""


def add(subparsers: SubParsers) -> None:
    """Register the sub-command."""
    parser = subparsers.add_parser(
        "whatif",
        help="who waits how long for GPUs under these queues, or under others",
        description="Plays jobs on real Kueue (a control plane of this machine, no nodes) with your ClusterQueues,"
        " Cohorts, ResourceFlavors, LocalQueues and WorkloadPriorityClasses, many times faster than they would run, "
        "beside a model that needs no acceleration; two configurations side by side with --against. Leaves "
        "whatif.html, jobs.csv and whatif.json. A cluster is only read.",
    )
    parser.add_argument("queues", type=text, metavar="QUEUES", help=f"YAML file, or the word {LIVE!r}: a live one's")
    parser.add_argument(
        "jobs", type=place, metavar="JOBS.csv",
        help="columns arrival, gpus, seconds, queue; as you like name, priority, user, class",
    )  # fmt: skip
    parser.add_argument("--against", type=text, metavar="QUEUES", help="another configuration for the same jobs")
    parser.add_argument("--directory", type=place, help="for page and files (default: whatif)", default=Path("whatif"))
    parser.add_argument("--minutes", type=positive, default=4.0, help="that the plays may take together (default: 4)")
    parser.add_argument("--speed", type=positive, help="how many times as fast (default: what --minutes needs)")
    parser.add_argument(
        "--resource", type=text, help="what a job's gpus count (default: nvidia.com/gpu, or the only one)"
    )
    parser.add_argument(
        "--profile", type=text, default="default", help="Kueue configuration profile (default: default)"
    )
    parser.add_argument("--kubeconfig", type=path, help=f"of the cluster that {LIVE!r} names (default: $KUBECONFIG)")
    parser.add_argument("--context", type=text, help="of the kubeconfig")
    parser.add_argument("--asset", action="append", default=[], metavar="NAME=DIR", type=text, help="your own programs")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Play, print the totals, write the files; 0.

    Raises:
        WhatIfError: a file cannot be used, or the time was not enough.
    """
    from gpuassay.systems.kueue.whatif.asked import Asked, answer, handed, too_large
    from gpuassay.systems.kueue.whatif.errors import WhatIfError
    from gpuassay.systems.kueue.whatif.jobs import read
    from gpuassay.systems.kueue.whatif.page import write
    from gpuassay.systems.kueue.whatif.result import caveats, groupings, total_rows, wait_rows
    from gpuassay.toolchain import Assets

    jobs = read(options.jobs)
    setups = [_setup(one, options) for one in (options.queues, options.against) if one]
    if len(setups) == 2 and setups[0].label == setups[1].label:
        setups[1].label += " (2)"
    if len({setup.resource for setup in setups}) > 1:
        raise WhatIfError(
            f"{setups[0].label} counts {setups[0].resource}, {setups[1].label} {setups[1].resource}: give --resource"
        )
    for setup in setups:
        for line in [*setup.left_out, *too_large(setup, handed(setup, jobs, options.jobs), options.jobs)]:
            print(f"{setup.label}: {line}", file=sys.stderr)
    asked = Asked(
        setups, jobs, options.jobs, options.minutes, options.speed, options.profile,
        options.directory.absolute() / "logs", Assets.parse(options.asset),
    )  # fmt: skip
    _claim(options.directory)
    found = answer(asked, lambda line: print(line, file=sys.stderr, flush=True))
    for columns, rows in [total_rows(found), *(wait_rows(found, by) for by in groupings(found))]:
        print(_table(columns, rows))
    print("\n".join(caveats(found)))
    print(f"\n{found.jobs} jobs in {found.wall:.0f} s: {', '.join(map(str, write(found, options.directory)))}")
    return 0


def _setup(word: str, options: argparse.Namespace) -> Setup:
    from gpuassay.systems.kueue.whatif import setup

    if word != LIVE:
        return setup.from_file(Path(path(word)), options.resource)
    from gpuassay.commands.provision import look

    api = look(options).api
    objects = [one | {"kind": kind} for kind in setup.KINDS for one in api.list(kind)]
    for one in objects:
        one.setdefault("apiVersion", setup.VERSION)
    return setup.made(LIVE, objects, options.resource, "the cluster")


def _claim(folder: Path) -> None:
    from gpuassay.systems.kueue.whatif.errors import WhatIfError

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise WhatIfError(f"--directory {folder} is not empty: name a new folder")


def _table(columns: list[str], rows: list[list[str]]) -> str:
    widths = [max(len(line[index]) for line in [columns, *rows]) for index in range(len(columns))]
    return (
        "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in [columns, *rows, []]
            if line
        )
        + "\n"
    )
