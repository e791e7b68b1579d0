"""Asks a Prometheus what GPUs and workers did while scenarios measured, for an exhibit beside the tables."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import requests

from gpuassay.manifest import Manifest
from gpuassay.record.recording import Recording
from gpuassay.record.rows import RecordingError
from gpuassay.secrets import hide
from gpuassay.session.options import PROMETHEUS_TOKEN
from gpuassay.stats.activity import FIGURES, FRESH_SECONDS, LEAST_SHARE, Activity, Figure, Points, activity

STEP_SECONDS = 15.0
MOST_MOMENTS = 240
"""Of one scenario; of a longer one moments lie further apart."""
ANSWER_SECONDS = 20.0


class NoAnswer(Exception):  # noqa: N818 - reads as what it is
    """Prometheus cannot be asked; one line says why."""


@dataclass(frozen=True)
class Window:
    """A scenario's time, in s since the epoch."""

    name: str
    start: float
    end: float


def windows(run_dir: Path, names: Sequence[str]) -> list[Window]:
    """When these scenarios were acted out; those without a recording are left out."""
    found: list[Window] = []
    for name in names:
        try:
            meta = Recording.load(run_dir / "recordings" / name).meta
        except RecordingError:
            continue
        if meta.outcome == "ok" and meta.ended_ns > meta.started_ns:
            found.append(Window(name, meta.started_ns / 1e9, meta.ended_ns / 1e9))
    return found


class Prometheus:
    """One, asked for ranges."""

    def __init__(self, base: str) -> None:
        """Nothing is asked yet."""
        self._base, self._session = base, requests.Session()
        if token := os.environ.get(PROMETHEUS_TOKEN):
            self._session.headers["authorization"] = f"Bearer {token}"

    def range(self, query: str, start: float, end: float, step: float) -> Points:
        """Points of every series of a query. Raises NoAnswer."""
        asked = {"query": query, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:g}"}
        try:
            answer = self._session.get(
                f"{self._base}/api/v1/query_range", params=asked, timeout=ANSWER_SECONDS, allow_redirects=False
            )
        except requests.RequestException as error:
            raise NoAnswer(f"{hide(self._base)}: {hide(' '.join(str(error).split()))[:200]}") from None
        try:
            body = cast("dict[str, Any]", answer.json())
            if answer.status_code != 200 or body["status"] != "success":
                raise ValueError(str(body.get("error", "")))
            return {
                tuple(sorted((k, v) for k, v in one["metric"].items() if k != "__name__")): [
                    (float(at), float(value)) for at, value in one["values"] if math.isfinite(float(value))
                ]
                for one in body["data"]["result"]
            }
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            said = hide(str(error))[:200]
            raise NoAnswer(f"{hide(self._base)} gives no ranges: HTTP status {answer.status_code} {said}") from None

    def activity(self, figure: Figure, window: Window) -> Activity:
        """A figure over a scenario. Raises NoAnswer."""
        length = window.end - window.start
        step = max(STEP_SECONDS if length >= 2 * STEP_SECONDS else max(1.0, length / 4), length / MOST_MOMENTS)
        moments = int(length / step) + 1
        end = window.start + (moments - 1) * step
        values = self.range(figure.value, window.start, end, step)
        stamps = self.range(figure.stamp, window.start, end, step)
        return activity(values, stamps, moments, figure.scale)


def exhibit(base: str, found: Sequence[Window]) -> Manifest:
    """The table of what Prometheus knows of these scenarios; where it cannot be asked, a note says why."""
    asked, rows, problem = Prometheus(base), list[list[object]](), ""
    try:
        for window in found:
            rows += [_row(window, figure, asked.activity(figure, window)) for figure in FIGURES]
    except NoAnswer as why:
        problem = str(why)
    notes = [
        f"Read from Prometheus over each scenario's time, all GPUs and workers that it knows, whoever used them. A "
        f"sample older than {FRESH_SECONDS:g} s tells nothing; with fresh ones at fewer than {LEAST_SHARE:.0%} of the "
        "moments no figure stands.",
        *([f"Not all could be asked: {problem}"] if problem else []),
    ]
    return {
        "id": "prometheus", "kind": "table", "section": "What GPUs and workers did",
        "title": "GPUs, their tensor cores and memory, and the workers' CPUs while scenarios measured",
        "columns": ["scenario", "figure", "series", "mean", "most", "fresh %", "oldest sample s"],
        "rows": rows, "notes": notes,
    }  # fmt: skip


def _row(window: Window, figure: Figure, one: Activity) -> list[object]:
    rounded = [None if value is None else round(value, 1) for value in (one.mean, one.most)]
    oldest = None if one.oldest is None else round(one.oldest, 1)
    return [window.name, figure.title, one.series, *rounded, round(100 * one.fresh), oldest]
