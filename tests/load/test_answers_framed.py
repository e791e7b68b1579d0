"""How heads and bodies are framed: what RFC 9112 has a client understand, and what tiny servers send."""

from __future__ import annotations

import pytest

from tests.load.answers import (
    ALL,
    DONE,
    THREE,
    Case,
    check,
    named,
    sse,
)

CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"


def chunks(*pieces: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + end


CASES = [
    Case("chunked", CHUNKED + b"\r\n" + chunks(THREE, DONE), ALL),
    Case("chunks that cut events", CHUNKED + b"\r\n" + chunks(*[bytes([one]) for one in THREE + DONE]), ALL),
    Case("chunk extensions", CHUNKED + b"\r\n" + chunks(THREE, DONE).replace(b"\r\ndata", b";x=y \r\ndata", 1), ALL),
    Case("trailers", CHUNKED + b"\r\n" + chunks(THREE, DONE, end=b"0\r\nx-sum: 1\r\nx-more: 2\r\n\r\n"), ALL),
    Case("chunked in upper case", CHUNKED.upper() + b"\r\n" + chunks(THREE, DONE), ALL),
    Case("chunked said twice", CHUNKED + b"transfer-encoding: chunked\r\n\r\n" + chunks(THREE, DONE), ALL),
    Case("chunked and a length", CHUNKED + b"content-length: 7\r\n\r\n" + chunks(THREE, DONE), ALL),
    Case(
        "chunked without the last chunk", CHUNKED + b"\r\n" + chunks(THREE, DONE, end=b""), "truncated: the connection"
    ),
    Case("chunks with bare LF", (CHUNKED + b"\r\n" + chunks(THREE, DONE)).replace(b"\r\n", b"\n"), ALL),
    Case("head lines with bare LF", sse(THREE, DONE).replace(b"\r\n", b"\n"), ALL),
    Case("identity as transfer", sse(THREE, DONE, more="transfer-encoding: identity\r\n"), ALL),
    Case("no length", b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + THREE + DONE, ALL),
    Case("HTTP/1.0", b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + THREE + DONE, ALL),
    Case("no reason phrase", sse(THREE, DONE, status="200"), ALL),
    Case(
        "interim answers",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + sse(THREE, DONE),
        ALL,
    ),
    Case("the same length twice", sse(THREE, DONE, more=f"content-length: {len(THREE + DONE)}\r\n"), ALL),
    Case(
        "the same length twice in one",
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d, %d\r\n\r\n"
        % ((len(THREE + DONE),) * 2)
        + THREE
        + DONE,
        ALL,
    ),
    Case("a field that goes on", sse(THREE, DONE, more="x-long: a\r\n b\r\n\tc\r\n"), ALL),
    Case("a content type that goes on", sse(THREE, DONE, kind="text/event-stream;\r\n charset=utf-8"), ALL),
    Case("a blank before the colon", sse(THREE, DONE, more="x-odd : 1\r\n"), ALL),
    Case("a long field", sse(THREE, DONE, more=f"x-long: {'y' * 100_000}\r\n"), ALL),
    Case(
        "a length that is too short",
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(THREE) + THREE + DONE,
        "truncated: the stream ended without [DONE] after 3 events",
    ),
    Case(
        "a length that is too long",
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 9999\r\n\r\n" + THREE + DONE,
        "truncated: the connection ended within the answer",
    ),
]


@pytest.mark.parametrize("case", named(CASES))
def test_a_framed_stream_comes_to(case: Case) -> None:
    """Red when the framing of a good answer is refused, or a body that is cut counts as complete."""
    check(case)
