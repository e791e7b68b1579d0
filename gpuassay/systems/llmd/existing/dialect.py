"""The paths of the OpenAI-like API by which a gateway is asked: completions, else chats, else responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gpuassay.manifest import dig


@dataclass(frozen=True)
class Dialect:
    """One way to ask.

    Attributes:
        name: as `--gateway-api` has it.
        path: what is posted to.
    """

    name: str
    path: str

    def body(self, model: str, text: str, max_tokens: int, **more: Any) -> dict[str, Any]:
        """A request for an answer to a text, of exactly so many tokens where the server can be told so."""
        return self.of_messages(model, [{"role": "user", "content": text}], max_tokens, text=text, **more)

    def of_messages(
        self,
        model: str,
        messages: Sequence[Mapping[str, Any]],
        max_tokens: int,
        *,
        text: str | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """The same of a chat; `text` stands in its place where this way takes a text alone."""
        if self is RESPONSES:
            more.pop("stream_options", None)  # usage is in its last event anyway
            asked: Any = text if text is not None else [dict(one) for one in messages]
            return {"model": model, "input": asked, "max_output_tokens": max_tokens, **more}
        if self is COMPLETIONS and text is not None:
            return {"model": model, "prompt": text, "max_tokens": max_tokens, "ignore_eos": True, **more}
        told = [dict(one) for one in messages]
        return {"model": model, "messages": told, "max_tokens": max_tokens, "ignore_eos": True, **more}


COMPLETIONS = Dialect("completions", "/v1/completions")
CHAT = Dialect("chat", "/v1/chat/completions")
RESPONSES = Dialect("responses", "/v1/responses")

DIALECTS = (COMPLETIONS, CHAT, RESPONSES)
"""In the order in which a gateway is tried."""

AUTO = "auto"
NAMES = (AUTO, *(one.name for one in DIALECTS))


def named(name: str) -> Dialect:
    """The way of that name; KeyError for `AUTO` and others."""
    return {one.name: one for one in DIALECTS}[name]


def counted(answer: object) -> tuple[int | None, int | None, int | None]:
    """Tokens of prompt, answer, and cached prompt that an answer tells, by any way; None for what it does not tell."""
    usage = dig(answer, "usage", default={})
    return (
        _count(usage, ("prompt_tokens",), ("input_tokens",)),
        _count(usage, ("completion_tokens",), ("output_tokens",)),
        _count(usage, ("prompt_tokens_details", "cached_tokens"), ("input_tokens_details", "cached_tokens")),
    )


def _count(usage: Any, *ways: tuple[str, ...]) -> int | None:
    told = (dig(usage, *way) for way in ways)
    return next((one for one in told if isinstance(one, int) and not isinstance(one, bool)), None)
