"""`gpuassay status`: what there is of each component on a cluster, and whose it is."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gpuassay.commands.provision import cluster_options, look

if TYPE_CHECKING:
    from gpuassay.commands import SubParsers


def add(subparsers: SubParsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "status",
        help="what of the platform is on a cluster, and whose it is",
        description="Lists every component that can be provisioned: absent, ours or somebody else's, with its version.",
    )
    cluster_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """List; 0, or 1 when something that is there does not work."""
    from gpuassay.provision.install import found
    from gpuassay.provision.registry import components

    objects = look(options)
    broken = 0
    for one in components().values():
        there = found(one, objects)
        if there is None:
            print(f"{one.name:<16} absent")
            continue
        problem = one.problem(objects.api)
        broken += bool(problem)
        print(f"{one.name:<16} {there}{f'; does not work: {problem}' if problem else ''}")
    return 1 if broken else 0
