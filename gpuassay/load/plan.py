"""What a load run asks, in which order and when: a JSON file that one process writes and another carries out."""

from __future__ import annotations

import hashlib
import math
import random
import re
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from gpuassay.load.addresses import without_secrets
from gpuassay.load.credentials import TOKEN
from gpuassay.load.errors import LoadError
from gpuassay.load.headers import ASKED, DESTINATION, NAMESPACE, POD, PORT, REQUEST_ID

COMPLETIONS = "/v1/completions"
CHAT_COMPLETIONS = "/v1/chat/completions"

KEPT_HEADERS = (POD, PORT, NAMESPACE, ASKED, DESTINATION)
"""Response headers that tell who answered and what touched the request on its way."""


class ClosedLoop(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="closed"):
    """`concurrency` streams, each of which asks again when its answer has ended."""

    concurrency: int

    def __post_init__(self) -> None:
        """ValueError if nobody would ask."""
        if self.concurrency < 1:
            raise ValueError(f"shape: concurrency must be at least 1, not {self.concurrency}")


class Poisson(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="poisson"):
    """Arrivals of a Poisson process of `rate` requests/s, the same for the same seed, whatever the answers do."""

    rate: float
    seed: int = 0

    def __post_init__(self) -> None:
        """ValueError if the rate is none."""
        if not (math.isfinite(self.rate) and self.rate > 0):
            raise ValueError(f"shape: rate must be a positive number of requests per second, not {self.rate}")


class Schedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="schedule"):
    """A recorded trace: ask number i is sent `at[i]` seconds after the start."""

    at: tuple[float, ...]

    def __post_init__(self) -> None:
        """ValueError if there are no times, or they are negative or fall."""
        if not self.at:
            raise ValueError("shape: the schedule has no times")
        if any(not (math.isfinite(t) and t >= 0) for t in self.at):
            raise ValueError("shape: a time of the schedule is negative or not a number")
        for place, (before, after) in enumerate(zip(self.at, self.at[1:], strict=False), start=1):
            if after < before:
                raise ValueError(f"shape: times of the schedule fall at entry {place} ({before:g} s, then {after:g} s)")


_TARGET = re.compile(r"[!\"$-~]*")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PATH = re.compile(r"/[!-~]*")
_HEADER_VALUE = re.compile(r"[\t -~\x80-\xff]*")
_OURS = ("host", "content-length", "transfer-encoding", REQUEST_ID)

