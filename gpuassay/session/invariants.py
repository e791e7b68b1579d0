"""What must hold on every recording, whatever its test asks: of any system, and of its own."""

from __future__ import annotations

from gpuassay.record import soundness
from gpuassay.record.recording import Recording
from gpuassay.system import get


def untimed(recording: Recording) -> list[str]:
    """Findings that no delay explains."""
    return [*get(recording.system).invariants.untimed(recording), *soundness.gaps(recording)]


def timed(recording: Recording) -> list[str]:
    """Findings that a sound system shows as well where it gets no CPU."""
    return [*get(recording.system).invariants.timed(recording), *soundness.unrest(recording)]
