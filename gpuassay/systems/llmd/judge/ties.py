"""Whether equally good replicas share requests. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from gpuassay.systems.llmd.judge.routing import failure_findings
from gpuassay.systems.llmd.model.chance import chance_limit, uniformity_p
from gpuassay.systems.llmd.rows import RequestRow

FALSE_ALARM = 1e-6
"""Probability that a picker which draws evenly is blamed, for each subset of replicas."""
BURST_FALSE_ALARM = 1e-5
"""The same, for each replica of a burst."""


def tie_findings(rows: Sequence[RequestRow], top: Sequence[str]) -> list[str]:
    """Picks that went to somebody else than the best replicas, or to one of these more often than chance explains."""
    if bad := failure_findings(rows):
        return bad
    counts = Counter(str(row.served_by) for row in rows)
    names = "+".join(top)
    others = {name: count for name, count in counts.items() if name not in top}
    if others:
        return [f"with {names} at the top others were picked: {others}"]
    if len(top) < 2:
        return []
    chance = uniformity_p([counts[name] for name in top])
    said = f"with {names} at the top {dict(counts)} were picked: even draws do that with p = {chance:.1g}"
    return [said] if chance < FALSE_ALARM else []


def burst_findings(rows: Sequence[RequestRow], replicas: int) -> list[str]:
    """Replicas that got more of a burst than chance allows."""
    if bad := failure_findings(rows):
        return bad
    most = chance_limit(len(rows), replicas, BURST_FALSE_ALARM)
    counts = Counter(row.served_by for row in rows)
    found = {name: count for name, count in counts.items() if count > most}
    return [f"{name} got {count} of {len(rows)}, chance allows {most}" for name, count in found.items()]
