"""Incremental parser of server-sent events.

Source of the grammar: WHATWG HTML, section 9.2.6 "Interpreting an event stream": lines end with CRLF, LF or CR; a
line that begins with a colon is a comment; the `data` lines of an event are joined by LF; a blank line ends the event.
"""

from __future__ import annotations

_BOM = b"\xef\xbb\xbf"
LIMIT = 16 * 1024 * 1024
"""Bytes that one event may have."""


class EventTooLong(ValueError):  # noqa: N818 - reads as what it is
    """An event has more than `LIMIT` bytes and no end in sight."""


class EventParser:
    """Takes a stream in chunks of any size, gives the data of each event as soon as its last byte is there.

    Other fields (`event`, `id`, `retry`) are read over: OpenAI-like servers put everything into `data`. An event
    that the stream ends within is never given, as the standard says.
    """

    __slots__ = ("_after_cr", "_begun", "_data", "_rest", "_size")

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._size = 0
        self._begun = False
        self._after_cr = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of the events that end within `chunk`. Raises EventTooLong."""
        if (
            not self._rest
            and not self._data
            and self._begun
            and not self._after_cr
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
                if self._data:
                    events.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
                    self._data, self._size = [], 0
                continue
            field, _, value = line.partition(b":")
            if field == b"data":
                value = value.removeprefix(b" ")
                self._data.append(value)
                self._size += len(value)
        return events
