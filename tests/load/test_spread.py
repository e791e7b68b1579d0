"""Load from several pods: shards partition the order, merged rows are those of one run, a lost pod is named."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuassay.cluster.process import Process, start
from gpuassay.load import pod
from gpuassay.load.control import echo_server
from gpuassay.load.engine import _Engine  # pyright: ignore[reportPrivateUsage]
from gpuassay.load.errors import CountsDoNotClose, LoadError
from gpuassay.load.figures import figures
from gpuassay.load.node_clock import NodeClock, node_clock
from gpuassay.load.plan import Ask, ClosedLoop, Plan, Poisson, Schedule, completion_body
from gpuassay.load.rows import FORMAT, Head, LoadResult, Row, Tail
from gpuassay.load.spread import (
    LINE_BYTES,
    PART_BYTES,
    PodNote,
    PodReport,
    PodsLost,
    clock_doubts,
    log_lines,
    merge_pods,
    plan_parts,
    pod_doubts,
    read_log,
    read_plan_parts,
)
from gpuassay.load.timing import EchoTiming
from gpuassay.waiting import wait

ROOT = Path(__file__).parents[2]
MS = 1_000_000


def plan_of(asks: int, streams: int = 4, **more: Any) -> Plan:
    settled: dict[str, Any] = {
        "url": "http://127.0.0.1:1",
        "model": "echo",
        "bodies": {f"p{i}": completion_body(f"prompt {i}", 4) for i in range(asks)},
        "asks": tuple(Ask(f"p{i}") for i in range(asks)),
        "shape": ClosedLoop(streams),
        "preflight": False,
    }
    return Plan(**settled | more)


def result_of(ttfts: list[int], shard: tuple[int, int] = (0, 1), plan: str = "digest") -> LoadResult:
    """A run in which ask number i took `ttfts[i]` ns to its first token; a share of it for a shard."""
    mine = list(enumerate(ttfts))[shard[0] :: shard[1]]
    rows = [
        Row(
            index=i, label=f"p{i}", warm_up=False, request_id=f"load-{i}", stream=0, start_ns=1000 + i,
            first_ns=1000 + i + ttft, last_ns=1000 + i + ttft + MS, end_ns=1000 + i + ttft + 2 * MS, tokens=2,
            status=200,
        )
        for i, ttft in mine
    ]  # fmt: skip
    head = Head(
        format=FORMAT, plan=plan, url="http://x", path="/v1/completions", model="m", planned=len(ttfts), mine=len(mine),
        warm_up=0, concurrency=1, shard=shard, started_ns=1, wall_ns=1, boot="one", generator="test",
    )  # fmt: skip
    ended = max((row.end_ns for row in rows), default=2)
    return LoadResult(head, rows, Tail(ended_ns=ended, asked=len(rows), ok=len(rows), failed=0, interrupted=False,
                                       lag_ns=[], cpu_seconds=0.1))  # fmt: skip


def note_of(number: int, **more: Any) -> PodNote:
    clock = NodeClock(synchronised=True, offset_ns=0, error_ns=MS // 10)
    settled: dict[str, Any] = {"pod": f"load-{number}", "node": f"node-{number}", "clock": clock, "late_ns": 0}
    return PodNote(**settled | more)


def reports_of(ttfts: list[int], shards: int) -> list[PodReport]:
    return [PodReport(note_of(i), result_of(ttfts, (i, shards))) for i in range(shards)]


@given(asks=st.integers(1, 60), shards=st.integers(1, 12))
@settings(deadline=None)
def test_shards_partition_the_fixed_order(asks: int, shards: int) -> None:
    """Red when an ask has no pod, or two, or a pod asks in another order than the plan's."""
    plan = plan_of(asks, streams=max(shards, 1))
    if shards > asks:
        with pytest.raises(LoadError, match="use fewer shards"):
            _Engine(plan, (shards - 1, shards))
        return
    shares = [[number for number, _ in _Engine(plan, (i, shards)).todo] for i in range(shards)]
    assert sorted(number for share in shares for number in share) == list(range(asks))
    assert all(share == sorted(share) for share in shares)


@given(ttfts=st.lists(st.integers(1, 10**9), min_size=1, max_size=60), shards=st.integers(1, 8))
@settings(deadline=None)
def test_merged_figures_are_those_of_the_union(ttfts: list[int], shards: int) -> None:
    """Red when quantiles are averaged over pods, or a row is lost or doubled on the way through a pod's log."""
    shards = min(shards, len(ttfts))
    logs = {one.note.pod: "\n".join(log_lines(one)) for one in reports_of(ttfts, shards)}
    merged = merge_pods([read_log(name, log) for name, log in logs.items()], shards)
    alone, together = figures(result_of(ttfts)), figures(merged.result)
    assert (together.ttft, together.e2e) == (alone.ttft, alone.e2e)
    assert [row["pod"] for row in merged.rows()] == [f"load-{i % shards}" for i in range(len(ttfts))]


