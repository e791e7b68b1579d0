"""A pytest plugin for replays: judges each behaviour again on doctored recordings, and writes down how each ended.

Only doctorings count that change something the test has read on the true recordings.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from gpuassay.plugin import RUN
from gpuassay.record.parts import CORE, EVENTS
from gpuassay.record.recording import Recording
from gpuassay.record.rows import RecordingError
from gpuassay.session.collection import behaviour_of, declaration
from gpuassay.session.ledger import Ledger
from gpuassay.session.outcome import MEASURE, RECORDINGS
from gpuassay.session.serving import SERVED
from gpuassay.vacuity import doctorings, of_systems
from gpuassay.vacuity.doctorings import Doctoring
from gpuassay.vacuity.held import Held, Source
from gpuassay.vacuity.reading import ANY_KIND, Reads, noting, of_kind, of_note

LINES = "vacuity"
"""Folder in the run directory: a file of each process, a line for each judgement."""
QUICK = "GPUASSAY_VACUITY_QUICK"
"""Variable of the environment: try only the doctorings that the project's own tests try."""
OTHER = Doctoring("another-scenario", "what was recorded is another scenario's", lambda held: held)
JUDGED = ("PASS", "KNOWN-DEFECT")
"""States that a doctored recording should not leave as they are."""


def changes(held: Held) -> frozenset[str]:
    """What differs from the stored recording, in the words in which reads are noted."""
    found = {
        of_note(name)
        for name in {*held.notes, *held.source.meta.notes}
        if held.notes.get(name, ...) != held.source.meta.notes.get(name, ...)
    }
    for file, rows in held.changed.items():
        if file != EVENTS.file:
            found.add(file)
            continue
        before, after = _by_kind(held.source.rows(file)), _by_kind(rows)
        found |= {of_kind(kind) for kind in {*before, *after} if before.get(kind) != after.get(kind)}
    return frozenset(found)


def _by_kind(rows: Iterable[Any]) -> dict[str, list[Any]]:
    kinds: dict[str, list[Any]] = {}
    for row in rows:
        if "object" in row:
            kinds.setdefault(str(row["object"].get("kind", "")), []).append(row)
    return kinds


def concerns(read: frozenset[str], changed: frozenset[str]) -> bool:
    """Whether something that was read differs."""
    return bool(read & changed) or (ANY_KIND in read and any(one.startswith(f"{EVENTS.file}:") for one in changed))


class Showing:
    """Shows tests the recordings as a doctoring left them."""

    def __init__(self) -> None:
        self.doctoring: Doctoring | None = None
        self.served: list[Source] = []
        self.read: frozenset[str] = frozenset()
        """What the test has read itself, before invariants looked at its recordings."""
        self._reads: list[Reads] = []
        self._sources: dict[str, tuple[Source, Recording, Reads]] = {}
        self._made: dict[tuple[str, str], tuple[Recording, frozenset[str]]] = {}

    def begin(self, doctoring: Doctoring | None) -> None:
        """From now on with this doctoring; None shows what was recorded."""
        self.doctoring = doctoring
        if doctoring is None:
            self._reads, self.served, self.read = [], [], frozenset()

    def judged(self) -> None:
        """The test has come to its judgement: what it has read by now is what it judges by."""
        if self.doctoring is None:
            self.read = frozenset[str]().union(*(one.now for one in self._reads))

    def forget(self) -> None:
        """Drop what tests of another module will not ask for."""
        self._sources.clear()
        self._made.clear()

    def __call__(self, recording: Recording) -> Recording:
        """A stored recording as it is shown now."""
        source, noted, reads = self._source(recording)
        if self.doctoring is not None:
            return self.made(self.doctoring, source)[0]
        reads.begin()
        self._reads.append(reads)
        self.served.append(source)
        return noted

    def _source(self, recording: Recording) -> tuple[Source, Recording, Reads]:
        key = str(recording.folder)
        if key not in self._sources:
            self._sources[key] = (Source(recording), *noting(recording))
        return self._sources[key]

    def made(self, doctoring: Doctoring, source: Source) -> tuple[Recording, frozenset[str]]:
        """A doctored recording and what differs in it."""
        key = (doctoring.name, str(source.recording.folder))
        if key not in self._made:
            held = self._other(source) if doctoring is OTHER else doctoring.change(Held.of(source))
            self._made[key] = (held.recording(), changes(held))
        return self._made[key]

    def _other(self, source: Source) -> Held:
        """Under the name of a recording what is stored under the next one that the same judges can read."""
        held, folder = Held.of(source), source.recording.folder
        if folder is None:
            return held
        suite = folder.name.split(".")[0]
        places = sorted(one for one in folder.parent.iterdir() if one.name.split(".")[0] == suite)
        here = places.index(folder)
        for place in [*places[here + 1 :], *places[:here]]:
            try:
                other = type(source.recording).load(place)
            except RecordingError:
                continue
            if other.meta.outcome == "ok" and _module(other) != _module(source.recording):
                theirs = Source(other)
                meta = dataclasses.replace(other.meta, scenario=source.meta.scenario)
                return Held(source, meta, {file: theirs.rows(file) for file in source.files})
        return held

    def to_try(self, every: Sequence[Doctoring]) -> list[Doctoring]:
        """The doctorings that change something the test has read."""
        read = self.read
        own = sorted({file for one in self.served for file in one.files} - {part.file for part in CORE})
        kinds = sorted(one.partition(":")[2] for one in read if one.startswith(f"{EVENTS.file}:") and one != ANY_KIND)
        candidates = [
            *every, OTHER, *map(doctorings.without_file, own), *map(doctorings.without_kind, kinds),
        ]  # fmt: skip
        return [one for one in candidates if any(concerns(read, self.made(one, source)[1]) for source in self.served)]


