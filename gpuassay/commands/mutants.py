"""`gpuassay mutants`: break the system under test on purpose and see the suite go red.

A behaviour that stays green under its own mutant proves nothing; one that goes red under the identity mutant accuses
the innocent.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import json
import os
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from gpuassay import writable
from gpuassay.arguments import place, text
from gpuassay.commands import SubParsers
from gpuassay.kills.store import IDENTITY
from gpuassay.kills.trial import trial
from gpuassay.scenarios import mutants
from gpuassay.session.collection import behaviour_of
from gpuassay.verdict import State


class _Collector:
    """Notes which test names which mutant."""

    def __init__(self) -> None:
        self.by_mutant: dict[str, list[str]] = defaultdict(list)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Read the declarations."""
        for item in session.items:
            behaviour = behaviour_of(item)
            if behaviour is None:
                continue
            self.by_mutant[IDENTITY].append(item.nodeid)
            if behaviour.mutant:
                self.by_mutant[behaviour.mutant].append(item.nodeid)


def add(subparsers: SubParsers) -> None:
    """Register the sub-command."""
    parser = subparsers.add_parser(
        "mutants",
        help="break the system under test and see the suite go red",
        epilog="pytest's own variable hands any other option on: PYTEST_ADDOPTS='-k das --asset das=DIR'",
    )
    parser.add_argument(
        "names", nargs="*", type=text, help="mutants to try (default: all that a behaviour names, and identity)"
    )
    parser.add_argument(
        "--suite", type=text, default="suites/kueue", help="where the behaviours are (default: %(default)s)"
    )
    parser.add_argument("--list", action="store_true", help="only list the mutants and what they break")
    parser.add_argument("--out", type=place, help="write the kill matrix there as JSON, a new file")
    parser.add_argument(
        "-m", dest="markers", type=text, default="not perf and not scale", help="pytest marker expression"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Try each mutant in a run of its own; 0 if each behaviour is killed by its mutant and identity kills none."""
    if options.out:
        _refuse_out(options.out)
    collector = _Collector()
    with contextlib.redirect_stdout(io.StringIO()):
        code = pytest.main([options.suite, "--collect-only", "-qq", "-m", options.markers], plugins=[collector])
    if code != 0:
        if code == pytest.ExitCode.NO_TESTS_COLLECTED:
            print(f"gpuassay: nothing in {options.suite} is selected", file=sys.stderr)
        return 2
    if options.list:
        for name, one in sorted(mutants.known().items()):
            print(f"{name}: {one.breaks} ({len(collector.by_mutant.get(name, []))} behaviours)")
        return 0
    unknown = [name for name in [*options.names, *collector.by_mutant] if name not in mutants.known()]
    if unknown:
        told = f"unknown mutant: {', '.join(sorted(set(unknown)))}; {mutants.like(unknown[0])}"
        print(f"gpuassay: {told}", file=sys.stderr)
        return 2
    names: list[str] = options.names or sorted(collector.by_mutant)
    idle = [name for name in names if not collector.by_mutant[name]]
    if idle:
        print(f"gpuassay: no selected behaviour of {options.suite} names {', '.join(idle)}", file=sys.stderr)
        return 2
    matrix = {
        name: _try(name, collector.by_mutant[name], options.markers) for name in names if collector.by_mutant[name]
    }
    if options.out:
        options.out.write_text(json.dumps(matrix, indent=1, sort_keys=True) + "\n")
    return _judge(matrix)


def _refuse_out(file: Path) -> None:
    """Before hours of trials: their result is written at the end."""
    if os.path.lexists(file):
        raise FileExistsError(errno.EEXIST, "is there already; remove it, or name another file", str(file))
    if problem := writable.why_not(file.parent):
        raise NotADirectoryError(errno.ENOTDIR, f"cannot be written to ({problem})", str(file.parent))


def _try(name: str, tests: list[str], markers: str) -> dict[str, str]:
    """Behaviour id -> state of every behaviour that names the mutant, in one run with it."""
    found = trial(name, tests, markers)
    if not found.states:
        print(found.words, file=sys.stderr)
        return dict.fromkeys(tests, State.ERROR.value)
    states = found.states
    killed = sum(state == State.FAIL for state in states.values())
    print(f"{name}: {killed} of {len(states)} behaviours red", flush=True)
    return states


def _judge(matrix: dict[str, dict[str, str]]) -> int:
    wrong: list[str] = []
    for name, states in matrix.items():
        for behaviour, state in states.items():
            if name == IDENTITY and state in {State.FAIL, State.ERROR}:
                wrong.append(f"{behaviour}: {state} although nothing is broken")
            # what is known to fail without a mutant fails with it: it says nothing
            if name != IDENTITY and state not in {State.FAIL, State.SKIP, State.KNOWN_DEFECT}:
                wrong.append(f"{behaviour}: {state} under its mutant {name}, must be FAIL")
    for line in wrong:
        print(line)
    tried = [state for name, states in matrix.items() if name != IDENTITY for state in states.values()]
    kills = tried.count(State.FAIL)
    silent = tried.count(State.SKIP) + tried.count(State.KNOWN_DEFECT)
    print(
        f"{kills} behaviours killed by {len(matrix) - (IDENTITY in matrix)} mutants; {len(wrong)} not as they must be"
        + (f"; {silent} skipped or known to fail, which says nothing" if silent else "")
    )
    # a matrix of skips shows nothing
    return 1 if wrong or (tried and not kills) else 0
