"""Doctorings, and what is read: each changes what it says and nothing else, and is noticed where it was read."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gpuassay.manifest import is_true
from gpuassay.record.notes import Note
from gpuassay.record.parts import ASKED, EVENTS
from gpuassay.record.recording import Recording
from gpuassay.systems.kueue.readings import LOG, KueueRecording
from gpuassay.systems.llmd.readings import RoutingRecording
from gpuassay.systems.llmd.rows import RequestRow
from gpuassay.vacuity import doctorings, of_systems
from gpuassay.vacuity.doctorings import Doctoring
from gpuassay.vacuity.held import Held, Source
from gpuassay.vacuity.judging import changes, concerns
from gpuassay.vacuity.reading import noting
from gpuassay.vacuity.table import Argued, Judged, by_doctoring, idle, unargued
from tests.record.parts import conditions, event, log, meta

NAMES = Note("names", list[str], "some names")
EACH = Note("each", dict[str, list[int]], "numbers by name")

EVENTS_OF = [
    event(0, "ADDED", "Job", "j1", 1),
    event(5, "ADDED", "Workload", "w1", 2, conditions=conditions(Admitted="False Pending")),
    event(6, "MODIFIED", "Workload", "w1", 3, conditions=conditions(Admitted="True Admitted")),
    event(7, "ADDED", "Pod", "p1", 4, status={"phase": "Running"}),
]
LOG_OF = [
    log("Workload assumed in the cache", 1, 0.1, workload={"name": name, "namespace": "ns"}) for name in ("w1", "w2")
]
NOTES = {"names": ["a"], "each": {"a": [1]}, "observed": {"all ran": True}, "marks": {"m": 1}}


def kueue() -> KueueRecording:
    return KueueRecording.of_parts(
        meta(notes=NOTES), asked=[{"kind": "Job", "metadata": {"name": "j1"}}], events=EVENTS_OF, log=LOG_OF
    )


def doctored(
    name: str, recording: Recording, every: Sequence[Doctoring] = doctorings.ALL
) -> tuple[Recording, set[str]]:
    (found,) = (one for one in every if one.name == name)
    held = found.change(Held.of(Source(recording)))
    return held.recording(), set(changes(held))


def test_parts_and_kinds_are_emptied() -> None:
    """Red when a doctoring leaves what it says is gone, or takes more."""
    made, changed = doctored("events-emptied", kueue())
    assert made.events == [] and made.asked
    assert changed == {"events.jsonl:Job", "events.jsonl:Workload", "events.jsonl:Pod"}
    made, changed = doctored("everything-emptied", kueue())
    assert (made.events, made.asked, made.note(NAMES), made.note(EACH)) == ([], [], [], {})
    without = doctorings.without_kind("Pod").change(Held.of(Source(kueue())))
    assert changes(without) == {"events.jsonl:Pod"}
    assert not without.recording().of("Pod") and len(without.recording().of("Workload")) == 2


def test_statuses_conditions_and_order_are_turned() -> None:
    """Red when a status survives, a condition is not negated, or history does not run backwards."""
    made, _ = doctored("status-stripped", kueue())
    assert not any("status" in one.object for one in made.events)
    made, _ = doctored("conditions-negated", kueue())
    assert [is_true(one.object, "Admitted") for one in made.of("Workload")] == [True, False]
    made, _ = doctored("order-reversed", kueue())
    assert [one.kind for one in made.events] == ["Pod", "Workload", "Workload", "Job"]
    assert [one.at for one in made.events] == [one.at for one in kueue().events]


def test_notes_are_emptied_and_nothing_shows() -> None:
    """Red when notes of the engine are falsified as if a scenario had written them, or observations stay."""
    made, changed = doctored("notes-lists-emptied", kueue())
    assert (made.note(NAMES), made.note(EACH), made.mark("m")) == ([], {"a": []}, 1)
    assert changed == {"note:names", "note:each"}
    made, changed = doctored("nothing-shown", kueue())
    assert made.observed("all ran") is False and changed == {"note:observed"}


def test_what_happened_without_anybody_doing_anything() -> None:
    """Red when a dead system leaves more than the objects that were asked for, as they were made."""
    made, _ = doctored("nothing-happened", kueue())
    assert [(one.kind, one.name) for one in made.events] == [("Job", "j1")]
    assert made.rows(LOG) == []


def test_decisions_change_places_and_requests_fail() -> None:
    """Red when what systems write down is left as it was."""
    made, changed = doctored("admissions-reversed", kueue(), of_systems.ALL)
    assert isinstance(made, KueueRecording)
    assert [one.workload for one in made.admissions()] == ["w2", "w1"]
    assert changed == {"logs/kueue.jsonl"}
    rows = [RequestRow(wave="w", index=0, status=200)]
    made, _ = doctored("answers-500", RoutingRecording.of_parts(requests=rows), of_systems.ALL)
    assert isinstance(made, RoutingRecording)
    assert [one.status for one in made.asks("w")] == [500]


def test_what_is_read_is_noted_also_where_it_was_read_before() -> None:
    """Red when a test that comes second seems to read nothing, or one that looks at Workloads to look at Pods."""
    recording, reads = noting(kueue())
    assert isinstance(recording, KueueRecording)
    assert recording.timelines("Workload")
    assert reads.now == {EVENTS.file, "events.jsonl:Workload", "note:restarted_at"}
    for _ in range(2):
        reads.begin()
        assert recording.admissions() and recording.note(NAMES)
        assert reads.now == {LOG.file, "note:names", "note:restarted_at"}
    reads.begin()
    assert recording.timeline_text() and not reads.now, "a message judges nothing"
    reads.begin()
    assert recording.events and recording.asked
    assert concerns(frozenset(reads.now), frozenset({"events.jsonl:Pod"})) and ASKED.file in reads.now
    assert not concerns(frozenset({"events.jsonl:Job"}), frozenset({"events.jsonl:Pod"}))


JUDGED = [
    Judged("a.b.c[x]", "PASS", "events-emptied", "PASS", ""),
    Judged("a.b.d", "PASS", "events-emptied", "FAIL", "invariant: gone"),
    Judged("a.b.d", "PASS", "tail-cut", "PASS", "", partial=True),
    Judged("a.b.e", "KNOWN-DEFECT", "events-emptied", "FAIL", "not the known defect"),
]


@pytest.mark.parametrize(("pattern", "left"), [("a.b.c[x]", 0), ("a.b.*", 0), ("a.b.c", 1), ("a.b.c[y]", 1)])
def test_an_exception_excuses_what_it_names(pattern: str, left: int) -> None:
    """Red when a bracket is read as a set of characters, or an exception excuses more than it says."""
    assert len(unargued(JUDGED, [Argued(["events-emptied"], [pattern], "why")])) == left
    assert len(unargued(JUDGED, [Argued(["tail-cut"], [pattern], "why")])) == 1


def test_an_exception_that_excuses_nothing_is_told() -> None:
    """Red when the list of exceptions can grow stale."""
    argued = [Argued(["events-emptied"], ["a.b.c[x]", "a.b.d", "a.b.gone"], "why")]
    assert idle(JUDGED, argued, whole=True) == ["a.b.d under events-emptied", "a.b.gone under events-emptied"]
    assert idle(JUDGED, argued, whole=False) == ["a.b.d under events-emptied"]
    assert idle(JUDGED, [Argued(["tail-cut"], ["a.b.d"], "why")], whole=False) == ["a.b.d under tail-cut"]


def test_the_table_counts_each_judgement_once() -> None:
    """Red when the columns do not sum to what read the falsified part."""
    assert by_doctoring(JUDGED, []) == [
        ("events-emptied", {"read": 3, "vacuous": 1, "referee": 1, "FAIL": 1}),
        ("tail-cut", {"read": 1, "partial": 1}),
    ]
