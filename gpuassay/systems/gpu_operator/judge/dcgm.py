"""What a sample of DCGM exporter says: a value, or that DCGM has none.

Sources: NVIDIA DCGM's `dcgm_fields.h` (blank values of INT32, INT64 and FP64: not set, not found, not supported, not
permitted); DCGM exporter's labels, those of its first generation too; NVIDIA/DCGM#199 and gpu-monitoring-tools#92 for
values that no field can have.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

INT32_BLANK = frozenset(range(0x7FFFFFF0, 0x7FFFFFF4))
"""DCGM_INT32_BLANK, _NOT_FOUND, _NOT_SUPPORTED, _NOT_PERMISSIONED."""
FP64_BLANK = 140737488355328.0
"""DCGM_FP64_BLANK, 2 to the power of 47; the other three follow. Those of INT64 (from 0x7ffffffffffffff0) lie above."""
UNSIGNED = frozenset({2.0**32 - 1})
"""-1 of an unsigned field: NVML's word for a value that is not available."""

PERCENT = {
    "DCGM_FI_DEV_GPU_UTIL": 1.0, "DCGM_FI_PROF_GR_ENGINE_ACTIVE": 100.0, "dcgm_gpu_utilization": 1.0,
}  # fmt: skip
"""Fields that tell how busy a GPU is, and what makes percent of them; the last: exporters up to 1.x."""
MOST = 101.0
"""Percent: a profiling ratio may come out a little above 1, by rounding."""


def why_blank(value: float) -> str:
    """Why a value of any field is none, in words for a message; "" for a value that DCGM has measured."""
    if not math.isfinite(value):
        return f"{value:g} is no number"
    if value in INT32_BLANK or value >= FP64_BLANK:
        return f"{value:.0f} is DCGM's blank"
    if value in UNSIGNED:
        return f"{value:.0f} is -1 without its sign"
    return ""


def why_no_percent(percent: float | None) -> str:
    """Why a percentage of utilisation is none, in words for a message; "" for one that can be. None: NaN, as told."""
    if percent is None:
        return "NaN is no number"
    if not math.isfinite(percent):
        return f"{percent:g} is no number"
    return "" if 0 <= percent <= MOST else f"{percent:g} is no percentage"


def gpu_of(labels: Mapping[str, str]) -> str:
    """Name of a GPU, or `GPU/instance` of a slice: its UUID, or where the labels lack that its host and number."""
    name = labels.get("UUID") or labels.get("uuid")
    if not name:
        parts = (labels.get("Hostname"), labels.get("gpu") or labels.get("device"))
        name = ":".join(filter(None, parts))
    return "/".join(filter(None, (name, instance_of(labels))))


def instance_of(labels: Mapping[str, str]) -> str:
    """Number of the GPU instance that a sample is of, "" for a whole GPU."""
    return labels.get("GPU_I_ID") or ""


def pod_of(labels: Mapping[str, str]) -> str:
    """The pod that has the GPU, "" if none is named: `exported_pod` where a collector put its own under `pod`."""
    return labels.get("exported_pod") or labels.get("pod") or labels.get("pod_name") or ""