Shape = ClosedLoop | Poisson | Schedule


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One request: the label of its body in `Plan.bodies`, headers of its own, a path where it is not the plan's."""

    label: str
    headers: dict[str, str] = {}
    path: str = ""

    def __post_init__(self) -> None:
        """ValueError if a header would change the request around it, or the path is none."""
        if self.path and not _PATH.fullmatch(self.path):
            raise ValueError(f"asks: path: {self.path!r} does not begin with a slash, or holds what no path does")
        for name, value in self.headers.items():
            if not _HEADER_NAME.fullmatch(name):
                raise ValueError(f"asks: no name of an HTTP header: {name!r}")
            if not _HEADER_VALUE.fullmatch(value):  # it may be a secret
                raise ValueError(f"asks: header {name}: its value has a line break or another character that none has")
            if name.lower() in _OURS:
                raise ValueError(f"asks: the header {name} is set by the load generator")


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A load run.

    Attributes:
        url: base of an OpenAI-like server, such as `http://127.0.0.1:8080`.
        path: what is posted to.
        model: asked for by every body that does not name one.
        bodies: request bodies by label; an object is serialised once before the clock starts, a text is sent as it is.
        asks: the requests in the order in which they are sent.
        shape: when they are sent.
        warm_up: so many of the first asks leave rows but do not count in figures (a wave is `concurrency` of them).
        timeout: s for a whole request, from the connection to the last byte.
        failure_pause: s that a closed-loop stream pauses after a failed request, so that a server which refuses within
            a millisecond does not use up all asks.
        keep_headers: response headers that rows keep, lower case.
        request_ids: every request carries the header `x-request-id: <request_ids>-<index>`.
        preflight: ask `/v1/models` first, so that a wrong URL or model is one line and not a thousand failed rows.
        realtime: run the generator under SCHED_FIFO if the kernel lets it (`gpuassay.load.realtime`).
        verify_tls: whether a server's certificate must be valid (https only).
    """

    url: str
    path: str = COMPLETIONS
    model: str
    bodies: dict[str, dict[str, Any] | str]
    asks: tuple[Ask, ...]
    shape: Shape
    warm_up: int = 0
    timeout: float = 60.0
    failure_pause: float = 0.0
    keep_headers: tuple[str, ...] = KEPT_HEADERS
    request_ids: str = "load"
    preflight: bool = True
    realtime: bool = True
    verify_tls: bool = True

    def __post_init__(self) -> None:
        """ValueError with one line if it cannot be carried out."""
        _check_url(self.url)
        if not self.path.startswith("/"):
            raise ValueError(f"path: {self.path!r} does not begin with a slash")
        if not _TARGET.fullmatch(self.path):
            raise ValueError(f"path: {self.path!r} has characters that no address has, or a fragment; percent-encode")
        if not self.asks:
            raise ValueError("asks: there are none")
        missing = sorted({ask.label for ask in self.asks} - self.bodies.keys())
        if missing:
            raise ValueError(f"asks: no body is labelled {', '.join(map(repr, missing[:5]))}")
        if not 0 <= self.warm_up < len(self.asks):
            raise ValueError(f"warm_up: {self.warm_up} of {len(self.asks)} asks leave none to measure")
        if not (math.isfinite(self.timeout) and self.timeout > 0):
            raise ValueError(f"timeout: must be a positive number of seconds, not {self.timeout}")
        if not (math.isfinite(self.failure_pause) and self.failure_pause >= 0):
            raise ValueError(f"failure_pause: must be a number of seconds, not {self.failure_pause}")
        if isinstance(self.shape, Schedule) and len(self.shape.at) != len(self.asks):
            raise ValueError(f"shape: {len(self.shape.at)} times for {len(self.asks)} asks")

    def to_json(self) -> bytes:
        """The plan as a file holds it. Raises LoadError if a text in it is no Unicode."""
        try:
            return msgspec.json.encode(self)
        except UnicodeEncodeError as error:
            raise LoadError(
                f"bodies: a text has half of a surrogate pair ({error.object[error.start]!a}), which is no character"
            ) from None

    def digest(self) -> str:
        """Tells plans apart: the shards of one run carry the same."""
        return hashlib.sha256(self.to_json()).hexdigest()

    def endpoint(self) -> str:
        """Where requests are posted."""
        return self.url.rstrip("/") + self.path


def _check_url(url: str) -> None:
    """Raise ValueError with one line, without any secret, if no request can be sent to paths below `url`."""
    shown = without_secrets(url)
    if url != url.strip() or not url.isprintable() or " " in url:
        raise ValueError(f"url: {shown!r} has a blank or a control character")
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
        if good:
            str(parts.hostname).encode("idna")
    except ValueError as error:  # a port that is none, a host that is no name
        raise ValueError(f"url: {shown!r}: {error}") from None
    if not good:
        raise ValueError(f"url: {shown!r} is no http:// or https:// address with a host")
    if "@" in parts.netloc:
        raise ValueError(f"url: no credentials in the address {shown!r}; put a bearer token into {TOKEN}")
    if parts.query or parts.fragment:
        raise ValueError(f"url: {shown!r} is a base that paths are added to; a query belongs to path")
    if not _TARGET.fullmatch(parts.path):
        raise ValueError(f"url: {shown!r} has characters that no path has; percent-encode them")


def read_plan(path: Path) -> Plan:
    """Read a plan file. Raises LoadError with one line if it cannot be read or carried out."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Plan)
    except OSError as error:
        raise LoadError(f"plan {path}: {error.strerror}") from None
    except (msgspec.DecodeError, ValueError) as error:
        raise LoadError(f"plan {path}: {error}") from None


def due_seconds(plan: Plan) -> list[float] | None:
    """When each ask is due, in s after the start; None in a closed loop."""
    match plan.shape:
        case ClosedLoop():
            return None
        case Poisson(rate=rate, seed=seed):
            chance = random.Random(seed)
            return list(accumulate(chance.expovariate(rate) for _ in plan.asks))
        case Schedule(at=at):
            return list(at)


def completion_body(prompt: str, max_tokens: int, *, stream: bool = True, **more: Any) -> dict[str, Any]:
    """A body for `/v1/completions`; a streamed answer is asked to end with its usage."""
    return {"prompt": prompt, "max_tokens": max_tokens, **_streaming(stream), **more}


def chat_body(
    messages: str | Sequence[dict[str, str]], max_tokens: int, *, stream: bool = True, **more: Any
) -> dict[str, Any]:
    """A body for `/v1/chat/completions`; a text is one user's message."""
    content = [{"role": "user", "content": messages}] if isinstance(messages, str) else list(messages)
    return {"messages": content, "max_tokens": max_tokens, **_streaming(stream), **more}


def _streaming(stream: bool) -> dict[str, Any]:
    return {"stream": True, "stream_options": {"include_usage": True}} if stream else {"stream": False}
