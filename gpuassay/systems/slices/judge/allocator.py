"""What the scheduler gave out of generated pools, against the oracle that tries everything."""

from __future__ import annotations

from collections.abc import Iterator

from gpuassay.record.notes import Note
from gpuassay.systems.slices.judge.counters import on_a_node
from gpuassay.systems.slices.model import allocator as oracle
from gpuassay.systems.slices.model.allocator import Given
from gpuassay.systems.slices.model.pools import Case
from gpuassay.systems.slices.objects import pools as objects
from gpuassay.systems.slices.readings import SlicesRecording

SEED = Note("allocator_seed", int, "from which the allocator's cases are made")
CASES = Note("allocator_cases", dict[str, Case], "the allocator's cases, by the prefix of their objects' names")
SHRUNK = Note("allocator_shrunk", dict[str, Case], "smallest cases that were found wrong, by prefix", default={})
PLAYED = "played"
"""Mark: all cases are decided."""


def outcomes(recording: SlicesRecording, prefix: str, case: Case) -> list[list[Given] | None]:
    """What the claims of a case held when all were decided, in order; None of one that held nothing."""
    at, claims = recording.mark(PLAYED), recording.timelines("ResourceClaim")
    seen = (claims[name].as_of(at) if name in claims else None for name in objects.names(prefix, case.asks))
    return [objects.given(one or {}, prefix) for one in seen]


def ghosts(recording: SlicesRecording) -> list[str]:
    """Pods that were given a node although their claim holds nothing."""
    at = recording.mark(PLAYED)
    bound = {name for name, pod in recording.timelines("Pod").items() if on_a_node(pod.as_of(at) or {})}
    held = {
        name
        for prefix, case in recording.note(CASES).items()
        for name, given in zip(objects.names(prefix, case.asks), outcomes(recording, prefix, case), strict=True)
        if given is not None
    }
    return [f"pod {name} is on a node, and its claim holds nothing" for name in sorted(bound - held)]


def wrong(recording: SlicesRecording) -> Iterator[tuple[str, list[str]]]:
    """Cases that came out otherwise than the oracle says: their prefix, and what is wrong."""
    for prefix, case in recording.note(CASES).items():
        if found := oracle.findings(case, outcomes(recording, prefix, case)):
            yield prefix, found
