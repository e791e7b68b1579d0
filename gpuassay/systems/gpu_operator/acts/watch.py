"""Looks at somebody's GPU Operator for a while: a rollout gets its time, a state that flaps is seen."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from gpuassay.systems.gpu_operator.acts.holders import both_times, holders
from gpuassay.systems.gpu_operator.acts.read import Objects, changed_by, read_operator, told_by_exporters
from gpuassay.systems.gpu_operator.judge.attribution import attribution_findings
from gpuassay.systems.gpu_operator.judge.moving import stuck_findings, under_way
from gpuassay.systems.gpu_operator.judge.objects import OPERATOR
from gpuassay.systems.gpu_operator.judge.offers import capacity_findings, stale_findings, unhealthy_findings
from gpuassay.systems.gpu_operator.judge.watch import LOOKS, Look, getting_on, hopeless, lacks, look
from gpuassay.waiting import WaitTimeout, wait

if TYPE_CHECKING:  # cluster clients: not for replays
    from gpuassay.scenarios.lab import Lab

WINDOW = 20.0
"""Seconds for which a sound operator is watched: the back-off of a container that crashes begins with 10 s."""
QUIET = 90.0
"""Seconds in which nothing has changed: what is not ready by then does not get so by itself.

GPU feature discovery labels nodes once a minute."""
DEADLINE = 600.0
"""Seconds for a rollout or a change of a node to end: a driver is compiled, or a node restarts, in minutes."""
EVERY = 2.0
"""Seconds between two looks."""
COLLECTED = 60.0
"""Seconds in which exporters collect anew: twice their interval by default."""
SETTLES = (lacks, stuck_findings, capacity_findings, stale_findings, unhealthy_findings)
"""What may pass by itself after a change."""


def note_operator(
    lab: Lab, *, window: float = WINDOW, quiet: float = QUIET, deadline: float = DEADLINE,
    clock: Callable[[], float] = time.monotonic, pause: Callable[[float], object] = time.sleep,
) -> None:  # fmt: skip
    """Watch until everything has been ready for `window`, or nothing changes any more; note what was seen.

    All times are in seconds; without a window one look is taken.

    `OPERATOR` is what the last look has seen, with what DCGM exporters answer then; `LOOKS` are all looks.

    Raises:
        gpuassay.cluster.errors.ApiRefused: a list may not be read; the message names it.
    """
    if lab.mutant is not None:  # what is read is broken from the beginning, and stays so
        window, quiet, deadline = (min(one, EVERY) for one in (window, quiet, deadline))
    looks: list[Look] = []
    last: Objects = {}
    began = changed = sound = clock()

    def seen() -> bool:
        nonlocal changed, sound
        last.clear()
        last.update(read_operator(lab.api, changed_by(lab)))
        now = clock()
        new = look(last, now - began)
        if not looks or _course(looks[-1]) != _course(new):
            changed = now
        looks.append(new)
        missing = any(judge(last) for judge in SETTLES)
        if missing or new.moving:
            sound = now
            still = now - changed >= quiet and not getting_on(last)
            return now - began >= window and (hopeless(last) or still)
        return now - sound >= window

    with suppress(WaitTimeout):
        wait(seen, bool, what="the operator to be at rest", timeout=deadline, delay=EVERY, clock=clock, pause=pause)
    _ask_exporters(lab, last)
    if window and lab.mutant is None and attribution_findings(last):
        pause(COLLECTED)  # what is told may be older than a pod that has just ended
        _ask_exporters(lab, last)
    if moving := under_way(last):
        lab.progress(f"still under way: {'; '.join(moving)}")
    lab.note(OPERATOR, last)
    lab.note(LOOKS, _thinned(looks))


def _ask_exporters(lab: Lab, seen: Objects) -> None:
    """Note what exporters tell, and who held GPUs before and after."""
    nodes = [str(one["metadata"]["name"]) for one in seen["Node"]]
    before = holders(lab.api, nodes)
    seen["Metrics"] = told_by_exporters(lab, seen["Pod"])
    seen["Holder"] = both_times(before, holders(lab.api, nodes))


def _course(one: Look) -> tuple[object, ...]:
    return one.states, one.restarts, one.moving


def _thinned(looks: list[Look]) -> list[Look]:
    """The looks at which something was new, and the last: a long wait need not be told look by look."""
    kept = [one for number, one in enumerate(looks) if not number or _course(looks[number - 1]) != _course(one)]
    return kept if len(looks) < 2 or kept[-1] is looks[-1] else [*kept, looks[-1]]
