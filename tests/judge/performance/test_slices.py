"""Jobs on slices: recordings made from the twin, and doctored ones that the judges must refuse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from gpuassay.gpus import gpu_model
from gpuassay.manifest import Manifest
from gpuassay.record.recording import RecordingMeta
from gpuassay.systems.slices.judge import course as slices_course
from gpuassay.systems.slices.judge import performance as slices
from gpuassay.systems.slices.judge import times as slices_times
from gpuassay.systems.slices.judge.performance import Stay
from gpuassay.systems.slices.model.paper import CROWDED, GPU_MODEL, GPUS, LARGE, MEDIUM, slice_mix
from gpuassay.systems.slices.model.placement import Place, first_fit
from gpuassay.systems.slices.model.slices import Dynamic, SliceJob, SlicesRun, Whole, simulate
from gpuassay.systems.slices.readings import SlicesRecording

START = 1_800_000_000_000_000_000
MODELS = [gpu_model(GPU_MODEL)] * GPUS
LATE = 2.0
"""Seconds that everything of Kubernetes' takes in these recordings."""


def mix(scale: float = 1 / 60) -> list[SliceJob]:
    return [replace(one, arrival=0.1 * at, run=one.run * scale) for at, one in enumerate(slice_mix(3, 16, CROWDED))]


def stays_of(run: SlicesRun, late: float = 0.0) -> list[Stay]:
    """What a twin's run looks like when starting and ending a container takes `late` seconds each."""
    return [
        Stay(one.job, one.place, one.job.arrival, one.start, one.start + late, one.end + late, one.end + late)
        for one in run.runs
    ]


def test_net_times_of_the_twins_own_run_are_the_twins() -> None:
    """Red when net times are other than those of a cluster that takes no time."""
    run = simulate(mix(), Dynamic(MODELS))
    net = slices_times.net(stays_of(run), MODELS)
    assert net.makespan == pytest.approx(run.makespan)
    assert net.completion.mean == pytest.approx(sum(one.completion for one in run.runs) / len(run.runs))
    assert net.peak == run.peak


def test_latency_shows_gross_and_not_net() -> None:
    """Red when what Kubernetes takes leaks into net times, or is lost from gross ones."""
    run = simulate(mix(), Whole(GPUS))
    slow = stays_of(run, LATE)
    assert slices_times.net(slow, MODELS) == slices_times.net(stays_of(run), MODELS)
    ahead = slices_times.gross(slow).completion.mean - slices_times.net(slow, MODELS).completion.mean
    assert ahead == pytest.approx(LATE)
    assert slices_times.latencies(slow, MODELS).start == pytest.approx(LATE)


def test_a_slot_that_stays_idle_between_two_jobs_is_no_net_time() -> None:
    """Red when net times keep a wait that no job and no arrival explains."""
    jobs = [SliceJob("medium-0", MEDIUM, 0.0, 5.0), SliceJob("medium-1", MEDIUM, 0.0, 5.0)]
    place = Place(0, 0, MEDIUM)
    found = [
        Stay(jobs[0], place, 0.0, 0.0, 0.5, 5.5, 6.0),
        Stay(jobs[1], place, 0.0, 9.0, 9.5, 14.5, 15.0),
    ]
    assert slices_times.net_spans(found, MODELS) == {"medium-0": (0.0, 5.0), "medium-1": (5.0, 10.0)}
    assert slices_times.net(found, MODELS).peak == 1
    assert slices_times.latencies(found, MODELS).hand_over == pytest.approx(3.5)


def test_two_jobs_on_one_memory_slice_are_found() -> None:
    """Red when a shared memory slice passes: of the same slice, of overlapping ones, of a whole GPU."""
    jobs = [SliceJob("medium-0", MEDIUM, 0.0, 5.0), SliceJob("large-0", LARGE, 0.0, 5.0)]
    apart = [Stay(jobs[0], Place(0, 0, MEDIUM), 0, 0, 1, 6, 6), Stay(jobs[1], Place(0, 4, LARGE), 0, 0, 1, 6, 6)]
    assert slices.overlap_findings(apart, MODELS) == []
    for place in (Place(0, 0, LARGE), Place(0, 0, "gpu")):
        assert slices.overlap_findings([apart[0], replace(apart[1], place=place)], MODELS)
    after = replace(apart[1], place=Place(0, 0, LARGE), running=6.0, ended=9.0)
    assert slices.overlap_findings([apart[0], after], MODELS) == []


def test_latencies_larger_than_a_third_of_the_effect_are_seen() -> None:
    """Red when a difference that latencies made counts as an effect of slices."""
    assert slices_times.bias((15.0, 21.0), (14.0, 20.0)) == 0.0
    assert slices_times.bias((15.0, 24.0), (14.0, 20.0)) == pytest.approx(0.5)
    assert slices_times.bias((15.0, 16.0), (14.0, 14.0)) == float("inf")


def test_first_fit_leaves_three_slots_of_no_use() -> None:
    """Red when padding is counted otherwise than the hardware's table says."""
    places = [one for one in first_fit([job.profile for job in mix()], MODELS) if one is not None]
    assert slices_course.unplaceable(places, (MEDIUM, LARGE), MODELS) == {(2, 7), (4, 7), (6, 7)}
    assert slices_course.unplaceable([], (MEDIUM,), MODELS) == {(gpu, 7) for gpu in range(GPUS)}


