"""Recordings as files: what is written is read back, and nothing else is believed."""

from __future__ import annotations

import hashlib
import json
import lzma
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuassay.manifest import Manifest, is_true
from gpuassay.record.recording import RecordingError, write_recording
from gpuassay.record.store import own_sum
from gpuassay.record.timeline import EventLine
from gpuassay.systems.kueue import readings
from gpuassay.systems.kueue.log import Admission
from gpuassay.systems.kueue.readings import KueueRecording as Recording
from tests.record.parts import MS, START, conditions, event, log, meta, names, sample

EVENTS = [
    event(0, "ADDED", "Job", "j1", 1, spec={"suspend": True}),
    event(5, "ADDED", "Workload", "wl-1", 2, owner="j1", conditions=conditions(QuotaReserved="False Pending")),
    event(6, "ADDED", "Workload", "wl-2", 3, labels={"kueue.x-k8s.io/job-uid": "u-Pod-p2"}),
    event(7, "ADDED", "Pod", "p2", 4, status={"phase": "Pending"}),
    event(9, "MODIFIED", "Workload", "wl-2", 6, conditions=conditions(QuotaReserved="True Reserved")),
    event(8, "MODIFIED", "Workload", "wl-1", 5, owner="j1", conditions=conditions(QuotaReserved="True Reserved")),
    event(12, "MODIFIED", "Job", "j1", 7, spec={"suspend": False}),
    event(20, "DELETED", "Workload", "wl-1", 9, owner="j1", conditions=conditions(QuotaReserved="True Reserved")),
    event(30, "ADDED", "Workload", "wl-1", 10, uid="again", owner="j1"),
]
HEADS = {"headCount": 2, "waitDuration": 0.25}
LOG = [
    log("Scheduling cycle starts", 4),
    log("Obtained heads", 4, 0.1, **HEADS),
    log("Workload assumed in the cache", 4, 0.2, workload={"name": "wl-2", "namespace": "ns"}),
    log("Workload assumed in the cache", 4, 0.3, workload={"name": "wl-1", "namespace": "ns"}),
    log("Scheduling cycle complete", 4, 0.4, duration=0.3125),
    log("Obtained heads", 5, 0.5, headCount=1, waitDuration=0.0),
    log("Scheduling cycle complete", 5, 0.6, duration=0.125),
    log("Obtained heads", 1, 0.7, headCount=1, waitDuration=0.0),
    log("unrelated"),
]
METRICS = [
    sample("before", "admitted_total", 2, cluster_queue="a"),
    sample("after", "admitted_total", 5, cluster_queue="a"),
    sample("after", "admitted_total", 1, cluster_queue="b"),
    sample("after", "wait_seconds_bucket", 3, cluster_queue="a", le="+Inf"),
    sample("after", "wait_seconds_bucket", 1, cluster_queue="a", le="10"),
    sample("after", "wait_seconds_bucket", 1, cluster_queue="b", le="2"),
    sample("after", "wait_seconds_bucket", 2, cluster_queue="b", le="10"),
    sample("after", "wait_seconds_bucket", 2, cluster_queue="b", le="+Inf"),
]
ASKED: list[Manifest] = [{"kind": "Job", "metadata": {"name": "j1"}}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    where = tmp_path / "recordings" / "kueue.test"
    lines = [EventLine(one["at"], one["type"], one["object"]["kind"], json.dumps(one)) for one in EVENTS]
    write_recording(
        where,
        meta(notes={"n": 1}),
        asked=ASKED,
        events=lines,
        audit=[{"a": 1}],
        metrics=METRICS,
        parts={readings.LOG: LOG},
    )
    return where


def test_reads_back_what_was_written(folder: Path) -> None:
    recording = Recording.load(folder)
    assert (recording.name, recording.profile, recording.token) == ("kueue.test", "default", "t")
    assert recording.meta.notes == {"n": 1}
    assert recording.asked == ASKED
    assert recording.audit == [{"a": 1}]
    assert recording.kueue_log == LOG
    assert recording.gaps == []
    assert [one.rv for one in recording.events] == [1, 2, 3, 4, 5, 6, 7, 9, 10], "receipt order over all kinds"
    assert all("managedFields" not in one.object["metadata"] for one in recording.events)
    memory = Recording.of_parts(meta(notes={"n": 1}), events=EVENTS)
    assert memory.events == recording.events


def test_writing_again_replaces_and_leaves_no_draft(folder: Path) -> None:
    write_recording(folder, meta(outcome="error", error="broke"))
    assert Recording.load(folder).events == []
    assert [one.name for one in folder.parent.iterdir()] == ["kueue.test"]


def test_a_write_that_fails_leaves_the_old_recording(folder: Path) -> None:
    with pytest.raises(TypeError):
        write_recording(folder, meta(), asked=[{"not": object()}])
    assert len(Recording.load(folder).events) == len(EVENTS)
    assert [one.name for one in folder.parent.iterdir()] == ["kueue.test"]


def test_compressed_parts_are_read_and_checked_like_plain_ones(folder: Path) -> None:
    plain = folder / "events.jsonl"
    (folder / "events.jsonl.xz").write_bytes(lzma.compress(plain.read_bytes()))
    plain.unlink()
    assert len(Recording.load(folder).events) == len(EVENTS)
    packed = (folder / "events.jsonl.xz").read_bytes()
    (folder / "events.jsonl.xz").write_bytes(packed[:-20])
    with pytest.raises(RecordingError, match="truncated"):
        Recording.load(folder)


def edit_line(folder: Path) -> None:
    path = folder / "events.jsonl"
    path.write_text(path.read_text().replace('"True"', '"False"', 1))


def cut_line(folder: Path) -> None:
    path = folder / "logs" / "kueue.jsonl"
    path.write_bytes(path.read_bytes()[:-30])


def edit_meta(**change: object) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        raw = json.loads((folder / "recording.json").read_text()) | change
        (folder / "recording.json").write_text(json.dumps({k: v for k, v in raw.items() if v is not None}))

    return edit


def cut_events(last: int, out: int = 0) -> Callable[[Path], None]:
    """Without the last lines and some in the middle, under checksums that fit: as if the recorder had lost them."""

    def cut(folder: Path) -> None:
        path, meta_path = folder / "events.jsonl", folder / "recording.json"
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join([*lines[:2], *lines[2 + out : len(lines) - last]]))
        document = json.loads(meta_path.read_text())
        document["files"]["events.jsonl"] = hashlib.sha256(path.read_bytes()).hexdigest()
        meta_path.write_text(json.dumps({**document, "sum": own_sum(document)}))

    return cut


