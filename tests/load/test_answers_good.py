"""Good streams in the shapes that real servers and gateways send, and the tokens and times that they come to."""

from __future__ import annotations

import gzip
import zlib

import pytest

from gpuassay.load.figures import itl_mean_ms
from tests.load.answers import (
    ALL,
    BY_USAGE,
    COUNTED,
    DONE,
    ROLE,
    THREE,
    Case,
    check,
    delta,
    event,
    finish,
    named,
    read,
    sse,
    text,
    usage,
)

NOTHING: dict[str, object] = {}

CASES = [
    Case("vllm", sse(THREE, usage(**COUNTED), DONE), BY_USAGE),
    Case(
        "vllm continuous usage",
        sse(
            *[
                event(choices=[{"index": 0, "text": "a"}], usage={"prompt_tokens": 5, "completion_tokens": n})
                for n in (1, 2, 3)
            ],
            usage(**COUNTED),
            DONE,
        ),
        BY_USAGE,
    ),
    Case("usage null in every chunk", sse(*[event(choices=[{"text": "a"}], usage=None)] * 3, DONE), ALL),
    Case("triton: choices null beside usage", sse(THREE, event(choices=None, usage=COUNTED), DONE), BY_USAGE),
    Case("usage without choices", sse(THREE, event(usage=COUNTED), DONE), BY_USAGE),
    Case(
        "usage in the last chunk with text (TGI, Mistral)",
        sse(text(), text(), event(choices=[{"index": 0, "text": "a", "finish_reason": "length"}], usage=COUNTED)),
        BY_USAGE,
    ),
    Case(
        "usage in choices (Moonshot)",
        sse(THREE, event(choices=[{"index": 0, "delta": NOTHING, "finish_reason": "stop", "usage": COUNTED}]), DONE),
        BY_USAGE,
    ),
    Case(
        "usage in x_groq",
        sse(
            THREE,
            event(choices=[{"index": 0, "delta": NOTHING, "finish_reason": "stop"}], x_groq={"usage": COUNTED}),
            DONE,
        ),
        BY_USAGE,
    ),
    Case("usage after [DONE]", sse(THREE, DONE, usage(**COUNTED)), BY_USAGE),
    Case("usage twice", sse(THREE, usage(**COUNTED), usage(**COUNTED), DONE), BY_USAGE),
    Case("usage as input and output tokens", sse(THREE, usage(input_tokens=5, output_tokens=3), DONE), BY_USAGE),
    Case("usage as floats", sse(THREE, usage(prompt_tokens=5.0, completion_tokens=3.0), DONE), BY_USAGE),
    Case("usage as strings", sse(THREE, usage(prompt_tokens="5", completion_tokens="3"), DONE), BY_USAGE),
    Case("usage that is no whole number", sse(THREE, usage(prompt_tokens=5.5, completion_tokens=2.5), DONE), ALL),
    Case("usage NaN", sse(THREE, usage(prompt_tokens=float("nan"), completion_tokens=float("nan")), DONE), ALL),
    Case("usage true", sse(THREE, usage(prompt_tokens=True, completion_tokens=True), DONE), ALL),
    Case("usage beyond all numbers", sse(THREE, usage(prompt_tokens=1e300, completion_tokens=1e300), DONE), ALL),
    Case("usage negative", sse(THREE, usage(prompt_tokens=-1, completion_tokens=-1), DONE), ALL),
    Case("usage zeros (LocalAI)", sse(THREE, usage(prompt_tokens=0, completion_tokens=0, total_tokens=0), DONE), ALL),
    Case(
        "usage zeros after good ones",
        sse(THREE, usage(**COUNTED), usage(prompt_tokens=0, completion_tokens=0), DONE),
        BY_USAGE,
    ),
    Case(
        "usage of zeros with cached ones",
        sse(THREE, usage(prompt_tokens=0, completion_tokens=0, prompt_tokens_details={"cached_tokens": 0}), DONE),
        ALL,
    ),
    Case("usage nulls", sse(THREE, usage(prompt_tokens=None, completion_tokens=None), DONE), ALL),
    Case("usage empty", sse(THREE, usage(), DONE), ALL),
    Case("usage a list", sse(THREE, event(choices=[], usage=[]), DONE), ALL),
    Case(
        "usage only in the first chunk",
        sse(event(choices=[{"index": 0, "text": ""}], usage={"prompt_tokens": 5, "completion_tokens": 1}), THREE, DONE),
        "3 by events, 2 gaps, prompt 5",
    ),
    Case(
        "usage of one event in every chunk",
        sse(
            *[event(choices=[{"index": 0, "text": "a"}], usage={"prompt_tokens": 5, "completion_tokens": 1})] * 3, DONE
        ),
        "3 by events, 2 gaps, prompt 5",
    ),
    Case(
        "more tokens than events",
        sse(THREE, usage(prompt_tokens=5, completion_tokens=9), DONE),
        "9 by usage, 2 gaps, prompt 5",
    ),
    Case(
        "cached by OpenAI",
        sse(THREE, usage(**COUNTED, prompt_tokens_details={"cached_tokens": 4}), DONE),
        f"{BY_USAGE}, cached 4",
    ),
    Case("cached details null (SGLang)", sse(THREE, usage(**COUNTED, prompt_tokens_details=None), DONE), BY_USAGE),
    Case("cached null", sse(THREE, usage(**COUNTED, prompt_tokens_details={"cached_tokens": None}), DONE), BY_USAGE),
    Case(
        "cached float",
        sse(THREE, usage(**COUNTED, prompt_tokens_details={"cached_tokens": 4.0}), DONE),
        f"{BY_USAGE}, cached 4",
    ),
    Case(
        "cached by DeepSeek",
        sse(THREE, usage(**COUNTED, prompt_cache_hit_tokens=4, prompt_cache_miss_tokens=1), DONE),
        f"{BY_USAGE}, cached 4",
    ),
    Case("cached by Moonshot", sse(THREE, usage(**COUNTED, cached_tokens=4), DONE), f"{BY_USAGE}, cached 4"),
    Case("cached by others", sse(THREE, usage(**COUNTED, num_cached_tokens=4), DONE), f"{BY_USAGE}, cached 4"),
    Case(
        "cached by Anthropic behind a gateway",
        sse(THREE, usage(**COUNTED, cache_read_input_tokens=4), DONE),
        f"{BY_USAGE}, cached 4",
    ),
    Case("more cached than asked", sse(THREE, usage(**COUNTED, cached_tokens=9), DONE), BY_USAGE),
    Case("cached negative", sse(THREE, usage(**COUNTED, cached_tokens=-1), DONE), BY_USAGE),
    # ends
    Case("[DONE] without a reason", sse(THREE, DONE), ALL),
    Case("a reason and no [DONE] (TGI)", sse(THREE, finish("length")), ALL),
    Case("two [DONE]", sse(THREE, DONE, DONE), ALL),
    Case("[DONE] without a last blank line", sse(THREE, b"data: [DONE]\n"), ALL),
    Case("[DONE] without any line end", sse(THREE, b"data: [DONE]"), ALL),
    Case("[DONE] without a blank before it", sse(THREE, b"data:[DONE]\n\n"), ALL),
    Case("[DONE] with blanks", sse(THREE, b"data:  [DONE] \n\n"), ALL),
    Case("[DONE] as JSON text", sse(THREE, b'data: "[DONE]"\n\n'), ALL),
    Case("[done]", sse(THREE, b"data: [done]\n\n"), ALL),
    Case("usage without a last blank line", sse(THREE, finish("stop"), usage(**COUNTED)[:-2]), BY_USAGE),
    Case("reason eos_token", sse(THREE, finish("eos_token")), ALL),
    Case("reason STOP (Gemini)", sse(THREE, finish("STOP"), DONE), ALL),
    Case("reason as an object", sse(THREE, finish({"type": "length", "length": 3}), DONE), ALL),
    Case("reason empty until the end", sse(*[text(finish_reason="")] * 3, DONE), ALL),
    Case('reason "null" until the end (DashScope)', sse(*[text(finish_reason="null")] * 3, DONE), ALL),
    # keep-alive
    Case("comment", sse(b": ping\n\n", text(), b":\n\n", text(), b": OPENROUTER PROCESSING\n\n", text(), DONE), ALL),
    Case("empty data", sse(b"data:\n\n", text(), b"data: \n\n", text(), text(), DONE), ALL),
    Case("data of blanks", sse(text(), b"data:   \n\n", text(), text(), DONE), ALL),
    Case('data ""', sse(text(), b'data: ""\n\n', text(), text(), DONE), ALL),
    Case("data {}", sse(b"data: {}\n\n", THREE, DONE), ALL),
    Case("data null", sse(b"data: null\n\n", THREE, DONE), ALL),
    Case("data []", sse(b"data: []\n\n", THREE, DONE), ALL),
    Case("data ping", sse(text(), b"data: ping\n\n", text(), b"data: [PING]\n\n", text(), DONE), ALL),
    Case("data keep-alive", sse(text(), b"data: keep-alive\n\n", text(), b"data: : keepalive\n\n", text(), DONE), ALL),
    Case("event ping", sse(b"event: ping\ndata: 2026-01-01 00:00:00\n\n", THREE, DONE), ALL),
    Case("event ping with JSON", sse(b'event: ping\ndata: {"type": "ping"}\n\n', THREE, DONE), ALL),
    Case("event heartbeat without data", sse(text(), b"event: heartbeat\n\n", text(), text(), DONE), ALL),
    Case("blank lines", sse(b"\n\n\n", text(), b"\n\n", text(), text(), DONE), ALL),
    Case("retry and id", sse(b"retry: 3000\n\nid: 1\n", text(), b"id: 2\n", text(), text(), DONE), ALL),
    Case("byte order mark", sse(b"\xef\xbb\xbf", THREE, DONE), ALL),
    Case("a type for every event", sse(*[b"event: message\n" + text()] * 3, b"event: done\n", DONE), ALL),
    Case("CRLF", sse(THREE.replace(b"\n", b"\r\n"), DONE.replace(b"\n", b"\r\n")), ALL),
    Case("CR", sse(THREE.replace(b"\n", b"\r"), DONE.replace(b"\n", b"\r")), ALL),
    # what is text
    Case("chat", sse(ROLE, *[delta(content="a")] * 3, delta(finish_reason="stop"), usage(**COUNTED), DONE), BY_USAGE),
    Case("role chunk with null", sse(delta(role="assistant", content=None), *[delta(content="a")] * 3, DONE), ALL),
    Case(
        "azure: first chunk without choices",
        sse(
            event(choices=[], prompt_filter_results=[{"prompt_index": 0, "content_filter_results": NOTHING}]),
            THREE,
            DONE,
        ),
        ALL,
    ),
    Case(
        "azure: last chunk with offsets",
        sse(THREE, event(choices=[{"content_filter_offsets": NOTHING, "finish_reason": None, "index": 0}]), DONE),
        ALL,
    ),
    Case("delta null", sse(event(choices=[{"index": 0, "delta": None}]), THREE, DONE), ALL),
    Case("index null", sse(*[event(choices=[{"index": None, "text": "a"}])] * 3, DONE), ALL),
    Case("no index", sse(*[event(choices=[{"text": "a"}])] * 3, DONE), ALL),
    Case("error null in every chunk", sse(*[event(choices=[{"text": "a"}], error=None)] * 3, DONE), ALL),
    Case("error {} in every chunk", sse(*[event(choices=[{"text": "a"}], error={})] * 3, DONE), ALL),
    Case(
        "error without words",
        sse(*[event(choices=[{"text": "a"}], error={"code": None, "message": ""})] * 3, DONE),
        ALL,
    ),
    Case(
        "code 0 and success in every chunk",
        sse(*[event(code=0, message="Success", choices=[{"delta": {"content": "a"}}])] * 3, DONE),
        ALL,
    ),
    Case("code 0 without choices", sse(event(code=0, message="Success"), THREE, DONE), ALL),
    Case("a gateway's own event", sse(event(type="metadata", router="x"), THREE, DONE), ALL),
    Case("reasoning_content", sse(ROLE, *[delta(reasoning_content="a")] * 2, delta(content="a"), DONE), ALL),
    Case("reasoning", sse(ROLE, *[delta(reasoning="a")] * 2, delta(content="a"), DONE), ALL),
    Case("refusal", sse(ROLE, *[delta(refusal="a")] * 3, DONE), ALL),
    Case(
        "tool calls",
        sse(
            delta(
                role="assistant",
                content=None,
                tool_calls=[
                    {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}
                ],
            ),
            *[delta(tool_calls=[{"index": 0, "function": {"arguments": "{"}}])] * 2,
            delta(finish_reason="tool_calls"),
            usage(**COUNTED),
            DONE,
        ),
        BY_USAGE,
    ),
    Case(
        "tool calls that say nothing",
        sse(
            delta(role="assistant", tool_calls=[]),
            delta(tool_calls=[{"index": 0, "id": "x", "type": "function", "function": {"arguments": ""}}]),
            THREE,
            DONE,
        ),
        ALL,
    ),
    Case(
        "function_call",
        sse(
            delta(function_call={"name": "f", "arguments": ""}),
            *[delta(function_call={"arguments": "{"})] * 2,
            delta(finish_reason="function_call"),
            DONE,
        ),
        ALL,
    ),
    Case("audio", sse(delta(audio={"id": "x"}), *[delta(audio={"data": "AAAA"})] * 3, DONE), ALL),
    Case(
        "content as parts (Mistral)",
        sse(
            delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]),
            delta(content=[{"type": "text", "text": "hm"}]),
            delta(content="a"),
            DONE,
        ),
        ALL,
    ),
    Case(
        "content as empty parts",
        sse(delta(content=[]), delta(content=[{"type": "text", "text": ""}]), THREE, DONE),
        ALL,
    ),
    Case("text a number", sse(*[event(choices=[{"index": 0, "text": 0}])] * 3, DONE), ALL),
    Case("reason false until the end", sse(*[text(finish_reason=False)] * 3, DONE), ALL),
    Case("delta a text", sse(*[event(choices=[{"delta": "a"}])] * 3, DONE), ALL),
    Case(
        "the message as a whole",
        sse(
            event(choices=[{"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}]),
            DONE,
        ),
        "1 by events, 0 gaps",
    ),
    Case("token ids without text", sse(*[text("", token_ids=[7])] * 3, DONE), ALL),
    Case("log probabilities without text", sse(text("", logprobs={"token_logprobs": [0.5]}), THREE, DONE), ALL),
    Case(
        "bytes that are no UTF-8",
        sse(text(), b'data: {"choices":[{"delta":{"content":"\xff\xfe"}}]}\n\n', text(), DONE),
        ALL,
    ),
    Case("half a character", sse(text(), b'data: {"choices":[{"text":"\xe4\xbd"}]}\n\n', text(), DONE), ALL),
    Case("half a surrogate pair", sse(text(), b'data: {"choices":[{"text":"\\ud83d"}]}\n\n', text(), DONE), ALL),
    Case("NaN that is not read", sse(*[text(logprobs={"token_logprobs": [float("nan")]})] * 3, DONE), ALL),
    Case("Infinity that is not read", sse(*[text(logprobs={"token_logprobs": [-float("inf")]})] * 3, DONE), ALL),
    Case("JSON on several lines", sse(*[b'data: {"choices":\ndata: [{"text": "a"}]}\n\n'] * 3, DONE), ALL),
    Case("two choices", sse(*[text(index=n % 2) for n in range(6)], DONE), "6 by events, 4 gaps"),
    Case(
        "two choices in one event",
        sse(*[event(choices=[{"index": 0, "text": "a"}, {"index": 1, "text": "b"}])] * 3, DONE),
        "6 by events, 4 gaps",
    ),
    Case(
        "two choices that both end",
        sse(text(), text(index=1), finish("stop"), finish("length", 1)),
        "2 by events, 0 gaps",
    ),
    # around it
    Case("charset", sse(THREE, DONE, kind="text/event-stream; charset=utf-8"), ALL),
    Case("upper case", sse(THREE, DONE, kind="Text/Event-Stream;charset=UTF-8"), ALL),
    Case("content type twice", sse(THREE, DONE, kind="text/event-stream, text/event-stream"), ALL),
    Case("gzip", sse(gzip.compress(THREE + DONE), more="content-encoding: gzip\r\n"), ALL),
    Case("x-gzip", sse(gzip.compress(THREE + DONE), more="content-encoding: x-gzip\r\n"), ALL),
    Case("gzip in two members", sse(gzip.compress(THREE), gzip.compress(DONE), more="content-encoding: GZIP\r\n"), ALL),
    Case("deflate", sse(zlib.compress(THREE + DONE), more="content-encoding: deflate\r\n"), ALL),
    Case("bare deflate", sse(zlib.compress(THREE + DONE)[2:-4], more="content-encoding: deflate\r\n"), ALL),
    Case(
        "gzip of deflate",
        sse(gzip.compress(zlib.compress(THREE + DONE)), more="content-encoding: deflate, gzip\r\n"),
        ALL,
    ),
    Case("identity", sse(THREE, DONE, more="content-encoding: identity\r\n"), ALL),
]


@pytest.mark.parametrize("case", named(CASES))
def test_a_good_stream_comes_to(case: Case) -> None:
    """Red when a good answer is refused, or its tokens are counted wrong."""
    check(case)


def test_times_between_events_of_two_choices_are_no_inter_token_times() -> None:
    """Red when two interleaved choices halve the inter-token time."""
    answer = sse(*[text(index=n % 2) for n in range(6)], DONE)
    head, _, body = answer.partition(b"\r\n\r\n")
    pieces = [head + b"\r\n\r\n", *(one + b"\n\n" for one in body.split(b"\n\n")[:-1])]
    row = read(answer, streamed=True, pieces=pieces)
    assert row.gaps_ns == [2_000_000] * 4 and row.tokens == 6
    assert itl_mean_ms(row) is None
