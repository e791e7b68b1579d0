"""Broken systems for jobs that are queued in front of slices."""

from __future__ import annotations

from gpuassay.manifest import Manifest, dig
from gpuassay.scenarios.mutants import mutant

_SLICE = "nvidia.com/mig-"


@mutant("slices-asked-twice", "jobs ask for twice the slices that they need")
def _slices_asked_twice(obj: Manifest) -> None:
    if obj["kind"] == "Job":
        for container in dig(obj, "spec", "template", "spec", "containers", default=[]):
            limits: dict[str, str] = dig(container, "resources", "limits", default={})
            limits.update({name: str(2 * int(count)) for name, count in limits.items() if name.startswith(_SLICE)})


@mutant("last-job-first", "the last job of a mix is more important than all others")
def _last_job_first(obj: Manifest) -> None:
    if obj["kind"] == "Job" and obj["metadata"]["name"].endswith("-15"):
        obj["spec"]["template"]["spec"]["priorityClassName"] = "system-node-critical"
