"""`gpuassay doctor`: what is there, what is missing, how long it will take, what to do."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gpuassay.arguments import text
from gpuassay.toolchain import Assets
from gpuassay.toolchain.survey import BAD, BUILD, NOTE, OK, Fact, able, survey

if TYPE_CHECKING:
    from gpuassay.commands import SubParsers


def add(subparsers: SubParsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("doctor", help="say what this machine has and lacks; exit 2 if the suite cannot run")
    parser.add_argument("--verify", action="store_true", help="hash every cached program")
    parser.add_argument(
        "--asset", action="append", default=[], metavar="NAME=DIR", type=text, help="programs that you bring"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the table; 0 if the suite can run, else 2."""
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