def remove(part: str) -> Callable[[Path], None]:
    return lambda folder: (folder / part).unlink()


def replace_meta(text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "recording.json").write_text(text)

    return write


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (edit_line, "events.jsonl does not match its checksum: truncated or doctored"),
        (cut_line, "logs/kueue.jsonl does not match its checksum: truncated or doctored"),
        (remove("audit.jsonl"), "audit.jsonl is missing: the recording is truncated"),
        (remove("recording.json"), "no recording.json: not a recording, or truncated"),
        (replace_meta('{"format": 1,'), "recording.json cannot be read (truncated?)"),
        (replace_meta("[]"), "recording.json is no JSON object"),
        (edit_meta(format=3), "recording format 3; this version reads format 1 and 2"),
        (edit_meta(format=1, files={}), "recording.json has no checksum of asked.jsonl"),
        (edit_meta(token=None), "recording.json lacks token"),
        (edit_meta(notes={"n": 2}), "recording.json does not match its own checksum: edited"),
        (edit_meta(outcome="skip"), "recording.json does not match its own checksum: edited"),
        (edit_meta(sum=None), "recording.json does not match its own checksum: edited"),
        (cut_events(1), "events.jsonl has no end"),
        (cut_events(3), "events.jsonl has no end"),
        (cut_events(0, out=2), "events.jsonl has 7 lines, its end counts 9"),
        (cut_events(10), "events.jsonl has no end"),
    ],
    ids=[
        "edited", "cut", "part-missing", "meta-missing", "meta-cut", "meta-list", "version", "no-sums", "field",
        "notes", "outcome", "no-own-sum", "no-end", "tail-lost", "middle-lost", "no-events",
    ],
)  # fmt: skip
def test_a_damaged_recording_is_refused_in_one_line(
    folder: Path, damage: Callable[[Path], object], sentence: str
) -> None:
    damage(folder)
    with pytest.raises(RecordingError) as caught:
        Recording.load(folder)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_line_that_is_no_event_is_refused() -> None:
    with pytest.raises(RecordingError, match=r"a line of events.jsonl is no event: KeyError\('metadata'\)"):
        _ = Recording.of_parts(events=[{"at": 1, "type": "ADDED", "object": {"kind": "Pod"}}]).events
    with pytest.raises(RecordingError, match="no receipt time"):
        _ = Recording.of_parts(events=[{"type": "ADDED"}]).events


