"""Rounds of an earlier run: taken over where they fit, and never where anything differs."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gpuassay.engine import kept
from gpuassay.record.recording import RecordingMeta, write_recording
from gpuassay.scenarios.lab import Lab

SCENARIO = "kueue.performance.paper.paper"
MACHINE = {"fingerprint": "1925"}
PROGRAMS = [{"name": "kueue", "sha256": "ab"}]


def run(base: Path, name: str, **changes: Any) -> Path:
    folder = base / name
    (folder / "recordings").mkdir(parents=True)
    told = {"mode": "live", "mutant": None, "machine": MACHINE, "components": PROGRAMS}
    (folder / "run.json").write_text(json.dumps(told | changes))
    return folder


def record(folder: Path, name: str, outcome: str = "ok", **notes: Any) -> None:
    write_recording(
        folder / "recordings" / name,
        RecordingMeta(scenario=name, profile="default", token="", outcome=outcome, notes=notes),
    )


def lab(folder: Path, mutant: object = None) -> tuple[Lab, list[str]]:
    arms: list[str] = []

    def note_next(note: object, value: str) -> None:
        del note
        arms.append(value)

    made = SimpleNamespace(place=folder / "recordings" / SCENARIO, mutant=mutant, note_next=note_next)
    return cast("Lab", made), arms


def test_a_round_that_was_recorded_is_taken_over(tmp_path: Path) -> None:
    old, new = run(tmp_path, "1"), run(tmp_path, "2")
    for arm in ("a-1", "b-1", "a-2"):
        record(old, f"{SCENARIO}.{arm}")
    mine, arms = lab(new)
    assert kept.take(mine, ["a-1", "b-1"])
    assert arms == ["a-1", "b-1"]
    assert sorted(one.name for one in (new / "recordings").iterdir()) == [f"{SCENARIO}.a-1", f"{SCENARIO}.b-1"]
    assert not kept.take(mine, ["a-2", "b-2"])  # that round was cut off


@pytest.mark.parametrize(
    "changes",
    [
        {"mutant": "quota-doubled"},
        {"mode": "replay"},
        {"machine": {"fingerprint": "other"}},
        {"components": [{"name": "kueue", "sha256": "cd"}]},
    ],
    ids=["mutant", "replay", "machine", "program"],
)
def test_rounds_of_something_else_are_not(tmp_path: Path, changes: dict[str, Any]) -> None:
    old, new = run(tmp_path, "1", **changes), run(tmp_path, "2")
    record(old, f"{SCENARIO}.a-1")
    record(old, SCENARIO)
    mine, arms = lab(new)
    assert not kept.take(mine, ["a-1"])
    assert not kept.whole(SCENARIO, new)
    assert arms == []


def test_a_run_with_a_mutant_takes_nothing(tmp_path: Path) -> None:
    old, new = run(tmp_path, "1"), run(tmp_path, "2")
    record(old, f"{SCENARIO}.a-1")
    assert not kept.take(lab(new, mutant=object())[0], ["a-1"])


def test_a_recording_that_was_edited_or_broken_is_played_anew(tmp_path: Path) -> None:
    old, new = run(tmp_path, "1"), run(tmp_path, "2")
    record(old, f"{SCENARIO}.a-1", outcome="error")
    record(old, f"{SCENARIO}.b-1")
    place = old / "recordings" / f"{SCENARIO}.b-1" / "recording.json"
    place.write_text(place.read_text().replace('"default"', '"others"'))
    assert not kept.take(lab(new)[0], ["a-1"])
    assert not kept.take(lab(new)[0], ["b-1"])


def test_a_whole_scenario_comes_with_its_arms(tmp_path: Path) -> None:
    old, new = run(tmp_path, "1"), run(tmp_path, "2")
    record(old, SCENARIO, arms=["a-1"])
    assert not kept.whole(SCENARIO, new)  # its arm is missing
    record(old, f"{SCENARIO}.a-1")
    assert kept.whole(SCENARIO, new)
    assert sorted(one.name for one in (new / "recordings").iterdir()) == [SCENARIO, f"{SCENARIO}.a-1"]
