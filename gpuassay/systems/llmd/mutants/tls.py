"""Endpoint pickers that do not serve behind TLS as they are told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpuassay.systems.llmd.mutants.arm import arm_mutant

if TYPE_CHECKING:
    from gpuassay.systems.llmd.component.spec import Arm


@arm_mutant("picker-in-the-clear", "the picker serves in the clear, though it is told to serve behind TLS")
def _clear(arm: Arm) -> Arm:
    return replace(arm, picker_flags=tuple(flag.replace("serving=true", "serving=false") for flag in arm.picker_flags))


@arm_mutant("picker-certificate-ignored", "the picker makes itself a certificate, though it was given one")
def _ignored(arm: Arm) -> Arm:
    flags = list(arm.picker_flags)
    if "--cert-path" in flags:
        at = flags.index("--cert-path")
        del flags[at : at + 2]
    return replace(arm, picker_flags=tuple(flags))
