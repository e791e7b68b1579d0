"""Kueue: job queueing. The names of this page are its public face for suites, beside its folders."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpuassay.systems.kueue.acts import workloads as workloads
    from gpuassay.systems.kueue.acts.lab import KueueLab as KueueLab
    from gpuassay.systems.kueue.acts.lab import Queue as Queue
    from gpuassay.systems.kueue.judge.queueing import decided_before as decided_before
    from gpuassay.systems.kueue.judge.queueing import decisions as decisions
    from gpuassay.systems.kueue.judge.queueing import order_findings as order_findings
    from gpuassay.systems.kueue.objects import queues as queues
    from gpuassay.systems.kueue.readings import KueueRecording as KueueRecording
    from gpuassay.systems.kueue.readings import Timeline as Timeline

_PLACE_OF = {
    "KueueLab": "acts.lab",
    "KueueRecording": "readings",
    "Queue": "acts.lab",
    "Timeline": "readings",
    "decided_before": "judge.queueing",
    "decisions": "judge.queueing",
    "order_findings": "judge.queueing",
    "queues": "objects",
    "workloads": "acts",
}

__all__ = [*_PLACE_OF]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """A public name, imported when it is asked for: judging needs no cluster client, `--help` needs neither."""
    if name not in _PLACE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    place = importlib.import_module(f"{__name__}.{_PLACE_OF[name]}")
    return getattr(place, name) if hasattr(place, name) else importlib.import_module(f"{place.__name__}.{name}")
