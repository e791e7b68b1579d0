"""A pod group that lost a pod is not admitted until the pod is made anew, and keeps quota from nobody meanwhile."""

from __future__ import annotations

from gpuassay.record.recording import Timeline
from gpuassay.systems.kueue.judge.gates import admitted_at

WITHOUT = "was admitted without one of its pods"


def findings(group: Timeline | None, marker: Timeline | None, replaced: int) -> list[str]:
    """What is wrong until the pod was made anew, as sentences.

    Args:
        group: the group's Workload.
        marker: a Workload that came later and fits, if the group holds nothing.
        replaced: when the missing pod was made anew, ns since the epoch.
    """
    found: list[str] = []
    if group is None:
        found.append("expected a Workload of the group, seen none")
    elif _before(group, replaced):
        found.append(f"group {group.name} {WITHOUT}")
    if marker is None or not _before(marker, replaced):
        found.append("expected a later Workload that fits to be admitted meanwhile, it was not")
    return found


def _before(workload: Timeline, at: int) -> bool:
    admitted = admitted_at(workload)
    return admitted is not None and admitted < at
