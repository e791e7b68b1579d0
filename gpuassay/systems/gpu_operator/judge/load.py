"""Whether DCGM exporter tells that a GPU gets busy under a load and idle after it.

Source: DCGM's fields GPU_UTIL (percent, of whole GPUs) and PROF_GR_ENGINE_ACTIVE (share, also of slices).
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from gpuassay.record.notes import Note
from gpuassay.systems.gpu_operator.judge.dcgm import PERCENT, why_no_percent

__all__ = ["BUSY", "LOAD", "PERCENT", "Load", "Row", "load_findings", "valued"]

BUSY = 50.0
"""Percent that a load which does nothing else must reach, and an idle GPU must not."""


class Row(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one sample tells.

    Attributes:
        gpu: UUID of the GPU, with the number of the GPU instance where it is a slice.
        pod: whose it is, "" where nobody's.
        percent: how busy it is; None where the exporter tells no number.
        field: DCGM's field, "" where it is not told.
        at: the exporter's own time, s since the epoch; None where it tells none.
    """

    gpu: str
    pod: str
    percent: float | None
    field: str = ""
    at: float | None = None


class Load(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was told of the GPUs of the load's pod, in the order of the scrapes.

    Attributes:
        pod: name of the load's pod.
        before: of the pod's GPUs, before it ran.
        during: of the pod, while it ran.
        after: of the pod's GPUs, after it.
        problems: what kept exporters from telling.
    """

    pod: str
    before: list[Row]
    during: list[Row]
    after: list[Row]
    problems: list[str] = []


LOAD = Note("load", Load, "how busy DCGM exporter told the GPUs of the load to be")


def valued(rows: Iterable[Row]) -> list[Row]:
    """The rows that tell something: not DCGM's blanks, nor what no utilisation can be."""
    return [row for row in rows if not why_no_percent(row.percent)]


def load_findings(load: Load) -> list[str]:
    """A GPU of the load's pod is idle before it, busy under it and idle after it.

    A row whose exporter's own time is no newer than the last of the phase before it tells nothing.
    """
    found = _findings(load)
    return [*found, *load.problems] if found else []


def _findings(load: Load) -> list[str]:
    told = [row for row in load.during if row.pod == load.pod]
    if not told:
        return [f"no sample names pod {load.pod}, which was given a GPU"]
    mine = _newer(valued(told), valued(load.before))
    if not mine:
        return [_nothing(told, "under the load")]
    most = max(mine, key=_percent)
    gpu, found = most.gpu, list[str]()
    if _percent(most) < BUSY:
        unsaid = len(told) - len(mine)
        also = f" ({unsaid} of {len(told)} samples have no value)" if unsaid else ""
        found.append(f"GPU {gpu} is {_percent(most):g} % busy at most under the load, expected {BUSY:g} %{also}")
    for when, all_rows in (("before", load.before), ("after", load.after)):
        rows = [row for row in all_rows if row.gpu == gpu]
        if not rows:
            found.append(f"nothing is told of GPU {gpu} {when} the load")
            continue
        seen = valued(rows) if when == "before" else _newer(valued(rows), [most])
        last = {row.field: _percent(row) for row in seen}
        if not last:
            found.append(_nothing(rows, f"{when} the load"))
        elif max(last.values()) >= BUSY:
            found.append(f"GPU {gpu} is {max(last.values()):g} % busy {when} the load")
    return found


def _percent(row: Row) -> float:
    """How busy a row tells a GPU to be; of rows that are `valued`."""
    assert row.percent is not None
    return row.percent


def _newer(rows: Iterable[Row], than: Iterable[Row]) -> list[Row]:
    """The rows that are not told again: an exporter whose times stand still tells what it once read."""
    last = {(row.gpu, row.field): row.at for row in than if row.at is not None}
    return [row for row in rows if row.at is None or row.at > last.get((row.gpu, row.field), float("-inf"))]


def _nothing(rows: Iterable[Row], when: str) -> str:
    """That no row has a value, and what the last one has instead."""
    last = list(rows)[-1]
    why = why_no_percent(last.percent) or "its time stands still"
    return f"DCGM has no value of GPU {last.gpu}'s utilisation {when}: {why}"
