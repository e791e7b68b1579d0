"""Events and the history of single objects."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from gpuassay.manifest import Manifest, dig


@dataclass(frozen=True)
class EventLine:
    """One line of a scenario's `events.jsonl`: receipt time in ns, type, kind, and the JSON text."""

    at: int
    type: str
    kind: str
    text: str


@dataclass(frozen=True)
class Event:
    """One watch event.

    Attributes:
        at: receipt time, ns since the epoch.
        type: ADDED, MODIFIED or DELETED.
        kind: the object's kind.
        namespace: "" for cluster-scoped objects.
        name: the object's name.
        uid: the object's uid.
        rv: resource version as a number, comparable within a kind.
        object: the object after the change.
        synthetic: inferred from a list, not seen: `at` is then later than the change.
    """

    at: int
    type: str
    kind: str
    namespace: str
    name: str
    uid: str
    rv: int
    object: Manifest
    synthetic: bool = False

    @classmethod
    def of(cls, record: Manifest) -> Event:
        """The event of a line of `events.jsonl`. Raises KeyError, TypeError or ValueError if it is none."""
        obj: Manifest = record["object"]
        metadata = obj["metadata"]
        return cls(
            at=int(record["at"]),
            type=str(record["type"]),
            kind=str(obj["kind"]),
            namespace=str(metadata.get("namespace") or ""),
            name=str(metadata["name"]),
            uid=str(metadata.get("uid") or f"{metadata.get('namespace') or ''}/{metadata['name']}"),
            rv=int(metadata.get("resourceVersion") or 0),
            object=obj,
            synthetic=bool(record.get("synthetic", False)),
        )


class ConditionChange(NamedTuple):
    """A condition got another status, reason or message; `at` is the receipt time in ns."""

    at: int
    type: str
    status: str
    reason: str
    message: str


@dataclass(frozen=True)
class Timeline:
    """The history of one object (one uid), in receipt order; never empty."""

    kind: str
    namespace: str
    name: str
    uid: str
    events: list[Event]

    @property
    def first(self) -> Manifest:
        """The object as first seen."""
        return self.events[0].object

    @property
    def final(self) -> Manifest:
        """The object as last seen, also if it was deleted."""
        return self.events[-1].object

    @property
    def deleted(self) -> bool:
        """Whether it was deleted in the end."""
        return self.events[-1].type == "DELETED"

    def when(self, predicate: Callable[[Manifest], bool]) -> int | None:
        """Receipt time (ns) of the first version for which `predicate(object)` holds, or None."""
        return next((event.at for event in self.events if predicate(event.object)), None)

    def as_of(self, at: int) -> Manifest | None:
        """The object at `at` (ns since the epoch); None before it was made and after it was deleted."""
        seen = [event for event in self.events if event.at <= at]
        return None if not seen or seen[-1].type == "DELETED" else seen[-1].object

    def condition_changes(self) -> list[ConditionChange]:
        """All changes of `status.conditions`, in order; a condition that disappears counts as no change."""
        seen: dict[str, tuple[str, str, str]] = {}
        changes: list[ConditionChange] = []
        for event in self.events:
            for entry in dig(event.object, "status", "conditions", default=[]):
                kind = str(entry.get("type", ""))
                now = (str(entry.get("status", "")), str(entry.get("reason", "")), str(entry.get("message", "")))
                if seen.get(kind) != now:
                    seen[kind] = now
                    changes.append(ConditionChange(event.at, kind, *now))
        return changes


def timelines(events: Iterable[Event]) -> dict[str, Timeline]:
    """Histories by object name, in order of first sight.

    A second object of the same name (made again, or in another namespace) is called `name~2`, and so on.
    """
    by_uid: dict[str, Timeline] = {}
    for event in events:
        if event.uid not in by_uid:
            by_uid[event.uid] = Timeline(event.kind, event.namespace, event.name, event.uid, [])
        by_uid[event.uid].events.append(event)
    named: dict[str, Timeline] = {}
    for timeline in by_uid.values():
        key, n = timeline.name, 1
        while key in named:
            n += 1
            key = f"{timeline.name}~{n}"
        named[key] = timeline
    return named
