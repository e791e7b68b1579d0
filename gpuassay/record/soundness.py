"""What holds on every recording, whatever the system: it is whole, and what was left alone came to rest."""

from __future__ import annotations

from gpuassay.manifest import Manifest
from gpuassay.record import facts
from gpuassay.record.recording import Recording


def gaps(recording: Recording) -> list[str]:
    """Times in which the recorder may have missed changes, as sentences.

    Whoever replaces definitions ends the watches of their kinds: what a scenario says of that (`facts.REDEFINED`) is
    no surprise, and its judges work by what objects say of their past.
    """
    expected = recording.note(facts.REDEFINED)
    return [f"the recording has a gap: {gap}" for gap in recording.gaps if not _within(gap, expected)]


def _within(gap: Manifest, window: list[int]) -> bool:
    return bool(window) and window[0] <= int(gap["at"]) <= window[1]


def unrest(recording: Recording) -> list[str]:
    """A system that was given nothing more to do must stop writing: what it still wrote, as a sentence."""
    if recording.at_rest is not False:
        return []
    late = [event for event in recording.events if event.at > recording.meta.ended_ns - 1_000_000_000]
    kinds = sorted({f"{event.kind} {event.name}" for event in late})
    return [f"never came to rest: {len(late)} events in the last second ({', '.join(kinds[:6])})"]
