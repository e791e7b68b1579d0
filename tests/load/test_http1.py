"""The response parser: how bytes are cut into reads must not matter, and what is no answer must not pass for one."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuassay.load.http1 import BadHttp, ResponseParser

BODIES = st.binary(max_size=400)


@dataclass
class Heard:
    """What the parser told."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    heads: int = 0
    ends: int = 0

    def on_head(self, status: int, headers: dict[str, str], now: int) -> None:
        self.status, self.headers, self.heads = status, headers, self.heads + 1

    def on_body(self, data: bytes, now: int) -> None:
        assert self.heads == 1 and self.ends == 0
        self.body += data

    def on_end(self, now: int) -> None:
        self.ends += 1


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, int, bytes, bool]:
    """A whole answer: bytes, status, body, and whether it ends with the connection."""
    status = draw(st.sampled_from([200, 204, 304, 404, 503]))
    body = b"" if status in (204, 304) else draw(BODIES)
    interim = draw(
        st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"])
    )
    way = draw(st.sampled_from(["counted", "chunked", "closed"]))
    head = b"HTTP/1.1 %d Some Reason\r\nContent-Type: text/event-stream\r\n" % status
    if status in (204, 304):
        return interim + head + b"\r\n", status, b"", False
    if way == "counted":
        return interim + head + b"content-length: %d\r\n\r\n" % len(body) + body, status, body, False
    if way == "closed":
        return interim + head + b"\r\n" + body, status, body, True
    pieces, rest = list[bytes](), body
    while rest:
        size = draw(st.integers(1, len(rest)))
        extension = draw(st.sampled_from([b"", b";name=value"]))
        pieces.append(b"%x%s\r\n%s\r\n" % (size, extension, rest[:size]))
        rest = rest[size:]
    trailer = draw(st.sampled_from([b"", b"x-checksum: 1\r\n"]))
    chunks = b"".join(pieces) + b"0\r\n" + trailer + b"\r\n"
    return interim + head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks, status, body, False


def fed(data: bytes, cuts: list[int]) -> tuple[Heard, ResponseParser]:
    """The answer read in pieces that end at `cuts`."""
    heard = Heard()
    parser = ResponseParser(heard)
    edges = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    for begin, end in pairwise(edges):
        if begin < end:
            parser.feed(data[begin:end], 0)
    return heard, parser


@given(answer=answers(), cuts=st.lists(st.integers(0, 2000), max_size=30))
@settings(deadline=None, max_examples=300)
def test_how_the_bytes_are_cut_does_not_matter(answer: tuple[bytes, int, bytes, bool], cuts: list[int]) -> None:
    """Red when a read that ends within a head, a chunk size or a line break changes the message."""
    data, status, body, until_close = answer
    heard, parser = fed(data, cuts)
    if until_close:
        assert not parser.done and parser.close(0)
    assert (heard.status, heard.body, heard.heads, heard.ends) == (status, body, 1, 1)
    assert heard.headers["content-type"] == "text/event-stream"
    assert parser.done and parser.reusable == (not until_close)


@given(answer=answers(), short=st.integers(1, 2000))
@settings(deadline=None, max_examples=200)
def test_an_answer_that_is_cut_is_never_complete(answer: tuple[bytes, int, bytes, bool], short: int) -> None:
    """Red when a connection that ends too soon leaves a complete answer."""
    data, _, _, until_close = answer
    if until_close:
        return  # its length is nobody's knowledge
    heard, parser = fed(data[: -min(short, len(data))], [])
    assert not parser.done and not parser.close(0) and heard.ends == 0


@given(garbage=st.binary(min_size=1, max_size=300), cuts=st.lists(st.integers(0, 400), max_size=10))
@settings(deadline=None, max_examples=300)
def test_garbage_is_refused_or_waited_for_and_never_passes(garbage: bytes, cuts: list[int]) -> None:
    """Red when bytes that are no answer count as one, raise anything else than BadHttp, or are read for ever."""
    heard = Heard()
    try:
        heard, parser = fed(garbage, cuts)
    except BadHttp:
        return
    assert b"HTTP/1.".startswith(garbage[:7]) or garbage.startswith(b"HTTP/")
    assert not parser.done and not parser.close(0) and heard.ends == 0


@given(answer=answers(), place=st.integers(0, 2000), junk=st.binary(min_size=1, max_size=20))
@settings(deadline=None, max_examples=300)
def test_a_damaged_answer_raises_nothing_but_its_own_error(
    answer: tuple[bytes, int, bytes, bool], place: int, junk: bytes
) -> None:
    """Red when damage makes the parser raise what its caller does not catch, or complete an answer twice."""
    data = answer[0]
    at = place % len(data)
    heard = Heard()
    try:
        heard, _ = fed(data[:at] + junk + data[at + len(junk) :], [at])
    except BadHttp:
        return
    assert heard.ends <= 1 and heard.heads <= 1


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/9 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-5\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0x5\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n 5\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1_0\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nabc\r\n",
    ],
)
def test_what_the_standard_forbids_is_refused(head: bytes) -> None:
    """Red when a malformed head or chunk is guessed at: RFC 9112, sections 4, 5, 6.3 and 7.1."""
    with pytest.raises(BadHttp):
        fed(head, [])
