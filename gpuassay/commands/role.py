"""`gpuassay role`: the rights that a run takes on somebody's cluster, as a ClusterRole to apply."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpuassay.commands import SubParsers

NAME = "gpuassay"


def add(subparsers: SubParsers) -> None:
    """Register the sub-command."""
    parser = subparsers.add_parser(
        "role",
        help="the rights that a run takes on somebody's cluster, as a ClusterRole to apply",
        description="Prints a ClusterRole, as YAML, of the rights that `--plan` lists for the named systems, of all by "
        "default. To install components takes more: let an administrator do that by `gpuassay provision`.",
    )
    parser.add_argument("systems", nargs="*", metavar="SYSTEM", help="such as kueue, routing, slices")
    parser.add_argument("--name", default=NAME, help="of the ClusterRole (default: %(default)s)")
    parser.add_argument(
        "--account", type=_account, metavar="NAMESPACE/NAME",
        help="print this ServiceAccount of an existing namespace too, and a binding by which it has the role",
    )  # fmt: skip
    parser.set_defaults(run=run)


def _account(text: str) -> tuple[str, str]:
    namespace, slash, name = text.partition("/")
    if not (namespace and slash and name) or "/" in name:
        raise argparse.ArgumentTypeError(f"{text!r} is no account: give NAMESPACE/NAME")
    return namespace, name


def run(options: argparse.Namespace) -> int:
    """Print the objects; 2 where there is no such system."""
    import yaml

    from gpuassay.discovery.role import bound, cluster_role
    from gpuassay.engine.discovered import RULES
    from gpuassay.system import BadSystem, systems

    known = systems()
    if unknown := [one for one in options.systems if one not in known]:
        raise BadSystem(f"there is no system {unknown[0]!r}: there are {', '.join(sorted(known))}")
    named = [known[one] for one in options.systems] or list(known.values())
    objects = [cluster_role(options.name, (*RULES, *(rule for one in named for rule in one.rules)))]
    if options.account:
        objects += bound(options.name, *options.account)
    print(yaml.safe_dump_all(objects, sort_keys=False), end="")
    return 0
