"""A recording as text: what changed when, for the message of a failed assertion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from gpuassay.manifest import Manifest, dig
from gpuassay.record.timeline import Event

LONGEST = 200
"""Lines shown at most; the middle is left out, and the text says so."""

FIELDS: dict[str, tuple[str | int, ...]] = {
    "suspend": ("spec", "suspend"),
    "phase": ("status", "phase"),
    "node": ("spec", "nodeName"),
    "active": ("spec", "active"),
    "priority": ("spec", "priority"),
    "stopPolicy": ("spec", "stopPolicy"),
    "queue": ("status", "admission", "clusterQueue"),
    "pending": ("status", "pendingWorkloads"),
    "reserving": ("status", "reservingWorkloads"),
    "admitted": ("status", "admittedWorkloads"),
    "running": ("status", "active"),
    "succeeded": ("status", "succeeded"),
    "failed": ("status", "failed"),
}
"""What is shown beside conditions, where an object has it."""


def _facts(obj: Manifest) -> dict[str, str]:
    facts = {name: str(value) for name, path in FIELDS.items() if (value := dig(obj, *path)) is not None}
    for entry in dig(obj, "status", "conditions", default=[]):
        reason = f" ({entry['reason']})" if entry.get("reason") else ""
        facts[str(entry.get("type"))] = f"{entry.get('status')}{reason}"
    return facts


def _about(event: Event) -> str:
    return str(dig(event.object, "regarding", "name", default=event.name)) if event.kind == "Event" else event.name


def _changes(events: Iterable[Event], start: int) -> Iterator[str]:
    seen: dict[str, dict[str, str]] = {}
    for event in events:
        facts = _facts(event.object)
        before = seen.get(event.uid)
        seen[event.uid] = facts
        parts = [f"{key}={value}" for key, value in facts.items() if before is None or before.get(key) != value]
        parts += [f"{key} gone" for key in before or {} if key not in facts]
        if event.kind == "Event":
            parts = [f"{dig(event.object, 'reason', default='')}: {dig(event.object, 'note', default='')}"]
        verb = {"ADDED": "+", "DELETED": "-"}.get(event.type, " ")
        if verb != " " or parts:
            mark = " [from a list]" if event.synthetic else ""
            about = f"{event.kind} {_about(event)}"
            yield f"{(event.at - start) / 1e6:9.0f} ms {verb} {about}: {', '.join(parts)}{mark}".rstrip(": ")


def timeline_text(events: Sequence[Event], start: int, names: Iterable[str] | None = None) -> str:
    """One line per change: ms since `start`, `+` added, `-` deleted, object, what changed.

    Args:
        events: events in receipt order.
        start: ns since the epoch; 0 takes the first event's time.
        names: names of the objects concerned, or None for all; events about them are shown too.
    """
    wanted = None if names is None else set(names)
    chosen = [event for event in events if wanted is None or _about(event) in wanted]
    if not chosen:
        return "(nothing recorded about " + (", ".join(sorted(wanted)) if wanted else "any object") + ")"
    lines = list(_changes(chosen, start or chosen[0].at))
    if len(lines) > LONGEST:
        half = LONGEST // 2
        lines = [*lines[:half], f"      ... {len(lines) - 2 * half} changes left out ...", *lines[-half:]]
    return "\n".join(lines)
