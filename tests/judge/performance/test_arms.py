"""Judges of Table 3, on recordings whose truth is known, and on doctored ones."""

from __future__ import annotations

import copy

import pytest

from gpuassay.manifest import Manifest
from gpuassay.record.recording import RecordingMeta
from gpuassay.systems.kueue.judge.handover import NothingMeasured, handover, most_held
from gpuassay.systems.kueue.judge.measured_figures import arm_figures, arm_lanes, twin_error
from gpuassay.systems.kueue.judge.measured_order import REQUEUED, arm_order
from gpuassay.systems.kueue.judge.runs import Bar, critical_waits, job_runs, lanes, total_waits
from gpuassay.systems.kueue.log import log_time
from gpuassay.systems.kueue.model import figures
from gpuassay.systems.kueue.model.figures import Attempt, JobRun
from gpuassay.systems.kueue.model.predict import CONFIGURATIONS
from gpuassay.systems.kueue.readings import KueueRecording
from tests.judge.performance.staged import LATENCIES, NAMESPACE, assumed, staged, stamp, with_log

QUEUED = [name for name in CONFIGURATIONS if name != "pure"]


@pytest.mark.parametrize("configuration", QUEUED)
def test_job_runs_are_those_of_the_run(configuration: str) -> None:
    recording, run = staged(configuration)
    found = {one.name: one for one in job_runs(recording)}
    for expected in run.runs:
        assert found[expected.name].created == pytest.approx(expected.created)
        assert [a.killed for a in found[expected.name].attempts] == [a.killed for a in expected.attempts]
        for mine, theirs in zip(found[expected.name].attempts, expected.attempts, strict=True):
            assert (mine.start, mine.end) == pytest.approx((theirs.start, theirs.end))


def test_a_run_that_the_kubelet_told_only_at_its_end_is_a_run() -> None:
    """Red when a job whose pod went from Pending to Succeeded at once counts as one that never ran."""
    recording, run = staged("fifo")
    events: list[Manifest] = []
    for event in recording.events:
        obj = copy.deepcopy(event.object)
        if obj["kind"] == "Pod" and obj["status"]["phase"] == "Running":
            obj["status"]["phase"] = "Pending"
        elif obj["kind"] == "Pod":
            times = {"startedAt": "2026-01-01T09:00:58+09:00", "finishedAt": "2026-01-01T00:01:03Z"}
            obj["status"]["containerStatuses"] = [{"state": {"terminated": times}}]
        events.append({"at": event.at, "type": event.type, "object": obj})
    late = KueueRecording.of_parts(recording.meta, events=events, log=recording.kueue_log)
    found = {one.name: one for one in job_runs(late)}
    for expected in run.runs:
        [mine], [theirs] = found[expected.name].attempts, expected.attempts
        assert theirs.end is not None
        assert (mine.start, mine.end) == pytest.approx((theirs.end - 5, theirs.end))


@pytest.mark.parametrize(
    ("configuration", "medium", "large"),
    [
        ("two-queues-large-borrows", (4, 4), (5, 8)),
        ("two-queues-both-borrow", (1, 8), (5, 8)),
        ("fifo", (1, 8), (1, 8)),
    ],
)
def test_what_a_class_is_given_is_counted_in_quota(
    configuration: str, medium: tuple[int, int], large: tuple[int, int]
) -> None:
    """Red when quota that was borrowed is not seen, or given back too late or too early."""
    recording, _ = staged(configuration)
    assert medium[0] <= most_held(recording, "medium") <= medium[1]
    assert large[0] <= most_held(recording, "large") <= large[1]
    assert most_held(recording, "other") == 0


@pytest.mark.parametrize("configuration", QUEUED)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_figures_hand_over_order_and_twin_agree_with_the_truth(configuration: str, seed: int) -> None:
    recording, run = staged(configuration, seed)
    found = arm_figures(recording)
    assert found.makespan == pytest.approx(figures.makespan(run.runs))
    assert found.evictions == sum(figures.evictions(one) for one in run.runs)
    assert found.inversions == 0
    assert found.idle == pytest.approx(figures.idle_gpu_seconds(run.runs, 8))
    measured = handover(recording).latencies()
    assert measured.finish_lag == pytest.approx(LATENCIES.finish_lag, abs=1e-6)
    assert measured.requeue_batch == pytest.approx(LATENCIES.requeue_batch, abs=1e-6)
    assert measured.start_lag == pytest.approx(LATENCIES.start_lag, abs=1e-6)
    assert twin_error(recording).makespan == pytest.approx(0, abs=1e-6)
    assert not twin_error(recording).departures
    assert len(arm_lanes(recording)) == 8
    assert 0 < found.handover_in_makespan < found.makespan
    assert found.net_makespan < found.makespan


