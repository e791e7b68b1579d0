"""What the EPP-core profile sends through a picker: responses whose usage is known, and the arm that it is asked of."""

from __future__ import annotations

import json

from gpuassay.systems.llmd.component.simulator import NO_LATENCY, Cache
from gpuassay.systems.llmd.component.spec import Arm

EXT_PROC = "https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/ext_proc/v3/external_processor.proto"
"""Envoy's external processing: how a gateway and a picker talk."""
OPENAI = "https://platform.openai.com/docs/api-reference/completions/create"

REPLICAS = 3


def small(
    picker: str,
    *,
    profile: str = "least-loaded",
    replicas: int = REPLICAS,
    flags: tuple[str, ...] = (),
    load: dict[str, float] | None = None,
) -> Arm:
    """A pool without caches or latency: only choices are looked at. With `load`, that is what replicas report."""
    return Arm(
        profile=profile, replicas=replicas, gateway=None, picker=picker, cache=Cache(blocks=0), latency=NO_LATENCY,
        picker_flags=flags, simulator_flags=("--fake-metrics", json.dumps(load)) if load else (),
    )  # fmt: skip


def usage(prompt: int, completion: int, cached: int) -> dict[str, object]:
    """As OpenAI-like servers tell it."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def whole(model: str, told: dict[str, object]) -> bytes:
    """A completion as JSON, spaced as nobody would space it: whoever parses and writes it anew changes it."""
    answer: dict[str, object] = {
        "id": "cmpl-1",
        "object": "text_completion",
        "model": model,
        "choices": [],
        "usage": told,
    }
    return json.dumps(answer, indent=3, sort_keys=True).encode() + b"\n\n"


def events(model: str, told: dict[str, object], words: int = 6) -> list[bytes]:
    """A completion as server-sent events, one per chunk; the usage comes in an event of its own before the end."""

    def event(**more: object) -> bytes:
        return b"data: " + json.dumps({"object": "text_completion", "model": model, **more}).encode() + b"\n\n"

    texts = [event(choices=[{"index": 0, "text": f"word{n} "}]) for n in range(words)]
    return [*texts, event(choices=[], usage=told), b"data: [DONE]\n\n"]
