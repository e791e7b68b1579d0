"""What the EPP-core profile sends through a picker: responses whose usage is known, and the arm that it is asked of."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from gpuassay.systems.llmd.acts.epp import Asking
from gpuassay.systems.llmd.component.simulator import NO_LATENCY, Cache
from gpuassay.systems.llmd.component.spec import Arm

EXT_PROC = "https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/ext_proc/v3/external_processor.proto"
"""Envoy's external processing: how a gateway and a picker talk."""
OPENAI = "https://platform.openai.com/docs/api-reference/completions/create"

REPLICAS = 3

LARGE = 220_000
"""Bytes of a large prompt; a picker hands chunks on, and Envoy's limit for one is 64 KiB."""
LARGEST_CHUNK = 64 * 1024
EXACT = 2**53 + 1
"""The first whole number that a double cannot hold."""

ABSURD = {
    "no JSON": b'{"model": "x", "prompt": ',
    "plain text": b"hello",
    "empty": b"",
    "a list": b'["model", "prompt"]',
}
NAMELESS = {
    "no model": b'{"prompt": "hello", "max_tokens": 1}',
    "model is a number": b'{"model": 5, "prompt": "hello"}',
    "model is null": b'{"model": null, "prompt": "hello"}',
}


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


def ask_in_every_form(epp: Asking, model: str, chunkings: Iterable[int], *, trailers_timeout: float) -> None:
    """Ask a picker in every form that a gateway may send, sound ones and ones that must be refused.

    Args:
        epp: the picker.
        model: that the requests name.
        chunkings: in how many chunks the same body is sent, one request each.
        trailers_timeout: seconds that a request may take whose body ends with trailers.
    """
    body = epp.body("The same request in chunks. " * 40)
    for count in chunkings:
        epp.ask("chunks", body, label=f"{count} chunks", count=count)
    epp.ask("large", epp.body("word " * (LARGE // 5)), count=8)
    epp.ask("numbers", epp.body("A seed that no double holds.", seed=EXACT))
    epp.ask("characters", epp.body('<b> & "quotes" \u00e4\u4e16\u754c\U0001f600 \\ \u2028'), count=3)
    epp.ask("trailers", body, trailers=True, timeout=trailers_timeout)
    for label, forms in (("strings", ["a", "b"]), ("tokens", [1, 2, 3])):
        epp.ask("prompt-forms", json.dumps({"model": model, "prompt": forms}).encode(), label=label)
    chat = json.dumps({"model": model, "messages": [{"role": "user", "content": "hello"}]}).encode()
    epp.ask("chat", chat, path="/v1/chat/completions", count=2)
    with ThreadPoolExecutor(16) as pool:
        bodies = [epp.body(f"stream {number} " * 20) for number in range(32)]
        for asked in [pool.submit(epp.ask, "at-once", one, count=4) for one in bodies]:
            asked.result()
    for label, absurd in ABSURD.items():
        epp.ask("absurd", absurd, label=label)
    for label, nameless in NAMELESS.items():
        epp.ask("nameless", nameless, label=label)
    epp.ask("after-refusals", epp.body("still there?"))
