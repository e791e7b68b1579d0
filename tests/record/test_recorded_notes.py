"""The notes of the recordings that come with the project: each is declared, is read, and would be written as it was."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from gpuassay.record.notes import Note
from gpuassay.record.pack import open_run
from gpuassay.record.recording import RecordingError

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"

pytestmark = pytest.mark.timeout(300)


def declared_in(folder: Path) -> Iterator[tuple[str, Note[Any]]]:
    """Module and note of each note that a module below `folder` has."""
    for file in sorted(folder.rglob("*.py")):
        if "Note(" in file.read_text() or "import notes" in file.read_text():
            name = ".".join(file.relative_to(ROOT).with_suffix("").parts)
            for value in vars(importlib.import_module(name)).values():
                among = cast("dict[str, object]", value).values() if isinstance(value, dict) else [value]
                yield from ((name, one) for one in among if isinstance(one, Note))


@pytest.fixture(scope="module")
def declared() -> list[tuple[str, Note[Any]]]:
    return [one for place in ("gpuassay/record", "gpuassay/systems", "suites") for one in declared_in(ROOT / place)]


def fits(note: Note[Any], notes: dict[str, Any]) -> bool:
    """Whether the note is read from a recording, and written as it is there."""
    try:
        return note.as_json(note.read(notes, "recorded")) == notes[note.name]
    except RecordingError:
        return False


@pytest.mark.parametrize("archive", ["recorded-run.tar.xz", "recorded-das.tar.xz"])
def test_every_recorded_note_is_declared_as_it_is(archive: str, declared: list[tuple[str, Note[Any]]]) -> None:
    """Red when a note is renamed, or changes its type, so that recordings of before cannot be judged any more."""
    lacking: list[str] = []
    for place in sorted((open_run(DATA / archive) / "recordings").iterdir()):
        notes: dict[str, Any] = json.loads((place / "recording.json").read_text())["notes"]
        words = place.name.split(".")
        for name in notes:
            called = [(module, note) for module, note in declared if note.name == name]
            its_own = [note for module, note in called if module.rpartition(".")[2].removeprefix("test_") in words]
            if not any(fits(note, notes) for note in its_own or [note for _, note in called]):
                lacking.append(f"{place.name}: {name}")
    assert lacking == []
