"""Notes: declared once with a type, and held to it by scenarios and judges alike."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gpuassay.record import facts
from gpuassay.record.notes import Note
from gpuassay.record.recording import Attempt, Recording, RecordingError, RecordingMeta
from tests.noting import Noting


class Restart(msgspec.Struct, frozen=True, omit_defaults=True):
    """A restart."""

    before: str
    seconds: float
    after: str | None = None


@dataclass
class Job:
    """A job."""

    name: str
    run: float


RESTARTED = Note("restarted", Restart, "what the kubelet said")
STARTS = Note("starts", dict[str, int], "starts by container")
BY_SIZE = Note("by_size", dict[int, list[str]], "names by size")
JOBS = Note("jobs", list[Job], "the jobs", default=[])
LATE = Note("late", str, "what was waited for in vain", default=None)


def of(**notes: Any) -> Recording:
    return Recording.of_parts(RecordingMeta("demo.act", notes=notes))


def handed_on(note: Note[Any], value: Any) -> tuple[Any, Any]:
    """What a scenario's value is in JSON, and what a judge gets of it."""
    lab: Any = Noting()
    lab.note(note, value)
    written = json.loads(json.dumps(lab.notes))
    assert lab.noted(note) == of(**written).note(note)
    return written[note.name], of(**written).note(note)


@pytest.mark.parametrize(
    ("note", "value", "written"),
    [
        (RESTARTED, Restart("ready", 1.5), {"before": "ready", "seconds": 1.5}),
        (STARTS, {"main": 2}, {"main": 2}),
        (BY_SIZE, {2: ["a", "b"]}, {"2": ["a", "b"]}),
        (JOBS, [Job("a", 1.0)], [{"name": "a", "run": 1.0}]),
        (LATE, None, None),
        (LATE, "a node", "a node"),
    ],
)
def test_a_judge_gets_what_the_scenario_gave(note: Note[Any], value: Any, written: Any) -> None:
    assert handed_on(note, value) == (written, value)


def test_a_recording_of_an_older_version_is_read() -> None:
    """Red when a field that nobody reads any more, or a number without a fraction, makes a recording unreadable."""
    old = of(restarted={"before": "ready", "seconds": 2, "pid": 7})
    assert old.note(RESTARTED) == Restart("ready", 2.0)


def test_what_was_not_noted_is_one_line_or_the_default() -> None:
    with pytest.raises(RecordingError) as missing:
        of(starts={}, at_rest=True).note(RESTARTED)
    assert str(missing.value) == (
        "demo.act: no note 'restarted' (what the kubelet said); there are: at_rest, starts"
    )  # fmt: skip
    assert of().note(JOBS) == []
    assert of().note(LATE) is None


def test_what_does_not_fit_is_one_line() -> None:
    with pytest.raises(RecordingError) as other:
        of(restarted={"before": "ready"}).note(RESTARTED)
    assert str(other.value) == "demo.act: note 'restarted' is no Restart: Object missing required field `seconds`"
    with pytest.raises(RecordingError, match=r"note 'starts' is no dict\[str, int\]: Expected `int`, got `str`"):
        of(starts={"main": "two"}).note(STARTS)


@pytest.mark.parametrize("value", [{"main": "two"}, ["main"], {"main": object()}, None])
def test_a_scenario_cannot_note_what_does_not_fit(value: Any) -> None:
    lab: Any = Noting()
    with pytest.raises(TypeError, match=r"^note 'starts' must be a dict\[str, int\]: "):
        lab.note(STARTS, value)
    assert lab.notes == {}


def test_entries_are_added_to_a_mapping() -> None:
    lab: Any = Noting()
    lab.note_under(STARTS, "main", 1)
    lab.note_under(STARTS, "side", 2)
    lab.note_under(STARTS, "main", 3)
    assert lab.notes == {"starts": {"main": 3, "side": 2}}
    with pytest.raises(TypeError, match="note 'starts' must be"):
        lab.note_under(STARTS, "side", "two")


