"""Load that pods of an Indexed Job put on a server together, and one recording of what they all saw. Pure.

Every pod carries out the same plan; its completion index decides which asks are its own (every N-th, from its index
on), so the shards partition the fixed order whatever happens. A pod writes its rows to its log, compressed and
numbered, where a missing line shows; a pod that left no complete rows is lost by name and never a smaller load.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from gpuassay.load.errors import CountsDoNotClose, LoadError
from gpuassay.load.gate import Control, doubts
from gpuassay.load.node_clock import NodeClock
from gpuassay.load.plan import Plan
from gpuassay.load.rows import LoadResult, decode_result, encode_result, merge

PART_BYTES = 700_000
"""Of the compressed plan in one ConfigMap: with base64 that stays below the 1 MiB that one may hold."""

LINE_BYTES = 9_000
"""Of compressed rows in one line of a log: container runtimes cut lines at 16 KiB."""

_MARK = "gpuassay-load"
_LINE = re.compile(rf"{_MARK} (\d+)/(\d+) ([0-9a-f]{{16}}) (\S+)\s*$")


class PodsLost(LoadError):  # noqa: N818 - reads as what it is
    """Load pods that left no complete rows: what the others measured is another load than was asked for."""


class PodNote(msgspec.Struct, frozen=True, kw_only=True):
    """What a pod says of itself.

    Attributes:
        pod, node: names.
        clock: the node's, at the start.
        late_ns: how long after the common instant its first ask could be sent.
        control: how wrong its generator was, measured after the load; None where it was left out.
    """

    pod: str
    node: str
    clock: NodeClock
    late_ns: int
    control: Control | None = None


class _Report(msgspec.Struct):
    note: PodNote
    rows: bytes


class PodReport(msgspec.Struct, frozen=True):
    """A pod's note and its rows."""

    note: PodNote
    result: LoadResult


class Spread(msgspec.Struct, frozen=True):
    """What all pods saw together.

    Attributes:
        result: the rows of all pods as of one run.
        notes: of the pods, in the order of their shards.
    """

    result: LoadResult
    notes: list[PodNote]

    def rows(self) -> list[dict[str, Any]]:
        """The rows for a recording: each with its pod, node, and that node's clock."""
        found: list[dict[str, Any]] = []
        for row in self.result.rows:
            note = self.notes[row.index % len(self.notes)]
            told: dict[str, Any] = {"pod": note.pod, "node": note.node, "clock": msgspec.to_builtins(note.clock)}
            found.append(msgspec.to_builtins(row) | told)
        return found


# --- the plan goes there ---------------------------------------------------------------------------------------------


def plan_parts(plan: Plan) -> list[bytes]:
    """The plan, compressed, in parts that each fit into a ConfigMap."""
    packed = gzip.compress(plan.to_json(), mtime=0)
    return [packed[at : at + PART_BYTES] for at in range(0, len(packed), PART_BYTES)]


def read_plan_parts(folder: Path) -> Plan:
    """Put a plan together from the files `plan-*` of a folder.

    Raises:
        LoadError: there are none, one is missing, or they hold no plan that can be carried out.
    """
    files = sorted(folder.glob("plan-*"))
    if not files:
        raise LoadError(f"{folder} holds no plan-* files: are the ConfigMaps of the plan mounted?")
    try:
        packed = b"".join(file.read_bytes() for file in files)
        return msgspec.json.decode(gzip.decompress(packed), type=Plan)
    except (OSError, EOFError, gzip.BadGzipFile) as error:
        raise LoadError(f"the plan in {folder} is not whole ({len(files)} parts): {error}") from None
    except (msgspec.DecodeError, ValueError) as error:
        raise LoadError(f"the plan in {folder}: {error}") from None


# --- rows come back --------------------------------------------------------------------------------------------------


def log_lines(report: PodReport) -> list[str]:
    """A pod's report as lines of its log."""
    whole = msgspec.msgpack.encode(_Report(report.note, encode_result(report.result)))
    packed = gzip.compress(whole, mtime=0)
    digest = hashlib.sha256(packed).hexdigest()[:16]
    pieces = [packed[at : at + LINE_BYTES] for at in range(0, len(packed), LINE_BYTES)]
    return [
        f"{_MARK} {number}/{len(pieces)} {digest} {base64.b64encode(piece).decode()}"
        for number, piece in enumerate(pieces, start=1)
    ]


