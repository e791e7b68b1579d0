"""Which parts of a recording a test reads: files, kinds of objects in the watch, and notes, by name."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, TypeVar

from gpuassay.record.notes import Note
from gpuassay.record.parts import EVENTS, Part
from gpuassay.record.recording import Event, Recording, Timeline
from gpuassay.record.rows import Line

T = TypeVar("T")

ANY_KIND = f"{EVENTS.file}:*"
_BY_KIND = ("_by_kind", "_timelines")
"""Properties that go through all kinds in order to hand out one."""


def of_kind(kind: str) -> str:
    """The name of what is read by whoever looks at the objects of one kind."""
    return f"{EVENTS.file}:{kind}"


def of_note(name: str) -> str:
    """The name of what is read by whoever looks at a note."""
    return f"note:{name}"


class Reads:
    """What was read so far; what a property had to read belongs to everybody who asks for the property later."""

    def __init__(self) -> None:
        self.now: set[str] = set()
        self.of: dict[str, set[str]] = {}

    def begin(self) -> None:
        """Forget what the test before has read."""
        self.now = set()


class _Noting:
    """Mixed into a class of recordings: notes what is read of it."""

    def __getattribute__(self, name: str) -> Any:
        get = super().__getattribute__
        if name.startswith("__") or name == "reads":
            return get(name)
        reads: Reads = get("reads")
        outer, inner = reads.now, set[str]()
        reads.now = inner
        try:
            return get(name)
        finally:
            if name in _BY_KIND:
                inner.discard(ANY_KIND)
            elif name == "events":
                inner.add(ANY_KIND)
            known = reads.of.setdefault(name, set())
            known |= inner
            outer |= known
            reads.now = outer


@cache
def _noting(kind: type[Recording]) -> Any:
    class Noting(_Noting, kind):
        """A recording of which is noted what is read."""

        reads: Reads

        def note(self, note: Note[T]) -> T:
            self.reads.now.add(of_note(note.name))
            return super().note(note)

        def of(self, kind: str) -> list[Event]:
            self.reads.now.add(of_kind(kind))
            return super().of(kind)

        def timeline_text(self, names: Iterable[str] | None = None) -> str:
            reads = self.reads
            kept, reads.now = reads.now, set()  # for a message: nothing is judged by it
            try:
                return super().timeline_text(names)
            finally:
                reads.now = kept

        def timelines(self, kind: str) -> dict[str, Timeline]:
            self.reads.now.add(of_kind(kind))
            return super().timelines(kind)

    return Noting


def noting(recording: Recording) -> tuple[Recording, Reads]:
    """The same recording, and what is read of it from now on."""
    reads = Reads()

    def read(part: Part[Any]) -> Iterable[Line]:
        reads.now.add(part.file)
        return recording.lines(part)

    kind = _noting(type(recording))
    noted: Any = kind.__new__(kind)
    object.__setattr__(noted, "reads", reads)
    noted.__init__(recording.meta, read)
    noted.folder, noted.system, noted.recorded = recording.folder, recording.system, recording.recorded
    return noted, reads
