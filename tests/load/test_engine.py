"""What the engine asks, when, and what it measures."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gpuassay.load.control import control_plan, echo_server
from gpuassay.load.engine import carry_out
from gpuassay.load.errors import LoadError
from gpuassay.load.figures import figures
from gpuassay.load.plan import CHAT_COMPLETIONS, ClosedLoop, Schedule
from gpuassay.load.rows import LoadResult, merge, read_result
from gpuassay.load.runner import run
from gpuassay.load.timing import EchoTiming
from gpuassay.waiting import wait
from tests.load.servers import DONE, fixed, plan_for, serving, stream, token

GOOD = stream(token(), DONE)


def echoed(timing: EchoTiming, folder: Path) -> LoadResult:
    with echo_server(timing, folder) as echo:
        plan = control_plan(ClosedLoop(4), 500, echo.url, timing, seconds=0.8, path=CHAT_COMPLETIONS)
        return run(plan, folder)


def test_the_role_chunk_is_not_the_first_token(tmp_path: Path) -> None:
    # red when: TTFT is taken from the headers or from the empty role chunk, which come at once
    result = echoed(EchoTiming(ttft_ms=20, ttft_jitter=0, itl_ms=2, tokens=4), tmp_path)
    seen = figures(result)
    assert seen.failed == 0 and seen.ttft is not None and seen.itl_mean is not None
    assert seen.ttft.least >= 20 and seen.ttft.p50 < 30
    assert 1 < seen.itl_mean.p50 < 4
    headers = [row.headers_ns - row.start_ns for row in result.measured if row.headers_ns is not None]
    assert min(headers) < 10e6


def test_a_stall_shows_in_pooled_gaps_and_not_in_the_mean(tmp_path: Path) -> None:
    # red when: only per-request means are kept
    seen = figures(
        echoed(EchoTiming(ttft_ms=5, ttft_jitter=0, itl_ms=2, tokens=60, stall_after=30, stall_ms=200), tmp_path)
    )
    assert seen.itl_gaps is not None and seen.itl_mean is not None
    assert seen.itl_gaps.p99 > 190 and seen.itl_gaps.p50 < 5
    assert seen.itl_mean.p99 < 10


def test_five_tokens_an_event_are_five_tokens(tmp_path: Path) -> None:
    # red when: events are taken for tokens in ITL, or an event's gap is split among its tokens
    result = echoed(EchoTiming(ttft_ms=10, ttft_jitter=0, itl_ms=5, tokens=20, tokens_per_event=5), tmp_path)
    seen = figures(result)
    assert seen.itl_gaps is not None and seen.itl_mean is not None
    assert 23 < seen.itl_gaps.p50 < 28
    assert seen.itl_mean.p50 == pytest.approx(75 / 19, abs=0.6)
    assert {(row.tokens, row.tokens_from, len(row.gaps_ns)) for row in result.measured} == {(20, "usage", 3)}


def test_asks_start_in_the_order_of_the_plan_and_never_too_many_at_a_time() -> None:
    # red when: streams take asks out of order, or a stream asks before its answer has ended
    lock = threading.Lock()

    def talk(sock: socket.socket, _: int) -> None:
        with lock:  # one answer at a time, so that the others pile up
            sock.sendall(GOOD)

    with serving(talk) as (url, told):
        result = carry_out(plan_for(url, 60, 5, warm_up=5))
    assert [row.label for row in sorted(result.rows, key=lambda row: row.start_ns)] == [f"p{i}" for i in range(60)]
    assert told.most <= 5
    assert {row.stream for row in result.rows} == set(range(5))
    assert [row.index for row in result.rows if row.warm_up] == [0, 1, 2, 3, 4]
    assert figures(result).asked == 55 and figures(result).warm_up == 5


def test_tokens_are_events_where_the_server_tells_no_usage() -> None:
    with serving(lambda sock, _: sock.sendall(stream(token(), b": ping\n\n", token(), token(), DONE))) as (url, _):
        row = carry_out(plan_for(url, 1)).rows[0]
    assert (row.tokens, row.tokens_from) == (3, "events")


def test_an_open_loop_keeps_its_schedule_whatever_the_answers_do(tmp_path: Path) -> None:
    # red when: a slow answer delays the next request (coordinated omission)
    timing = EchoTiming(ttft_ms=300, ttft_jitter=0, itl_ms=0, tokens=1)
    due = tuple(i * 0.01 for i in range(30))
    with echo_server(timing, tmp_path) as echo:
        plan = control_plan(Schedule(due), 500, echo.url, timing, seconds=1)
        result = run(plan, tmp_path)
    seen = figures(result)
    assert seen.late is not None and seen.failed == 0
    assert seen.late.least >= 0 and seen.late.p50 < 5
    starts = [row.due_ns - result.rows[0].due_ns for row in result.rows if row.due_ns and result.rows[0].due_ns]
    assert [round(at / 1e6) for at in starts] == [10 * i for i in range(30)]
    assert seen.rate_share == pytest.approx(1, abs=0.1)
    assert seen.requested_rate == pytest.approx(100)


def test_shards_ask_every_ask_once_and_merge(tmp_path: Path) -> None:
    # red when: a shard asks what another asks, or rows get lost between them
    with serving(lambda sock, _: sock.sendall(GOOD)) as (url, told):
        result = run(plan_for(url, 21, 5, warm_up=5), tmp_path, processes=2)
    assert [row.index for row in result.rows] == list(range(21)) and len(told.requests) == 21
    assert {row.stream for row in result.rows} == set(range(5)) and result.head.concurrency == 5
    assert result.tail.asked == 21 and sum(row.warm_up for row in result.rows) == 5
    halves = [read_result(tmp_path / f"load-{i}.jsonl") for i in (0, 1)]
    assert [row.index for row in halves[1].rows] == list(range(1, 21, 2))
    assert merge(halves) == result
    for wrong in ([halves[0]], [halves[0], halves[0]], []):
        with pytest.raises(LoadError, match="shards"):
            merge(wrong)


def test_more_shards_than_streams_is_one_line() -> None:
    with pytest.raises(LoadError, match="use fewer shards"):
        carry_out(plan_for("http://127.0.0.1:1", 9, 2), (2, 3))


def test_the_runner_passes_the_programs_complaint_on(tmp_path: Path) -> None:
    said = r"model 'm' is unknown; the server has none$"
    server = serving(lambda sock, _: sock.sendall(fixed(b"")), models=b'{"data":[]}')
    with server as (url, _), pytest.raises(LoadError, match=said):
        run(plan_for(url, 1), tmp_path)


def test_an_interrupted_run_leaves_the_rows_so_far(tmp_path: Path) -> None:
    # red when: Ctrl-C loses what was measured, or requests under way vanish from the counts
    hold = threading.Event()

    def talk(sock: socket.socket, number: int) -> None:
        if number >= 6:
            hold.wait(10)
        sock.sendall(GOOD)

    with serving(talk) as (url, told):
        plan, out = tmp_path / "plan.json", tmp_path / "out.jsonl"
        plan.write_bytes(plan_for(url, 50, 2, timeout=30.0).to_json())
        command = [sys.executable, "-m", "gpuassay.load", str(plan), str(out)]
        with subprocess.Popen(command) as program:
            try:
                wait(lambda: len(told.requests), lambda seen: seen >= 8, what="8 requests", timeout=20)
                os.kill(program.pid, signal.SIGINT)
                assert program.wait(10) == 130
            finally:
                program.kill()
                hold.set()
    result = read_result(out)
    assert result.tail.interrupted
    assert (result.tail.asked, result.tail.ok, result.tail.failed) == (8, 6, 2)
    assert sorted(row.error for row in result.rows) == [""] * 6 + ["interrupted"] * 2


def test_a_cut_file_of_rows_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "load-0.jsonl"
    with serving(lambda sock, _: sock.sendall(GOOD)) as (url, _):
        run(plan_for(url, 3), tmp_path)
    lines = out.read_bytes().splitlines(keepends=True)
    for content, words in (
        (b"".join(lines[:-1]), "no tail"),
        (b"".join(lines)[: -len(lines[-1]) - 20] + lines[-1], "line 4"),
        (b"".join([*lines[:2], *lines[3:]]), "do not close"),
        (b"".join(lines).replace(b'"format":1', b'"format":9'), "format 9"),
    ):
        out.write_bytes(content)
        with pytest.raises(LoadError, match=words):
            read_result(out)
