"""Observing with patience: as long as a crowded machine needs, yet quick once the system is known to be broken.

The first thing that does not show refutes a behaviour; what a scenario looks for after that is then not worth a long
wait. So a broken system (a mutant) costs one long wait, and a slow machine is not taken for a broken system.
"""

from __future__ import annotations

from collections.abc import Callable

from gpuassay.scenario import byhand
from gpuassay.scenario.lab import Lab, Queue

PATIENCE = 45.0
"""Seconds for what should show, while everything else has shown."""
IMPATIENCE = 3.0
"""Seconds for what should show, once something has not."""


def _timeout(lab: Lab) -> float:
    return PATIENCE if all(lab.notes.get("observed", {}).values()) else IMPATIENCE


def see(lab: Lab, ready: Callable[[], bool], what: str) -> bool:
    """`lab.observe` with patience."""
    return lab.observe(ready, what, timeout=_timeout(lab))


def see_admitted(lab: Lab, *owners: str) -> bool:
    """`lab.observe_admitted` with patience."""
    return lab.observe_admitted(*owners, timeout=_timeout(lab))


def see_weighed(lab: Lab, *owners: str) -> bool:
    """`byhand.observe_weighed` with patience."""
    return byhand.observe_weighed(lab, *owners, timeout=_timeout(lab))


def see_pending(lab: Lab, queue: Queue | str, count: int) -> bool:
    """`byhand.observe_pending` with patience."""
    return byhand.observe_pending(lab, queue, count, timeout=_timeout(lab))