def test_timelines_tell_the_history_of_each_object() -> None:
    recording = Recording.of_parts(meta(), events=EVENTS)
    histories = recording.timelines("Workload")
    assert list(histories) == ["wl-1", "wl-2", "wl-1~2"]
    first = histories["wl-1"]
    assert first.deleted
    assert not histories["wl-1~2"].deleted
    assert first.when(lambda one: is_true(one, "QuotaReserved")) == START + 8 * MS
    assert first.when(lambda one: is_true(one, "Evicted")) is None
    assert not is_true(first.first, "QuotaReserved")
    assert is_true(first.final, "QuotaReserved")
    assert [(one.type, one.status, one.reason) for one in recording.condition_changes(first)] == [
        ("QuotaReserved", "False", "Pending"),
        ("QuotaReserved", "True", "Reserved"),
    ]
    assert names(recording.workloads()) == ["wl-1", "wl-2", "wl-1"]
    assert recording.timelines("Nothing") == {}


def test_finds_the_workload_of_a_job() -> None:
    recording = Recording.of_parts(meta(), events=EVENTS)
    assert recording.workload_of("j1").uid == "again", "the last one"
    by_label = [*EVENTS[:4], event(9, "MODIFIED", "Workload", "wl-2", 6, labels={"kueue.x-k8s.io/job-uid": "u-Pod-p2"})]
    assert Recording.of_parts(events=by_label).workload_of("p2").name == "wl-2"
    with pytest.raises(LookupError, match=r"no Workload of 'j9' was recorded \(Workloads: wl-1, wl-2, wl-1~2\)"):
        recording.workload_of("j9")


def test_a_recording_of_the_first_format_is_read(folder: Path) -> None:
    """Red when recordings from before the checksum and the end of events can no longer be judged."""
    path, meta_path = folder / "events.jsonl", folder / "recording.json"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    document = json.loads(meta_path.read_text()) | {"format": 1}
    document["files"]["events.jsonl"] = hashlib.sha256(path.read_bytes()).hexdigest()
    del document["sum"]
    meta_path.write_text(json.dumps(document))
    assert len(Recording.load(folder).events) == len(EVENTS)


def test_a_recording_of_another_scenario_is_refused(folder: Path) -> None:
    """Red when a recording can stand under the name of another."""
    loaded = Recording.load(folder)
    assert loaded.require_of("kueue.test") is loaded
    with pytest.raises(RecordingError, match=r"is the recording of kueue\.test, not of kueue\.other"):
        loaded.require_of("kueue.other")


def test_admissions_come_from_the_log_in_its_order() -> None:
    recording = Recording.of_parts(meta(), events=EVENTS, log=LOG)
    assert recording.admissions() == [
        Admission(START + 200 * MS, 4, "wl-2", "ns"),
        Admission(START + 300 * MS, 4, "wl-1", "ns"),
    ]


