"""What servers do wrong, and what the row says of it."""

from __future__ import annotations

import re
import socket
import threading
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from gpuassay.load import engine
from gpuassay.load.__main__ import main
from gpuassay.load.engine import carry_out
from gpuassay.load.errors import CountsDoNotClose, LoadError
from gpuassay.load.figures import figures
from gpuassay.load.plan import Ask, completion_body
from gpuassay.load.rows import Row, check_counts
from tests.load.servers import DONE, HEAD, Talk, chunked, fixed, plan_for, serving, stream, token

GOOD = stream(token(), token(), DONE)


def saying(answer: bytes, *, hang_up: bool = False) -> Talk:
    def talk(sock: socket.socket, _: int) -> bool:
        sock.sendall(answer)
        return not hang_up

    return talk


def row_of(talk: Talk, **more: object) -> Row:
    with serving(talk) as (url, _):
        return carry_out(plan_for(url, 1, 1, **more)).rows[0]


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (fixed(b"busy", status="503 Service Unavailable"), "http-503", "busy"),
        (fixed(b"slow down", status="429 Too Many Requests"), "http-429", "slow down"),
        (fixed(b"", status="307 Temporary Redirect", more="location: /\r\n"), "http-307", ""),
        (fixed(b'{"choices":[]}'), "not-sse", "application/json"),
        (stream(token()), "truncated", r"without \[DONE\] after 1 events"),
        (stream(b"data: {oops\n\n", DONE), "malformed-event", "oops"),
        (stream(b"data: [1]\n\n", DONE), "malformed-event", "Expected `object`"),
        (stream(b'data: {"error":{"message":"engine died"}}\n\n', DONE), "error-event", "engine died"),
        (stream(DONE), "empty", "no text"),
        (stream(token(), b'data: {"choices":[{"finish_reason":"abort"}]}\n\n', DONE), "unfinished", "'abort'"),
        (stream(token(), b'error: {"message":"engine died"}\n\n', DONE), "error-event", "engine died"),
        (stream(token(), b"event: error\ndata: engine died\n\n", DONE), "error-event", "engine died"),
        (stream(token(), DONE, more="content-encoding: br\r\n"), "bad-encoding", "content-encoding br"),
    ],
)
def test_an_answer_that_is_wrong_has_its_class(answer: bytes, error: str, words: str) -> None:
    # red when: a failed answer counts as served, or one class of failure hides in another
    row = row_of(saying(answer))
    assert row.error == error
    assert re.search(words, row.detail)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (chunked(token(), token()), "truncated"),
        (chunked(token(), token(), DONE), "truncated"),  # [DONE], but the body itself is cut
        (HEAD + b"content-length: 999\r\n\r\n" + token(), "truncated"),
        (HEAD + b"\r\n" + token(), "truncated"),  # a body that ends with the connection
        (b"", "disconnected"),
        (b"HTTP/1.1 200 OK\r\nconte", "disconnected"),
        (b"SSH-2.0-OpenSSH\r\n", "bad-http"),
    ],
)
def test_a_connection_that_ends_too_soon_is_told_from_a_complete_answer(answer: bytes, error: str) -> None:
    row = row_of(saying(answer, hang_up=True))
    assert row.error == error, row


def test_a_body_that_ends_with_the_connection_is_complete_after_done() -> None:
    assert row_of(saying(HEAD + b"\r\n" + token() + DONE, hang_up=True)).ok


def test_a_server_that_says_nothing_times_out() -> None:
    enough = threading.Event()

    def talk(_: socket.socket, __: int) -> None:
        enough.wait(5)

    with serving(talk) as (url, _):
        row = carry_out(plan_for(url, 1, timeout=0.2)).rows[0]
        enough.set()
    assert (row.error, row.detail) == ("timeout", "no complete answer within 0.2 s")
    assert 0.19e9 <= row.end_ns - row.start_ns < 2e9  # timers round to milliseconds


def test_every_tenth_request_503_leaves_36_and_4() -> None:
    # red when: failed requests are dropped (36 of 36), asked twice, or end the run
    def talk(sock: socket.socket, number: int) -> None:
        sock.sendall(fixed(b"no", status="503 Service Unavailable") if number % 10 == 9 else GOOD)

    with serving(talk) as (url, told):
        result = carry_out(plan_for(url, 40, 4))
    assert (result.tail.asked, result.tail.ok, result.tail.failed) == (40, 36, 4)
    assert figures(result).errors == {"http-503": 4}
    assert len(told.requests) == 40


def test_a_failed_stream_can_pause_before_it_asks_again() -> None:
    with serving(saying(fixed(b"", status="503 Service Unavailable"))) as (url, _):
        rows = carry_out(plan_for(url, 3, failure_pause=0.1)).rows
    assert all(after.start_ns - before.end_ns >= 0.099e9 for before, after in pairwise(rows))


