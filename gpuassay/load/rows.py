"""What a load run leaves: one row per request that was sent, between a head and a tail. Pure.

The file holds one JSON object a line: `{"head": ...}`, then a `{"row": ...}` per request, then `{"tail": ...}`.
Times are ns of CLOCK_MONOTONIC of the machine that asked; the head gives the wall clock at the start.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from gpuassay.load.errors import CountsDoNotClose, LoadError
from gpuassay.secrets import hide_known

FORMAT = 1


class Row(msgspec.Struct, kw_only=True):
    """One request.

    Attributes:
        index: its place in the plan, from 0.
        label: which body it sent.
        warm_up: whether it was declared as warm-up; figures leave it out.
        request_id: the `x-request-id` that it carried.
        stream: which of the concurrent streams of a closed loop sent it; None in an open loop.
        due_ns: when an open loop had to send it.
        start_ns: just before it was handed to the connection (or to connecting).
        headers_ns: the head of the answer was there.
        first_ns: first event with text in it; an empty role chunk is none. None for an answer that is not streamed.
        last_ns: last event with text in it.
        end_ns: last byte of the answer, or failure.
        gaps_ns: times between events with text of one choice. Events that arrive in one read have 0 between them.
        tokens: output tokens.
        tokens_from: what counted them: the server's usage, or, for want of one that can be right, events with text.
        prompt_tokens, cached_tokens: the server's usage.
        status: HTTP status.
        error: class of the failure, "" for an answer that is complete; the classes are listed in docs/load.md.
        detail: the failure in words.
        served_by: the pod that answered (`x-inference-pod`).
        headers: the response headers that the plan keeps.
    """

    index: int
    label: str
    warm_up: bool
    request_id: str
    stream: int | None = None
    due_ns: int | None = None
    start_ns: int = 0
    headers_ns: int | None = None
    first_ns: int | None = None
    last_ns: int | None = None
    end_ns: int = 0
    gaps_ns: list[int] = []
    tokens: int | None = None
    tokens_from: Literal["usage", "events", ""] = ""
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    status: int | None = None
    error: str = ""
    detail: str = ""
    served_by: str | None = None
    headers: dict[str, str] = {}

    @property
    def ok(self) -> bool:
        """Whether the answer is complete."""
        return not self.error

    @property
    def ttft_ns(self) -> int | None:
        """Time to first token, ns: from the start of sending to the first event with text; None of no such answer."""
        return None if self.first_ns is None or not self.ok else self.first_ns - self.start_ns

    @property
    def e2e_ns(self) -> int | None:
        """End-to-end latency, ns: from the start of sending to the last byte; None of an answer that is not complete.

        The last token of a stream comes before, by what the events of usage and end take.
        """
        return self.end_ns - self.start_ns if self.ok else None


class Head(msgspec.Struct, kw_only=True, frozen=True):
    """What was asked of whom.

    `planned` counts the asks of the whole plan, `mine` those of this shard; `boot` tells machines (and their clocks)
    apart; `concurrency` is None in an open loop.
    """

    format: int
    plan: str
    url: str
    path: str
    model: str
    planned: int
    mine: int
    warm_up: int
    concurrency: int | None
    shard: tuple[int, int]
    started_ns: int
    wall_ns: int
    boot: str
    generator: str


class Tail(msgspec.Struct, kw_only=True, frozen=True):
    """How it ended.

    `asked` requests were sent, of which `ok` were answered in full; `interrupted`: it was told to stop before all were
    sent. `lag_ns`: event-loop lag, one sample per 5 ms. `cpu_seconds`: CPU time of the generator. `busy_share`: share
    of all CPUs' time that was used meanwhile, by whomever; None where it is not known.
    """

    ended_ns: int
    asked: int
    ok: int
    failed: int
    interrupted: bool
    lag_ns: list[int]
    cpu_seconds: float
    busy_share: float | None = None


class LoadResult(msgspec.Struct, frozen=True):
    """A load run: rows in the plan's order."""

    head: Head
    rows: list[Row]
    tail: Tail

    @property
    def measured(self) -> list[Row]:
        """The rows that figures are made of: all but warm-up."""
        return [row for row in self.rows if not row.warm_up]


class _Line(msgspec.Struct):
    head: Head | None = None
    row: Row | None = None
    tail: Tail | None = None


def check_counts(result: LoadResult) -> None:
    """Raises CountsDoNotClose if a request was lost, counted twice or invented."""
    rows, tail, head = result.rows, result.tail, result.head
    ok = sum(row.ok for row in rows)
    complaint = ""
    if len({row.index for row in rows}) != len(rows):
        complaint = "a request has two rows"
    elif tail.ok + tail.failed != tail.asked or (tail.asked, tail.ok) != (len(rows), ok):
        complaint = f"asked {tail.asked}, ok {tail.ok}, failed {tail.failed}, but {len(rows)} rows with {ok} ok"
    elif not tail.interrupted and tail.asked != head.mine:
        complaint = f"{head.mine} asks planned, {tail.asked} sent"
    elif any(row.end_ns < row.start_ns or row.start_ns == 0 for row in rows):
        complaint = "a request ends before it starts"
    if complaint:
        raise CountsDoNotClose(f"the load generator's counts do not close: {complaint}; this is an error of gpuassay")


