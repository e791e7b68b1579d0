"""Judges of a gateway that is seen from outside only: counters of its model servers, its streams, its pool's status."""

from __future__ import annotations

from collections.abc import Sequence

from gpuassay.manifest import Manifest, dig
from gpuassay.record.facts import Outside
from gpuassay.record.metrics import Samples, untold_starts
from gpuassay.systems.llmd import notes
from gpuassay.systems.llmd.judge.engines import TOKENS, named
from gpuassay.systems.llmd.judge.metrics import counter_hit_rate, delta, hit_units
from gpuassay.systems.llmd.judge.picker_word import causes
from gpuassay.systems.llmd.judge.routing import answered, failure_findings, shown
from gpuassay.systems.llmd.readings import RoutingRecording
from gpuassay.systems.llmd.rows import RequestRow
from gpuassay.verdict import Inconclusive

PICKERS_BEFORE, PICKERS_AFTER = "pickers before", "pickers after"
"""Labels of the metrics of somebody's pickers, before and after a scenario."""

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


def hit_rate(rows: Sequence[RequestRow], before: Samples, after: Samples) -> tuple[float, str]:
    """Prefix-cache hits per prompt token over these asks, and what told it: "counters", or "answers".

    Where the counters cannot serve, since others ask as well, or the engine counts no hits, or a server restarted,
    the answers' own `cached_tokens` do.

    Raises:
        as `counted_hit_rate`, if no answer tells cached tokens either.
    """
    try:
        return counted_hit_rate(rows, before, after), "counters"
    except (Inconclusive, LookupError, ValueError):
        good = [row for row in answered(rows) if row.prompt_tokens]
        if not any(row.cached_tokens for row in good):
            raise  # none cached, or none told: servers leave the field out in both cases
        return sum(row.cached_tokens or 0 for row in good) / sum(row.prompt_tokens or 0 for row in good), "answers"


def why(recording: RoutingRecording, asked: int) -> list[str]:
    """Why somebody's gateway failed the decisive test, by its pickers' own metrics; empty for an arm of ours."""
    if recording.outside is None:
        return []
    if unseen := recording.note(notes.PICKERS_UNSEEN):
        return [f"the cause is not known: {unseen}"]
    try:
        before, after = recording.metrics(PICKERS_BEFORE), recording.metrics(PICKERS_AFTER)
    except LookupError:  # of a recording that is older than this
        return []
    found = causes(before, after, asked, len(recording.outside.endpoints))
    return found or ["the pickers' metrics name no cause"]


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
