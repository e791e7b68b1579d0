"""A client's half of HTTP/1.1 (RFC 9112), as little as a load generator needs, stamped where bytes arrive.

A general client hands every chunk through a stream, a future and a task before anybody can look at the clock; at 64
streams that is most of the generator's error (docs/load.md has both measured). Here the clock is read first, in the
callback of the socket, and what the bytes mean is worked out in the same call.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import Protocol, cast

MAX_HEAD = 256 * 1024
_ALIVE = b"HTTP/1.1"
_VERSION = re.compile(rb"HTTP/1\.[0-9]")
_STATUS = re.compile(rb"[1-5][0-9]{2}")
_HEX = re.compile(rb"[0-9A-Fa-f]{1,16}")
_HEAD_END = re.compile(rb"\n\r?\n")
"""Lines may end with a bare LF, as those of tiny servers do: RFC 9112, section 2.2."""
_TLS_RECORD = re.compile(rb"[\x14-\x17]\x03[\x00-\x04]")
_LISTS = ("connection", "transfer-encoding", "content-encoding")


class BadHttp(ValueError):  # noqa: N818 - reads as what it is
    """What came is not an HTTP/1.1 answer."""


class CutShort(ConnectionError):  # noqa: N818 - reads as what it is
    """The connection ended before the answer did; `begun`: after its head was there."""

    def __init__(self, begun: bool) -> None:
        super().__init__(f"the connection ended {'within the answer' if begun else 'before an answer'}")
        self.begun = begun


class Answer(Protocol):
    """Takes an answer as it comes; times are ns of CLOCK_MONOTONIC. What it raises ends the exchange."""

    def on_head(self, status: int, headers: dict[str, str], now: int) -> None:
        """The head, names in lower case."""
        ...

    def on_body(self, data: bytes, now: int) -> None:
        """A piece of the body."""
        ...

    def on_end(self, now: int) -> None:
        """The body is complete."""
        ...


class ResponseParser:
    """Takes one connection's bytes in pieces of any size and tells an `Answer` what they say.

    `feed` returns True when the answer is complete. Raises BadHttp.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer, self._rest = answer, b""
        self._left = 0
        self._step = self._head
        self.begun = self.done = False
        self.reusable = True
        self._until_close = False

    def feed(self, data: bytes, now: int) -> bool:
        """Read on."""
        if not self._rest and self._step == self._chunk_size and self._one_chunk(data, now):
            return False
        text = self._rest + data if self._rest else data
        while text and not self.done:
            took = self._step(text, now)
            if took < 0:  # needs more to go on
                break
            text = text[took:]
        self._rest = text
        if self.done and text:
            self.reusable = False  # nothing was asked that this could be the answer to
        return self.done

    def close(self, now: int) -> bool:
        """The connection has ended; True if that completes the answer."""
        if self._until_close and not self.done:
            self._end(now)
        return self.done

    def _end(self, now: int) -> None:
        self.done = True
        self._answer.on_end(now)

    def _head(self, text: bytes, now: int) -> int:
        if not b"HTTP/".startswith(text[:5]) and not text.startswith(b"HTTP/"):
            speaks = "; it speaks TLS: name an https:// address" if _TLS_RECORD.match(text) else ""
            raise BadHttp(f"not an HTTP answer: {text[:80]!r}{speaks}")
        found = _HEAD_END.search(text)
        if found is None:
            if len(text) > MAX_HEAD:
                raise BadHttp(f"a head of more than {MAX_HEAD} bytes")
            return -1
        end = found.end()
        first, *lines = text[: found.start()].replace(b"\r\n", b"\n").removesuffix(b"\r").split(b"\n")
        parts = first.split(b" ", 2)
        if len(parts) < 2 or not _VERSION.fullmatch(parts[0]) or not _STATUS.fullmatch(parts[1]):
            raise BadHttp(f"not a status line: {first[:80]!r}")
        status = int(parts[1])
        if status == 101:
            raise BadHttp("status 101: the server changes to another protocol, which nobody asked for")
        if status // 100 == 1:
            return end  # an interim answer: the real one follows
        headers = _fields(lines)
        self._body_of(status, headers, parts[0])
        self.begun = True
        self._answer.on_head(status, headers, now)
        if self._left == 0 and self._step == self._counted:
            self._end(now)
        return end

    def _body_of(self, status: int, headers: dict[str, str], version: bytes) -> None:
        """How the body is delimited: RFC 9112, section 6.3."""
        connection = headers.get("connection", "").lower()
        self.reusable = "close" not in connection and (version == _ALIVE or "keep-alive" in connection)
        length = headers.get("content-length")
        codings = {one.strip().lower() for one in headers.get("transfer-encoding", "").split(",")} - {"", "identity"}
        if status in (204, 304):
            self._step, self._left = self._counted, 0
        elif codings == {"chunked"}:
            self._step = self._chunk_size
        elif codings:
            raise BadHttp(f"transfer-encoding {', '.join(sorted(codings))[:80]}: only chunked is read")
        elif length is not None:
            if not (length.isascii() and length.isdigit() and len(length) < 19):
                raise BadHttp(f"content-length: {length[:80]!r}")
            self._step, self._left = self._counted, int(length)
        else:
            self._step, self._until_close, self.reusable = self._all, True, False

    def _counted(self, text: bytes, now: int) -> int:
        piece = text[: self._left]
        self._left -= len(piece)
        self._answer.on_body(piece, now)
        if self._left == 0:
            self._end(now)
        return len(piece)

    def _all(self, text: bytes, now: int) -> int:
        self._answer.on_body(text, now)
        return len(text)

    def _chunk_size(self, text: bytes, now: int) -> int:
        end = text.find(b"\n")
        if end < 0:
            if len(text) > MAX_HEAD:
                raise BadHttp("a chunk size without end")
            return -1
        line = text[:end].removesuffix(b"\r")
        size = line.partition(b";")[0].rstrip(b" \t")  # blanks before an extension are tolerated
        if not _HEX.fullmatch(size):
            raise BadHttp(f"not a chunk size: {line[:80]!r}")
        self._left = int(size, 16)
        self._step = self._chunk if self._left else self._trailer
        return end + 1

    def _one_chunk(self, data: bytes, now: int) -> bool:
        """Whether it was just one chunk, as almost every read of a stream is; it has been taken then."""
        end = data.find(b"\r\n")
        if not _HEX.fullmatch(data[:end]) or not data.endswith(b"\r\n"):
            return False
        size = int(data[:end], 16)
        if size == 0 or len(data) != end + size + 4:
            return False
        self._answer.on_body(data[end + 2 : -2], now)
        return True

    def _chunk(self, text: bytes, now: int) -> int:
        piece = text[: self._left]
        self._left -= len(piece)
        if self._left == 0:
            self._step = self._chunk_end
        self._answer.on_body(piece, now)
        return len(piece)

    def _chunk_end(self, text: bytes, now: int) -> int:
        if text == b"\r":
            return -1
        if not text.startswith((b"\r\n", b"\n")):
            raise BadHttp(f"a chunk is longer than its size: {text[:80]!r}")
        self._step = self._chunk_size
        return 1 if text.startswith(b"\n") else 2

    def _trailer(self, text: bytes, now: int) -> int:
        end = text.find(b"\n")
        if end < 0:
            if len(text) > MAX_HEAD:
                raise BadHttp(f"trailers of more than {MAX_HEAD} bytes")
            return -1
        if text[:end] in (b"", b"\r"):
            self._end(now)
        return end + 1


