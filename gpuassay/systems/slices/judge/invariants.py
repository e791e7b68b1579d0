"""What holds of the slices in every recording, whatever its scenario."""

from __future__ import annotations

from gpuassay.systems.slices import notes
from gpuassay.systems.slices.judge import accounts
from gpuassay.systems.slices.judge.geometry import sharing_findings, standing, vanished_findings
from gpuassay.systems.slices.judge.observed import changes, placing_findings, runs
from gpuassay.systems.slices.judge.told import inventory_findings
from gpuassay.systems.slices.readings import SlicesRecording

SLICE = "MIG-"
"""How the UUID of a slice begins; a whole GPU is always there."""


def untimed(recording: SlicesRecording) -> list[str]:
    """Slices that overlap, are held by two pods at once, go while a pod holds them, or are held and do not exist.

    What pods are given is compared with what they ask for by the tests that ask: a claim does not say it in the pod.
    """
    if notes.GPUS.name not in recording.meta.notes:
        return []  # no scenario with GPUs of ours
    course, ran = changes(recording), runs(recording)
    found = [
        *inventory_findings(recording),
        *placing_findings(recording),
        *sharing_findings(ran),
        *vanished_findings(ran, course),
    ]
    for run in ran:
        there = {one.uuid for one in standing(course, run.begun)}
        ghosts = [uuid for uuid in run.held if uuid.startswith(SLICE) and uuid not in there]
        found += [f"pod {run.pod} ran on {uuid}, which did not exist then" for uuid in ghosts]
    return found


def timed(recording: SlicesRecording) -> list[str]:
    """Accounts of the slices that did not come to agree in the time that they had; a slow machine explains that."""
    return accounts.findings(recording)
