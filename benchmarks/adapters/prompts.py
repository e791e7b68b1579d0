"""What other generators can take of a body: one streamed prompt and a number of tokens."""

from __future__ import annotations

from typing import Any

from gpuassay.load.errors import LoadError


def prompt_of(body: dict[str, Any] | str, label: str, tool: str) -> tuple[str, int]:
    """Prompt and output tokens of a body. Raises LoadError if it is more than that, or its answer is not streamed."""
    prompt: object = None
    if isinstance(body, dict):
        messages = body.get("messages")
        prompt = messages[0].get("content") if messages and len(messages) == 1 else body.get("prompt")
        tokens = body.get("max_tokens")
        if isinstance(prompt, str) and isinstance(tokens, int) and body.get("stream"):
            return prompt, tokens
    raise LoadError(
        f"body {label!r} cannot be asked by {tool}: it takes one streamed prompt and its max_tokens; "
        "use our own generator"
    )
