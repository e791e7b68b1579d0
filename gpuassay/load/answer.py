"""One request: sent, its answer read and stamped as it comes, every failure put into a class."""

from __future__ import annotations

import asyncio
import errno
import time
from typing import Any

import aiohttp
import msgspec

from gpuassay.load.rows import Row
from gpuassay.load.sse import EventParser, EventTooLong

DETAIL = 300
"""Characters of an answer that a failed row shows."""

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


class _Bad(Exception):  # noqa: N818 - never leaves this module
    """The answer is not what it should be: its class and a sentence."""

    def __init__(self, error: str, detail: str) -> None:
        super().__init__(error)
        self.error, self.detail = error, detail


async def ask(
    session: aiohttp.ClientSession,
    url: str,
    body: bytes,
    headers: dict[str, str],
    row: Row,
    *,
    streamed: bool,
    keep: tuple[str, ...],
) -> None:
    """Post `body` and fill in the row, whatever happens. Only a cancellation is passed on (class `interrupted`)."""
    row.start_ns = time.monotonic_ns()
    try:
        async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
            row.headers_ns = time.monotonic_ns()
            row.status = response.status
            row.headers = {name: response.headers[name] for name in keep if name in response.headers}
            row.served_by = response.headers.get("x-inference-pod")
            if response.status // 100 != 2:
                raise _Bad(f"http-{response.status}", await _beginning(response))
            await (_read_events(response, row) if streamed else _read_whole(response, row))
    except asyncio.CancelledError:
        row.error, row.detail = "interrupted", "the load generator was told to stop"
        raise
    except _Bad as bad:
        row.error, row.detail = bad.error, bad.detail
    except Exception as error:
        # whatever a broken server makes the client raise is this request's failure and nobody else's
        row.error, row.detail = _class_of(error, row), _short(str(error) or type(error).__name__)
    finally:
        row.end_ns = time.monotonic_ns()


async def _read_events(response: aiohttp.ClientResponse, row: Row) -> None:
    if response.content_type != "text/event-stream":
        raise _Bad("not-sse", f"{response.content_type}: {await _beginning(response)}")
    parser, events, done = EventParser(), 0, False
    clock, last, gaps = time.monotonic_ns, 0, row.gaps_ns
    async for chunk in response.content.iter_any():
        now = clock()
        for data in parser.feed(chunk):
            if data == _DONE:
                done = True
                continue
            payload = _payload(data, "malformed-event")
            if payload.usage is not None:
                _note_usage(row, payload.usage)
            if not any(choice.has_text() for choice in payload.choices):
                continue
            events += 1
            if last:
                gaps.append(now - last)
            else:
                row.first_ns = now
            row.last_ns = last = now
    if not done:
        raise _Bad("truncated", f"the stream ended without [DONE] after {events} events with text")
    if not events:
        raise _Bad("empty", "the stream has no text")
    if row.tokens is None:
        row.tokens, row.tokens_from = events, "events"


async def _read_whole(response: aiohttp.ClientResponse, row: Row) -> None:
    data = await response.read()
    payload = _payload(data, "malformed-answer")
    if not payload.choices:
        raise _Bad("malformed-answer", f"no choices: {_short(data.decode(errors='replace'))}")
    if payload.usage is not None:
        _note_usage(row, payload.usage)


def _payload(data: bytes, error: str) -> _Payload:
    try:
        payload = _decoder.decode(data)
    except (msgspec.DecodeError, ValueError) as why:
        raise _Bad(error, f"{why}: {_short(data.decode(errors='replace'))}") from None
    if payload.error is not None:
        raise _Bad("error-event" if error == "malformed-event" else "error-answer", _short(str(payload.error)))
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
    if isinstance(error, aiohttp.ClientConnectorError):
        return "connect"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "truncated"
    if isinstance(error, OSError | aiohttp.ServerDisconnectedError):
        return "disconnected" if row.headers_ns is None else "truncated"
    return "bad-http"


async def _beginning(response: aiohttp.ClientResponse) -> str:
    """What a failed answer says; a body that breaks off says less."""
    try:
        return _short((await response.content.read(16 * 1024)).decode(errors="replace"))
    except aiohttp.ClientPayloadError:
        return ""


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= DETAIL else f"{line[:DETAIL]}..."
