"""The table of request shapes: paths, bodies, fields and headers that clients of model servers really send.

Nothing says what should come: that is what a model server answers when it is asked directly.
"""

from __future__ import annotations

from typing import Any

from gpuassay.systems.llmd.acts.shapes import MODEL, Shape

CHAT, COMPLETIONS, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"
TEXT = "The same few words are asked in every shape."
IMAGE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDw"
    "ADhgGAWjR9awAAAABJRU5ErkJggg=="
)
USER = [{"role": "user", "content": TEXT}]
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "of a town",
        "parameters": {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]},
    },
}
CALLED = [
    *USER,
    {"role": "assistant", "content": None, "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"town": "Bern"}'}}]},
    {"role": "tool", "tool_call_id": "c1", "content": "rain"},
]  # fmt: skip


def _completion(group: str, label: str, path: str = COMPLETIONS, **more: Any) -> Shape:
    asked = {"model": MODEL, "prompt": TEXT, "max_tokens": 8} | more
    return Shape(group, label, path, {name: value for name, value in asked.items() if value is not ...})


def _chat(group: str, label: str, **more: Any) -> Shape:
    asked = {"model": MODEL, "messages": USER, "max_tokens": 8} | more
    return Shape(group, label, CHAT, {name: value for name, value in asked.items() if value is not ...})


_STREAM: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}

FIELDS: dict[str, dict[str, Any]] = {
    "seed": {"seed": 7}, "stop": {"stop": ["few"]}, "stop text": {"stop": "few"},
    "temperature 0": {"temperature": 0}, "logprobs": {"logprobs": 1}, "user": {"user": "\u00fc"},
    "min_tokens": {"min_tokens": 4}, "ignore_eos": {"ignore_eos": True}, "no max_tokens": {"max_tokens": ...},
    "null": {"seed": None, "stop": None}, "unknown field": {"vendor": {"deep": [1, {"x": None}]}},
    "priority": {"priority": -1}, "large seed": {"seed": 2**62},
    "float that is whole": {"temperature": 1.0}, "kv_transfer_params": {"kv_transfer_params": None},
}  # fmt: skip
"""Fields that a client may add to a completion."""