def _started(folder: Path, plan: Plan, shards: int, start_in: float, arguments: tuple[str, ...]) -> list[Process]:
    """The pods' very command as processes, with what Kubernetes would give them."""
    plan_folder = folder / "plan"
    plan_folder.mkdir()
    for number, part in enumerate(plan_parts(plan)):
        (plan_folder / f"plan-{number:03d}").write_bytes(part)
    at = time.time() + start_in
    return [
        start(
            f"pod-{i}", [sys.executable, "-m", "gpuassay.load.pod", plan_folder, *arguments], folder / f"pod-{i}.log",
            env={**os.environ, "PYTHONPATH": str(ROOT), "JOB_COMPLETION_INDEX": str(i), "LOAD_SHARDS": str(shards),
                 "LOAD_START_AT": str(at), "POD_NAME": f"load-{i}", "NODE_NAME": f"node-{i}",
                 "LOAD_LATEST": "90"},
        )
        for i in range(shards)
    ]  # fmt: skip


def _ended(pods: list[Process], folder: Path) -> dict[str, str]:
    try:
        wait(
            lambda: [one.exit_code for one in pods], lambda codes: None not in codes, what="the pods to end", timeout=90
        )
    finally:
        for one in pods:
            one.stop(grace=0)
    return {f"load-{i}": (folder / f"pod-{i}.log").read_text() for i in range(len(pods))}


def test_pods_ask_everything_once_and_their_rows_are_one_recording(tmp_path: Path) -> None:
    """Red when pods overlap, leave asks out, begin apart, or rows do not say who asked."""
    timing = EchoTiming(ttft_ms=5, itl_ms=1, tokens=4)
    with echo_server(timing, tmp_path) as echo:
        plan = plan_of(90, streams=6, url=echo.url)
        logs = _ended(_started(tmp_path, plan, 3, 2.0, ("--no-control",)), tmp_path)
        asked = [truth.request_id for truth in echo.truths()]
    merged = merge_pods([read_log(name, log) for name, log in logs.items()], 3)
    assert sorted(asked) == sorted(f"load-{i}" for i in range(90))
    assert (merged.result.tail.asked, merged.result.tail.ok, merged.result.head.concurrency) == (90, 90, 6)
    rows = merged.rows()
    assert [row["index"] for row in rows] == list(range(90))
    assert {row["node"] for row in rows if row["index"] % 3 == 1} == {"node-1"}
    assert all(0 <= note.late_ns < 90e9 for note in merged.notes)


def test_a_pod_that_is_lost_is_named_and_the_rest_is_no_smaller_load(tmp_path: Path) -> None:
    """Red when two of three shards pass for the whole load."""
    timing = EchoTiming(ttft_ms=200, itl_ms=20, tokens=20)
    with echo_server(timing, tmp_path) as echo:
        pods = _started(tmp_path, plan_of(30, streams=3, url=echo.url), 3, 3.0, ("--no-control",))
        wait(lambda: len(echo.truths()) > 0, bool, what="the first answers", timeout=60)
        pods[1].kill()
        logs = _ended(pods, tmp_path)
    reports, lost = list[PodReport](), dict[str, str]()
    for name, log in logs.items():
        try:
            reports.append(read_log(name, log))
        except LoadError as error:
            lost[name] = str(error)
    with pytest.raises(PodsLost, match=r"shards 1 of 3 left no rows; load-1: load pod load-1 left no rows"):
        merge_pods(reports, 3, lost)