def _fields(lines: list[bytes]) -> dict[str, str]:
    """Header fields, names in lower case; one that goes on in the next line is joined (RFC 9112, section 5.2)."""
    headers: dict[str, str] = {}
    key = ""
    for line in lines:
        if key and line[:1] in (b" ", b"\t"):
            headers[key] = f"{headers[key]} {line.strip().decode('latin-1')}".strip()
            continue
        name, colon, value = line.partition(b":")
        name = name.rstrip(b" \t")  # whoever passes an answer on takes these blanks away (section 5.1)
        if not colon or not name or name != name.strip():
            raise BadHttp(f"not a header field: {line[:80]!r}")
        key, told = name.decode("latin-1").lower(), value.strip().decode("latin-1")
        if key == "content-length":
            told = _one_length(told, headers.get(key))
        elif key in _LISTS and key in headers:
            told = f"{headers[key]}, {told}"
        headers[key] = told
    return headers


def _one_length(told: str, before: str | None) -> str:
    """A length; the same one may be said several times (RFC 9112, section 6.3)."""
    said = {one.strip() for one in told.split(",")}
    if before is not None:
        said.add(before)
    if len(said) > 1:
        raise BadHttp(f"two lengths: content-length {' and '.join(sorted(said))[:80]}")
    return said.pop()


class Connection(asyncio.Protocol):
    """One connection; one exchange at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._parser: ResponseParser | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.lost = asyncio.Event()
        """Set when the connection is gone: uvloop does not end while a transport is still closing."""

    @property
    def usable(self) -> bool:
        """Whether another request can be sent on it."""
        return self._transport is not None and not self._transport.is_closing() and self._parser is None

    async def exchange(self, request: bytes, answer: Answer) -> None:
        """Send a request and return when its answer is complete.

        A cancellation closes the connection. Raises BadHttp, CutShort, OSError, or what `answer` raises.
        """
        assert self._transport is not None and self._parser is None
        self._parser, self._waiter = ResponseParser(answer), self._loop.create_future()
        parser = self._parser
        self._transport.write(request)
        try:
            await self._waiter
        finally:
            if not (parser.done and parser.reusable):
                self.close()
            self._parser = self._waiter = None

    def close(self) -> None:
        """Drop the connection and what is under way on it."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Of asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one by its methods only
        # uvloop would keep a request until all that is ready has been read, unless its buffer is full
        self._transport.set_write_buffer_limits(high=0)

    def data_received(self, data: bytes) -> None:
        """Of asyncio.Protocol."""
        now = time.monotonic_ns()
        parser = self._parser
        if parser is None or parser.done:
            self.close()  # an answer that nobody asked for
            return
        try:
            if parser.feed(data, now):
                self._finish(None)
        except Exception as error:
            self._finish(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """Of asyncio.Protocol."""
        now = time.monotonic_ns()
        parser, self._transport = self._parser, None
        self.lost.set()
        if parser is None or parser.done:
            return
        try:
            complete = exc is None and parser.close(now)
            self._finish(None if complete else CutShort(parser.begun))
        except Exception as error:
            self._finish(error)

    def _finish(self, error: Exception | None) -> None:
        if self._waiter is not None and not self._waiter.done():
            if error is None:
                self._waiter.set_result(None)
            else:
                self._waiter.set_exception(error)