def _module(recording: Recording) -> list[str]:
    """Suite and module of a scenario: variants of one scenario tell much the same, and rightly."""
    return recording.meta.scenario.split(".")[:2]


class Judging:
    """Hooks: after each test its judgements on doctored recordings."""

    def __init__(self, folder: Path, *, quick: bool) -> None:
        self.showing = Showing()
        self._every = [one for one in (*doctorings.ALL, *of_systems.ALL) if one.quick or not quick]
        self._quick = quick
        self._module: object = None
        folder.mkdir(exist_ok=True)
        self._out = (folder / f"{os.getpid()}.jsonl").open("a")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """In place of pytest's own: first on what was recorded, then on what was not."""
        behaviour = behaviour_of(item)
        if behaviour is None:
            return None
        module = getattr(item, "module", None)
        if module is not self._module:
            self.showing.forget()
            self._module = module
        declared = declaration(item, behaviour)
        self.showing.begin(None)
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        reports = runtestprotocol(item, nextitem=_after(item), log=False)
        state, _ = _ended(declared, reports)
        tried: list[dict[str, Any]] = []
        if state in JUDGED:
            for doctoring in self._tried():
                self.showing.begin(doctoring)
                ended = _again(item, declared)
                tried.append({"doctoring": doctoring.name, "partial": doctoring.partial, **ended})
        self.showing.begin(None)
        print(
            json.dumps({"behaviour": declared["behaviour"], "state": state, "tried": tried}), file=self._out, flush=True
        )
        item.session._setupstate.teardown_exact(nextitem)  # pyright: ignore[reportPrivateUsage]
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_pyfunc_call(self) -> Generator[None, object, object]:
        """Nearer to the test than any other: what is read after it, others read."""
        try:
            return (yield)
        finally:
            self.showing.judged()

    def _tried(self) -> list[Doctoring]:
        found = self.showing.to_try(self._every)
        return [one for one in found if one.quick] if self._quick else found


def _again(item: pytest.Item, declared: dict[str, Any]) -> dict[str, str]:
    """How a test ends once more, on what it is shown now."""
    item.stash[RECORDINGS] = []
    if MEASURE in item.stash:
        del item.stash[MEASURE]
    item._initrequest()  # type: ignore[attr-defined]
    state, reason = _ended(declared, runtestprotocol(item, nextitem=_after(item), log=False))
    return {"state": state, "reason": reason.strip().splitlines()[0][:200] if reason.strip() else ""}


def _after(item: pytest.Item) -> Any:
    """In place of the next test: all that stands above a test is kept, what was set up for itself is not."""
    return item.parent


def _ended(declared: dict[str, Any], reports: Iterable[pytest.TestReport]) -> tuple[str, str]:
    ledger = Ledger()
    ledger.declare([declared])
    for report in reports:
        ledger.take(report)
    verdict = ledger.verdicts[declared["test"]]
    return verdict.state, verdict.reason


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """In each process that judges."""
    run = session.config.stash.get(RUN, None)
    if run is None:
        return
    judging = Judging(run.directory / LINES, quick=bool(os.environ.get(QUICK)))
    session.config.stash[SERVED] = judging.showing
    session.config.pluginmanager.register(judging, "gpuassay-vacuity")
