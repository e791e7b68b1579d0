"""Whether DCGM exporter tells that a GPU gets busy under a load and idle after it: `notes["load"]`.

Source: DCGM's fields GPU_UTIL (percent, of whole GPUs) and PROF_GR_ENGINE_ACTIVE (share, also of slices).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PERCENT = {"DCGM_FI_DEV_GPU_UTIL": 1.0, "DCGM_FI_PROF_GR_ENGINE_ACTIVE": 100.0}
"""Fields that tell how busy a GPU is, and what makes percent of them."""
BUSY = 50.0
"""Percent that a load which does nothing else must reach, and an idle GPU must not."""


def load_findings(load: Mapping[str, Any]) -> list[str]:
    """A GPU of the load's pod is idle before it, busy under it and idle after it.

    `before`, `during` and `after` hold rows `{"gpu", "pod", "percent"}` in the order of the scrapes, `before` and
    `after` only those of the pod's GPUs; `pod` is its name.
    """
    mine = [row for row in load["during"] if row["pod"] == load["pod"]]
    if not mine:
        return [f"no sample names pod {load['pod']}, which was given a GPU"]
    most = max(mine, key=lambda row: row["percent"])
    gpu, found = most["gpu"], list[str]()
    if most["percent"] < BUSY:
        found.append(f"GPU {gpu} is {most['percent']:g} % busy at most under the load, expected {BUSY:g} %")
    for when in ("before", "after"):
        told = [row["percent"] for row in load[when] if row["gpu"] == gpu]
        if not told:
            found.append(f"nothing is told of GPU {gpu} {when} the load")
        elif told[-1] >= BUSY:
            found.append(f"GPU {gpu} is {told[-1]:g} % busy {when} the load")
    return found
