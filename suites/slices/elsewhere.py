"""What cannot be judged of a recording of somebody's node, and is skipped by type there."""

from __future__ import annotations

import pytest

from gpuassay.systems.slices.judge.told import from_outside, stands_for
from gpuassay.systems.slices.readings import SlicesRecording


def silicon_of_ours(recording: SlicesRecording, why: str) -> None:
    """Skip where the GPUs are somebody's; `why` says what only GPUs of ours tell."""
    if from_outside(recording):
        pytest.skip(f"from outside: {why}")


def different(recording: SlicesRecording, *profiles: str) -> list[str]:
    """The profiles of the node in place of these; skips where two of them are one and the same there."""
    there = [stands_for(recording, one) for one in profiles]
    if len(set(there)) < len(set(profiles)):
        pytest.skip(f"from outside: the node has {', '.join(sorted(set(there)))} in place of {', '.join(profiles)}")
    return there
