"""Whatever stands in a run directory: a report or one clear line, never a traceback."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gpuassay.report import ReportError, terminal_ending, write
from tests.report.synthetic import exhibits, run_json, six_states, write_recording, write_run

LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
JSON = st.recursive(
    LEAF,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
FILES = ("run.json", "verdicts.jsonl", "durations.jsonl", "exhibits/bad.json", "recordings/burst/recording.json")


def whole(folder: Path) -> Path:
    write_run(folder, six_states()[:2], exhibits=[exhibits()[-1] | {"id": "bad"}])
    write_recording(folder, "burst")
    return folder


def report(folder: Path) -> None:
    try:
        write(folder)
    except ReportError as error:
        assert "\n" not in str(error)
    assert all("\n" not in line for line in terminal_ending(folder))


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(FILES), st.integers(0, 30), JSON)
def test_any_value_in_any_place(file: str, place: int, value: Any) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = whole(Path(scratch) / "run")
        first, *rest = (folder / file).read_text().split("\n")
        found: dict[str, Any] = json.loads(first)
        found[list(found)[place % len(found)]] = value
        (folder / file).write_text("\n".join([json.dumps(found), *rest]))
        report(folder)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(FILES), st.floats(0, 1))
def test_any_file_cut_anywhere(file: str, share: float) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = whole(Path(scratch) / "run")
        raw = (folder / file).read_bytes()
        (folder / file).write_bytes(raw[: int(len(raw) * share)])
        report(folder)


def test_any_file_may_be_a_folder(tmp_path: Path) -> None:
    for index, file in enumerate(FILES):
        folder = whole(tmp_path / str(index))
        (folder / file).unlink()
        (folder / file).mkdir()
        report(folder)


def test_an_unwritable_place_is_one_line(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", six_states(), run=run_json())
    (folder / "report.html").mkdir()
    (folder / "allure-results").write_text("not a folder")
    report(folder)
