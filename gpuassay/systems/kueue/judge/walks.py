"""What a random walk must leave right: all that the referee knows, and that nobody got quota that there was not."""

from __future__ import annotations

from gpuassay.systems.kueue.judge import invariants, overadmitted
from gpuassay.systems.kueue.judge.rest import Rest
from gpuassay.systems.kueue.readings import KueueRecording


def findings(recording: KueueRecording) -> list[str]:
    """Everything that is wrong after a walk, as sentences.

    Raises:
        LookupError: the walk left nothing, so that nothing could be wrong.
    """
    if not Rest(recording).workloads:
        raise LookupError(f"the walk left no Workload: {recording.timeline_text()}")
    unrest = [] if recording.at_rest else ["the objects of the walk never came to rest"]
    return [*unrest, *overadmitted.findings(recording), *invariants.findings(recording)]
