"""Incremental parser of server-sent events.

Source of the grammar: WHATWG HTML, section 9.2.6 "Interpreting an event stream": lines end with CRLF, LF or CR; a
line that begins with a colon is a comment; the `data` lines of an event are joined by LF; a blank line ends the event.
"""

from __future__ import annotations

_BOM = b"\xef\xbb\xbf"
LIMIT = 16 * 1024 * 1024
"""Bytes that one event may have."""

_ERRORS = (b"error", b"exception")
_KEEP_ALIVES = (b"ping", b"heartbeat", b"keepalive", b"keep-alive")
_KEPT = 300
_NO_OUTPUT = (b"id", b"retry", b"")


class EventTooLong(ValueError):  # noqa: N818 - reads as what it is
    """An event has more than `LIMIT` bytes and no end in sight."""


class EventParser:
    """Takes a stream in chunks of any size, gives the data of each event as soon as its last byte is there.

    OpenAI-like servers put everything into `data`; `id` and `retry` are read over, and so is an event whose type says
    that it only keeps the connection alive (`event: ping`).

    Attributes:
        failed: data of the first event of type `error`, or what the first field `error` (llama.cpp has one) says; such
            an event is not given. None: there was none.
        bare: the first line that begins as a JSON object does, without `data:` before it; "" if there was none.
        stray: the beginning of the last line whose field no event stream has; "" if there was none.
        heard: whether there was a `data` line.
    """

    __slots__ = (
        "_after_cr", "_begun", "_data", "_idle", "_rest", "_size", "_type", "bare", "failed", "heard", "stray",
    )  # fmt: skip

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._type = b""
        self._size = 0
        self._begun = False
        self._after_cr = False
        self._idle = False
        """Whether the next byte begins an event of its own."""
        self.failed: bytes | None = None
        self.bare = self.stray = b""
        self.heard = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of the events that end within `chunk`. Raises EventTooLong."""
        if (
            self._idle
            and chunk.startswith(b"data: ")
            and chunk.endswith(b"\n\n")
            and chunk.count(b"\n") == 2
            and b"\r" not in chunk
        ):
            return [chunk[6:-2]]  # one event of one line, as almost every chunk is
        if self._after_cr and chunk:
            # the line ended at the CR already; a LF that follows belongs to the same line end
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        text = self._rest + chunk
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = text.split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) + self._size > LIMIT:
            raise EventTooLong(f"an event has more than {LIMIT} bytes")
        events: list[bytes] = []
        for line in lines:
            if not self._begun:
                self._begun = True
                line = line.removeprefix(_BOM)
            if not line:
                self._end_event(events)
                continue
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if field == b"data":
                self.heard = True
                self._data.append(value)
                self._size += len(value)
            elif field not in _NO_OUTPUT:
                self._other(field, value, line)
        self._idle = self.heard and not (self._rest or self._data or self._type or self._after_cr)
        return events

    def end(self) -> list[bytes]:
        """The event that the stream ended within, as if a blank line had come.

        The standard drops it. Servers are about that leave out the last blank line, so that whoever knows that the body
        is complete can have a look at it.
        """
        return self.feed(b"\n\n")

    def _end_event(self, events: list[bytes]) -> None:
        """A blank line: the event is complete."""
        if self._type in _ERRORS:
            self._fail(b"\n".join(self._data))
        elif self._data and self._type not in _KEEP_ALIVES:
            events.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
        self._data, self._size, self._type = [], 0, b""

    def _other(self, field: bytes, value: bytes, line: bytes) -> None:
        if field == b"event":
            self._type = value.strip().lower()
        elif field == b"error":
            self._fail(value)
        else:
            self.stray = line[:_KEPT]
            if line.startswith(b"{") and not self.bare:
                self.bare = line

    def _fail(self, said: bytes) -> None:
        if self.failed is None:
            self.failed = said
