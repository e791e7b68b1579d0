"""Broken gangs: pods that lose their group, groups with another count, and pods without a group that get one."""

from __future__ import annotations

from gpuassay.gangs import is_member
from gpuassay.manifest import Manifest
from gpuassay.scenarios.mutants import mutant

ALONE = "alone"
"""What scenarios call pods that belong to no group."""


def _gang(obj: Manifest) -> Manifest:
    return obj["spec"]["schedulingPolicy"]["gang"] if obj["kind"] == "PodGroup" else {}


@mutant("scheduling-group-lost", "pods lose the group that they are to start with")
def _lost(obj: Manifest) -> None:
    if obj["kind"] == "Pod":
        obj["spec"].pop("schedulingGroup", None)


@mutant("min-count-one", "a group of pods counts as complete, and starts, with a single pod")
def _one(obj: Manifest) -> None:
    if gang := _gang(obj):
        gang["minCount"] = 1


@mutant("min-count-raised", "a group of pods waits for one pod more than it has")
def _raised(obj: Manifest) -> None:
    if gang := _gang(obj):
        gang["minCount"] += 1


@mutant("alone-ganged", "pods without a group are taken for a group that is never complete")
def _ganged(obj: Manifest) -> None:
    if obj["kind"] == "Pod" and is_member(ALONE, obj):
        obj["spec"]["schedulingGroup"] = {"podGroupName": "nobody"}
