"""What a real kubelet must make of a pod, read from the events of the pod."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gpuassay.manifest import Manifest, dig, is_true
from gpuassay.systems.slices.readings import SlicesRecording


def last_seen(recording: SlicesRecording, pod: str) -> Manifest:
    """The pod as last seen.

    Raises:
        LookupError: it never was.
    """
    found = recording.timelines("Pod").get(pod)
    if found is None:
        raise LookupError(f"{recording.name}: no pod {pod!r} was recorded")
    return found.final


def exit_codes(recording: SlicesRecording, pod: str) -> dict[str, int]:
    """Exit code by container, of those that ended (as last seen)."""
    statuses: list[Manifest] = dig(last_seen(recording, pod), "status", "containerStatuses", default=[])
    codes = {one["name"]: dig(one, "state", "terminated", "exitCode") for one in statuses}
    return {name: int(code) for name, code in codes.items() if code is not None}


def container_ids(pod: Manifest) -> dict[str, str]:
    """Id of the running (or last) container by name: another id is another container."""
    statuses: list[Manifest] = dig(pod, "status", "containerStatuses", default=[])
    return {one["name"]: str(one.get("containerID", "")) for one in statuses}


def _first(recording: SlicesRecording, pod: str, shows: Callable[[Manifest], bool]) -> int | None:
    for event in recording.of("Pod"):
        if event.name == pod and event.type != "DELETED" and shows(event.object):
            return event.at
    return None


def _started(pod: Manifest) -> bool:
    statuses: list[Manifest] = dig(pod, "status", "containerStatuses", default=[])
    return bool(statuses) and all(dig(one, "state", "running") is not None for one in statuses)


def ready_after(recording: SlicesRecording, pod: str) -> float | None:
    """Seconds from the event that showed all containers running to the one that showed the pod Ready; None if never.

    0 where one event showed both.
    """
    started, ready = _first(recording, pod, _started), _first(recording, pod, lambda seen: is_true(seen, "Ready"))
    return None if started is None or ready is None else (ready - started) / 1e9


def changed_containers(
    recording: SlicesRecording, before: int, names: Iterable[str], *, until: int | None = None
) -> list[str]:
    """What became of containers that ran at `before` (ns): a sentence for each that is another one at `until` (ns).

    One of which the container did not run at that moment is told as well.

    Without `until` the end of the recording counts.

    Raises:
        LookupError: there was no such pod at `before`.
    """
    found: list[str] = []
    for name in names:
        seen = [event for event in recording.of("Pod") if event.name == name and (until is None or event.at <= until)]
        begun = [event.object for event in seen if event.at <= before]
        if not begun:
            raise LookupError(f"{recording.name}: pod {name!r} was not there at the mark")
        then, now = begun[-1], seen[-1].object
        if not _started(then):
            found.append(f"{name}: no container ran at the mark, so that none could go on")
        elif container_ids(then) != container_ids(now):
            found.append(f"{name}: containers {container_ids(then)} became {container_ids(now)}")
        elif dig(now, "status", "phase") != dig(then, "status", "phase"):
            found.append(f"{name}: phase {dig(then, 'status', 'phase')} became {dig(now, 'status', 'phase')}")
    return found


def first_ready(recording: SlicesRecording, pod: str) -> Manifest:
    """The pod as it was when first seen Ready.

    Raises:
        LookupError: it never was.
    """
    for event in recording.of("Pod"):
        if event.name == pod and is_true(event.object, "Ready"):
            return event.object
    raise LookupError(f"{recording.name}: pod {pod!r} was never seen Ready")
