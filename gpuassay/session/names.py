"""Names in suites: one that nobody knows is one line at collection, not a SKIP or a mutant that breaks nothing."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import cache

import pytest

from gpuassay.capabilities import CORE, GATE, PROGRAM
from gpuassay.scenarios import mutants
from gpuassay.session.collection import behaviour_of, scenarios_of
from gpuassay.system import systems
from gpuassay.toolchain.assets import NEVER_BUILT
from gpuassay.toolchain.catalogue import COMPONENTS


@cache
def capabilities() -> frozenset[str]:
    """Every capability that some environment may have; beside these, any feature gate."""
    programs = {f"{PROGRAM}{name}" for name in (*COMPONENTS, *NEVER_BUILT)}
    own = {name for one in systems().values() for name in (*one.needs, *one.needs_inside, *one.offers)}
    return CORE | programs | own


def check(items: Iterable[pytest.Item]) -> None:
    """Look at every name once.

    Raises:
        pytest.UsageError: a capability or a mutant is unknown; the message says where, and what it may have meant.
    """
    for item in items:
        behaviour = behaviour_of(item)
        if behaviour is None:
            continue
        if behaviour.mutant and behaviour.mutant not in mutants.known():
            raise pytest.UsageError(
                f"{item.nodeid}: no mutant is called {behaviour.mutant!r}; {mutants.like(behaviour.mutant)}"
            )
        asked = [(item.nodeid, need) for marker in item.iter_markers("needs") for need in marker.args]
        asked += [(f"scenario {one.id}", need) for one in scenarios_of(item) for need in sorted(one.needs)]
        for where, need in asked:
            if need not in capabilities() and not need.startswith(GATE):
                raise pytest.UsageError(f"{where}: no cluster has a capability called {need!r}; {_like(need)}")


def _like(capability: str) -> str:
    """Those of similar names; where there are none, all but the programs, of which there are as many as components."""
    if near := difflib.get_close_matches(capability, capabilities(), n=1):
        return f"did you mean {near[0]!r}?"
    there = sorted(one for one in capabilities() if not one.startswith(PROGRAM))
    return f"there are {', '.join(there)}, {PROGRAM}COMPONENT and {GATE}FEATURE"
