"""A recording: what a scenario asked for and what the cluster made of it, read from files.

Pure: needs no cluster. Judges take a `Recording`; everything they may ask is a property or method here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from gpuassay.manifest import Manifest, dig, is_true
from gpuassay.record import metrics, store, timeline
from gpuassay.record.metrics import Samples
from gpuassay.record.store import RecordingError, RecordingMeta, without_managed_fields, write_recording
from gpuassay.record.text import timeline_text
from gpuassay.record.timeline import ConditionChange, Event, Timeline
from gpuassay.systems.kueue import log as kueuelog
from gpuassay.systems.kueue.log import Admission, Cycle

__all__ = [
    "Admission",
    "ConditionChange",
    "Cycle",
    "Event",
    "Recording",
    "RecordingError",
    "RecordingMeta",
    "Samples",
    "Timeline",
    "write_recording",
]

JOB_UID_LABEL = "kueue.x-k8s.io/job-uid"
_Reader = Callable[[str], Iterable[Manifest]]


class Recording:
    """What happened in one scenario."""

    def __init__(self, meta: RecordingMeta, read: _Reader) -> None:
        """Wrap metadata and a reader of parts; use `load` or `of_parts`."""
        self.meta = meta
        self.folder: Path | None = None
        """Where it was read from; None for one in memory."""
        self._read = read

    @classmethod
    def load(cls, path: Path | str) -> Recording:
        """Open the recording in folder `path`; parts may be plain or `.xz`, and are parsed when first asked for.

        Raises:
            RecordingError: missing, truncated, of a foreign version, or doctored (checksums differ).
        """
        folder = Path(path)
        meta, sums = store.read_meta(folder)
        store.verify(folder, sums)

        def read(part: str) -> Iterable[Manifest]:
            return [] if part in store.OPTIONAL_PARTS and part not in sums else store.read_lines(folder, part)

        loaded = cls(meta, read)
        loaded.folder = folder
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
        log: Sequence[Manifest] = (),
        requests: Sequence[Manifest] = (),
        kv_events: Sequence[Manifest] = (),
        silicon: Sequence[Manifest] = (),
    ) -> Recording:
        """A recording in memory, from lines as `write_recording` takes them: for tests of judges."""
        lines: list[Manifest] = [
            {**line, "object": without_managed_fields(line["object"])} if "object" in line else dict(line)
            for line in events
        ]
        parts: dict[str, Sequence[Manifest]] = {
            store.ASKED: asked,
            store.EVENTS: lines,
            store.AUDIT: audit,
            store.METRICS: metrics,
            store.KUEUE_LOG: log,
            store.REQUESTS: requests,
            store.KV_EVENTS: kv_events,
            store.SILICON: silicon,
        }
        return cls(meta or RecordingMeta(scenario="in-memory"), parts.__getitem__)

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

    @property
    def notes(self) -> Mapping[str, Any]:
        """Facts that the scenario handed on."""
        return self.meta.notes

    @cached_property
    def asked(self) -> list[Manifest]:
        """Every object as the scenario asked for it."""
        return list(self._read(store.ASKED))

    # -- what was seen -----------------------------------------------------------------------------------------------

    @cached_property
    def _event_lines(self) -> list[Manifest]:
        # A stable sort: lines of one receipt time keep their order, which is the order of their versions.
        return sorted(self._read(store.EVENTS), key=_receipt)

    @cached_property
    def events(self) -> list[Event]:
        """Watch events of all kinds in receipt order.

        Raises:
            RecordingError: a line is no event.
        """
        try:
            return [Event.of(line) for line in self._event_lines if line["type"] != "GAP"]
        except (KeyError, TypeError, ValueError) as e:
            raise RecordingError(f"{self.name}: a line of {store.EVENTS} is no event: {e!r}") from e

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

    def workloads(self) -> list[Manifest]:
        """Every Workload as last seen (deleted ones too), in order of first sight."""
        return [one.final for one in self.timelines("Workload").values()]

    def workload_of(self, job_name: str) -> Timeline:
        """The Workload of a job (Job, pod, pod group owner): by owner reference, else by Kueue's job-uid label.

        If the job had several, the last one.

        Raises:
            LookupError: there is none.
        """
        histories = list(self.timelines("Workload").values())
        owned = [one for one in histories if any(job_name in _owners(event.object) for event in one.events)]
        if not owned:
            uids = {event.uid for event in self.events if event.name == job_name and event.kind != "Workload"}
            owned = [one for one in histories if dig(one.final, "metadata", "labels", JOB_UID_LABEL) in uids]
        if not owned:
            names = ", ".join(self.timelines("Workload")) or "none"
            raise LookupError(f"{self.name}: no Workload of {job_name!r} was recorded (Workloads: {names})")
        return owned[-1]

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
        return list(self._read(store.AUDIT))

    @cached_property
    def kueue_log(self) -> list[Manifest]:
        """Kueue's log lines that concern the scenario."""
        return list(self._read(store.KUEUE_LOG))

    @cached_property
    def requests(self) -> list[Manifest]:
        """Rows of requests to model servers, as `gpuassay.load` writes them, in the order of the asks."""
        return list(self._read(store.REQUESTS))

    def asks(self, wave: str) -> list[Manifest]:
        """The rows of one wave of requests.

        Raises:
            LookupError: there was no such wave.
        """
        rows = [row for row in self.requests if row.get("wave") == wave]
        if not rows:
            waves = ", ".join(dict.fromkeys(str(row.get("wave")) for row in self.requests)) or "none"
            raise LookupError(f"{self.name}: no wave of requests called {wave!r}; there are {waves}")
        return rows

    @cached_property
    def kv_events(self) -> list[Manifest]:
        """KV-cache events of model servers, in the order in which the forwarder passed them on."""
        return list(self._read(store.KV_EVENTS))

    @cached_property
    def silicon(self) -> list[Manifest]:
        """What was done to the GPUs, in order: slices made and destroyed, calls that were refused."""
        return list(self._read(store.SILICON))

    @cached_property
    def _samples(self) -> list[Manifest]:
        return list(self._read(store.METRICS))

    def metrics(self, label: str, source: str | None = None) -> Samples:
        """The samples taken under `label`, of one source if given.

        Raises:
            LookupError: nothing was sampled under that label.
        """
        rows = [row for row in self._samples if row["label"] == label and source in (None, row["source"])]
        if not rows:
            raise LookupError(
                f"{self.name}: no metrics labelled {label!r}; there are {metrics.labels_of(self._samples)}"
            )
        return Samples(rows, f"{self.name} metrics {label!r}")

    def metric_delta(self, name: str, **labels: str) -> float:
        """How much a metric grew between the labels "before" and "after", summed over matching series."""
        return metrics.delta(self.metrics("before"), self.metrics("after"), name, labels)

    def admissions(self) -> list[Admission]:
        """Quota reservations in the order of Kueue's decisions.

        From Kueue's log; where there is no log, in the order in which the watch showed QuotaReserved becoming true.
        """
        if self.kueue_log:
            return kueuelog.admissions(self.kueue_log)
        found: list[Admission] = []
        held: set[str] = set()
        for event in self.of("Workload"):
            reserved = is_true(event.object, "QuotaReserved")
            if reserved and event.uid not in held:
                queue = str(dig(event.object, "status", "admission", "clusterQueue", default=""))
                found.append(Admission(event.at, None, event.name, event.namespace, queue))
            (held.add if reserved else held.discard)(event.uid)
        return found

    def cycles(self) -> list[Cycle]:
        """Scheduling cycles with their exact duration, from Kueue's log."""
        return kueuelog.cycles(self.kueue_log)


def _receipt(line: Manifest) -> int:
    at = line.get("at")
    if not isinstance(at, int) or "type" not in line:
        raise RecordingError(f"a line of {store.EVENTS} has no receipt time or type")
    return at


def _owners(workload: Manifest) -> set[str]:
    return {str(one.get("name", "")) for one in dig(workload, "metadata", "ownerReferences", default=[])}
