"""A vacuity run of a small suite: who judges nothing is named, who judges something is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpuassay.vacuity.table import read, unargued
from tests.plugin.conftest import SmallSuite, suite

__all__ = ["suite"]

TESTS = """
NAMES = Note("names", list[str], "names")

@says("demo.a.sound")
def test_sound(act):
    assert act.note(NAMES) == ["x"]

@says("demo.a.vacuous")
def test_vacuous(act):
    for name in act.note(NAMES):
        assert name == "x"

@says("demo.a.reads-nothing")
def test_reads_nothing(act):
    pass

@says("demo.a.refuted")
def test_refuted(act):
    assert not act.note(NAMES)

@says("demo.a.defect")
@known_defect("https://example.org/1", "wrong", shows="seen x")
def test_defect(act):
    names = act.note(NAMES)
    assert names == ["y"], f"seen {' '.join(names)}"
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_who_judges_nothing_is_named(suite: SmallSuite, workers: str) -> None:
    """Red when a vacuous test goes unseen, a sound one is accused, or true verdicts are touched."""
    place = suite.stored / "recordings" / "demo.topic.act"
    from gpuassay.record.recording import RecordingMeta, write_recording

    write_recording(place, RecordingMeta(scenario="demo.topic.act", notes={"names": ["x"]}))
    suite.write(TESTS)
    arguments = ["-p", "gpuassay.vacuity.judging", "-p", "no:allure_pytest", "-n", workers]
    outcome = suite.run(*arguments)
    assert outcome.states == {
        "demo.a.sound": "PASS", "demo.a.vacuous": "PASS", "demo.a.reads-nothing": "PASS", "demo.a.refuted": "FAIL",
        "demo.a.defect": "KNOWN-DEFECT",
    }, outcome.output  # fmt: skip
    judged = read(Path(outcome.run) / "vacuity")
    left = {(one.behaviour, one.doctoring) for one in unargued(judged, [])}
    assert left == {("demo.a.vacuous", "notes-lists-emptied"), ("demo.a.vacuous", "everything-emptied")}
    ended = {(one.behaviour, one.doctoring): one.state for one in judged}
    assert ended["demo.a.sound", "notes-lists-emptied"] == "FAIL"
    assert ended["demo.a.sound", "notes-emptied"] == "ERROR"
    assert ended["demo.a.defect", "notes-lists-emptied"] == "FAIL"
    assert not [one for one in judged if one.behaviour in ("demo.a.reads-nothing", "demo.a.refuted")]
    lines = [json.loads(line) for file in (outcome.run / "vacuity").iterdir() for line in file.read_text().splitlines()]
    assert len(lines) == 5