def test_a_dead_server_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))  # nobody listens there
        plan = plan_for(f"http://127.0.0.1:{sock.getsockname()[1]}", 5)
        (tmp_path / "plan.json").write_bytes(plan.to_json())
        assert main([str(tmp_path / "plan.json"), str(tmp_path / "out.jsonl")]) == 2
        said = capsys.readouterr().err
        assert said.startswith("error: http://127.0.0.1:") and "check the URL" in said and said.count("\n") == 1
        assert not (tmp_path / "out.jsonl").exists()
        rows = carry_out(plan_for(plan.url, 5, preflight=False)).rows
    assert Counter(row.error for row in rows) == {"connect": 5}


@pytest.mark.parametrize(
    ("models", "words"),
    [
        (b'{"data":[{"id":"a"},{"id":"b"}]}', "model 'm' is unknown; the server has a, b"),
        (b"<html>", "no OpenAI-like model list; set preflight to false"),
    ],
)
def test_a_server_without_the_model_is_one_line(models: bytes, words: str) -> None:
    with serving(saying(GOOD), models=models) as (url, told), pytest.raises(LoadError, match=words):
        carry_out(plan_for(url, 1))
    assert not told.requests


def limits(monkeypatch: pytest.MonkeyPatch, soft: int, hard: int) -> list[tuple[int, int]]:
    """Pretend limits of open files; the list gets what they are set to."""
    told: list[tuple[int, int]] = []

    def get(_: int) -> tuple[int, int]:
        return soft, hard

    def put(_: int, wanted: tuple[int, int]) -> None:
        told.append(wanted)

    monkeypatch.setattr(engine.resource, "getrlimit", get)
    monkeypatch.setattr(engine.resource, "setrlimit", put)
    return told


def test_more_streams_than_file_handles_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    limits(monkeypatch, 100, 100)
    with pytest.raises(LoadError, match="264 file handles are needed, the hard limit is 100"):
        carry_out(plan_for("http://127.0.0.1:1", 300, 200))


def test_the_soft_limit_of_file_handles_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    told = limits(monkeypatch, 100, 5000)
    engine.raise_handle_limit(300)
    assert told == [(5000, 5000)]


def test_a_text_body_is_sent_as_it_is() -> None:
    # red when: invalid JSON cannot be sent, which is what some behaviours are about
    with serving(saying(fixed(b"no", status="400 Bad Request"))) as (url, told):
        plan = plan_for(url, 1, bodies={"bad": "{not json"}, asks=(Ask("bad", {"x-own": "yes"}),))
        row = carry_out(plan).rows[0]
    path, head, body = told.requests[0]
    assert (path, body, row.error) == ("/v1/completions", b"{not json", "http-400")
    assert "x-own: yes" in head and "x-request-id: load-0" in head


@pytest.mark.parametrize(
    "body", ['{"stream": true}', '{"stream":\n\ttrue , "prompt": "x"}', '{"stream":true, not json']
)
def test_a_text_body_that_asks_for_a_stream_is_answered_by_one(body: str) -> None:
    # red when: a stream is read as a whole answer because of the blanks in the request
    row = row_of(saying(GOOD), bodies={"p0": body})
    assert row.ok and row.first_ns is not None


def test_a_text_body_that_only_speaks_of_a_stream_is_not() -> None:
    # red when: a prompt about streaming makes its answer not-sse
    body = r'{"prompt": "\"stream\":true", "stream": false}'
    assert row_of(saying(fixed(b'{"choices":[{"text":"a"}]}')), bodies={"p0": body}).ok


def test_an_answer_that_is_not_streamed_has_its_end_only() -> None:
    usage = b'{"prompt_tokens":32,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":16}}'
    body = b'{"choices":[{"text":"a b"}],"usage":%s}' % usage
    more = "x-inference-pod: sim-3\r\nx-inference-port: 8001\r\nx-went-into-resp-headers: true\r\n"
    row = row_of(saying(fixed(body, more=more)), bodies={"p0": completion_body("x", 2, stream=False)})
    assert row.ok and row.first_ns is None and row.end_ns > row.start_ns
    assert (row.tokens, row.prompt_tokens, row.cached_tokens, row.served_by) == (2, 32, 16, "sim-3")
    assert row.headers["x-went-into-resp-headers"] == "true" and row.headers["x-inference-port"] == "8001"


def test_counts_that_do_not_close_are_our_own_error() -> None:
    # red when: a lost request would go unnoticed
    with serving(saying(GOOD)) as (url, _):
        result = carry_out(plan_for(url, 3))
    result.rows.pop()
    with pytest.raises(CountsDoNotClose, match="asked 3, ok 3, failed 0, but 2 rows"):
        check_counts(result)
