"""Judges of a gateway that is seen from outside only: counters of its model servers, its streams, its pool's status."""

from __future__ import annotations

from collections.abc import Sequence

from gpuassay.manifest import Manifest, dig
from gpuassay.record.facts import Outside
from gpuassay.record.metrics import Samples, untold_starts
from gpuassay.systems.llmd.judge.engines import TOKENS, named
from gpuassay.systems.llmd.judge.metrics import counter_hit_rate, delta, hit_units
from gpuassay.systems.llmd.judge.routing import answered, failure_findings, shown
from gpuassay.systems.llmd.rows import RequestRow
from gpuassay.verdict import Inconclusive

WANTED = ("Accepted", "ResolvedRefs")
"""Conditions of every parent of an InferencePool (Gateway API Inference Extension v1)."""

APART = 0.5
"""Least share of a stream's tokens that must come in events of their own, and of its time between first and last."""


def counted_hit_rate(rows: Sequence[RequestRow], before: Samples, after: Samples) -> float:
    """Prefix-cache hits per prompt token over these asks, by the counters of all model servers.

    Raises:
        Inconclusive: the counters tell of other tokens than these asks had: somebody else was asking too.
        LookupError: as `counter_hit_rate`.
        ValueError: as `counter_hit_rate`; no answer says how many prompt tokens it had.
    """
    good = answered(rows)
    asked = sum(row.prompt_tokens or 0 for row in good)
    if not asked:
        raise ValueError(f"no answer says how many prompt tokens it had: {shown(rows)}")
    rate = counter_hit_rate(before, after)
    counted = delta(before, after, _asked_metric(after))
    if counted > asked:
        raise Inconclusive(f"{counted:g} prompt tokens were looked up, {asked} were ours: somebody else asks as well")
    return rate


def _asked_metric(after: Samples) -> str:
    """The counter that says how many prompt tokens came in: blocks that were looked up do not."""
    in_tokens = all(unit == TOKENS for unit in hit_units(after).values())
    told = any(named(after.of(source).names, "prompt_tokens") for source in after.sources)
    return "prefix_cache_queries" if in_tokens or not told else "prompt_tokens"


def restarts_untold(outside: Outside | None, after: Samples) -> list[str]:
    """Somebody's model servers of which nothing tells when they started: a restart may have gone unseen there."""
    if outside is None:
        return []
    return [
        source
        for source in after.sources
        for name in (named(after.of(source).names, "prefix_cache_queries") or ((), ""))[0][:1]
        if untold_starts(after.of(source), name)
    ]


def stream_findings(rows: Sequence[RequestRow]) -> list[str]:
    """Streams that failed, or that came in one piece: few events, or no time between the first and the last."""
    found = failure_findings(rows)
    for row in answered(rows):
        first, last = row.first_ns, row.last_ns
        tokens = row.tokens or 0
        apart = sum(gap > 0 for gap in row.gaps_ns)
        if first is None or last is None or tokens < 2 or last <= first or apart < APART * (tokens - 1):
            found.append(f"#{row.index} {row.label}: {tokens} tokens in {1 + apart} reads apart in time")
    return found


def parents(pool: Manifest) -> list[Manifest]:
    """What controllers say of an InferencePool, by parent; a default that nobody has touched yet is none."""
    found: list[Manifest] = dig(pool, "status", "parents", default=[])
    return [one for one in found if any(said["reason"] != "Pending" for said in _conditions(one))]


def pool_findings(pool: Manifest) -> list[str]:
    """Conditions of an InferencePool's parents that are missing or not True."""
    found: list[str] = []
    for parent in parents(pool):
        name = dig(parent, "parentRef", "name", default="?")
        said = {one["type"]: one for one in _conditions(parent)}
        for kind in WANTED:
            one = said.get(kind)
            if one is None:
                found.append(f"parent {name}: {kind} is not there")
            elif one["status"] != "True":
                found.append(f"parent {name}: {kind} is {one['status']}, {one['reason']}: {one.get('message')}")
    return found


def _conditions(parent: Manifest) -> list[Manifest]:
    return dig(parent, "conditions", default=[])
