"""Whether a refutation may be the machine's doing: judgements that hang on a clock, made while CPUs were contended."""

from __future__ import annotations

from collections.abc import Iterable

from gpuassay import pressure
from gpuassay.record.recording import RecordingMeta

OTHERS = pressure.CALM
"""Share of the machine's CPU time that went to programs that are not ours, from which on a clock proves nothing."""
BURST = 0.3
"""Likewise, of the worst two seconds or so: a mean hides who came and went while one change was waited for."""
STALL = 0.9
"""Share of the time in which some task waited for a CPU, likewise. Pools that share two cores see up to 0.8 in a sound
run; builds at idle priority count as well."""


def evidence(metas: Iterable[RecordingMeta]) -> str | None:
    """One clause on how contended the CPUs were during the worst of the recordings; None where they were not."""
    worst: tuple[float, str] | None = None
    for meta in metas:
        others, burst, stall = (
            meta.pressure.get(name) or 0.0 for name in ("others_cpu_share", "others_cpu_burst", "cpu_stall_share")
        )
        if others > OTHERS:
            clause = f"others used {others:.0%} of the machine's CPU time during {meta.scenario}"
        elif burst > BURST:
            clause = f"others used {burst:.0%} of the machine's CPU time for some seconds during {meta.scenario}"
        elif stall > STALL:
            clause = f"work waited for a CPU {stall:.0%} of the time during {meta.scenario}"
        else:
            continue
        worst = max(worst or (0.0, ""), (max(others, burst, stall), clause))
    return worst[1] if worst else None
