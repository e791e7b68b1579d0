"""What an answer says, noted in its row as it comes; whatever is wrong with it is put into a class.

An answer is ok only if the server said so: `[DONE]`, or a reason of finishing that means a complete answer.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from gpuassay.load.addresses import without_secrets
from gpuassay.load.encoding import BadEncoding, unpacker
from gpuassay.load.headers import POD
from gpuassay.load.http1 import BadHttp, CutShort
from gpuassay.load.payload import (
    GOOD_ENDS,
    UNUSUAL,
    Choice,
    NotJson,
    Payload,
    Usage,
    complaint,
    decode,
    decode_unusual,
    error_words,
    idle,
    several,
)
from gpuassay.load.responses import MARK, as_payload
from gpuassay.load.rows import Row
from gpuassay.load.sse import EventParser, EventTooLong

DETAIL = 300
"""Characters of an answer that a failed row shows."""

_KEPT = 16 * 1024
_DONE = b"[DONE]"
_GZIP = b"\x1f\x8b"


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
        self._unpack: Callable[[bytes], bytes] | None = None
        self._body = bytearray()
        self._limit = _KEPT
        self._kind = self._packed = self._location = ""
        self._is_stream = False
        self._parser = EventParser()
        self._events, self._done = 0, False
        self._last: dict[int, int] = {}
        """When each choice last had output: times between events of different choices are no inter-token times."""
        self._ended: set[int] = set()
        self._unfinished, self._cut = "", False
        self._foreign = b""
        self._usage_at = -1
        self._useless_usage = False

    def on_head(self, status: int, headers: dict[str, str], now: int) -> None:
        """Note status and headers, decide how the body is to be read."""
        row = self._row
        row.headers_ns, row.status = now, status
        row.headers = {name: headers[name] for name in self._keep if name in headers}
        row.served_by = headers.get(POD)
        self._kind = headers.get("content-type", "").partition(";")[0].partition(",")[0].strip().lower()
        self._location = headers.get("location", "")
        good = status // 100 == 2
        if good:
            if not self._streamed:
                self._limit = 0
            elif self._kind == "text/event-stream":
                self._is_stream = True
                self._take = self._take_events
        if coding := headers.get("content-encoding", ""):
            self._begin_unpacking(coding, needed=good)

    def on_body(self, data: bytes, now: int) -> None:
        """Read on."""
        self._take(data, now)

    def on_end(self, now: int) -> None:
        """Judge the answer as a whole."""
        row = self._row
        row.end_ns = now
        if row.status is None or row.status // 100 != 2:
            raise BadAnswer(f"http-{row.status}", self._said_by_status())
        if not self._streamed:
            self._read_whole()
        elif self._is_stream:
            self._end_stream(now)
        else:
            self._refuse_no_stream()

    def _begin_unpacking(self, coding: str, *, needed: bool) -> None:
        try:
            self._unpack = unpacker(coding)
        except BadEncoding as why:
            if needed:
                raise BadAnswer("bad-encoding", str(why)) from None
            self._packed = coding
            return
        if self._unpack is not None:
            inner, unpack = self._take, self._unpack

            def take(data: bytes, now: int) -> None:
                try:
                    text = unpack(data)
                except BadEncoding as why:
                    raise BadAnswer("bad-encoding", _short(str(why))) from None
                if text:
                    inner(text, now)

            self._take = take

    def _keep_body(self, data: bytes, now: int) -> None:
        if not self._limit or len(self._body) < self._limit:
            self._body += data

    def _take_events(self, data: bytes, now: int) -> None:
        parser = self._parser
        if not parser.heard and len(self._body) < _KEPT:
            self._body += data  # if no event follows, this is what there was
        for event in parser.feed(data):
            if event == _DONE:
                self._done = True
                continue
            self._take_event(event, now)
        if parser.failed is not None:
            self._raise_error(parser.failed)

    def _take_event(self, event: bytes, now: int) -> None:
        try:
            payload = decode(event)
        except UNUSUAL:
            payload = self._unusual(event)
            if payload is None:
                return
        if payload.choices is None and MARK in event:
            payload = as_payload(event) or payload
        if payload.error is not None and (said := error_words(payload.error)):
            raise BadAnswer("error-event", _short(said))
        choices = payload.choices
        if choices:
            row = self._row
            for choice in choices:
                if choice.finish_reason is not None or choice.error is not None:
                    self._note_end(choice)
                if not choice.has_output():
                    continue
                if self._done:
                    raise BadAnswer("malformed-event", f"text after [DONE]: {_shown(event)}")
                self._events += 1
                before = self._last.get(choice.index)
                self._last[choice.index] = now
                if before is not None:
                    row.gaps_ns.append(now - before)
                elif row.first_ns is None:
                    row.first_ns = now
                row.last_ns = now
        else:
            self._look_closer(event, payload)
        if payload.usage is not None or payload.x_groq is not None or (choices and choices[0].usage is not None):
            self._note_usage(payload.counted())

    def _unusual(self, event: bytes) -> Payload | None:
        """What an event says that is not of the usual shape; None if it says nothing."""
        text = event.decode(errors="replace").strip()
        if text.strip('"').upper() == "[DONE]":
            self._done = True
            return None
        if idle(text):
            return None
        if several(event):
            raise BadAnswer("malformed-event", f"events are not separated by a blank line: {_shown(event)}")
        try:
            return decode_unusual(event)
        except NotJson as why:
            raise BadAnswer("malformed-event", f"{why}: {_shown(event)}") from None

    def _look_closer(self, event: bytes, payload: Payload) -> None:
        """An event without choices: usage, the gateway's own notes, something for other clients, or an error."""
        if said := complaint(event):
            raise BadAnswer("error-event", _short(said))
        if payload.choices is None and payload.counted() is None and not self._foreign and event.strip() != b"{}":
            self._foreign = event

    def _note_end(self, choice: Choice) -> None:
        if said := error_words(choice.error):
            raise BadAnswer("error-event" if self._streamed else "error-answer", _short(said))
        reason = choice.end()
        if reason in GOOD_ENDS:
            self._ended.add(choice.index)
        elif reason:
            self._unfinished = self._unfinished or reason

    def _note_usage(self, usage: Usage | None) -> None:
        row = self._row
        if usage is None:
            return
        if output := usage.output:
            if self._events > self._usage_at >= 0 and row.tokens is not None and output <= row.tokens:
                self._useless_usage = True  # it does not grow while text comes: it tells of one event, not of all
            row.tokens, row.tokens_from = output, "usage"
            self._usage_at = self._events
        row.prompt_tokens = usage.prompt or row.prompt_tokens
        cached = usage.cached
        if cached is not None and row.prompt_tokens is not None and cached <= row.prompt_tokens:
            row.cached_tokens = cached

    def _end_stream(self, now: int) -> None:
        row = self._row
        self._take_rest(now)
        if self._parser.bare:
            self._refuse_bare_json()
        if self._unfinished:
            self._raise_unfinished()
        if not self._done and (self._cut or not self._ended or not self._last.keys() <= self._ended):
            self._raise_truncated()
        if not self._events:
            if self._foreign:
                raise BadAnswer(
                    "malformed-event", f"no event has choices with text; the first: {_shown(self._foreign)}"
                )
            raise BadAnswer("empty", f"the stream has no text{self._stray()}")
        if row.tokens is None or self._useless_usage or self._usage_at < self._events:
            row.tokens, row.tokens_from = self._events, "events"

    def _take_rest(self, now: int) -> None:
        """What the stream ended within: events count if they are complete, although no blank line follows."""
        for event in self._parser.end():
            if event == _DONE:
                self._done = True
                continue
            if _is_cut(event):
                self._cut = True
            else:
                self._take_event(event, now)
        if self._parser.failed is not None:
            self._raise_error(self._parser.failed)

    def _raise_error(self, said: bytes) -> None:
        words = complaint(said) or said.decode(errors="replace").strip() or "an error event without a word"
        raise BadAnswer("error-event", _short(words))

    def _raise_unfinished(self) -> None:
        raise BadAnswer(
            "unfinished",
            f"finish_reason {_short(self._unfinished)!r} does not say that the answer is complete"
            f" ({self._events} events with text)",
        )

    def _raise_truncated(self) -> None:
        if not self._body:
            raise BadAnswer("empty", "the body of the stream is empty, without one byte")
        if not self._parser.heard and self._body.startswith(_GZIP):
            raise BadAnswer("bad-encoding", "the stream is packed by gzip, and no content-encoding says so")
        if not self._parser.heard and self._parser.stray:
            raise BadAnswer("not-sse", f"no line of the text/event-stream begins with data: {self._beginning()}")
        raise BadAnswer(
            "truncated", f"the stream ended without [DONE] after {self._events} events with text{self._stray()}"
        )

    def _stray(self) -> str:
        stray = self._parser.stray
        return f"; a line that is no field of an event: {_shown(stray)}" if stray else ""

    def _refuse_bare_json(self) -> None:
        """A JSON object that is no event, in the stream or in its place."""
        whole = bytes(self._body) if not self._parser.heard else self._parser.bare
        if said := complaint(whole) or complaint(self._parser.bare):
            raise BadAnswer("error-event", _short(said))
        if not self._parser.heard:
            raise BadAnswer("not-sse", f"JSON without events although it is called text/event-stream: {_shown(whole)}")
        raise BadAnswer("malformed-event", f"a line without data: before it: {_shown(whole)}")

    def _refuse_no_stream(self) -> None:
        body = bytes(self._body)
        if not body:
            raise BadAnswer("empty", f"HTTP {self._row.status} without a body; a stream was asked for")
        if said := complaint(body):
            raise BadAnswer("error-answer", _short(said))
        kind = self._kind or "something without content-type"
        raise BadAnswer("not-sse", f"a stream was asked for, {kind} came: {self._beginning()}")

    def _read_whole(self) -> None:
        body = bytes(self._body)
        if not body.strip():
            raise BadAnswer("malformed-answer", f"HTTP {self._row.status} without a body")
        if self._kind == "text/event-stream":
            raise BadAnswer("malformed-answer", f"a stream came although none was asked for: {self._beginning()}")
        try:
            payload = decode(body)
        except UNUSUAL:
            try:
                payload = decode_unusual(body)
            except NotJson as why:
                raise BadAnswer("malformed-answer", f"{why}: {self._beginning()}") from None
        if said := error_words(payload.error):
            raise BadAnswer("error-answer", _short(said))
        if not payload.choices:
            if said := complaint(body):
                raise BadAnswer("error-answer", _short(said))
            raise BadAnswer("malformed-answer", f"no choices: {self._beginning()}")
        for choice in payload.choices:
            self._note_end(choice)
            self._events += choice.has_output()
        if self._unfinished:
            self._raise_unfinished()
        usage = payload.counted()
        self._note_usage(usage)
        if usage is not None and usage.output == 0 and not self._events:
            self._row.tokens, self._row.tokens_from = 0, "usage"

    def _said_by_status(self) -> str:
        status = self._row.status or 0
        if status // 100 == 3 and self._location:
            return f"redirected to {without_secrets(self._location)}: name that address as the server's"
        if self._packed:
            return f"a body packed by {_short(self._packed)}"
        return self._beginning()

    def _beginning(self) -> str:
        return _shown(bytes(self._body))


def note_failure(row: Row, error: Exception) -> None:
    """Put what ended an exchange into the row: class and words."""
    if isinstance(error, BadAnswer):
        row.error, row.detail = error.error, error.detail
    else:
        row.error, row.detail = _class_of(error, row), _short(str(error) or type(error).__name__)


def _is_cut(event: bytes) -> bool:
    """Whether what stands last in a stream is a part of an event."""
    if several(event) or event.strip() == _DONE or idle(event.decode(errors="replace")):
        return False
    try:
        decode_unusual(event)
    except NotJson:
        return True
    return False


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


def _shown(data: bytes) -> str:
    return _short(data.decode(errors="replace"))


def _short(text: str) -> str:
    line = "".join(one if one.isprintable() else "?" for one in " ".join(text[: 4 * DETAIL].split()))
    return line if len(line) <= DETAIL and len(text) <= 4 * DETAIL else f"{line[:DETAIL]}..."
