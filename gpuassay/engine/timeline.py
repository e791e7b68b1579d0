"""How a run spends its time: which pool did what when, how many scenarios at once, how busy the CPUs were."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpuassay import pressure

SECTION = "How this run spent its time"
BUILDS = "builds"
"""The row of what is built beside scenarios."""


@dataclass(frozen=True)
class Span:
    """One scenario or build; times in s since the run began acting."""

    row: str
    name: str
    start: float
    end: float


@dataclass
class Timeline:
    """Collects spans, and samples the CPUs once a second in a thread of its own until `stop`."""

    _spans: list[Span] = field(default_factory=list[Span])
    _busy: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._began_ns = time.time_ns()

    def start(self) -> None:
        """Begin sampling."""
        threading.Thread(target=self._sample, name="gpuassay-timeline", daemon=True).start()

    def stop(self) -> None:
        """End sampling."""
        self._stop.set()

    def add(self, row: str, name: str, start_ns: int, end_ns: int) -> None:
        """Enter a scenario or build (ns since the epoch)."""
        span = Span(row, name, (start_ns - self._began_ns) / 1e9, (end_ns - self._began_ns) / 1e9)
        with self._lock:
            self._spans.append(span)

    def _sample(self) -> None:
        before, at = pressure.busy(), time.monotonic()
        while not self._stop.wait(1.0):
            share = pressure.busy_share(before, time.monotonic() - at)
            self._busy.append(((time.time_ns() - self._began_ns) / 1e9, share))
            before, at = pressure.busy(), time.monotonic()

    def write(self, folder: Path) -> None:
        """Write the exhibits; none of a run in which nothing was acted out."""
        with self._lock:
            spans = sorted(self._spans, key=lambda one: one.start)
        if not spans:
            return
        folder.mkdir(exist_ok=True)
        rows = list(dict.fromkeys(one.row for one in spans))
        exhibits: list[dict[str, Any]] = [
            {
                "id": "run-timeline",
                "title": "Scenarios by cluster pool",
                "kind": "gantt",
                "unit": "s",
                "lanes": [{"label": row, "bars": [_bar(one) for one in spans if one.row == row]} for row in rows],
                "notes": ["What a pool does at the same time lies below each other."],
            },
            {
                "id": "run-at-once",
                "title": "Scenarios at once, and busy CPUs",
                "kind": "steps",
                "x": "s since the run began",
                "y": "scenarios; share of CPU time x 10",
                "series": [
                    *({"label": row, "points": _at_once([s for s in spans if s.row == row])} for row in rows),
                    {"label": "busy CPUs x 10", "points": [[round(at, 1), round(10 * b, 2)] for at, b in self._busy]},
                ],
                "notes": ["Busy: of all programs, ours and others'; 10 is all CPUs."],
            },
        ]
        for exhibit in exhibits:
            text = json.dumps({**exhibit, "section": SECTION}) + "\n"
            (folder / f"{exhibit['id']}.json").write_text(text)


def _bar(span: Span) -> dict[str, Any]:
    return {"start": round(span.start, 2), "end": round(span.end, 2), "label": span.name, "class": "medium"}


def _at_once(spans: Sequence[Span]) -> list[list[float]]:
    changes = sorted([(one.start, 1) for one in spans] + [(one.end, -1) for one in spans])
    points: list[list[float]] = [[0.0, 0]]
    for at, change in changes:
        points.append([round(at, 2), points[-1][1] + change])
    return points
