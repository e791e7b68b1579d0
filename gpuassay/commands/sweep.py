"""`gpuassay sweep`: remove what a killed run left on somebody's cluster."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gpuassay.arguments import positive, text
from gpuassay.record.rundir import RUN_ID

if TYPE_CHECKING:
    from gpuassay.commands import SubParsers


def add(subparsers: SubParsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "sweep",
        help="remove what a killed run left on an existing cluster",
        description="Without a run's id: lists the runs that left something on the cluster. With one: removes it.",
    )
    parser.add_argument("run_id", nargs="?", type=run_id, help="name of the run's folder, such as 20260101-120000-ab12")
    parser.add_argument(
        "--kubeconfig", type=text, metavar="FILE", help="the cluster; several as FILE:FILE (default: $KUBECONFIG)"
    )
    parser.add_argument("--context", type=text, help="context of the kubeconfig (default: its current one)")
    parser.add_argument("--timeout", type=positive, default=60.0, help="seconds for each kind (default: %(default)g)")
    parser.set_defaults(run=run)


def run_id(word: str) -> str:
    """A run's id: anything else would select objects of other runs, or of nobody's."""
    name = text(word).rstrip("/").rpartition("/")[2]
    if not RUN_ID.fullmatch(name):
        raise argparse.ArgumentTypeError(f"{word!r} is no run's id, such as 20260101-120000-ab12")
    return name


def run(options: argparse.Namespace) -> int:
    """List or remove; 0 when nothing is left, 1 when something is, 2 when the cluster cannot be used."""
    from gpuassay.cluster import leaks
    from gpuassay.cluster.existing import connect, require

    api, name = connect(require(options.kubeconfig), options.context)
    if options.run_id is None:
        runs = leaks.runs(api)
        print("\n".join(f"{run_id}: {count} objects" for run_id, count in runs.items()) or f"nothing on {name}")
        return 1 if runs else 0
    before = leaks.leftovers(api, options.run_id)
    left = leaks.sweep(api, options.run_id, options.timeout)
    print(f"{len(before)} objects of run {options.run_id} on {name}, {len(left)} left")
    for one in left:
        print(f"  {one}")
    return 1 if left else 0
