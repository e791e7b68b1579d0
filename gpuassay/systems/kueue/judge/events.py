"""Events (events.k8s.io/v1) that must exist; how many there are is not told, because they are aggregated."""

from __future__ import annotations

from collections.abc import Iterable

from gpuassay.manifest import dig
from gpuassay.systems.kueue.readings import KueueRecording

_WORKLOAD_OF = "Workload of "


def missing_events(recording: KueueRecording, expected: Iterable[tuple[str, str, str]]) -> list[str]:
    """Events that were expected and not seen, as sentences.

    Args:
        recording: what was seen.
        expected: (subject, reason, type); a subject is `Kind name`, or `Workload of JOB` for the Workload of a job.
            What an event tells of is compared by kind, namespace, name and UID.
    """
    seen: dict[tuple[str, str, str, str], set[tuple[str, str]]] = {}
    for event in recording.of("Event"):
        about = dig(event.object, "regarding", default={})
        key = tuple(str(about.get(part, "")) for part in ("kind", "namespace", "name", "uid"))
        kind, namespace, name, uid = key
        told = (str(event.object.get("reason", "")), str(event.object.get("type", "")))
        seen.setdefault((kind, namespace, name, uid), set()).add(told)
    found: list[str] = []
    for subject, reason, kind in expected:
        key = _subject(recording, subject)
        if key is None:
            found.append(f"expected an event {reason} of {subject}, but there is no such object")
        elif (reason, kind) not in seen.get(key, set()):
            others = ", ".join(sorted(f"{one} ({of})" for one, of in seen.get(key, set()))) or "none"
            found.append(f"expected a {kind} event {reason} of {subject}, seen {others}")
    return found


def _subject(recording: KueueRecording, subject: str) -> tuple[str, str, str, str] | None:
    if subject.startswith(_WORKLOAD_OF):
        try:
            line = recording.workload_of(subject.removeprefix(_WORKLOAD_OF))
        except LookupError:
            return None
    else:
        kind, _, name = subject.partition(" ")
        found = recording.timelines(kind).get(name)
        if found is None:
            return None
        line = found
    return line.kind, line.namespace, line.name, line.uid
