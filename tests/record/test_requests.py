"""Requests and KV-cache events in a recording: kept where there are any, believed only as they were written."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuassay.manifest import Manifest
from gpuassay.record.recording import RecordingError, write_recording
from gpuassay.systems.llmd.readings import KV_EVENTS, REQUESTS, RoutingRecording
from tests.record.parts import meta

ROWS: list[Manifest] = [
    {"wave": "cold", "index": 0, "status": 200},
    {"wave": "warm", "index": 1, "status": 200},
    {"wave": "warm", "index": 2, "status": 503},
]
EVENTS: list[Manifest] = [{"arm": "precise", "topic": "kv@127.1.0.1:80@m"}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    where = tmp_path / "recordings" / "llmd.test"
    write_recording(where, meta(), parts={REQUESTS: ROWS, KV_EVENTS: EVENTS})
    return where


def test_reads_back_what_was_written(folder: Path) -> None:
    found = RoutingRecording.load(folder)
    assert (found.requests, found.kv_events) == (ROWS, EVENTS)
    assert [row["index"] for row in found.asks("warm")] == [1, 2]


def test_a_wave_that_never_was_is_told_with_those_that_were(folder: Path) -> None:
    """Red when a judge of no requests at all could pass."""
    with pytest.raises(LookupError, match="no wave of requests called 'hot'; there are cold, warm"):
        RoutingRecording.load(folder).asks("hot")


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