def write_result(result: LoadResult, path: Path) -> None:
    """Write the file at once or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(encode_result(result))
    part.replace(path)


def encode_result(result: LoadResult) -> bytes:
    """The lines of the file."""
    lines = [{"head": result.head}, *({"row": row} for row in result.rows), {"tail": result.tail}]
    # a server may say a token back in a header or in an error
    return b"".join(hide_known(msgspec.json.encode(line).decode()).encode() + b"\n" for line in lines)


def read_result(path: Path) -> LoadResult:
    """Read what a load run left.

    Raises:
        LoadError: the file is missing, cut, of another format, or a line is not what it should be (line named).
        CountsDoNotClose: rows and counts differ.
    """
    try:
        return decode_result(path.read_bytes(), str(path))
    except OSError as error:
        raise LoadError(f"{path}: {error.strerror}") from None


def decode_result(lines: bytes, path: str) -> LoadResult:
    """As `read_result`, of the lines themselves; `path` names them in messages."""
    decoder = msgspec.json.Decoder(_Line)
    head: Head | None = None
    tail: Tail | None = None
    rows: list[Row] = []
    for number, text in enumerate(lines.splitlines(), start=1):
        try:
            line = decoder.decode(text)
        except (msgspec.DecodeError, ValueError) as error:
            raise LoadError(f"{path}, line {number}: {error}") from None
        head, tail = line.head or head, line.tail or tail
        if line.row is not None:
            rows.append(line.row)
    if head is None or tail is None:
        raise LoadError(f"{path} has no {'head' if head is None else 'tail'}: the file is cut or no load result")
    if head.format != FORMAT:
        raise LoadError(f"{path} has format {head.format}, this version reads {FORMAT}")
    result = LoadResult(head, sorted(rows, key=lambda row: row.index), tail)
    check_counts(result)
    return result


def merge(results: Sequence[LoadResult]) -> LoadResult:
    """One result of the shards of one plan.

    Times of shards from other machines are moved to the first shard's clock by the wall clocks of the heads; they are
    as good as the machines' clocks agree, while durations within a row stay exact.

    Raises:
        LoadError: a shard is missing, there twice, or from another plan.
        CountsDoNotClose: as `read_result`.
    """
    if not results:
        raise LoadError("no shards to merge")
    first = results[0].head
    if any(result.head.plan != first.plan or result.head.shard[1] != first.shard[1] for result in results):
        raise LoadError("the shards are not of one plan, or of different splits of it")
    there = sorted(result.head.shard[0] for result in results)
    if there != list(range(first.shard[1])):
        raise LoadError(f"shards {there} of {first.shard[1]}: each must be there once")
    offset = first.wall_ns - first.started_ns
    rows: list[Row] = []
    started, ended, streams = first.started_ns, 0, 0
    for result in results:
        head = result.head
        shift = 0 if head.boot == first.boot else head.wall_ns - head.started_ns - offset
        rows += [_moved(row, shift, streams) for row in result.rows]
        streams += head.concurrency or 0
        started = min(started, head.started_ns + shift)
        ended = max(ended, result.tail.ended_ns + shift)
    tails = [result.tail for result in results]
    merged = LoadResult(
        msgspec.structs.replace(
            first,
            mine=sum(result.head.mine for result in results),
            concurrency=streams or None,
            shard=(0, 1),
            started_ns=started,
            wall_ns=started + offset,
        ),
        sorted(rows, key=lambda row: row.index),
        Tail(
            ended_ns=ended,
            asked=sum(tail.asked for tail in tails),
            ok=sum(tail.ok for tail in tails),
            failed=sum(tail.failed for tail in tails),
            interrupted=any(tail.interrupted for tail in tails),
            lag_ns=[lag for tail in tails for lag in tail.lag_ns],
            cpu_seconds=sum(tail.cpu_seconds for tail in tails),
            busy_share=max((tail.busy_share for tail in tails if tail.busy_share is not None), default=None),
        ),
    )
    check_counts(merged)
    return merged


def _moved(row: Row, shift: int, streams: int) -> Row:
    """The row on another clock, its stream numbered on from the shards before."""
    moved = {
        name: value + shift
        for name in ("due_ns", "start_ns", "headers_ns", "first_ns", "last_ns", "end_ns")
        if (value := getattr(row, name)) is not None
    }
    stream = None if row.stream is None else row.stream + streams
    return msgspec.structs.replace(row, stream=stream, **moved)
