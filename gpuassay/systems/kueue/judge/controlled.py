"""Objects whose pods another controller makes (JobSet, LeaderWorkerSet): they wait for Kueue, and free what they held.

Changes of different objects reach the recorder on several streams; resource versions of one store tell their order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gpuassay.manifest import Manifest, dig, is_true
from gpuassay.record.recording import Timeline
from gpuassay.systems.kueue.judge.gates import bound
from gpuassay.systems.kueue.readings import KueueRecording


def pods_of(recording: KueueRecording, owner: str) -> list[Timeline]:
    """Pods that were made for an object: their names begin with its."""
    return [pod for name, pod in recording.timelines("Pod").items() if name.startswith(f"{owner}-")]


def owned(recording: KueueRecording, kind: str) -> Timeline:
    """The Workload of the only object of a kind.

    Raises:
        LookupError: there is none, or there are several.
    """
    found = [
        one for one in recording.timelines("Workload").values()
        if any(owner["kind"] == kind for owner in dig(one.first, "metadata", "ownerReferences", default=[]))
    ]  # fmt: skip
    if len(found) != 1:
        raise LookupError(f"{recording.name}: expected one Workload of a {kind}, seen {[one.name for one in found]}")
    return found[0]


def began_findings(workload: Timeline, pods: Sequence[Timeline], count: int) -> list[str]:
    """What is wrong with the pods' beginning; empty where all of them ran, and none had a node before the admission."""
    found: list[str] = []
    admitted = _first(workload, lambda one: is_true(one, "Admitted"))
    if admitted is None:
        found.append(f"its Workload {workload.name} was never admitted")
    ran = [pod for pod in pods if _first(pod, _ran) is not None]
    if len(ran) != count:
        found.append(f"expected {count} pods that run, seen {len(ran)} of {len(pods)}")
    for pod in pods:
        placed = _first(pod, bound)
        if placed is not None and (admitted is None or placed < admitted):
            found.append(f"pod {pod.name} had a node before Workload {workload.name} was admitted")
    return found


def freed_findings(workload: Timeline, follower: Timeline) -> list[str]:
    """What is wrong with the end: it frees its quota, and only then the one that waited for that is admitted."""
    ended = _first(workload, lambda one: is_true(one, "Finished"))
    if ended is None and workload.deleted:
        ended = workload.events[-1].rv
    next_one = _first(follower, lambda one: is_true(one, "Admitted"))
    if ended is None:
        return [f"Workload {workload.name} neither finished nor went"]
    if next_one is None:
        return [f"Workload {follower.name}, which waited for its quota, was never admitted"]
    if next_one < ended:
        return [f"Workload {follower.name} was admitted while {workload.name} held its quota"]
    return []


def _ran(pod: Manifest) -> bool:
    return dig(pod, "status", "phase") in ("Running", "Succeeded")


def _first(history: Timeline, shows: Callable[[Manifest], bool]) -> int | None:
    """Resource version at which something showed first."""
    return next((event.rv for event in history.events if shows(event.object)), None)