def test_a_pod_measures_its_own_error(tmp_path: Path) -> None:
    """Red when the rows of a pod come without a control at its share of the load."""
    with echo_server(EchoTiming(ttft_ms=5, itl_ms=1, tokens=4), tmp_path) as echo:
        logs = _ended(_started(tmp_path, plan_of(8, streams=2, url=echo.url), 1, 3.0, ()), tmp_path)
    note = read_log("load-0", logs["load-0"]).note
    assert note.control is not None and note.control.concurrency == 2
    assert pod_doubts([note], 1e9) == [] and pod_doubts([note], 1e-9)[0].startswith("load-0 on node-0: generator error")
    assert pod_doubts([note_of(1), note], 1e9) == ["load-1 on node-1: it measured no error of its own"]


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, "JOB_COMPLETION_INDEX is not set"),
        ({"JOB_COMPLETION_INDEX": "0", "LOAD_SHARDS": "two"}, "LOAD_SHARDS='two' is no number"),
        ({"JOB_COMPLETION_INDEX": "0", "LOAD_SHARDS": "1", "LOAD_START_AT": "1000"}, "after the common start"),
        ({"JOB_COMPLETION_INDEX": "3", "LOAD_SHARDS": "2", "LOAD_START_AT": "inf"}, "is no time"),
    ],
)
def test_a_pod_that_cannot_begin_says_so(
    environ: dict[str, str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Red when a pod that is misconfigured or late asks all the same, or ends without one line."""
    (tmp_path / "plan-000").write_bytes(plan_parts(plan_of(4))[0])
    assert pod.main([str(tmp_path)], environ) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and words in said and said.count("\n") == 1


def test_a_plan_in_parts_is_put_together(tmp_path: Path) -> None:
    """Red when a long plan is cut, or a missing part goes unnoticed."""
    with pytest.raises(LoadError, match="are the ConfigMaps of the plan mounted"):
        read_plan_parts(tmp_path)
    noise = os.urandom(PART_BYTES).hex()
    plan = plan_of(1, streams=1, bodies={"p0": completion_body(noise + noise[::-1], 4)})
    parts = plan_parts(plan)
    assert len(parts) > 1 and all(len(part) <= PART_BYTES for part in parts)
    for number, part in enumerate(parts):
        (tmp_path / f"plan-{number:03d}").write_bytes(part)
    assert read_plan_parts(tmp_path).digest() == plan.digest()
    (tmp_path / "plan-000").unlink()
    with pytest.raises(LoadError, match="is not whole"):
        read_plan_parts(tmp_path)


def test_a_log_that_is_not_whole_is_refused() -> None:
    """Red when rotation, a second start or a stray line of a log changes what was measured."""
    report = PodReport(note_of(0), result_of([i * 7919 % 10**9 + 1 for i in range(3000)]))
    lines = log_lines(report)
    assert len(lines) > 2 and all(len(line) < 16_000 for line in lines) and LINE_BYTES < 16_000
    stamped = [f"2026-01-01T00:00:00Z stdout F {line}" for line in lines]
    assert read_log("a", "\n".join(["warning: x", *stamped[:1], "noise", *reversed(stamped[1:])])).note == report.note
    with pytest.raises(LoadError, match="log of load pod a is cut or altered: 1 of"):
        read_log("a", lines[0])
    with pytest.raises(LoadError, match="started more than once"):
        read_log("a", "\n".join(lines + log_lines(PodReport(note_of(0), result_of([1])))))
    with pytest.raises(LoadError, match="load pod a left no rows: model 'm' is unknown"):
        read_log("a", "error: model 'm' is unknown\n")


def test_pods_of_other_plans_or_twice_are_refused() -> None:
    """Red when rows of different loads are merged."""
    two = reports_of([5, 6, 7, 8], 2)
    with pytest.raises(LoadError, match="not of one plan"):
        merge_pods([two[0], PodReport(note_of(1), result_of([5, 6, 7, 8], (1, 2), plan="other"))], 2)
    with pytest.raises(LoadError, match="each must be there once"):
        merge_pods([*two, two[0]], 2)
    stopped = msgspec.structs.replace(two[1].result.tail, interrupted=True)
    broken = PodReport(two[1].note, LoadResult(two[1].result.head, two[1].result.rows, stopped))
    with pytest.raises(PodsLost, match="load-1: it was told to stop after 2 of 2 asks"):
        merge_pods([two[0], broken], 2)
    short = msgspec.structs.replace(two[0].result.head, planned=9)
    with pytest.raises(CountsDoNotClose, match="9 asks planned, 4 sent"):
        merge_pods([PodReport(two[0].note, LoadResult(short, two[0].result.rows, two[0].result.tail)), two[1]], 2)


def test_clocks_that_disagree_are_doubted() -> None:
    """Red when times of nodes without a common clock are put on one line without a word."""
    loose = NodeClock(synchronised=True, offset_ns=-2 * MS, error_ns=5 * MS)
    notes = [note_of(0), note_of(1, clock=loose), note_of(2, clock=NodeClock(synchronised=False))]
    assert clock_doubts(notes, 1.0) == [
        "the clock of node-1 (load-1) may be off by 7.0 ms, 1 are allowed",
        "the clock of node-2 (load-2) is not synchronised",
    ]
    assert not clock_doubts([notes[2], note_of(3, node="node-2")], 1.0)  # of one machine: one clock
    assert isinstance(node_clock().synchronised, bool)


def test_a_pods_control_has_its_share_of_the_shape() -> None:
    """Red when a pod's error is measured at the whole load, or at none."""
    assert pod.own_share(ClosedLoop(7), (0, 3)) == ClosedLoop(3)
    assert pod.own_share(Poisson(9.0, 1), (2, 3)) == Poisson(3.0, 1)
    assert pod.own_share(Schedule((0.0, 1.0, 2.0, 3.0)), (1, 2)) == Schedule((1.0, 3.0))
