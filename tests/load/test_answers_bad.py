"""Streams that fail in the ways in which servers and gateways fail, and the one line that says how."""

from __future__ import annotations

import gzip

import pytest

from tests.load.answers import (
    DONE,
    ROLE,
    THREE,
    Case,
    check,
    delta,
    event,
    finish,
    named,
    sse,
    text,
    whole,
)

CASES = [
    # errors within
    Case(
        "error as an object",
        sse(text(), event(error={"message": "engine died", "code": 500}), DONE),
        'error-event: {"message": "engine died"',
    ),
    Case("error as text", sse(text(), event(error="engine died"), DONE), "error-event: engine died"),
    Case(
        "error beside choices (OpenRouter)",
        sse(
            text(),
            event(
                error={"code": 502, "message": "gone"},
                choices=[{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
            ),
            DONE,
        ),
        'error-event: {"code": 502',
    ),
    Case(
        "error in a choice",
        sse(text(), event(choices=[{"index": 0, "error": {"message": "gone"}}]), DONE),
        'error-event: {"message": "gone"',
    ),
    Case(
        "object error (vLLM)",
        sse(text(), event(object="error", message="engine died", code=400), DONE),
        'error-event: {"object": "error"',
    ),
    Case("type error", sse(text(), event(type="error", reason="x"), DONE), 'error-event: {"type": "error"'),
    Case("detail (FastAPI)", sse(text(), event(detail="Internal error"), DONE), 'error-event: {"detail": "Internal'),
    Case(
        "message and code",
        sse(text(), event(message="quota is used up", code="Throttled"), DONE),
        'error-event: {"message": "quota',
    ),
    Case("message with choices []", sse(text(), event(choices=[], message="gone", code=500), DONE), "error-event: "),
    Case("code 429", sse(text(), event(code=429), DONE), 'error-event: {"code": 429'),
    Case("errors", sse(text(), event(errors=[{"message": "x"}]), DONE), 'error-event: {"errors"'),
    Case(
        "error_code (FastChat)",
        sse(text(), event(text="NETWORK ERROR", error_code=50001), DONE),
        'error-event: {"text": "NETWORK ERROR"',
    ),
    Case("success false", sse(text(), event(success=False), DONE), 'error-event: {"success": false'),
    Case(
        "field error (llama.cpp)",
        sse(text(), b'error: {"code":500,"message":"died"}\n\n', DONE),
        'error-event: {"code": 500, "message": "died"}',
    ),
    Case("field error alone", sse(b'error: {"code":500,"message":"died"}\n\n', DONE), 'error-event: {"code": 500'),
    Case("field error without a blank line", sse(text(), b'error: {"message":"died"}'), 'error-event: {"message"'),
    Case("event error", sse(text(), b'event: error\ndata: {"message": "died"}\n\n', DONE), 'error-event: {"message"'),
    Case("event error as text", sse(text(), b"event: error\ndata: died\n\n", DONE), "error-event: died"),
    Case(
        "event error without data", sse(text(), b"event: error\n\n", DONE), "error-event: an error event without a wo"
    ),
    Case("event error, data first", sse(text(), b"data: died\nevent: error\n\n", DONE), "error-event: died"),
    Case("error after [DONE]", sse(text(), DONE, event(error="late")), "error-event: late"),
    Case("error without data:", sse(text(), b'{"error": {"message": "died"}}\n\n', DONE), 'error-event: {"message"'),
    Case("error in place of a stream", sse(b'{"error": {"message": "died"}}'), 'error-event: {"message": "died"}'),
    Case(
        "error on several lines in its place",
        sse(b'{\n "error": {\n  "message": "died"\n }\n}\n'),
        'error-event: {"message": "died"}',
    ),
    Case(
        "words in the stream",
        sse(text(), b"Internal Server Error"),
        "truncated: the stream ended without [DONE] after 1 events with text; a line that is no field of an event: Int",
    ),
    # it says that it did not finish
    Case(
        "abort", sse(THREE, finish("abort"), DONE), "unfinished: finish_reason 'abort' does not say that the answer is"
    ),
    Case("abort as an object (SGLang)", sse(THREE, finish({"type": "abort", "message": "x"}), DONE), "unfinished: "),
    Case("reason error", sse(THREE, finish("error"), DONE), "unfinished: finish_reason 'error'"),
    Case("content_filter", sse(THREE, finish("content_filter"), DONE), "unfinished: finish_reason 'content_filter'"),
    Case("out of resources (DeepSeek)", sse(THREE, finish("insufficient_system_resource"), DONE), "unfinished: "),
    Case("reason unknown", sse(THREE, finish("mystery"), DONE), "unfinished: finish_reason 'mystery'"),
    Case("abort without [DONE]", sse(THREE, finish("abort")), "unfinished: "),
    Case(
        "one of two choices aborted",
        sse(text(), text(index=1), finish("stop"), finish("abort", 1), DONE),
        "unfinished: ",
    ),
    # it does not say that it did
    Case("no end", sse(THREE), "truncated: the stream ended without [DONE] after 3 events with text"),
    Case("one of two choices ends", sse(text(), text(index=1), finish("stop")), "truncated: "),
    Case("cut within an event", sse(THREE, finish("stop"), b'data: {"choices": [], "us'), "truncated: "),
    Case("cut within [DONE]", sse(THREE, b"data: [DON"), "truncated: "),
    Case(
        "nothing but keep-alive",
        sse(b": ping\n\n: ping\n\n"),
        "truncated: the stream ended without [DONE] after 0 events",
    ),
    Case("no text", sse(DONE), "empty: the stream has no text"),
    Case("role only", sse(ROLE, delta(finish_reason="stop"), DONE), "empty: the stream has no text"),
    Case("content-length 0", sse(), "empty: the body of the stream is empty"),
    Case("204", b"HTTP/1.1 204 No Content\r\n\r\n", "empty: HTTP 204 without a body; a stream was asked for"),
    Case("text after [DONE]", sse(THREE, DONE, text()), "malformed-event: text after [DONE]: "),
    # it is something else
    Case(
        "one line end between events",
        sse(THREE.replace(b"\n\n", b"\n"), b"data: [DONE]\n"),
        "malformed-event: events are not separated by a blank line: ",
    ),
    Case(
        "one line end between events and a blank line at the end",
        sse(THREE.replace(b"\n\n", b"\n"), DONE),
        "malformed-event: events are not separated by a blank line: ",
    ),
    Case("no JSON", sse(b"data: {oops\n\n", DONE), "malformed-event: not JSON: "),
    Case("a list", sse(b"data: [1]\n\n", DONE), "malformed-event: Expected `object`, got `array`: [1]"),
    Case("words", sse(text(), b"data: upstream connect error\n\n", DONE), "malformed-event: not JSON: "),
    Case("JSON without bottom", sse(b"data: " + b'{"error":' * 100_000 + b"\n\n", DONE), "malformed-event: "),
    Case(
        "choices an object",
        sse(b'data: {"choices": {"text": "a"}}\n\n', DONE),
        "malformed-event: Expected `array`, got `object` - at `$.choices`",
    ),
    Case(
        "choices [null]", sse(b'data: {"choices": [null]}\n\n', DONE), "malformed-event: Expected `object`, got `null"
    ),
    Case(
        "Anthropic's events",
        sse(
            b'event: message_start\ndata: {"type": "message_start"}\n\n',
            b'event: message_stop\ndata: {"type": "x"}\n\n',
            DONE,
        ),
        'malformed-event: no event has choices with text; the first: {"type": "message_start"}',
    ),
    Case(
        "TGI's own events", sse(event(token={"text": "a"}), DONE), "malformed-event: no event has choices with text; "
    ),
    Case(
        "an answer that is not streamed",
        whole({"choices": [{"text": "a"}]}),
        "not-sse: a stream was asked for, application/json came: ",
    ),
    Case("an error that is not streamed", whole({"error": {"message": "died"}}), 'error-answer: {"message": "died"}'),
    Case(
        "a whole answer called a stream",
        sse(b'{"choices": [{"text": "a"}]}'),
        "not-sse: JSON without events although it is called text/event-stream: ",
    ),
    Case(
        "a page called a stream",
        sse(b"<html>\n<p>login</p>\n"),
        "not-sse: no line of the text/event-stream begins with",
    ),
    Case(
        "a page",
        sse(b"<html>login", kind="text/html; charset=utf-8"),
        "not-sse: a stream was asked for, text/html came: <html>login",
    ),
    Case(
        "lines of JSON (Ollama)",
        sse(b'{"message":{"content":"a"},"done":false}\n', kind="application/x-ndjson"),
        "not-sse: a stream was asked for, application/x-ndjson came: ",
    ),
    Case(
        "no content type",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        "not-sse: a stream was asked for, something without content-type came: hello",
    ),
    Case(
        "brotli",
        sse(b"\x8b\x02", more="content-encoding: br\r\n"),
        "bad-encoding: content-encoding br: the body is comp",
    ),
    Case("zstd", sse(b"\x28\xb5\x2f\xfd", more="content-encoding: zstd\r\n"), "bad-encoding: content-encoding zstd: "),
    Case(
        "gzip that is none",
        sse(THREE, DONE, more="content-encoding: gzip\r\n"),
        "bad-encoding: content-encoding gzip: ",
    ),
    Case(
        "gzip without a word",
        sse(gzip.compress(THREE + DONE)),
        "bad-encoding: the stream is packed by gzip, and no content-encoding says so",
    ),
    Case(
        "gzip that is cut", sse(gzip.compress(THREE + DONE, 0)[:-20], more="content-encoding: gzip\r\n"), "truncated: "
    ),
    Case(
        "redirect",
        whole(b"", status="307 Temporary Redirect", more="location: https://u:pw@h/x?key=1\r\n"),
        "http-307: redirected to https://h/x: name that address as the server's",
    ),
    Case(
        "redirect to a path",
        whole(b"", status="308 Permanent Redirect", more="location: /v1/x/\r\n"),
        "http-308: redirected to /v1/x/: name",
    ),
    Case("redirect to nowhere", whole(b"see there", status="302 Found"), "http-302: see there"),
    Case(
        "503 packed",
        whole(gzip.compress(b"busy"), status="503 Busy", more="content-encoding: gzip\r\n"),
        "http-503: bus",
    ),
    Case(
        "503 packed by brotli",
        whole(b"\x8b", status="503 Busy", more="content-encoding: br\r\n"),
        "http-503: a body packed by br",
    ),
    Case("control characters", whole(b"\x1b[31mred\x00", status="500 Oops"), "http-500: ?[31mred?"),
    # around it
    Case(
        "protocol change",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n",
        "bad-http: status 101: the",
    ),
    Case("TLS", b"\x15\x03\x01\x00\x02\x02\x16", "bad-http: not an HTTP answer: "),
    Case(
        "two lengths", b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc", "bad-http: two lengths"
    ),
    Case("two lengths in one", b"HTTP/1.1 200 OK\r\ncontent-length: 3, 4\r\n\r\nabc", "bad-http: two lengths"),
    Case(
        "a length without end",
        b"HTTP/1.1 200 OK\r\ncontent-length: " + b"9" * 5000 + b"\r\n\r\n",
        "bad-http: content-length: '999",
    ),
    Case(
        "packed transfer",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
        "bad-http: transfer-encoding chunked, gzip: only chunked is read",
    ),
    Case("head without end", b"HTTP/1.1 200 OK\r\nx: " + b"y" * 300_000, "bad-http: a head of more than 262144 bytes"),
    Case("cut within the body", sse(THREE, DONE)[:-5], "truncated: the connection ended within the answer"),
    Case("cut within the head", b"HTTP/1.1 200 O", "disconnected: the connection ended before an answer"),
]


@pytest.mark.parametrize("case", named(CASES))
def test_a_bad_stream_comes_to(case: Case) -> None:
    """Red when a failed answer counts as served, or its line does not say what is wrong."""
    check(case)