def test_a_system_that_stands_still_for_five_seconds_is_seen_by_the_twin() -> None:
    recording, _ = staged("fifo")
    still, pause = recording.meta.started_ns + 40_000_000_000, 5_000_000_000
    events: list[Manifest] = [
        {"at": e.at + pause * (e.at > still), "type": e.type, "object": e.object} for e in recording.events
    ]
    log: list[Manifest] = []
    for line in recording.kueue_log:
        at = log_time(line) or 0
        log.append(line | {"ts": stamp((at + pause * (at > still) - recording.meta.started_ns) / 1e9, digits=True)})
    assert twin_error(KueueRecording.of_parts(recording.meta, events=events, log=log)).makespan > 0.02


def test_swapped_decisions_break_the_order() -> None:
    recording, _ = staged("fifo")
    log = copy.deepcopy(recording.kueue_log)
    first, last = log[12], log[25]
    first["workload"], last["workload"] = last["workload"], first["workload"]
    assert arm_order(with_log(recording, log)).broken


def test_priorities_ignored_break_the_order() -> None:
    """Decisions in order of creation, judged by priorities that the queue should have honoured."""
    recording, _ = staged("fifo")
    events: list[Manifest] = []
    for event in recording.events:
        obj = copy.deepcopy(event.object)
        if event.kind == "Workload":
            obj["spec"]["priority"] = 1000 if event.name.startswith("job-large") else 100
        events.append({"at": event.at, "type": event.type, "object": obj})
    assert arm_order(KueueRecording.of_parts(recording.meta, events=events, log=recording.kueue_log)).broken


def _race(requeued_at: float | None) -> KueueRecording:
    """`late` is admitted at 20 s although `early` has waited; `early` was found not to fit at `requeued_at`."""
    lines: list[Manifest] = []

    def show(at: float, name: str, made: float, **states: str) -> None:
        entries = [{"type": kind, "status": status} for kind, status in states.items()]
        metadata: Manifest = {
            "name": f"job-{name}", "namespace": NAMESPACE, "uid": name, "creationTimestamp": stamp(made),
            "resourceVersion": str(len(lines) + 1),
        }  # fmt: skip
        body: Manifest = {
            "kind": "Workload", "metadata": metadata, "spec": {"queueName": name}, "status": {"conditions": entries}
        }  # fmt: skip
        lines.append({"at": 1_800_000_000_000_000_000 + round(at * 1e9), "type": "MODIFIED", "object": body})

    show(1, "holder", 1, QuotaReserved="True")
    show(2, "early", 2)
    show(3, "late", 3)
    show(19.5, "holder", 1, QuotaReserved="True", Finished="True")
    log = [assumed(20.0, "late", "cq", 7)]
    if requeued_at is not None:
        name = {"name": "job-early", "namespace": NAMESPACE}
        log.insert(0, {"ts": stamp(requeued_at, digits=True), "msg": REQUEUED, "schedulingCycle": 6, "workload": name})
    log.append(assumed(30.0, "early", "cq", 9))
    return KueueRecording.of_parts(
        RecordingMeta("race", namespaces=[NAMESPACE], started_ns=1_800_000_000_000_000_000), events=lines, log=log
    )


def test_passing_a_parked_workload_within_the_batch_is_told_apart() -> None:
    order = arm_order(_race(requeued_at=10.0))
    assert (len(order.broken), len(order.parked)) == (0, 1)


def test_passing_one_that_was_never_found_not_to_fit_is_broken() -> None:
    assert len(arm_order(_race(requeued_at=None)).broken) == 1


def test_no_hand_over_is_made_up() -> None:
    recording, _ = staged("fifo")
    without = [{"at": e.at, "type": e.type, "object": e.object} for e in recording.events if e.kind != "Workload"]
    with pytest.raises(NothingMeasured, match="no hand-over was measured"):
        handover(KueueRecording.of_parts(recording.meta, events=without)).latencies()


def _run(name: str, start: float, end: float, created: float = 0.0) -> JobRun:
    return JobRun(name, "medium", "q", created, (Attempt(start, end),))


def test_lanes_hold_what_overlaps_and_count_waits() -> None:
    found = lanes([_run("a", 0, 10), _run("b", 0, 4), _run("c", 6, 9), _run("late", 20, 21, created=19)], 2)
    assert [[bar.run.name for bar in lane] for lane in found] == [["a", "late"], ["b", "c"]] or len(found) == 2
    waits = {bar.run.name: bar.waited for lane in found for bar in lane}
    assert waits["c"] == pytest.approx(2)
    assert waits["late"] == pytest.approx(1)  # the GPU was free for longer, but nobody had asked
    assert total_waits(found, cap=1.5) == pytest.approx(2.5)


def test_more_gpus_in_use_than_there_are_show_as_more_lanes() -> None:
    assert len(lanes([_run(str(number), 0, 5) for number in range(9)], 8)) == 9


def test_only_the_lane_that_ends_last_counts_for_the_makespan() -> None:
    bars = [
        [Bar(_run("a", 0, 5), Attempt(0, 5), 0), Bar(_run("b", 7, 30), Attempt(7, 30), 2)],
        [Bar(_run("c", 0, 5), Attempt(0, 5), 0), Bar(_run("d", 9, 12), Attempt(9, 12), 4)],
    ]
    assert critical_waits(bars, cap=3) == 2
    assert critical_waits([[]], cap=3) == 0
