"""Broken systems for jobs on a sliced node: what pods' mutants do, done to the templates of Jobs."""

from __future__ import annotations

import copy
from dataclasses import replace

from gpuassay.manifest import Manifest, dig
from gpuassay.scenarios.mutants import MUTANTS, mutant
from gpuassay.systems.slices.mutants import counters as mutants_counters  # register what is widened here
from gpuassay.systems.slices.mutants import slices as mutants_slices

MEDIUM, LARGE = "nvidia.com/mig-1g.5gb", "nvidia.com/mig-3g.20gb"


def _to_templates(name: str) -> None:
    """Let a mutant of pods work on the pods of Jobs too."""
    old = MUTANTS[name]

    def change(obj: Manifest) -> Manifest:
        if obj["kind"] != "Job":
            return old.change(obj)
        changed = copy.deepcopy(obj)
        pod = old.change({"apiVersion": "v1", "kind": "Pod", "metadata": {}, **changed["spec"]["template"]})
        changed["spec"]["template"] = {"metadata": pod["metadata"], "spec": pod["spec"]}
        return changed

    MUTANTS[name] = replace(old, change=change)


for _name in (
    "another-profile", "held-back", "one-name-for-all", "pods-never-go", "request-lost", "termination-ignored",
    "wrong-port",
):  # fmt: skip
    _to_templates(_name)


@mutant("sizes-swapped", "medium jobs get large slices and large jobs medium ones")
def _sizes_swapped(obj: Manifest) -> None:
    if obj["kind"] == "Job":
        other = {MEDIUM: LARGE, LARGE: MEDIUM}
        for container in dig(obj, "spec", "template", "spec", "containers", default=[]):
            limits = dig(container, "resources", "limits", default={})
            container["resources"]["limits"] = {other.get(key, key): value for key, value in limits.items()}


__all__ = ["mutants_counters", "mutants_slices"]
