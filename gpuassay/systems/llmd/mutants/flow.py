"""Flow control that does not do what it is configured for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuassay.manifest import Manifest
from gpuassay.scenarios.mutants import mutant
from gpuassay.systems.llmd.mutants.arm import arm_mutant
from gpuassay.systems.llmd.mutants.scheduling import after

if TYPE_CHECKING:
    from gpuassay.systems.llmd.component.spec import Arm


@mutant("priorities-lost", "every objective has the same priority")
def _priorities(obj: Manifest) -> None:
    if obj["kind"] == "InferenceObjective":
        obj["spec"]["priority"] = 0


def _without(key: str, configuration: dict[str, Any]) -> None:
    for band in configuration.get("flowControl", {}).get("priorityBands", []):
        band.pop(key, None)


@arm_mutant("turns-lost", "tenants' requests are let go in the order in which they came")
def _turns(arm: Arm) -> Arm:
    return after(arm, lambda configuration: _without("fairnessPolicyRef", configuration))


@arm_mutant("room-unlimited", "as many bytes may wait as come")
def _room(arm: Arm) -> Arm:
    return after(arm, lambda configuration: _without("maxBytes", configuration))
