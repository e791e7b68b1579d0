"""Judges of the pipeline, on a recording made by hand: each rule is broken once and must be found."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gpuassay.manifest import Manifest
from gpuassay.record.recording import RecordingMeta
from gpuassay.systems.platform.pipeline import judge
from gpuassay.systems.platform.pipeline.model import audio_files, ends
from gpuassay.systems.platform.pipeline.notes import AudioFile, Summary, Transcript
from gpuassay.systems.platform.readings import PlatformRecording
from gpuassay.systems.slices.judge.performance import JOB_NAME
from gpuassay.systems.slices.model.paper import LARGE, MEDIUM

SECOND = 1_000_000_000
FILES = [AudioFile("medium-0", MEDIUM, 4.0, 6), AudioFile("medium-1", MEDIUM, 4.0, 35)]


def _event(at: float, kind: str, name: str, status: Manifest, *, job: str = "") -> Manifest:
    owners = [{"name": job}] if job else []
    marks = {JOB_NAME: job} if job else {}
    metadata = {
        "name": name, "namespace": "ns", "uid": name, "resourceVersion": str(int(at * 10) + 1), "labels": marks,
        "ownerReferences": owners,
    }  # fmt: skip
    shown = {"apiVersion": "v1", "kind": kind, "metadata": metadata, "status": status}
    return {"at": int(at * SECOND), "type": "MODIFIED", "object": shown}


def _way(file: str, created: float, admitted: float, started: float, ended: float) -> list[Manifest]:
    """What the watch shows of a file."""
    told = {"conditions": [{"type": "Admitted", "status": "True"}]}
    return [
        _event(created, "Job", file, {}),
        _event(created, "Workload", f"w-{file}", {}, job=file),
        _event(admitted, "Workload", f"w-{file}", told, job=file),
        _event(admitted + 0.1, "Pod", f"{file}-pod", {"phase": "Pending"}, job=file),
        _event(started, "Pod", f"{file}-pod", {"phase": "Running"}, job=file),
        _event(ended, "Pod", f"{file}-pod", {"phase": "Succeeded"}, job=file),
    ]


def _transcript(file: AudioFile, **other: Any) -> Transcript:
    text = f"transcript of {file.name}\nsum={file.product}\n"
    return msgspec.structs.replace(Transcript(file.name, f"{file.name}-pod", text, 0), **other)


def _summary(asked: AudioFile, at: float = 12.0, **other: Any) -> Summary:
    text = f"Summarise this call\ntranscript of {asked.name}\nsum={asked.product}\n"
    made = Summary(asked.name, "p", text, int((at - 1) * SECOND), int(at * SECOND))
    return msgspec.structs.replace(made, **other)


def recording(
    ways: list[Manifest] | None = None,
    *,
    transcripts: list[Transcript] | None = None,
    summaries: list[Summary] | None = None,
    slots: int = 1,
) -> PlatformRecording:
    """Two files on one slice, one after the other; everything as it should be unless said otherwise."""
    shown = ways or [*_way("medium-0", 0.0, 0.1, 1.0, 5.0), *_way("medium-1", 0.0, 7.0, 7.5, 11.5)]
    notes = {
        "audio_files": FILES,
        "slots": {MEDIUM: slots},
        "transcripts": [_transcript(one) for one in FILES] if transcripts is None else transcripts,
        "summaries": [_summary(FILES[0], 6.0), _summary(FILES[1])] if summaries is None else summaries,
    }
    meta = RecordingMeta(scenario="s", namespaces=["ns"], notes=msgspec.to_builtins(notes))
    return PlatformRecording.of_parts(meta, events=sorted(shown, key=lambda one: one["at"]))


def everything(one: PlatformRecording) -> list[str]:
    """All findings."""
    found = judge.lost_findings(one) + judge.doubled_findings(one) + judge.text_findings(one)
    return found + judge.idle_findings(one, 3.0)


def test_a_sound_pipeline_has_no_findings() -> None:
    sound = recording()
    assert everything(sound) == []
    first, second = judge.courses(sound)
    assert first.stages == pytest.approx(
        {"quota": 0.1, "start": 0.9, "transcription": 4.0, "pick-up": 0.0, "summary": 1.0}
    )
    assert (first.end_to_end, second.end_to_end) == (6.0, 12.0)
    assert second.stages is not None and sum(second.stages.values()) == pytest.approx(12.0)


@pytest.mark.parametrize(
    ("doctored", "says"),
    [
        (recording(summaries=[_summary(FILES[0])]), "medium-1: no summary although there is a transcript"),
        (
            recording(
                _way("medium-0", 0, 0.1, 1, 5), transcripts=[_transcript(FILES[0])], summaries=[_summary(FILES[0])]
            ),
            "medium-1: no summary, it never got a pod",
        ),
        (
            recording(
                [*_way("medium-0", 0, 0.1, 1, 5), *_way("medium-1", 0, 7, 8, 12)[:-1]],
                transcripts=[_transcript(FILES[0])], summaries=[_summary(FILES[0])],
            ),
            "medium-1: no summary, its pod is Running",
        ),
        (
            recording(summaries=[_summary(FILES[0]), _summary(FILES[1], text="", error="503 no backend")]),
            "medium-1: no summary, the gateway: 503 no backend",
        ),
    ],
)  # fmt: skip
def test_a_file_that_is_lost_is_found_with_how_far_it_came(doctored: PlatformRecording, says: str) -> None:
    assert judge.lost_findings(doctored) == [says]
    assert judge.doubled_findings(doctored) == []


def test_a_summary_too_many_is_found() -> None:
    twice = recording(summaries=[_summary(FILES[0]), _summary(FILES[1]), _summary(FILES[1], at=13.0)])
    assert judge.doubled_findings(twice) == ["medium-1: 2 summaries"]
    foreign = recording(summaries=[_summary(FILES[0]), _summary(FILES[1]), _summary(FILES[1], file="other")])
    assert judge.doubled_findings(foreign) == ["other: summarised, and was never handed in"]


def test_a_wrong_text_is_found() -> None:
    misheard = recording(
        transcripts=[_transcript(FILES[0]), _transcript(FILES[1], text="transcript of medium-1\nsum=6")]
    )
    assert judge.text_findings(misheard) == ["medium-1: its transcript lacks what its container had to compute"]
    swapped = recording(summaries=[_summary(FILES[0]), _summary(FILES[1], text="sum=6 of medium-0")])
    assert judge.text_findings(swapped) == ["medium-1: the summary is of another text"]
    longer = recording(transcripts=[_transcript(FILES[0]), _transcript(FILES[1], text="sum=355")])
    assert judge.text_findings(longer) == ["medium-1: its transcript lacks what its container had to compute"]


def test_a_free_slice_that_nobody_gets_is_found() -> None:
    """Red when a file may wait although a slice is free, and when one that waits for a slice in use is accused."""
    late = recording([*_way("medium-0", 0, 0.1, 1, 5), *_way("medium-1", 0, 9.0, 9.5, 13.5)])
    assert judge.idle_findings(late, 3.0) == ["medium-1 is admitted after 9.0 s, and a 1g.5gb is free from 8.0 s on"]
    short = recording(slots=2)
    assert judge.idle_findings(short, 3.0) == ["medium-1 is admitted after 7.0 s, and a 1g.5gb is free from 3.0 s on"]
    never = recording([*_way("medium-0", 0, 0.1, 1, 5), *_way("medium-1", 0, 9, 9, 9)[:2]])
    assert judge.idle_findings(never, 3.0) == ["medium-1 is never admitted, and a 1g.5gb is free from 8.0 s on"]


def test_the_model_queues_each_kind_on_its_own_slices() -> None:
    files = [AudioFile(f"m{n}", MEDIUM, 4.0, 1) for n in range(3)] + [AudioFile("l", LARGE, 10.0, 1)]
    assert ends(files, {MEDIUM: 2, LARGE: 1}, 1.0) == {"m0": 5.0, "m1": 5.0, "m2": 10.0, "l": 11.0}


def test_files_are_the_same_in_every_run_and_what_they_compute_is_not() -> None:
    (one, products), (two, other) = (audio_files(3, 0.01, 6, (MEDIUM, LARGE)) for _ in range(2))
    assert [(f.name, f.profile, f.run) for f in one] == [(f.name, f.profile, f.run) for f in two]
    assert products != other and len(one) == 12
    for file, product in zip(one, products, strict=True):
        left, _, right = product.partition("*")
        assert int(left) * int(right) == file.product < 2**53