def test_a_scenario_that_asks_too_early_is_told() -> None:
    lab: Any = Noting()
    assert lab.noted(JOBS) == []
    with pytest.raises(RecordingError, match="no note 'starts'"):
        lab.noted(STARTS)


def test_marks_of_a_moment_that_comes_again() -> None:
    lab: Any = Noting()
    lab.mark("back")
    first = lab.noted(facts.MARKS)["back"]
    lab.mark("back", once=True)
    assert lab.noted(facts.MARKS) == {"back": first}
    lab.mark("back")
    assert lab.noted(facts.MARKS)["back"] > first


@pytest.mark.parametrize("kind", [object, set[complex], dict[str, object], dict[str, Callable[[], int]], Note])
def test_a_type_that_json_cannot_hold_is_refused(kind: Any) -> None:
    with pytest.raises(TypeError, match=r"^note 'no': JSON cannot hold a .*; use a msgspec struct, "):
        Note("no", kind, "nothing")


def test_a_default_of_another_type_is_refused() -> None:
    wrong: Any = {"main": "two"}
    with pytest.raises(TypeError, match=r"^note 'no-default' must be a dict"):
        Note("no-default", dict[str, int], "starts", default=wrong)


def test_a_default_is_nobodys_to_change() -> None:
    of().note(JOBS).append(Job("b", 2.0))
    assert of().note(JOBS) == []


def module(folder: Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    (folder / f"{name}.py").write_text(f"from gpuassay import Note\n{text}")
    return importlib.import_module(name)


def test_a_name_is_declared_once_in_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when two notes of a module can take each other's place, or a module cannot be loaded again."""
    twice = 'A = Note("same", int, "a")\nB = Note[int]("same", int, "b")\n'
    with pytest.raises(ValueError, match=r"twice\.py:3: note 'same' is declared in line 2 as well: name one otherwise"):
        module(tmp_path, "declared_twice", twice, monkeypatch)
    with pytest.raises(ValueError, match="note 'same' is declared in line 2 as well"):
        module(tmp_path, "declared_in_one_line", 'A, B = Note("same", int, "a"), Note("same", int, "b")\n', monkeypatch)
    family = 'EACH = {one: Note(one, int, "one") for one in ("same", "other")}\n'
    found = module(tmp_path, "declared_once", family, monkeypatch)
    assert importlib.reload(found).EACH["same"].name == "same"


def test_what_every_lab_notes_has_a_name_of_its_own() -> None:
    """Red when a mark, an observation or an attempt that was not made is a KeyError somewhere in a judge."""
    refused = {"accepted": False, "status": 403, "reason": "Forbidden", "message": "no"}
    recording = of(
        marks={"killed": 5, "back": 7}, observed={"it runs": False}, attempts={"a": {"accepted": True}, "b": refused},
        at_rest=False, arms=["x"], outside={"pool": {"kind": "InferencePool"}, "endpoints": ["10.0.0.1:8000"]},
    )  # fmt: skip
    assert (recording.mark("killed"), dict(recording.marks)) == (5, {"killed": 5, "back": 7})
    assert (recording.observed("it runs"), dict(recording.observations)) == (False, {"it runs": False})
    assert recording.attempt("a").accepted
    assert recording.attempt("b") == Attempt(False, 403, "Forbidden", "no") == recording.attempts["b"]
    assert (recording.at_rest, recording.arms) == (False, ["x"])
    assert recording.outside and recording.outside.endpoints == ["10.0.0.1:8000"]
    empty = of()
    assert (empty.at_rest, empty.outside, empty.marks) == (None, None, {})
    for ask, words in (
        (lambda: recording.mark("gone"), "demo.act: no mark 'gone'; there are: back, killed"),
        (lambda: recording.observed("it ends"), "demo.act: no observation 'it ends'; there are: it runs"),
        (lambda: recording.attempt("c"), "demo.act: no attempt 'c'; there are: a, b"),
        (lambda: empty.mark("gone"), "demo.act: no mark 'gone'; there are: none"),
    ):
        with pytest.raises(RecordingError) as told:
            ask()
        assert str(told.value) == words
    with pytest.raises(RecordingError, match="no note 'arms'"):
        _ = empty.arms
