"""What an answer says, noted in its row as it comes; whatever is wrong with it is put into a class."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import msgspec

from gpuassay.load.http1 import BadHttp, CutShort
from gpuassay.load.rows import Row
from gpuassay.load.sse import EventParser, EventTooLong

DETAIL = 300
"""Characters of an answer that a failed row shows."""

_KEPT = 16 * 1024
_DONE = b"[DONE]"


class _Text(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class _Choice(msgspec.Struct):
    text: str | None = None
    delta: _Text | None = None

    def has_text(self) -> bool:
        """Whether there is output in it: an empty role chunk has none."""
        said = self.delta
        return bool(self.text or (said and (said.content or said.reasoning_content or said.reasoning)))


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


class _Payload(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Any = None


_decoder = msgspec.json.Decoder(_Payload)


class BadAnswer(Exception):  # noqa: N818 - reads as what it is
    """The answer is not what it should be: its class and a sentence."""

    def __init__(self, error: str, detail: str) -> None:
        super().__init__(detail)
        self.error, self.detail = error, detail


class Reading:
    """Reads one answer into its row (a `gpuassay.load.http1.Answer`); raises BadAnswer as soon as it is known to be."""

    def __init__(self, row: Row, *, streamed: bool, keep: tuple[str, ...]) -> None:
        """For a request whose answer was asked for as a stream or not, and the response headers to keep."""
        self._row, self._streamed, self._keep = row, streamed, keep
        self._take: Callable[[bytes, int], None] = self._keep_body
        self._body = bytearray()
        self._limit = _KEPT
        self._kind = ""
        self._parser = EventParser()
        self._events, self._done = 0, False

    def on_head(self, status: int, headers: dict[str, str], now: int) -> None:
        """Note status and headers, decide how the body is to be read."""
        row = self._row
        row.headers_ns, row.status = now, status
        row.headers = {name: headers[name] for name in self._keep if name in headers}
        row.served_by = headers.get("x-inference-pod")
        self._kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if status // 100 == 2:
            if not self._streamed:
                self._limit = 0
            elif self._kind == "text/event-stream":
                self._take = self._take_events

    def on_body(self, data: bytes, now: int) -> None:
        """Read on."""
        self._take(data, now)

    def on_end(self, now: int) -> None:
        """Judge the answer as a whole."""
        row = self._row
        row.end_ns = now
        if row.status is None or row.status // 100 != 2:
            raise BadAnswer(f"http-{row.status}", self._beginning())
        if not self._streamed:
            self._read_whole()
        elif self._take == self._keep_body:
            raise BadAnswer("not-sse", f"{self._kind or 'no content-type'}: {self._beginning()}")
        elif not self._done:
            raise BadAnswer("truncated", f"the stream ended without [DONE] after {self._events} events with text")
        elif not self._events:
            raise BadAnswer("empty", "the stream has no text")
        elif row.tokens is None:
            row.tokens, row.tokens_from = self._events, "events"

    def _keep_body(self, data: bytes, now: int) -> None:
        if not self._limit or len(self._body) < self._limit:
            self._body += data

    def _take_events(self, data: bytes, now: int) -> None:
        row = self._row
        for event in self._parser.feed(data):
            if event == _DONE:
                self._done = True
                continue
            payload = _payload(event, "malformed-event")
            if payload.usage is not None:
                _note_usage(row, payload.usage)
            if not any(choice.has_text() for choice in payload.choices):
                continue
            self._events += 1
            if row.last_ns is None:
                row.first_ns = now
            else:
                row.gaps_ns.append(now - row.last_ns)
            row.last_ns = now

    def _read_whole(self) -> None:
        payload = _payload(bytes(self._body), "malformed-answer")
        if not payload.choices:
            raise BadAnswer("malformed-answer", f"no choices: {self._beginning()}")
        if payload.usage is not None:
            _note_usage(self._row, payload.usage)

    def _beginning(self) -> str:
        return _short(self._body.decode(errors="replace"))


def note_failure(row: Row, error: Exception) -> None:
    """Put what ended an exchange into the row: class and words."""
    if isinstance(error, BadAnswer):
        row.error, row.detail = error.error, error.detail
    else:
        row.error, row.detail = _class_of(error, row), _short(str(error) or type(error).__name__)


def _payload(data: bytes, error: str) -> _Payload:
    try:
        payload = _decoder.decode(data)
    except (msgspec.DecodeError, ValueError) as why:
        raise BadAnswer(error, f"{why}: {_short(data.decode(errors='replace'))}") from None
    if payload.error is not None:
        raise BadAnswer("error-event" if error == "malformed-event" else "error-answer", _short(str(payload.error)))
    return payload


def _note_usage(row: Row, usage: _Usage) -> None:
    if usage.completion_tokens is not None:
        row.tokens, row.tokens_from = usage.completion_tokens, "usage"
    if usage.prompt_tokens is not None:
        row.prompt_tokens = usage.prompt_tokens
    if usage.prompt_tokens_details is not None:
        row.cached_tokens = usage.prompt_tokens_details.cached_tokens


def _class_of(error: Exception, row: Row) -> str:
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, EventTooLong):
        return "malformed-event"
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return "file-handles"
    if isinstance(error, CutShort):
        if row.status is not None and row.status // 100 != 2:
            return f"http-{row.status}"
        return "truncated" if error.begun else "disconnected"
    if isinstance(error, BadHttp):
        return "bad-http"
    # nothing but connecting is left
    return "connect"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= DETAIL else f"{line[:DETAIL]}..."
