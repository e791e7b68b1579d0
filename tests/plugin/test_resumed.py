"""What of an earlier run may be taken over, and what makes two runs one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from gpuassay.record import rundir
from gpuassay.record.pack import RunError
from gpuassay.record.recording import RecordingMeta, write_recording
from gpuassay.session.resumed import Resumed, earlier, mixed


def recorded(run: Path, name: str, outcome: str = "ok") -> Path:
    place = run / "recordings" / name
    write_recording(place, RecordingMeta(name, outcome=outcome, ended_ns=10**18), asked=(), events=(), audit=())
    return place


def a_run(place: Path, **facts: Any) -> Path:
    place.mkdir()
    rundir.begin(place, mode="live", replay_of=None, mutant=None, command=["pytest"])
    rundir.describe(place, full=False, **facts)
    return place


def asked(**other: Any) -> dict[str, Any]:
    return {"mutant": None, "full": False, "machine": rundir.machine()["fingerprint"]} | other


def test_whole_recordings_are_taken_over_with_their_arms_and_no_others(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    for name in ("whole", "whole.arm-1", "wholesale", "cut", "edited", "unasked"):
        recorded(run, name)
    recorded(run, "broken", "error")
    (run / "recordings" / "empty").mkdir()
    (run / "recordings" / "cut" / "events.jsonl").unlink()
    meta = run / "recordings" / "edited" / "recording.json"
    meta.write_text(meta.read_text().replace('"default"', '"other"'))

    target = tmp_path / "next"
    resumed = earlier(run, asked())
    resumed.take([Mock(id=one) for one in ("whole", "cut", "edited", "broken", "empty", "absent")], target)
    assert list(resumed.taken) == ["whole"]
    assert {one.name for one in (target / "recordings").iterdir()} == {"whole", "whole.arm-1"}
    assert resumed.exhibit()["rows"] == [["whole", "2001-09-09T01:46:40+00:00"]]


@pytest.mark.parametrize(
    ("facts", "wanted", "line"),
    [
        ({}, {"mutant": "priority-ignored"}, "that run had mutant none, this one has priority-ignored"),
        ({}, {"full": True}, "that run had full false, this one has true"),
        ({"machine": {"fingerprint": "another"}}, {}, "that run had machine another, this one has"),
        ({"mode": "replay"}, {}, "a replay; only a live run can be gone on with"),
    ],
)
def test_a_run_that_was_asked_for_something_else_is_not_gone_on_with(
    tmp_path: Path, facts: dict[str, Any], wanted: dict[str, Any], line: str
) -> None:
    with pytest.raises(RunError) as caught:
        earlier(a_run(tmp_path / "run", **facts), asked(**wanted))
    assert line in str(caught.value)


def test_no_run_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no run\.json"):
        earlier(tmp_path, asked())


def test_recordings_of_two_versions_do_not_make_one_run() -> None:
    kueue, etcd = {"name": "kueue", "version": "v0.19.2"}, {"name": "etcd", "version": "v3"}
    older = kueue | {"version": "v0.18.4"}
    assert mixed([kueue, older], [kueue, older, etcd]) is None, "an upgrade has two versions of its own"
    assert mixed([kueue], [kueue, older]) == "recordings that were taken over are of another version of kueue"


def test_a_copy_that_fails_leaves_the_earlier_run_alone(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    place = recorded(run, "whole")
    before = {one.name: one.read_bytes() for one in place.iterdir()}
    (tmp_path / "next" / "recordings" / "whole").mkdir(parents=True)
    with pytest.raises(FileExistsError):
        Resumed(run, json.loads((run / "run.json").read_text())).take([Mock(id="whole")], tmp_path / "next")
    assert {one.name: one.read_bytes() for one in place.iterdir()} == before
