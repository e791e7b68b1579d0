"""The known timing of the echo server, and what the server itself says it did. Pure."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import msgspec

MILLISECOND_NS = 1_000_000


class EchoTiming(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When an echo server sends its events.

    Attributes:
        ttft_ms: from the request's last byte to the first event with text.
        ttft_jitter: share by which TTFT varies, uniform on both sides (0.5: from half to one and a half).
        itl_ms: between two tokens.
        tokens: of every answer.
        tokens_per_event: so many come in one event, that many times `itl_ms` apart.
        stall_after, stall_ms: after this many events one gap is `stall_ms` longer (0: none).
        seed: of the jitter; a request gets the same TTFT for the same seed and request id.
    """

    ttft_ms: float = 40.0
    ttft_jitter: float = 0.5
    itl_ms: float = 20.0
    tokens: int = 8
    tokens_per_event: int = 1
    stall_after: int = 0
    stall_ms: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        """ValueError if that is no timing."""
        times = (self.ttft_ms, self.itl_ms, self.stall_ms)
        if not all(math.isfinite(time) and time >= 0 for time in times):
            raise ValueError(f"echo: times must be milliseconds of at least 0, not {times}")
        if not 0 <= self.ttft_jitter <= 1:
            raise ValueError(f"echo: ttft_jitter is a share from 0 to 1, not {self.ttft_jitter}")
        if self.tokens < 1 or self.tokens_per_event < 1:
            raise ValueError("echo: an answer has at least 1 token, an event too")

    @property
    def events(self) -> int:
        """Events with text of an answer."""
        return math.ceil(self.tokens / self.tokens_per_event)

    @property
    def answer_seconds(self) -> float:
        """Mean time of an answer, s."""
        stall = self.stall_ms if self.stall_after else 0.0
        return (self.ttft_ms + (self.events - 1) * self.itl_ms * self.tokens_per_event + stall) / 1000

    def offsets_ns(self, request_id: str) -> list[int]:
        """When each event of a request is due, ns after the request's last byte."""
        chance = random.Random(f"{self.seed}/{request_id}").uniform(-1, 1) if self.ttft_jitter else 0.0
        first = self.ttft_ms * (1 + self.ttft_jitter * chance)
        gap = self.itl_ms * self.tokens_per_event
        stalled = self.stall_after or self.events
        offsets = [first + k * gap + (self.stall_ms if k >= stalled else 0.0) for k in range(self.events)]
        return [round(offset * MILLISECOND_NS) for offset in offsets]


class Truth(msgspec.Struct, frozen=True):
    """What the echo server did for one request, ns of CLOCK_MONOTONIC.

    `parsed_ns`: it had the last byte of the request; `first_ns`, `last_ns`: it began to send the first and the last
    event with text (0: the client was gone before). `body_bytes`: size of the request's body.
    """

    request_id: str
    parsed_ns: int
    first_ns: int
    last_ns: int
    body_bytes: int


def read_truths(text: bytes) -> list[Truth]:
    """Truths of JSON lines. Raises ValueError (msgspec.DecodeError) if a line is none."""
    return msgspec.json.decode(b"[" + b",".join(text.splitlines()) + b"]", type=list[Truth])


def lateness_ms(truths: Sequence[Truth], timing: EchoTiming) -> list[float]:
    """How late the server itself sent each first event, ms: its own quality, no part of the generator's error."""
    return [
        (truth.first_ns - truth.parsed_ns - timing.offsets_ns(truth.request_id)[0]) / MILLISECOND_NS
        for truth in truths
        if truth.first_ns
    ]