TABLE: tuple[Shape, ...] = (
    *(_completion("fields", name, **more) for name, more in FIELDS.items()),
    *(_chat("chat-fields", name, **more) for name, more in FIELDS.items() if name != "logprobs"),
    _completion("choices", "two of a completion", n=2),
    _chat("choices", "two of a chat", n=2),
    _completion("text", "string"),
    _completion("text", "characters", prompt='<b>&"\u00e4\u4e16\U0001f600\\ \u2028 end'),
    _completion("text", "long", prompt="word " * 3000),
    _completion("streams", "completion", **_STREAM),
    _completion("streams", "completion without usage", stream=True),
    _chat("streams", "chat", **_STREAM),
    _chat("streams", "chat without usage", stream=True),
    _completion("prompt-lists", "list of one", prompt=[TEXT]),
    _completion("prompt-lists", "list of two", prompt=[TEXT, "Another one."]),
    _completion("prompt-tokens", "tokens", prompt=[11, 12, 13, 14]),
    _completion("prompt-tokens", "lists of tokens", prompt=[[11, 12, 13], [14, 15]]),
    _completion("refused", "no prompt", prompt=...),
    _completion("refused", "another model", model="nobody/serves-this"),
    _completion("refused", "negative length", max_tokens=-1),
    _completion("refused", "prompt is a mapping", prompt={"text": TEXT}),
    Shape("refused", "no JSON", COMPLETIONS, b'{"model": '),
    _completion("no-model", "completion", model=...),
    _chat("no-model", "chat", model=...),
    _chat("chat", "one message"),
    _chat("chat", "system first", messages=[{"role": "system", "content": "Be brief."}, *USER]),
    _chat("chat", "turns", messages=[*USER, {"role": "assistant", "content": "Yes."}, *USER]),
    _chat("chat", "text parts", messages=[{"role": "user", "content": [{"type": "text", "text": TEXT}]}]),
    _chat("chat", "max_completion_tokens", max_tokens=..., max_completion_tokens=8),
    _chat("chat-images", "image", messages=[{"role": "user", "content": [
        {"type": "text", "text": TEXT}, {"type": "image_url", "image_url": {"url": IMAGE}}]}]),
    _chat("chat-tools", "tools not to be used", tools=[TOOL], tool_choice="none"),
    _chat("chat-tools", "after a call", messages=CALLED),
    Shape("responses", "text", RESPONSES, {"model": MODEL, "input": TEXT, "max_output_tokens": 8}),
    Shape("responses", "messages", RESPONSES, {"model": MODEL, "input": USER, "max_output_tokens": 8}),
    Shape("responses", "instructions", RESPONSES,
          {"model": MODEL, "input": TEXT, "instructions": "Be brief.", "max_output_tokens": 8}),
    Shape("responses-streams", "text", RESPONSES,
          {"model": MODEL, "input": TEXT, "max_output_tokens": 8, "stream": True}),
    Shape("messages", "text", MESSAGES, {"model": MODEL, "messages": USER, "max_tokens": 8}),
    Shape("messages", "system", MESSAGES,
          {"model": MODEL, "messages": USER, "system": "Be brief.", "max_tokens": 8}),
    Shape("messages", "parts", MESSAGES,
          {"model": MODEL, "messages": [{"role": "user", "content": [{"type": "text", "text": TEXT}]}],
           "max_tokens": 8}),
    Shape("messages", "stream", MESSAGES, {"model": MODEL, "messages": USER, "max_tokens": 8, "stream": True}),
    Shape("embeddings", "text", "/v1/embeddings", {"model": MODEL, "input": TEXT}),
    Shape("embeddings", "texts", "/v1/embeddings", {"model": MODEL, "input": [TEXT, "Another one."]}),
    Shape("tokens-in", "generate", "/inference/v1/generate",
          {"model": MODEL, "token_ids": [11, 12, 13], "sampling_params": {"max_tokens": 4}}),
    Shape("tokens-in", "render", "/v1/completions/render", {"model": MODEL, "prompt": TEXT}),
    Shape("tokens-in", "render a chat", "/v1/chat/completions/render", {"model": MODEL, "messages": USER}),
    Shape("tokens-in", "tokenize", "/tokenize", {"model": MODEL, "prompt": TEXT}),
    Shape("paths", "models", "/v1/models", method="GET"),
    Shape("paths", "models with a query", "/v1/models?limit=1", method="GET"),
    Shape("paths", "health", "/health", method="GET"),
    Shape("paths", "unknown", "/v1/nothing/here", method="GET"),
    _completion("paths", "query string", f"{COMPLETIONS}?api-version=1&x=%20y"),
    _completion("unknown-post", "unknown path", "/v1/rerank"),
    _completion("unknown-post", "below a prefix", f"/tenant{COMPLETIONS}"),
    Shape("unknown-post", "no prompt at all", "/v1/rerank", {"model": MODEL, "query": "a", "documents": ["b"]}),
    Shape("methods", "GET of completions", COMPLETIONS, method="GET"),
    Shape("methods", "DELETE", COMPLETIONS, method="DELETE"),
    Shape("methods", "HEAD", "/v1/models", method="HEAD"),
    Shape("methods", "OPTIONS", CHAT, method="OPTIONS"),
    Shape("empty-body", "POST without a body", COMPLETIONS, b""),
    *(
        Shape("headers", name, COMPLETIONS, {"model": MODEL, "prompt": TEXT, "max_tokens": 8}, headers=headers)
        for name, headers in {
            "own request id": [("x-request-id", "mine-1")],
            "trace": [("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")],
            "odd trace": [("traceparent", "00-zz-zz-zz")],
            "key": [("authorization", "Bearer none-of-ours")],
            "charset": [("accept", "application/json; charset=utf-8")],
            "gzip": [("accept-encoding", "gzip, deflate, br")],
            "long header": [("x-long", "y" * 3_000)],
            "unknown objective": [("x-gateway-inference-objective", "nobody-made-this")],
            "fairness": [("x-gateway-inference-fairness-id", "tenant \u00e9".encode().decode("latin-1"))],
            "deadline": [("x-request-deadline", "9223372036854775807")],
            "slo": [("x-slo-ttft-ms", "9223372036854775808"), ("x-slo-tpot-ms", "-1")],
        }.items()
    ),
)  # fmt: skip
"""Every shape once."""

REFUSED = ("refused", "no-model", "unknown-post", "methods", "empty-body")
"""Groups of requests that a model server refuses."""
GROUPS = tuple(dict.fromkeys(shape.group for shape in TABLE if shape.group not in REFUSED))
"""Groups of requests that it serves, or most of them."""
