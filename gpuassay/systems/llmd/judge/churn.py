"""Whether requests came through a time in which their pool changed. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from gpuassay.systems.llmd.judge.routing import failure_findings
from gpuassay.systems.llmd.rows import RequestRow

PAUSE_SECONDS = 2.0
"""Without an answer for so long, requests that take a second stand still."""


def account_findings(rows: Sequence[RequestRow], asked: int) -> list[str]:
    """Requests that have no outcome, several, or a bad one."""
    several = [index for index, count in Counter(row.index for row in rows).items() if count > 1]
    found = [f"{len(rows)} of {asked} requests have an outcome"] if len(rows) != asked else []
    return [*found, *(f"request {index} has several outcomes" for index in several), *failure_findings(rows)]


def longest_pause(rows: Sequence[RequestRow]) -> float:
    """Most s between two ends, in s; of fewer than two requests none at all (infinite)."""
    ends = sorted(row.end_ns for row in rows if row.ok)
    return max((later - sooner for sooner, later in pairwise(ends)), default=float("inf")) / 1e9


def pause_findings(rows: Sequence[RequestRow]) -> list[str]:
    """A pause that is too long."""
    pause = longest_pause(rows)
    return [f"no request ended for {pause:.1f} s"] if pause > PAUSE_SECONDS else []
