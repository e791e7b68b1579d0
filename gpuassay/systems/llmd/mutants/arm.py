"""How a mutant of routing breaks the deployment under test."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING

from gpuassay.scenarios.mutants import Mutant, register

if TYPE_CHECKING:  # component code: not for replays
    from gpuassay.systems.llmd.component.deployment import Routing
    from gpuassay.systems.llmd.component.spec import Arm


def arm_mutant(
    name: str, breaks: str, *, disturb: Callable[[Routing], None] = lambda _: None, layer: str = "deployment"
) -> Callable[[Callable[[Arm], Arm]], object]:
    """Register a function that returns the broken arm of a routing scenario, or what disturbs it while it is asked."""

    def declare(change_arm: Callable[[Arm], Arm]) -> Callable[[Arm], Arm]:
        register(Mutant(name, breaks, copy.deepcopy, change_arm=change_arm, disturb=disturb, layer=layer))
        return change_arm

    return declare
