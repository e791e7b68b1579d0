"""Answers of servers as bytes, piece by piece, and what the generator makes of them."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from gpuassay.load.answer import Reading, note_failure
from gpuassay.load.http1 import CutShort, ResponseParser
from gpuassay.load.rows import Row

DONE = b"data: [DONE]\n\n"


def event(**told: object) -> bytes:
    return b"data: %s\n\n" % json.dumps(told).encode()


def text(word: str = "a", index: int = 0, **more: object) -> bytes:
    """An event of /v1/completions."""
    return event(choices=[{"index": index, "text": word, **more}])


def delta(index: int = 0, finish_reason: object = None, **said: object) -> bytes:
    """An event of /v1/chat/completions."""
    return event(choices=[{"index": index, "delta": said, "finish_reason": finish_reason}])


def usage(**told: object) -> bytes:
    return event(choices=[], usage=told)


def finish(reason: object, index: int = 0) -> bytes:
    return event(choices=[{"index": index, "text": "", "finish_reason": reason}])


THREE = text() + text() + text()
COUNTED = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
ROLE = delta(role="assistant", content="")


def sse(*events: bytes, status: str = "200 OK", kind: str = "text/event-stream", more: str = "") -> bytes:
    body = b"".join(events)
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


def whole(body: object, **more: str) -> bytes:
    return sse(body if isinstance(body, bytes) else json.dumps(body).encode(), kind="application/json", **more)


ALL = "3 by events, 2 gaps"
BY_USAGE = "3 by usage, 2 gaps, prompt 5"


@dataclass(frozen=True)
class Case:
    name: str
    answer: bytes
    comes_to: str
    """As `summary` has it, or the class of the failure and words of its line."""
    streamed: bool = True


def read(answer: bytes, *, streamed: bool, pieces: list[bytes]) -> Row:
    """The row of an answer that comes in these pieces, one a millisecond, on a connection that then ends."""
    row = Row(index=0, label="p", warm_up=False, request_id="r-0", start_ns=1, gaps_ns=[])
    parser = ResponseParser(Reading(row, streamed=streamed, keep=()))
    now = 1
    try:
        for piece in pieces:
            now += 1_000_000
            if parser.feed(piece, now):
                break
        if not parser.done and not parser.close(now):
            raise CutShort(parser.begun)
    except Exception as error:
        note_failure(row, error)
    return row


def summary(row: Row) -> str:
    if row.error:
        return f"{row.error}: {row.detail}"
    more = "" if row.prompt_tokens is None else f", prompt {row.prompt_tokens}"
    more += "" if row.cached_tokens is None else f", cached {row.cached_tokens}"
    timed = "" if row.first_ns is None else f", {len(row.gaps_ns)} gaps"
    return f"{row.tokens} by {row.tokens_from or 'nobody'}{timed}{more}"


def named(cases: list[Case]) -> list[object]:
    """Parameters of a test."""
    return [pytest.param(case, id=case.name) for case in cases]


def ways(answer: bytes) -> list[list[bytes]]:
    """The answer in one piece, in lines, and in bytes (if it is not too long for that)."""
    lines = answer.splitlines(keepends=True)
    return [[answer], lines] + ([[bytes([one]) for one in answer]] if len(answer) < 20_000 else [])


def check(case: Case, *, streamed: bool = True) -> None:
    """Read the answer in all `ways`: each comes to the same, and that is right."""
    said = {summary(read(case.answer, streamed=streamed, pieces=pieces)) for pieces in ways(case.answer)}
    assert all(one.startswith(case.comes_to) if ":" in case.comes_to else one == case.comes_to for one in said), said
    assert all("\n" not in one for one in said)
