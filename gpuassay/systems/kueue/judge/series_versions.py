"""What older versions of Kueue export otherwise about their queues, as data: a recount asks a version for what it has.

Source: pkg/metrics/metrics.go of the versions that can be built (0.17.1, 0.18.4, 0.19.2).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

from gpuassay.record.metrics import Samples
from gpuassay.systems.kueue.judge.tally import Tally

BUILD = "kueue_build_info"
"""Whose label `git_version` is Kueue's version."""

Minor = tuple[int, int]

SINCE: dict[str, Minor] = {
    "kueue_cluster_queue_info": (0, 18),
    "kueue_cluster_queue_resource_pending": (0, 18),
}
"""Series that an older version does not have, and the minor release that brought each."""

INFINITE_SINCE: dict[str, Minor] = {
    "kueue_cluster_queue_borrowing_limit": (0, 18),
    "kueue_cluster_queue_lending_limit": (0, 18),
}
"""Gauges of a limit: one that is not set is told as +Inf from this minor release on, as 0 before."""


def minor(page: Samples) -> Minor | None:
    """The minor release that was asked; None where it does not say, as recordings from before this was kept."""
    for row in page.select(BUILD):
        parts = str(row["labels"].get("git_version", "")).removeprefix("v").split(".")
        if len(parts) > 1 and parts[0].isdigit() and parts[1].isdigit():
            return int(parts[0]), int(parts[1])
    return None


def as_told(tallies: Iterable[Tally], version: Minor | None) -> Iterator[Tally]:
    """The recounts that a version can be held to, in its own terms."""
    for one in tallies:
        if version is None or version >= max(SINCE.get(one.name, version), INFINITE_SINCE.get(one.name, version)):
            yield one
        elif one.name in INFINITE_SINCE:
            yield replace(one, expected={key: (_zero(low), _zero(high)) for key, (low, high) in one.expected.items()})


def _zero(value: float) -> float:
    return value if math.isfinite(value) else 0.0
