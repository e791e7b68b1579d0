"""Whether DCGM exporter tells that a GPU gets busy under a load and idle after it: `notes["load"]`.

Source: DCGM's fields GPU_UTIL (percent, of whole GPUs) and PROF_GR_ENGINE_ACTIVE (share, also of slices).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gpuassay.systems.gpu_operator.judge.dcgm import PERCENT, why_no_percent

__all__ = ["BUSY", "PERCENT", "load_findings", "valued"]

BUSY = 50.0
"""Percent that a load which does nothing else must reach, and an idle GPU must not."""

Row = Mapping[str, Any]


def valued(rows: Iterable[Row]) -> list[Row]:
    """The rows that tell something: not DCGM's blanks, nor what no utilisation can be."""
    return [row for row in rows if not why_no_percent(row["percent"])]


def load_findings(load: Mapping[str, Any]) -> list[str]:
    """A GPU of the load's pod is idle before it, busy under it and idle after it.

    `before`, `during` and `after` hold rows `{"gpu", "pod", "percent"}` in the order of the scrapes, `before` and
    `after` only those of the pod's GPUs; `pod` is its name. A row may say of which `field` it is, and the exporter's
    own time `at` (s since the epoch): a row that is no newer than the last of the phase before it tells nothing.
    `problems` are what kept exporters from telling.
    """
    found = _findings(load)
    return [*found, *load.get("problems", ())] if found else []


def _findings(load: Mapping[str, Any]) -> list[str]:
    told = [row for row in load["during"] if row["pod"] == load["pod"]]
    if not told:
        return [f"no sample names pod {load['pod']}, which was given a GPU"]
    mine = _newer(valued(told), valued(load["before"]))
    if not mine:
        return [_nothing(told, "under the load")]
    most = max(mine, key=lambda row: row["percent"])
    gpu, found = most["gpu"], list[str]()
    if most["percent"] < BUSY:
        unsaid = len(told) - len(mine)
        also = f" ({unsaid} of {len(told)} samples have no value)" if unsaid else ""
        found.append(f"GPU {gpu} is {most['percent']:g} % busy at most under the load, expected {BUSY:g} %{also}")
    for when in ("before", "after"):
        rows = [row for row in load[when] if row["gpu"] == gpu]
        if not rows:
            found.append(f"nothing is told of GPU {gpu} {when} the load")
            continue
        seen = valued(rows) if when == "before" else _newer(valued(rows), [most])
        last = {row.get("field"): row["percent"] for row in seen}
        if not last:
            found.append(_nothing(rows, f"{when} the load"))
        elif max(last.values()) >= BUSY:
            found.append(f"GPU {gpu} is {max(last.values()):g} % busy {when} the load")
    return found


def _newer(rows: Iterable[Row], than: Iterable[Row]) -> list[Row]:
    """The rows that are not told again: an exporter whose times stand still tells what it once read."""
    last: dict[tuple[str, str | None], float] = {}
    for row in than:
        if row.get("at") is not None:
            last[row["gpu"], row.get("field")] = row["at"]
    return [
        row for row in rows
        if row.get("at") is None or row["at"] > last.get((row["gpu"], row.get("field")), float("-inf"))
    ]  # fmt: skip


def _nothing(rows: Iterable[Row], when: str) -> str:
    """That no row has a value, and what the last one has instead."""
    last = list(rows)[-1]
    why = why_no_percent(last["percent"]) or "its time stands still"
    return f"DCGM has no value of GPU {last['gpu']}'s utilisation {when}: {why}"
