"""What holds on every recording, whatever the system: it is whole, and what was left alone came to rest."""

from __future__ import annotations

from gpuassay.record.recording import Recording


def gaps(recording: Recording) -> list[str]:
    """Times in which the recorder may have missed changes, as sentences."""
    return [f"the recording has a gap: {gap}" for gap in recording.gaps]


def unrest(recording: Recording) -> list[str]:
    """A system that was given nothing more to do must stop writing: what it still wrote, as a sentence."""
    if recording.at_rest is not False:
        return []
    late = [event for event in recording.events if event.at > recording.meta.ended_ns - 1_000_000_000]
    kinds = sorted({f"{event.kind} {event.name}" for event in late})
    return [f"never came to rest: {len(late)} events in the last second ({', '.join(kinds[:6])})"]
