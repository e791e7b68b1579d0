"""`gpuassay kill-matrix`: run mutants one after another, keep what they killed, and write `docs/kill-matrix.md`."""

from __future__ import annotations

import argparse
import datetime
import os
import sys
import time
from collections.abc import Mapping, Sequence

from gpuassay import __version__, resources
from gpuassay.arguments import place, text
from gpuassay.commands import SubParsers
from gpuassay.commands.pages import NoCheckoutError
from gpuassay.kills.page import Row, page
from gpuassay.kills.store import FILE, IDENTITY, Broken, Results, Tried, load, save
from gpuassay.kills.trial import Trial, trial
from gpuassay.scenarios import mutants
from gpuassay.session.declared import Declared, everything
from gpuassay.verdict import State

PAGE = resources.ROOT / "docs" / "kill-matrix.md"


def add(subparsers: SubParsers) -> None:
    """Register the sub-command."""
    parser = subparsers.add_parser(
        "kill-matrix",
        help="run mutants, keep what they killed, and write docs/kill-matrix.md",
        description="Goes on where an earlier run ended: what has been tried is not tried again without --again.",
        epilog="pytest's own variable hands on any other option: PYTEST_ADDOPTS='--asset das=DIR'",
    )
    parser.add_argument("mutants", nargs="*", type=text, help="mutants to try (default: all that a behaviour names)")
    parser.add_argument("--system", type=text, action="append", default=[], help="only behaviours of this system")
    parser.add_argument("-k", dest="words", type=text, help="only behaviours whose id holds this")
    parser.add_argument("--perf", action="store_true", help="measurements too, which take minutes each")
    parser.add_argument("--again", action="store_true", help="try also what was tried before")
    parser.add_argument("--minutes", type=float, default=None, help="begin no run after so many minutes")
    parser.add_argument("--results", type=place, default=FILE, help="where results are kept (default: the library's)")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--page", action="store_true", help="run nothing, only write the page from what is kept")
    only.add_argument("--check", action="store_true", help="run nothing, only say whether the page is up to date")
    only.add_argument("--list", action="store_true", help="run nothing, only list what would be run")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Try what is to be tried; 0 if each tried behaviour was killed by its mutant and identity killed none."""
    if resources.INSTALLED:
        raise NoCheckoutError("docs/kill-matrix.md belongs to the repository: run `kill-matrix` in a checkout")
    results = load(options.results)
    handed = os.environ.get("PYTEST_ADDOPTS")
    declared = everything()
    if handed is not None:  # for the runs with mutants; what is declared does not depend on it
        os.environ["PYTEST_ADDOPTS"] = handed
    _describe(results, declared)
    if options.page:
        save(results, options.results)  # the report takes the layers from there
    if options.page or options.check:
        return _page(declared, results, check=options.check)
    wanted = _wanted(_chosen(declared, options), results, again=options.again)
    if options.list:
        for name, group in wanted:
            took = results.mutants[name].seconds
            print(f"{name}: {len(group)} behaviours{f', last run {took:.0f} s' if took else ''}")
        return 0
    began = time.monotonic()
    wrong: list[str] = []
    for done, (name, group) in enumerate(wanted):
        if options.minutes is not None and time.monotonic() - began > 60 * options.minutes:
            print(f"{len(wanted) - done} runs are left: the same command goes on with them")
            break
        markers = "upgrade or upstream or not upgrade" if options.perf else "not perf and not scale"
        found = trial(name, list(dict.fromkeys(one.test for one in group)), markers)
        wrong += _enter(results, name, group, found)
        save(results, options.results)
    _page(declared, results, check=False)
    print("\n".join([*wrong, f"{len(wrong)} not as they must be; docs/kill-matrix.md is written"]))
    return 1 if wrong else 0


def _describe(results: Results, declared: Sequence[Declared]) -> None:
    """Enter every mutant that is named, and forget what is named no more."""
    named = {one.behaviour.mutant for one in declared if one.behaviour.mutant} | {IDENTITY}
    known = mutants.known()
    old = dict(results.mutants)
    results.mutants.clear()
    for name in sorted(named):
        made, kept = known[name], old.get(name, Broken())
        ids = {one.id for one in declared if name in (IDENTITY, one.behaviour.mutant)}
        tried = {key: value for key, value in kept.behaviours.items() if key in ids}
        results.mutants[name] = Broken(layer=made.where, breaks=made.breaks, seconds=kept.seconds, behaviours=tried)


def _chosen(declared: Sequence[Declared], options: argparse.Namespace) -> dict[str, list[Declared]]:
    """Selected behaviours by mutant, identity by system.

    Raises:
        NothingSelectedError: nothing is selected, or a mutant is named by no behaviour.
    """
    groups: dict[str, list[Declared]] = {}
    for one in declared:
        if one.measured and not options.perf:
            continue
        if (options.words or one.id) not in one.id or (options.system and one.behaviour.suite not in options.system):
            continue
        for name in filter(None, (one.behaviour.mutant, IDENTITY)):
            groups.setdefault(name, []).append(one)
    if not groups:
        suites = ", ".join(sorted({one.behaviour.suite for one in declared}))
        raise NothingSelectedError(f"no behaviour is selected; systems are {suites}")
    names: list[str] = options.mutants or sorted(groups)
    if strange := [name for name in names if name not in groups]:
        raise NothingSelectedError(f"no selected behaviour names {', '.join(strange)}; {mutants.like(strange[0])}")
    return {name: groups[name] for name in names}


class NothingSelectedError(Exception):
    """Nothing fits what was asked for; the message is one line."""

    exit_code = 2


def _wanted(
    chosen: Mapping[str, Sequence[Declared]], results: Results, *, again: bool
) -> list[tuple[str, list[Declared]]]:
    """What is to be run: a run for each mutant, and for identity one for each system."""
    runs: dict[tuple[str, str], list[Declared]] = {}
    for name, group in chosen.items():
        for one in group:
            tried = results.tried(name, one.id)
            if again or tried is None or tried.state is State.ERROR:
                runs.setdefault((name, one.behaviour.suite if name == IDENTITY else ""), []).append(one)
    return [(name, group) for (name, _), group in runs.items()]


def _enter(results: Results, name: str, group: Sequence[Declared], found: Trial) -> list[str]:
    """Keep what a trial has shown; what is not as it must be, a line each."""
    today = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    ids = {one.id for one in group}
    states = {key: State(state) for key, state in found.states.items() if key in ids}
    broken = results.mutants[name]
    kept = {key: Tried(state=state, date=today, version=__version__) for key, state in states.items()}
    update = {"seconds": round(found.seconds, 1), "behaviours": broken.behaviours | kept}
    results.mutants[name] = broken.model_copy(update=update)
    red = sum(state is State.FAIL for state in states.values())
    print(f"{name} ({broken.layer}): {red} of {len(ids)} red in {found.seconds:.0f} s", flush=True)
    if not states:
        print(found.words, file=sys.stderr)
        return [f"{name}: the run could not begin; nothing is entered"]
    return _wrong(name, states)


def _wrong(name: str, states: Mapping[str, State]) -> list[str]:
    if name == IDENTITY:
        accused = [key for key, state in states.items() if state in (State.FAIL, State.ERROR)]
        return [f"{key}: {states[key]} although nothing is broken" for key in accused]
    silent = (State.FAIL, State.SKIP, State.KNOWN_DEFECT)
    return [
        f"{key}: {state} under its mutant {name}, must be FAIL" for key, state in states.items() if state not in silent
    ]


def _page(declared: Sequence[Declared], results: Results, *, check: bool) -> int:
    rows = [
        Row(one.id, one.behaviour.suite, one.behaviour.level, one.behaviour.mutant, results.layer(one.behaviour.mutant),
            one.defect)
        for one in declared
    ]  # fmt: skip
    made = page(rows, results)
    if not check:
        PAGE.write_text(made)
        return 0
    if not PAGE.exists() or PAGE.read_text() != made:
        print("docs/kill-matrix.md is out of date: run `python -m gpuassay kill-matrix --page`")
        return 1
    return 0
