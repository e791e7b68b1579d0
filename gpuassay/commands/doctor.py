"""`gpuassay doctor`: what is there, what is missing, how long it will take, what to do."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gpuassay.arguments import text
from gpuassay.commands.provision import cluster_options, look
from gpuassay.toolchain import Assets
from gpuassay.toolchain.survey import BAD, BUILD, NOTE, OK, Fact, able, survey

if TYPE_CHECKING:
    from gpuassay.commands import SubParsers


def add(subparsers: SubParsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "doctor",
        help="say what this machine, or a cluster, has and lacks, and what to do",
        description="Without options: what this machine has and lacks; exit 2 if the suite cannot run. With --cluster "
        "existing: what of that cluster does not work; exit 1 if there is anything.",
    )
    parser.add_argument(
        "--cluster",
        choices=("none", "existing"),
        default="none",
        help="existing: look at a cluster, not at this machine",
    )
    cluster_options(parser)
    parser.add_argument("--verify", action="store_true", help="hash every cached program")
    parser.add_argument(
        "--asset", action="append", default=[], metavar="NAME=DIR", type=text, help="programs that you bring"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the table; 0 if the suite can run, else 2. Of a cluster: 0 if nothing is wrong with it, else 1.

    Raises:
        ClusterError: the cluster that is named cannot be reached, or options are missing.
    """
    if arguments.cluster == "existing":
        return _cluster(arguments)
    if arguments.kubeconfig or arguments.context:
        from gpuassay.cluster.errors import ClusterError

        raise ClusterError("--kubeconfig and --context are of a cluster: add --cluster existing")
    facts = [*survey(Assets.parse(arguments.asset), arguments.verify), _slicing()]
    width = max(len(fact.what) for fact in facts)
    for fact in facts:
        print(f"{fact.what:<{width}}  {fact.state:<8}  {fact.seen}")
        if fact.advice and fact.state != "ok":
            print(f"{'':<{width}}  {'':<8}  -> {fact.advice}")
    missing = [fact.what for fact in facts if fact.state == BAD]
    building = [fact.what for fact in facts if fact.state == BUILD]
    if missing:
        print(f"\nThe suite cannot run: {', '.join(missing)}. `make demo` needs Python alone.")
    elif building:
        print(f"\nThe suite can run; `make suite` first makes: {', '.join(building)}.")
    else:
        print("\nThe suite can run; nothing has to be built.")
    return 0 if able(facts) else 2


def _slicing() -> Fact:
    """Whether GPUs can be sliced here, which takes more than all the rest of the suite."""
    from gpuassay import silicon
    from gpuassay.cluster.node import checks

    if lack := checks.machine() or silicon.available():
        return Fact("slices", NOTE, lack, "without it slices are skipped; queueing and routing need none of that")
    return Fact("slices", OK, "a real node and fake GPUs can be had")


def _cluster(arguments: argparse.Namespace) -> int:
    """The pre-flight of a cluster, a line for each trouble."""
    from gpuassay.discovery.preflight import preflight
    from gpuassay.discovery.reading import Reading
    from gpuassay.provision.registry import components

    found = preflight(Reading(look(arguments).api), components().values())
    for one in found.troubles:
        print(one)
    for line in found.unknown:
        print(f"not looked at, {line}")
    if not found.troubles:
        print(
            "nothing is wrong with what could be looked at" if found.unknown else "nothing is wrong with this cluster"
        )
    return 1 if found.troubles else 0
