"""`gpuassay status`: what a cluster is, what there is of each component on it, and whose that is."""

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
        description="Says what the cluster is, then lists every component that can be provisioned: absent, ours or "
        "somebody else's, with its version.",
    )
    cluster_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """List; 0, or 1 when something that is there does not work."""
    from gpuassay.discovery.discover import discover
    from gpuassay.discovery.table import table
    from gpuassay.engine.discovered import every_rule
    from gpuassay.provision import changes
    from gpuassay.provision.install import found
    from gpuassay.provision.registry import components

    objects = look(options)
    print("\n".join(table(discover(objects.api, every_rule()))), end="\n\n")
    broken = 0
    changed = {one.component: f"; changed by run {one.run}" for one in changes.read_all(objects.api)}
    for one in components().values():
        there = found(one, objects)
        if there is None:
            print(f"{one.name:<16} absent")
            continue
        problem = one.problem(objects.api)
        broken += bool(problem)
        print(f"{one.name:<16} {there}{changed.get(one.name, '')}{f'; does not work: {problem}' if problem else ''}")
    return 1 if broken else 0