def read_log(pod: str, log: str) -> PodReport:
    """The report in a pod's log; other lines do not disturb.

    Raises:
        LoadError: none is there, or it is not whole; what the pod complained of is shown.
        CountsDoNotClose: its rows and counts differ.
    """
    pieces: dict[int, bytes] = {}
    wanted = {(found[2], found[3]) for line in log.splitlines() if (found := _LINE.search(line))}
    if not wanted:
        said = next((line for line in reversed(log.splitlines()) if line.startswith("error: ")), "")
        last = next((line for line in reversed(log.splitlines()) if line.strip()), "nothing")
        raise LoadError(f"load pod {pod} left no rows: {(said or last).removeprefix('error: ')[:300]}")
    if len(wanted) > 1:
        raise LoadError(f"the log of load pod {pod} holds rows of {len(wanted)} runs: it was started more than once")
    [(count, digest)] = wanted
    try:
        for line in log.splitlines():
            if found := _LINE.search(line):
                pieces[int(found[1])] = base64.b64decode(found[4], validate=True)
        packed = b"".join(pieces[number] for number in range(1, int(count) + 1))
        if hashlib.sha256(packed).hexdigest()[:16] != digest:
            raise ValueError("a line is altered")
        report = msgspec.msgpack.decode(gzip.decompress(packed), type=_Report)
    except (ValueError, KeyError, EOFError, OSError, msgspec.DecodeError):
        raise LoadError(
            f"the log of load pod {pod} is cut or altered: {len(pieces)} of {count} lines; "
            "kubelets rotate logs at 10 MiB, use more pods"
        ) from None
    return PodReport(report.note, decode_result(report.rows, f"rows of load pod {pod}"))


def merge_pods(reports: Iterable[PodReport], shards: int, lost: Mapping[str, str] | None = None) -> Spread:
    """One result of all pods.

    Args:
        reports: of the pods that left one.
        shards: how many pods there had to be.
        lost: why by pod, of those that left none.

    Raises:
        PodsLost: a shard has no pod that left its rows, or one was told to stop before its end; all are named.
        LoadError: a shard is there twice, or the pods did not carry out one plan.
        CountsDoNotClose: requests are missing over all pods although every pod's counts close.
    """
    there = sorted(reports, key=lambda one: one.result.head.shard[0])
    complaints = [f"{pod}: {why}" for pod, why in sorted((lost or {}).items())]
    complaints += [
        f"{one.note.pod}: it was told to stop after {one.result.tail.asked} of {one.result.head.mine} asks"
        for one in there
        if one.result.tail.interrupted
    ]
    missing = sorted(set(range(shards)) - {one.result.head.shard[0] for one in there})
    if missing or complaints:
        names = (
            f"shards {', '.join(map(str, missing))} of {shards} left no rows" if missing else "rows are not all there"
        )
        raise PodsLost(f"{names}; {'; '.join(complaints) or 'no pod of theirs was found'}")
    if wrong := [one.note.pod for one in there if one.result.head.shard[1] != shards]:
        raise LoadError(f"load pods {', '.join(wrong)} split the plan into other than {shards} shards")
    merged = merge([one.result for one in there])
    if merged.tail.asked != merged.head.planned:
        raise CountsDoNotClose(f"{merged.head.planned} asks planned, {merged.tail.asked} sent by {shards} pods")
    return Spread(merged, [one.note for one in there])


# --- may it be judged? -----------------------------------------------------------------------------------------------


def pod_doubts(notes: Sequence[PodNote], effect_ms: float, *, at: float = 0.5) -> list[str]:
    """Why an effect cannot be told, pod by pod: every generator must be good enough by itself (`gate.doubts`)."""
    found: list[str] = []
    for note in notes:
        said = doubts(note.control, effect_ms, at=at) if note.control else ["it measured no error of its own"]
        found += [f"{note.pod} on {note.node}: {doubt}" for doubt in said]
    return found


def clock_doubts(notes: Sequence[PodNote], within_ms: float) -> list[str]:
    """Why times of different nodes cannot be compared to within so many ms; times within a row need no such thing."""
    if len({note.node for note in notes}) < 2:
        return []
    found: list[str] = []
    for note in notes:
        clock = note.clock
        error = None if clock.error_ns is None else (clock.error_ns + abs(clock.offset_ns or 0)) / 1e6
        if not clock.synchronised or error is None:
            found.append(f"the clock of {note.node} ({note.pod}) is not synchronised")
        elif error > within_ms:
            found.append(
                f"the clock of {note.node} ({note.pod}) may be off by {error:.1f} ms, {within_ms:g} are allowed"
            )
    return found


def start_spread_ms(notes: Sequence[PodNote]) -> float:
    """How far apart the pods began, ms, by their own clocks. ValueError without pods."""
    late = [note.late_ns / 1e6 for note in notes]
    return max(late) - min(late)