def silicon(places: Sequence[tuple[float, bool, Place]]) -> list[Manifest]:
    size = {one.name: one.size for one in MODELS[0].profiles}
    rows: list[Manifest] = []
    for at, made, one in places:
        row: Manifest = {
            "node": "n", "gpu": one.gpu, "gpu_instance": one.start + 1, "name": one.profile, "start": one.start,
            "size": size[one.profile], "uuid": "", "at": START + round(at * 1e9),
        }  # fmt: skip
        if made:
            uuid = f"MIG-{one.gpu}-{one.start}-{at}"
            rows += [row | {"kind": "gpu-instance-created"}, row | {"kind": "compute-instance-created", "uuid": uuid}]
        else:
            rows.append(row | {"kind": "gpu-instance-destroyed"})
    return rows


def pod(job: str, uid: str, device: str) -> list[Manifest]:
    name = f"{job}-abcde"
    shown: Manifest = {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "uid": uid, "resourceVersion": "1", "labels": {slices.JOB_NAME: job}},
        "spec": {"nodeName": "n"}, "status": {"phase": "Running"},
    }  # fmt: skip
    claim: Manifest = {
        "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim",
        "metadata": {"name": f"{name}-claim", "uid": f"c{uid}", "resourceVersion": "1"},
        "status": {"reservedFor": [{"name": name}], "allocation": {"devices": {"results": [{"device": device}]}}},
    }  # fmt: skip
    made: Manifest = {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": job, "uid": f"j{uid}", "resourceVersion": "1"},
    }  # fmt: skip
    return [made, claim, shown]


def recording(device: str = "gpu-1-mig-3g20gb-9-4", gone: float | None = 30.0) -> SlicesRecording:
    """Two jobs on slices on demand; the second's slice is destroyed at `gone`, or left."""
    jobs = [SliceJob("medium-0", MEDIUM, 0.0, 5.0), SliceJob("large-0", LARGE, 0.0, 5.0)]
    objects = [*pod("medium-0", "1", "gpu-0-mig-1g5gb-19-0"), *pod("large-0", "2", device)]
    events = [{"at": START + at, "type": "ADDED", "object": one} for at, one in enumerate(objects)]
    first, second = Place(0, 0, MEDIUM), Place(1, 4, LARGE)
    changes = [(1.0, True, first), (2.0, True, second), (20.0, False, first)]
    notes = {
        "slicer": "dra", "gpus": [GPU_MODEL] * 2, "gpu_uuids": ["GPU-0", "GPU-1"],
        "jobs": [vars(one) for one in jobs],
    }  # fmt: skip
    meta = RecordingMeta(scenario="in-memory", started_ns=START, ended_ns=START + 60_000_000_000, notes=notes)
    return SlicesRecording.of_parts(
        meta, events=events, silicon=silicon([*changes, *([(gone, False, second)] if gone else [])])
    )


def test_places_are_those_of_the_claims() -> None:
    """Red when a job's place is told otherwise than its claim's device says."""
    assert slices.places(recording()) == {"medium-0": Place(0, 0, MEDIUM), "large-0": Place(1, 4, LARGE)}
    spread = slices.places(recording("gpu-1-mig-3g20gb-9-0"))
    assert spread["large-0"] == Place(1, 0, LARGE), "a slicer that spreads is seen"


def test_a_slice_that_is_left_is_told_with_its_job() -> None:
    """Red when a leak is drawn as if the slice had gone, or without whose it was."""
    boxes = slices_course.slice_boxes(recording(gone=None))
    assert boxes[0][2:] == (20.0, "medium-0")
    assert boxes[1][2:] == (None, "large-0")


def test_fragmentation_follows_the_silicon() -> None:
    """Red when what stands on the silicon does not change what is of no use."""
    moments = slices_course.course(recording())
    assert [len(one.taken) for one in moments] == [0, 1, 5, 4, 0]


def test_a_whole_gpu_is_a_jobs_once_the_job_before_it_has_ended() -> None:
    """Red when a GPU counts as a job's that is only bound, while the one before it still runs there."""
    course = ((0, "first", "Running"), (5, "next", "Pending"), (6, "first", "Succeeded"), (7, "next", "Running"))
    events: list[Manifest] = []
    for at, job, phase in course:
        made, _, shown = pod(job, job, "")
        shown |= {"metadata": shown["metadata"] | {"resourceVersion": str(at + 1)}, "status": {"phase": phase}}
        new = at in {0, 5}
        events += [
            {"at": START + at * 10**9, "type": "ADDED" if new else "MODIFIED", "object": one}
            for one in ([made, shown] if new else [shown])
        ]
    notes = {
        "slicer": "device-plugin", "gpus": [GPU_MODEL], "gpu_uuids": ["GPU-0"],
        "jobs": [vars(SliceJob(job, LARGE, 0.0, 5.0)) for job in ("first", "next")],
        "held": {f"{job}-abcde": {"main": ["GPU-0"]} for job in ("first", "next")},
    }  # fmt: skip
    meta = RecordingMeta(scenario="in-memory", started_ns=START, ended_ns=START + 60_000_000_000, notes=notes)
    moments = slices_course.course(SlicesRecording.of_parts(meta, events=events, silicon=[]))
    assert [(one.at, len(one.taken)) for one in moments] == [(0, 0), (0, 8), (6, 0), (6, 8)]


def test_lost_slots_are_weighted_by_time() -> None:
    """Red when the mean of lost slots counts changes and not time, or a span ends elsewhere than it did."""
    moments = [
        slices_course.Moment(0.0, frozenset(), frozenset({(0, 7)})),
        slices_course.Moment(10.0, frozenset(), frozenset()),
        slices_course.Moment(30.0, frozenset(), frozenset({(1, 7), (1, 6)})),
    ]
    assert slices_course.lost(moments, 0.0, 40.0) == pytest.approx((10 + 2 * 10) / 40)
    assert slices_course.spans(moments, 40.0) == [
        slices_course.Span((0, 7), 0.0, 10.0),
        slices_course.Span((1, 6), 30.0, 40.0),
        slices_course.Span((1, 7), 30.0, 40.0),
    ]
