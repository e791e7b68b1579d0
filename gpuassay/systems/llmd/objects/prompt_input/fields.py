"""The fields of an entry: under which names programs write prompts, chats and answers, and in which envelopes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from gpuassay.systems.llmd.objects.prompt_input.chats import is_message
from gpuassay.systems.llmd.objects.prompt_input.errors import BadEntry, Remarks
from gpuassay.systems.llmd.objects.prompt_input.lengths import LENGTHS

TEXT = (
    "prompt", "text", "transcript", "text_input", "texts", "user_prompt", "instruction", "question", "query", "input",
    "inputs", "content", "user_input", "problem", "transcription", "sentence", "article", "document", "user", "human",
)  # fmt: skip
"""Columns or keys that hold the prompt; the first one that is not empty counts. Sources: our own three; GuideLLM's and
inference-perf's columns; vLLM's, SGLang's and AIPerf's data sets; Alpaca, Dolly, GSM8K, SQuAD; TGI; speech corpora."""

MATTER = {name: ("input", "context") for name in ("instruction", "question", "query")}
"""What belongs to a prompt of this name: Alpaca's input, Dolly's and SQuAD's context."""

CHAT = ("messages", "conversations", "conversation", "dialog", "dialogue", "chat", "turns", "contents")
"""Columns or keys that hold a chat: OpenAI, ShareGPT, LMSYS and WildChat, DailyDialog, MT-Bench, Gemini."""

SYSTEM = ("system_prompt", "system", "system_message", "systeminstruction", "system_instruction")
"""What a chat begins with, beside it."""

REPLY = (
    "output", "response", "completion", "answer", "reply", "output_text", "generated_text", "highlights", "summary",
    "target", "assistant", "gpt", "chosen",
)  # fmt: skip
"""Columns or keys that hold an answer, whose length is asked for where no number tells it."""

LABEL = ("label", "custom_id")

KNOWN = frozenset({*TEXT, *CHAT, *SYSTEM, *REPLY, *LABEL, *LENGTHS, "prefix", "context", "history"})
"""Names that decide what is asked: none may stand twice."""

_LENGTHS_ONLY = (
    "input_length", "hash_ids", "contexttokens", "context_tokens", "request_tokens", "num_prefill_tokens",
    "prompt_tokens", "input_tokens", "input_len", "prompt_len", "prompt_tokens_count", "input_tokens_count",
)  # fmt: skip
"""Keys of a recorded trace without text: Mooncake, Azure, BurstGPT, Vidur."""

_OF_REQUESTS = (
    "tools", "functions", "tool_choice", "response_format", "stop", "suffix", "temperature", "top_p", "n", "best_of",
    "logit_bias", "guided_json",
)  # fmt: skip
"""Fields of a request that change what a server does, told of where they stand in an entry that is one."""

_SENT = frozenset({
    "model", "messages", "prompt", "stream", "stream_options", "store", "metadata", "user", "max_tokens",
    "max_completion_tokens", "system", "ignore_eos",
})  # fmt: skip


def fields_of(value: object, remarks: Remarks) -> dict[str, Any]:
    """An entry's keys in lower case, without the envelopes that programs put around them.

    Raises:
        BadEntry: it is no object, text or list of messages, or a request that is not sent.
    """
    if isinstance(value, str):
        return {"prompt": value}
    if isinstance(value, list):
        items = cast("list[object]", value)
        if items and all(is_message(one) for one in items):
            return {"messages": items}
    if not isinstance(value, dict):
        raise BadEntry("", f"a JSON object is wanted, not {type(cast('object', value)).__name__}")
    fields = _lowered(cast("dict[str, Any]", value))
    inner = next((name for name in ("row", "body", "params", "payload", "request") if _inside(fields, name)), None)
    if inner is None:
        _note_unsent(fields, remarks, only=_OF_REQUESTS)
        return fields
    _check_batch(fields)
    body = _lowered(cast("dict[str, Any]", _inside(fields, inner)))
    if inner != "row":
        _note_unsent(body, remarks)
    return body | {name: fields[name] for name in LABEL if name in fields}


def plain(name: object) -> str:
    """A column or key as it is looked up: `Max Tokens` and `max-tokens` are `max_tokens`."""
    return str(name).strip().lower().replace(" ", "_").replace("-", "_")


def _inside(fields: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """The request or row that stands in an envelope: of the batch APIs, of data set viewers, of genai-perf."""
    given = fields.get(name)
    if isinstance(given, list) and len(cast("list[object]", given)) == 1:
        given = cast("list[object]", given)[0]
    return cast("dict[str, Any]", given) if isinstance(given, dict) else None


def _lowered(fields: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in fields.items():
        key = plain(name)
        if key in found and key in KNOWN:
            raise BadEntry("", f"key {key!r} stands twice, in capitals and not: which one counts cannot be told")
        found[key] = value
    return found


def _check_batch(fields: Mapping[str, Any]) -> None:
    url, method = fields.get("url"), fields.get("method")
    if url is not None and not str(url).rstrip("/").endswith(("/chat/completions", "/v1/completions")):
        raise BadEntry("", f"a request to {url}: only /v1/chat/completions and /v1/completions are asked")
    if method is not None and str(method).upper() != "POST":
        raise BadEntry("", f"a request with method {method}: only POST is sent")


def _note_unsent(body: Mapping[str, Any], remarks: Remarks, only: tuple[str, ...] = ()) -> None:
    for name in body:
        if name in only or (not only and name not in _SENT and name not in LENGTHS and name not in (*TEXT, *CHAT)):
            remarks.add(f"its {name!r} is not sent: prompts and their lengths are taken, nothing else")


def there(value: object) -> bool:
    """Whether a field says something: null, NaN and blank text are how programs write that it does not."""
    if value is None or (isinstance(value, float) and value != value):
        return False
    return not (isinstance(value, str) and not value.strip())


def nothing_asked(fields: Mapping[str, Any]) -> str:
    """Why there is no prompt among these fields."""
    if any(name in fields for name in _LENGTHS_ONLY):
        return "lengths without text, as recorded traces have them: there is nothing to ask; give a file with the texts"
    if {"response", "error", "custom_id"} <= fields.keys():
        return "an answer of the batch API, not a request; give the file that was sent"
    empty = next((name for name in CHAT if name in fields), None)
    if empty is not None and fields[empty] is not None:
        return f"{empty} must be a list with at least one message"
    there = ", ".join(name for name in fields if name) or "none"
    return f"no {', '.join(TEXT[:3])} or {CHAT[0]}; there are {there[:300]}"