def test_admissions_without_a_log_come_from_the_watch() -> None:
    again = [
        event(40, "MODIFIED", "Workload", "wl-2", 11, conditions=conditions(QuotaReserved="False Pending")),
        event(50, "MODIFIED", "Workload", "wl-2", 12, conditions=conditions(QuotaReserved="True Reserved")),
    ]
    got = Recording.of_parts(meta(), events=[*EVENTS, *again]).admissions()
    assert [(one.workload, one.cycle, one.at_ns) for one in got] == [
        ("wl-1", None, START + 8 * MS),
        ("wl-2", None, START + 9 * MS),
        ("wl-2", None, START + 50 * MS),
    ]


def test_cycles_have_exact_durations_and_results() -> None:
    first, second, after_restart = Recording.of_parts(log=LOG).cycles()
    assert (first.number, first.heads, first.wait_s, first.duration_s) == (4, 2, 0.25, 0.0625)
    assert (first.result, first.admitted) == ("success", [("ns", "wl-2"), ("ns", "wl-1")])
    assert (second.result, second.duration_s) == ("inadmissible", 0.125)
    assert (after_restart.number, after_restart.duration_s) == (1, None)


def test_metrics_by_label() -> None:
    recording = Recording.of_parts(metrics=METRICS)
    after = recording.metrics("after")
    assert after.value("admitted_total", cluster_queue="a") == 5
    assert after.sum("admitted_total") == 6
    assert after.sum("never_moved_total") == 0
    assert after.buckets("wait_seconds") == [(2.0, 1.0), (10.0, 3.0), (float("inf"), 5.0)]
    assert recording.metric_delta("admitted_total") == 4
    assert recording.metric_delta("admitted_total", cluster_queue="b") == 1
    with pytest.raises(LookupError, match="2 series match admitted_total, wanted one"):
        after.value("admitted_total")
    with pytest.raises(LookupError, match=r"no metrics labelled 'during'; there are \['before', 'after'\]"):
        recording.metrics("during")


def test_the_text_shows_what_changed_and_when() -> None:
    recording = Recording.of_parts(meta(), events=EVENTS)
    assert recording.timeline_text(["j1", "wl-1"]).splitlines() == [
        "        0 ms + Job j1: suspend=True",
        "        5 ms + Workload wl-1: QuotaReserved=False (Pending)",
        "        8 ms   Workload wl-1: QuotaReserved=True (Reserved)",
        "       12 ms   Job j1: suspend=False",
        "       20 ms - Workload wl-1",
        "       30 ms + Workload wl-1",
    ]
    assert recording.timeline_text(["x"]) == "(nothing recorded about x)"
    many = [event(n, "MODIFIED", "Job", "j", n, spec={"priority": n}) for n in range(1000)]
    text = Recording.of_parts(events=many).timeline_text().splitlines()
    assert len(text) == 201
    assert "800 changes left out" in text[100]


text = st.text(max_size=8)
versions = st.integers(0, 10**12)
values = st.dictionaries(text, st.one_of(text, st.integers(), st.none(), st.booleans()))


@st.composite
def event_lines(draw: st.DrawFn) -> Manifest:
    metadata = {"name": draw(text), "uid": draw(st.sampled_from("ab")), "resourceVersion": str(draw(versions))}
    return {
        "at": draw(st.integers(0, 10**19)),
        "type": draw(st.sampled_from(["ADDED", "MODIFIED", "DELETED"])),
        "object": {"kind": draw(st.sampled_from(["Pod", "Job"])), "metadata": metadata, "spec": draw(values)},
    }


@settings(max_examples=25, deadline=None)
@given(st.lists(event_lines(), max_size=8), st.lists(st.dictionaries(text, text), max_size=4))
def test_every_recording_survives_the_round_trip(events: list[Manifest], asked: list[Manifest]) -> None:
    with tempfile.TemporaryDirectory() as place:
        where = Path(place) / "r"
        write_recording(where, meta(), events=events, asked=asked)
        loaded = Recording.load(where)
        assert loaded.events == Recording.of_parts(events=events).events
        assert loaded.asked == asked
        assert loaded.meta == meta()
