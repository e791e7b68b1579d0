"""Events of a stream of `/v1/responses` (OpenAI), in the words in which `gpuassay.load.payload` tells of the others."""

from __future__ import annotations

from typing import Any

import msgspec

from gpuassay.load.payload import UNUSUAL, Choice, Payload, Usage

MARK = b'"response.'
"""Stands in every such event: the beginning of its type."""

_ENDS = {"response.completed": "completed", "response.incomplete": "length", "response.failed": "failed"}
_TEXTS = ("response.output_text.delta", "response.reasoning_text.delta", "response.refusal.delta")


class _Incomplete(msgspec.Struct):
    reason: str | None = None


class _Response(msgspec.Struct):
    usage: Usage | None = None
    error: Any = None
    incomplete_details: _Incomplete | None = None


class _Event(msgspec.Struct):
    type: str = ""
    delta: Any = None
    response: _Response | None = None


_decoder = msgspec.json.Decoder(_Event)


def as_payload(event: bytes) -> Payload | None:
    """What an event says that counts here: text, the end, usage; None if it is of another kind, or says none of these.

    An answer that is cut at the length that was asked for is complete, as with completions.
    """
    try:
        told = _decoder.decode(event)
    except UNUSUAL:
        return None
    if told.type in _TEXTS:
        return Payload(choices=[Choice(text=told.delta if isinstance(told.delta, str) else None)])
    if told.type not in _ENDS:
        return None
    end, whole = _ENDS[told.type], told.response or _Response()
    if told.type == "response.incomplete" and whole.incomplete_details is not None:
        reason = whole.incomplete_details.reason
        end = "length" if reason in (None, "max_output_tokens") else str(reason)
    return Payload(choices=[Choice(finish_reason=end, error=whole.error)], usage=whole.usage)
