"""Broken systems for jobs that are queued in front of slices."""

from __future__ import annotations

from gpuassay import labels
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


@mutant("audio-to-nowhere", "the Job of one audio file is in a queue that does not exist")
def _audio_to_nowhere(obj: Manifest) -> None:
    if obj["kind"] == "Job" and obj["metadata"]["name"] == "medium-1":
        obj["metadata"]["labels"][labels.QUEUE_NAME] = "nowhere"


@mutant("audio-read-twice", "the Job of one audio file runs two pods")
def _audio_read_twice(obj: Manifest) -> None:
    if obj["kind"] == "Job" and obj["metadata"]["name"] == "medium-1":
        obj["spec"] |= {"completions": 2, "parallelism": 1}


@mutant("audio-misheard", "the container of one audio file computes something else")
def _audio_misheard(obj: Manifest) -> None:
    if obj["kind"] == "Job" and obj["metadata"]["name"] == "medium-1":
        arguments: list[str] = obj["spec"]["template"]["spec"]["containers"][0]["args"]
        last = max(index for index, word in enumerate(arguments) if word == "add") + 1
        arguments[last] = "2*3"


@mutant("audio-quota-short", "a ClusterQueue has quota for one slice of each kind")
def _audio_quota_short(obj: Manifest) -> None:
    if obj["kind"] == "ClusterQueue":
        for group in obj["spec"]["resourceGroups"]:
            for flavor in group["flavors"]:
                for one in flavor["resources"]:
                    one["nominalQuota"] = "1"


@mutant("audio-slow", "containers take three times as long for an audio file")
def _audio_slow(obj: Manifest) -> None:
    if obj["kind"] == "Job":
        arguments: list[str] = obj["spec"]["template"]["spec"]["containers"][0]["args"]
        at = arguments.index("sleep") + 1
        arguments[at] = f"{3 * float(arguments[at].removesuffix('s')):.3f}s"
