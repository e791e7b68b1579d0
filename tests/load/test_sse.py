from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gpuassay.load import sse
from gpuassay.load.sse import EventParser, EventTooLong


def events(*chunks: bytes) -> list[bytes]:
    parser = EventParser()
    return [data for chunk in chunks for data in parser.feed(chunk)]


def reference(stream: bytes) -> list[bytes]:
    """The grammar by the letter, on a stream that is there as a whole."""
    found: list[bytes] = []
    data: list[bytes] = []
    lines = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    for line in lines[:-1]:
        if not line:
            if data:
                found.append(b"\n".join(data))
            data = []
        elif line == b"data" or line.startswith(b"data:"):
            value = line[5:]
            data.append(value[1:] if value.startswith(b" ") else value)
    return found


PIECES = st.sampled_from(
    [
        b"data: ",
        b"data:",
        b"data",
        b": comment",
        b"event: x",
        b"id",
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"{}",
        b" ",
        b"\xef\xbb\xbf",
    ]
)
STREAMS = st.lists(PIECES, max_size=30).map(b"".join)


@given(STREAMS, st.lists(st.integers(0, 200), max_size=8))
@example(b"data: a\r\n\r\ndata: b\r\n\r\n", [8, 9, 10])
@example(b"\xef\xbb\xbfdata: a\n\n", [1, 2])
def test_any_chunking_gives_the_events_of_the_grammar(stream: bytes, cuts: list[int]) -> None:
    # red when: a chunk border inside a line end, a field or a byte order mark changes what is read
    places = sorted(min(cut, len(stream)) for cut in cuts)
    chunks = [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]
    assert events(*chunks) == reference(stream)


def test_an_event_is_given_with_its_last_byte_and_not_later() -> None:
    # red when: the parser waits for the next event, which would add one inter-token time to every stamp
    for end in (b"\n\n", b"\r\r", b"\r\n\r\n"):
        parser = EventParser()
        assert parser.feed(b"data: x" + end[:-1]) == ([b"x"] if end == b"\r\n\r\n" else [])
        assert parser.feed(end[-1:]) == ([] if end == b"\r\n\r\n" else [b"x"])


def test_comments_other_fields_and_an_unfinished_event_are_no_events() -> None:
    assert events(b": ping\n\nevent: x\nid: 1\nretry: 5\n\ndata: 1\n: in it\ndata: 2\n\ndata: cut") == [b"1\n2"]


def test_an_error_in_a_stream_is_kept_apart() -> None:
    # red when: an error that stands in another field than data, or in an event of its own type, is read over
    for text in (b"error: x\n", b"event: error\ndata: x\n\n", b"data: x\nevent:  Error \n\n"):
        parser = EventParser()
        assert [data for one in text for data in parser.feed(bytes([one]))] == [] and parser.failed == b"x"
        assert parser.feed(b"data: y\n\n") == [b"y"]  # its type is not the next one's


def test_what_a_stream_ends_within_can_be_had() -> None:
    # red when: a server that leaves out the last blank line loses its last event
    for text in (b"data: x", b"data: x\n", b"data: x\r", b"data: x\r\n", b": ping\ndata: x"):
        parser = EventParser()
        assert parser.feed(text) == [] and parser.end() == [b"x"]


def test_an_event_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # red when: a server that never ends a line fills the generator's memory
    monkeypatch.setattr(sse, "LIMIT", 1000)
    parser = EventParser()
    with pytest.raises(EventTooLong, match="1000 bytes"):
        for _ in range(1001):
            parser.feed(b"x")


def test_a_payload_with_escaped_line_ends_stays_one_event() -> None:
    payload = json.dumps({"text": "a\r\n\r\nb"}).encode()
    assert events(b"data: " + payload + b"\n\n") == [payload]
