"""A recording: what a scenario asked for and what the cluster made of it, read from files.

Pure: needs no cluster. Judges take a `Recording`; everything they may ask is a property or method here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from gpuassay.manifest import Manifest
from gpuassay.record import facts, metrics, parts, rows, store, timeline
from gpuassay.record.facts import Attempt, Outside
from gpuassay.record.metrics import Samples
from gpuassay.record.notes import Note
from gpuassay.record.parts import Part
from gpuassay.record.rows import Line, RecordingError, UnusableError
from gpuassay.record.store import RecordingMeta, without_managed_fields, write_recording
from gpuassay.record.text import timeline_text
from gpuassay.record.timeline import ConditionChange, Event, Timeline

if TYPE_CHECKING:
    from gpuassay.record.bundled import Recorded

__all__ = [
    "Attempt",
    "ConditionChange",
    "Event",
    "Recording",
    "RecordingError",
    "RecordingMeta",
    "Samples",
    "Timeline",
    "write_recording",
]

R = TypeVar("R")
T = TypeVar("T")

_Reader = Callable[[Part[Any]], Iterable[Line]]


class Recording:
    """What happened in one scenario. A system under test has a subclass with what it adds (`readings`).

    Example:
        def test_mine(act: Recording) -> None:
            assert act.note(ANSWER) == 42, act.timeline_text()
    """

    PARTS: ClassVar[Mapping[str, Part[Any]]] = {}
    """What a system adds to a recording, by name."""

    def __init__(self, meta: RecordingMeta, read: _Reader) -> None:
        """Wrap metadata and a reader of lines; use `load` or `of_parts`."""
        self.meta = meta
        self.folder: Path | None = None
        """Where it was read from; None for one in memory."""
        self.system = ""
        """Name of the system whose scenario it is; "" where nobody says so."""
        self.recorded: Recorded | None = None
        """Where it comes from, if it was not made for this run."""
        self._lines = read
        self._unknown: Sequence[str] = ()
        self._noted: dict[object, Any] = {}

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Open the recording in folder `path`; parts may be plain or `.xz`, and are parsed when first asked for.

        Raises:
            RecordingError: missing, truncated, of a foreign version, or doctored (checksums differ).
        """
        folder = Path(path)
        stored = store.read_meta(folder)
        store.verify(folder, stored)

        def read(part: Part[Any]) -> Iterable[Line]:
            there = part.always or part.file in stored.sums
            return store.read_lines(folder, part.file, stored) if there else []

        loaded = cls(stored.meta, read)
        loaded.folder, loaded._unknown = folder, store.unknown(stored.sums)
        return loaded

    @classmethod
    def of_parts(
        cls,
        meta: RecordingMeta | None = None,
        *,
        asked: Sequence[Manifest] = (),
        events: Sequence[Mapping[str, Any]] = (),
        audit: Sequence[Manifest] = (),
        metrics: Sequence[Manifest] = (),
        **own: Sequence[Any],
    ) -> Self:
        """A recording in memory, from lines as `write_recording` takes them: for tests of judges.

        `own`: rows of the parts that the system adds, by their names in `PARTS` (KeyError for another name); of a part
        with typed rows these, or mappings that say the same.
        """
        lines: list[Manifest] = [
            {**line, "object": without_managed_fields(line["object"])} if "object" in line else dict(line)
            for line in events
        ]
        held: dict[Part[Any], Sequence[Any]] = {
            parts.ASKED: asked,
            parts.EVENTS: lines,
            parts.AUDIT: audit,
            parts.METRICS: metrics,
            **{cls.PARTS[name]: lines_of for name, lines_of in own.items()},
        }
        return cls(meta or RecordingMeta(scenario="in-memory"), lambda part: list(enumerate(held.get(part, ()), 1)))

    def __repr__(self) -> str:
        """The name, for messages."""
        return f"Recording({self.name})"

    # -- what was asked ----------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Id of the scenario."""
        return self.meta.scenario

    @property
    def profile(self) -> str:
        """Configuration profile it ran under."""
        return self.meta.profile

    @property
    def token(self) -> str:
        """The scenario's label value on its objects."""
        return self.meta.token

    @cached_property
    def asked(self) -> list[Manifest]:
        """Every object as the scenario asked for it."""
        return self.rows(parts.ASKED)

    # -- what the scenario handed on ---------------------------------------------------------------------------------

    def note(self, note: Note[T]) -> T:
        """A fact that the scenario handed on (`lab.note`), or the note's default.

        Raises:
            RecordingError: it is missing and has no default, or does not fit the note's type.
        """
        if note not in self._noted:
            self._noted[note] = note.read(self.meta.notes, self.name)
        return self._noted[note]

    @property
    def marks(self) -> Mapping[str, int]:
        """When the scenario came to its marked points (`lab.mark`), ns since the epoch."""
        return self.note(facts.MARKS)

    def mark(self, name: str) -> int:
        """When the scenario came to the point called `name`, ns since the epoch.

        Raises:
            RecordingError: it did not come so far.
        """
        return self._named(self.marks, name, "mark")

    @property
    def observations(self) -> Mapping[str, bool]:
        """Whether the system showed in time what it was given time for (`lab.observe`), by what that is."""
        return self.note(facts.OBSERVED)

    def observed(self, what: str) -> bool:
        """Whether the system showed `what` in time.

        Raises:
            RecordingError: the scenario did not look for it.
        """
        return self._named(self.observations, what, "observation")

    @property
    def attempts(self) -> Mapping[str, Attempt]:
        """What came of each request that might be refused (`lab.attempt`), by label."""
        return self.note(facts.ATTEMPTS)

    def attempt(self, label: str) -> Attempt:
        """What came of the request called `label`.

        Raises:
            RecordingError: the scenario did not try it.
        """
        return self._named(self.attempts, label, "attempt")

    @property
    def at_rest(self) -> bool | None:
        """Whether the scenario's objects changed no more at its end; None where nobody looked."""
        return self.note(facts.AT_REST)

    @property
    def arms(self) -> list[str]:
        """Names of the arms whose recordings lie beside this one.

        Raises:
            RecordingError: it is no measurement with arms.
        """
        return self.note(facts.ARMS)

    @property
    def outside(self) -> Outside | None:
        """The gateway of somebody else at which it was acted out; None on a cluster of ours."""
        return self.note(facts.OUTSIDE)

    def _named(self, there: Mapping[str, T], name: str, what: str) -> T:
        if name not in there:
            raise RecordingError(f"{self.name}: no {what} {name!r}; there are: {', '.join(sorted(there)) or 'none'}")
        return there[name]

    # -- what was seen -----------------------------------------------------------------------------------------------

    @cached_property
    def _event_lines(self) -> list[Manifest]:
        # A stable sort: lines of one receipt time keep their order, which is the order of their versions.
        return sorted(self.rows(parts.EVENTS), key=_receipt)

    @cached_property
    def events(self) -> list[Event]:
        """Watch events of all kinds in receipt order.

        Raises:
            RecordingError: a line is no event.
        """
        try:
            return [Event.of(line) for line in self._event_lines if line["type"] != "GAP"]
        except (KeyError, TypeError, ValueError) as e:
            raise RecordingError(f"{self.name}: a line of {parts.EVENTS.file} is no event: {e!r}") from e

    @cached_property
    def gaps(self) -> list[Manifest]:
        """GAP records: times in which changes may be missing."""
        return [line for line in self._event_lines if line["type"] == "GAP"]

    @cached_property
    def _by_kind(self) -> dict[str, list[Event]]:
        kinds: dict[str, list[Event]] = {}
        for event in self.events:
            kinds.setdefault(event.kind, []).append(event)
        return kinds

    def of(self, kind: str) -> list[Event]:
        """Events of one kind, in receipt order."""
        return self._by_kind.get(kind, [])

    @cached_property
    def _timelines(self) -> dict[str, dict[str, Timeline]]:
        return {kind: timeline.timelines(events) for kind, events in self._by_kind.items()}

    def timelines(self, kind: str) -> dict[str, Timeline]:
        """Histories of the objects of a kind by name, in order of first sight.

        A second object of the same name (made again, or in another namespace) is called `name~2`, and so on.
        """
        return self._timelines.get(kind, {})

    def condition_changes(self, of: Timeline) -> list[ConditionChange]:
        """All changes of an object's conditions, as (at, type, status, reason, message)."""
        return of.condition_changes()

    def timeline_text(self, names: Iterable[str] | None = None) -> str:
        """What happened, one line per change in ms since the start, for assertion messages; all objects by default."""
        return timeline_text(self.events, self.meta.started_ns, names)

    # -- other witnesses ---------------------------------------------------------------------------------------------

    @cached_property
    def audit(self) -> list[Manifest]:
        """The API server's audit lines about the scenario's objects."""
        return self.rows(parts.AUDIT)

    def lines(self, part: Part[Any]) -> Iterable[Line]:
        """The lines of a part with their numbers, as they are stored."""
        return self._lines(part)

    def rows(self, part: Part[R]) -> list[R]:
        """The rows of a part that a system adds, of the type that it says; empty where the scenario left none.

        Raises:
            RecordingError: a line does not fit that type.
        """
        return self._decoded(part, self._lines(part))

    def _decoded(self, part: Part[R], lines: Iterable[Line]) -> list[R]:
        return rows.decode(part, lines, self.name if self.folder is None else str(self.folder))

    def require_of(self, scenario: str) -> Self:
        """The recording itself.

        Raises:
            RecordingError: it is of another scenario than the one that was asked for.
        """
        if self.name != scenario:
            raise UnusableError(f"{self.folder}: this is the recording of {self.name}, not of {scenario}: exchanged")
        return self

    def require_known(self) -> Self:
        """The recording itself.

        Raises:
            RecordingError: it has rows of a part that neither this version nor an imported suite knows: judges would
                not look at them.
        """
        if self._unknown:
            raise UnusableError(
                f"{self.folder}: nothing here knows {', '.join(self._unknown)}: judge the recording with the version of"
                " gpuassay, and the suites, that recorded it"
            )
        return self

    @cached_property
    def _samples(self) -> list[Manifest]:
        return self.rows(parts.METRICS)

    def metrics(self, label: str, source: str | None = None) -> Samples:
        """The samples taken under `label`, of one source if given.

        Raises:
            LookupError: nothing was sampled under that label.
        """
        found = [row for row in self._samples if row["label"] == label and source in (None, row["source"])]
        if not found:
            raise LookupError(
                f"{self.name}: no metrics labelled {label!r}; there are {metrics.labels_of(self._samples)}"
            )
        return Samples(found, f"{self.name} metrics {label!r}")

    def metric_delta(self, name: str, **labels: str) -> float:
        """How much a metric grew between the labels "before" and "after", summed over matching series."""
        return metrics.delta(self.metrics("before"), self.metrics("after"), name, labels)


def _receipt(line: Manifest) -> int:
    at = line.get("at")
    if not isinstance(at, int) or "type" not in line:
        raise RecordingError(f"a line of {parts.EVENTS.file} has no receipt time or type")
    return at
