"""Broken inference engines."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpuassay.scenario.mutants import arm_mutant

if TYPE_CHECKING:
    from gpuassay.components.llmd.arm import Arm


@arm_mutant("engine-cache-off", "the engine computes every prompt anew, though it is told to cache prefixes")
def _cache_off(arm: Arm) -> Arm:
    if arm.engine == "simulator":
        return arm
    return replace(arm, simulator_flags=(*arm.simulator_flags, "--no-enable-prefix-caching"))
