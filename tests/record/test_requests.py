"""Requests and KV-cache events in a recording: kept where there are any, believed only as they were written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gpuassay.record import parts
from gpuassay.record.parts import Part
from gpuassay.record.recording import RecordingError, write_recording
from gpuassay.systems.llmd.readings import KV_EVENTS, PICKER_CALLS, REQUESTS, RoutingRecording
from gpuassay.systems.llmd.rows import KvEvent, PickerCall, RequestRow, Sent
from tests.record.parts import meta

ROWS = [
    RequestRow(wave="cold", index=0, status=200, headers={"x": "y"}, sent=Sent("ab/2", None)),
    RequestRow(wave="warm", index=1, status=200, gaps_ns=[1, 2]),
    RequestRow(wave="warm", index=2, status=503, error="http-503"),
]
CALLS = [PickerCall(wave="warm", index=0, destination="127.0.0.1:1", clear_route_cache=True)]
EVENTS = [KvEvent(arm="precise", topic="kv@127.1.0.1:80@m", kinds={"BlockStored": 1})]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    where = tmp_path / "recordings" / "llmd.test"
    write_recording(where, meta(), parts={REQUESTS: ROWS, PICKER_CALLS: CALLS, KV_EVENTS: EVENTS})
    return where


def test_reads_back_what_was_written(folder: Path) -> None:
    found = RoutingRecording.load(folder)
    assert (found.requests, found.picker_calls, found.kv_events) == (ROWS, CALLS, EVENTS)
    assert [row.index for row in found.asks("warm")] == [1, 2]
    assert found.calls("warm") == CALLS


def test_rows_in_memory_may_be_mappings() -> None:
    found = RoutingRecording.of_parts(requests=[{"wave": "warm", "index": 1, "status": 200, "gaps_ns": [1, 2]}])
    assert found.requests == [ROWS[1]]


def test_a_wave_that_never_was_is_told_with_those_that_were(folder: Path) -> None:
    """Red when a judge of no requests at all could pass."""
    with pytest.raises(LookupError, match="no wave of requests called 'hot'; there are cold, warm"):
        RoutingRecording.load(folder).asks("hot")
    with pytest.raises(LookupError, match="no wave of calls to a picker called 'hot'; there are warm"):
        RoutingRecording.load(folder).calls("hot")


def test_a_recording_without_requests_has_no_such_files(tmp_path: Path) -> None:
    where = tmp_path / "kueue.test"
    write_recording(where, meta())
    assert not list(where.glob("requests*"))
    assert RoutingRecording.load(where).requests == []


@pytest.mark.parametrize("how", ["edited", "gone", "smuggled in"])
def test_doctored_requests_are_refused(folder: Path, tmp_path: Path, how: str) -> None:
    """Red when an answer could be changed, dropped or added after the run."""
    part = folder / "requests.jsonl"
    if how == "edited":
        part.write_text(part.read_text().replace("503", "200"))
    elif how == "gone":
        part.unlink()
    else:
        folder = tmp_path / "kueue.test"
        write_recording(folder, meta())
        (folder / "requests.jsonl").write_text('{"wave": "warm"}\n')
    with pytest.raises(RecordingError, match=r"requests\.jsonl"):
        RoutingRecording.load(folder)


OLD = Part("requests.jsonl", "as older versions wrote it")
A_CALL: dict[str, Any] = {
    "wave": "w", "index": 0, "start_ns": 1, "end_ns": 2, "status": None, "destination": "127.0.0.1:1",
    "metadata_destination": None, "clear_route_cache": False, "ended": "", "detail": "", "sent": "ab/2",
    "returned": None, "largest_chunk": 0, "label": '"clear_route_cache":', "count": 1, "hint": None,
}  # fmt: skip
A_REQUEST: dict[str, Any] = {"wave": "w", "index": 1, "label": '"clear_route_cache":', "status": 200, "headers": {}}


def old(tmp_path: Path, *rows: object) -> RoutingRecording:
    write_recording(tmp_path / "llmd.old", meta(), parts={OLD: rows})
    return RoutingRecording.load(tmp_path / "llmd.old")


def test_older_recordings_have_requests_and_calls_in_one_file(tmp_path: Path) -> None:
    """Red when a recording that was made before the two were told apart is not readable."""
    found = old(tmp_path, A_CALL, A_REQUEST)
    assert [(row.index, row.ok) for row in found.asks("w")] == [(1, True)]
    assert [(call.index, call.picked, call.sent) for call in found.calls("w")] == [(0, True, "ab/2")]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"wave": "w"}, "missing required field `index`"),
        ({"wave": "w", "index": 1, "status": "200"}, r"Expected `int \| null`, got `str` - at `\$\.status`"),
        ({"wave": "w", "index": 1, "engine": "v"}, "unknown field `engine`"),
        ([], "Expected `object`, got `array`"),
    ],
)
def test_a_row_that_does_not_fit_is_named_in_one_line(tmp_path: Path, line: object, said: str) -> None:
    """Red when a judge reads a field that is not what it must be, or skips one that it does not know."""
    with pytest.raises(RecordingError, match=rf"requests\.jsonl line 2 does not fit .*{said}.*") as told:
        _ = old(tmp_path, A_REQUEST, line).requests
    assert "\n" not in str(told.value)


def test_a_part_that_nothing_knows_is_named(tmp_path: Path) -> None:
    """Red when a newer version's rows are passed over in silence; an empty file holds nothing to pass over."""
    write_recording(tmp_path / "one", meta(), parts={REQUESTS: ROWS})
    assert RoutingRecording.load(tmp_path / "one").require_known().requests == ROWS
    newer, empty = Part("newer.jsonl", "of a newer version"), Part("empty.jsonl", "of a newer version", always=True)
    write_recording(tmp_path / "two", meta(), parts={newer: [{"a": 1}], empty: []})
    assert RoutingRecording.load(tmp_path / "two").require_known(), "this process has made such a part"
    forget(newer, empty)
    with pytest.raises(RecordingError, match=r"nothing here knows newer\.jsonl: judge the recording with"):
        RoutingRecording.load(tmp_path / "two").require_known()


def forget(*gone: Part) -> None:
    """As in a process that never made these parts."""
    parts._declared.difference_update(one.file for one in gone)  # pyright: ignore[reportPrivateUsage]
