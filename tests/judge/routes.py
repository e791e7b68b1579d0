"""Load rows whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from gpuassay.systems.llmd.model.simulation import Pass
from gpuassay.systems.llmd.rows import RequestRow

MARK = {"x-went-into-resp-headers": "true"}


def row(index: int, label: str = "p00", served_by: str | None = "sim-0", **more: Any) -> RequestRow:
    """An answer of 200 tokens, 192 of them cached, through the picker, with a TTFT of 80 ms and an E2E of 100 ms."""
    start = index * 1_000_000_000
    known: dict[str, Any] = {
        "wave": "w",
        "index": index,
        "label": label,
        "status": 200,
        "error": "",
        "served_by": served_by,
        "prompt_tokens": 200,
        "cached_tokens": 192,
        "headers": dict(MARK),
        "start_ns": start,
        "first_ns": start + 80_000_000,
        "last_ns": start + 100_000_000,
        "end_ns": start + 100_000_000,
    }
    return msgspec.convert(known | more, RequestRow)


def failed(index: int, label: str = "p00", error: str = "http-503") -> RequestRow:
    """A request that came to nothing."""
    return row(
        index, label, None, status=503, error=error, headers={}, cached_tokens=None, prompt_tokens=None, first_ns=None
    )


def rows_of(found: Pass) -> list[RequestRow]:
    """What a load generator would have written of a pass of the model."""
    return [
        row(
            index,
            f"p{one.prompt:02d}",
            f"sim-{one.replica}",
            prompt_tokens=one.prompt_tokens,
            cached_tokens=one.cached_tokens,
            start_ns=round(one.start * 1e9),
            first_ns=round((one.start + one.ttft) * 1e9),
            last_ns=round((one.start + one.e2e) * 1e9),
            end_ns=round((one.start + one.e2e) * 1e9),
        )
        for index, one in enumerate(found.served)
    ]


def with_ttft(milliseconds: Sequence[float]) -> list[RequestRow]:
    """A round of requests with these TTFTs in ms."""
    return [
        row(i, f"p{i:02d}", start_ns=0, first_ns=round(one * 1e6), end_ns=round(one * 1e6) + 20_000_000)
        for i, one in enumerate(milliseconds)
    ]
