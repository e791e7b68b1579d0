"""Judges of what any gateway claims: where prompts go that nobody has asked before, and where they go again.

All are by requests alone. A limit is what chance allows a picker that chooses evenly; a sound one is accused with the
probability that is given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from gpuassay.record.metrics import Samples
from gpuassay.systems.llmd.judge.metrics import by_server
from gpuassay.systems.llmd.judge.routing import answered, require_told, shown
from gpuassay.systems.llmd.model.chance import chance_limit, seldom_limit
from gpuassay.systems.llmd.rows import RequestRow
from gpuassay.verdict import Inconclusive

FALSE_ALARM = 1e-4


def placed(rows: Sequence[RequestRow], before: Samples, after: Samples) -> Counter[str]:
    """How many of these answers each model server gave: by the answers' own word, or else by the servers' counters.

    Raises:
        Inconclusive: the counters tell of more or fewer requests: somebody else asks as well.
        LookupError: neither tells; as `gpuassay.systems.llmd.judge.metrics.delta`.
        ValueError: as `delta`.
    """
    good = answered(rows)
    if all(row.served_by for row in good):
        return Counter(str(row.served_by) for row in good)
    counted = by_server(before, after, "requests_succeeded")
    if sum(counted.values()) != len(good):
        raise Inconclusive(
            f"the model servers have finished {sum(counted.values()):g} requests, {len(good)} were ours: somebody else "
            "asks as well"
        )
    return Counter({name: round(count) for name, count in counted.items()})


def hot_findings(places: Mapping[str, int], replicas: Sequence[str], false_alarm: float = FALSE_ALARM) -> list[str]:
    """Model servers that got more of equal requests than chance gives any of them, and answers of strangers."""
    asked = sum(places.values())
    if not asked:
        return ["no answered requests: how they are spread cannot be told"]
    if strangers := sorted(set(places) - set(replicas)):
        return [f"answers by model servers that are none of the pool's {', '.join(replicas)}: {', '.join(strangers)}"]
    limit = chance_limit(asked, len(replicas), false_alarm / len(replicas))
    seen = ", ".join(f"{name} {places.get(name, 0)}" for name in replicas)
    return [
        f"{name} got {count} of {asked} requests, an even choice gives any of {len(replicas)} at most {limit}: {seen}"
        for name, count in places.items()
        if count > limit
    ]


def idle_findings(places: Mapping[str, int], busy: str, replicas: int, false_alarm: float = 1e-3) -> list[str]:
    """Whether a busy model server got as many requests as a picker that does not look at load would give it.

    Raises ValueError where too few were asked: then even none at all would be within chance.
    """
    asked = sum(places.values())
    limit = seldom_limit(asked, replicas, false_alarm)
    if limit < 0:
        raise ValueError(f"{asked} requests to {replicas} model servers are too few to tell who looks from who guesses")
    seen = places.get(busy, 0)
    if seen <= limit:
        return []
    return [
        f"{busy}, the only busy one of {replicas}, got {seen} of {asked} requests; one that looks at load gives it at "
        f"most {limit}, one that does not about {asked / replicas:.0f}"
    ]


def returns(rows: Sequence[RequestRow]) -> tuple[int, int]:
    """How many repeats went where the same prompt had gone just before, and how many there were; as `require_told`."""
    require_told(rows)
    last: dict[str, str | None] = {}
    again = repeats = 0
    for row in answered(rows):
        if row.label in last:
            repeats += 1
            again += last[row.label] == row.served_by
        last[row.label] = row.served_by
    return again, repeats


def scatter_findings(rows: Sequence[RequestRow], replicas: int, false_alarm: float = FALSE_ALARM) -> list[str]:
    """Whether prompts stick to model servers although the picker is declared blind to prompts."""
    again, repeats = returns(rows)
    if not repeats:
        return ["no prompt was answered twice: whether prompts stick cannot be told"]
    limit = chance_limit(repeats, replicas, false_alarm)
    if again <= limit:
        return []
    return [
        f"{again} of {repeats} repeated prompts went where they had gone just before, chance allows {limit}: something "
        f"ties prompts to model servers; {shown(rows)}"
    ]


def usage_findings(rows: Sequence[RequestRow], tokens: int | None) -> list[str]:
    """Answers that do not say how many tokens prompt and answer had, or say more of the answer than was allowed."""
    good = answered(rows)
    if not good:
        return [f"no answered requests: what usage says cannot be told; {shown(rows)}"]
    mute = [row for row in good if not row.prompt_tokens or row.tokens is None or row.tokens_from == "events"]
    found = [f"{len(mute)} of {len(good)} answers do not tell their usage: {shown(mute)}"] if mute else []
    long = [row for row in good if tokens is not None and (row.tokens or 0) > tokens]
    if long:
        found.append(f"{len(long)} answers tell more than {tokens} tokens, the most allowed: {shown(long)}")
    return found


def steered_findings(
    rows: Sequence[RequestRow], named: Mapping[str, str], replicas: int, header: str, false_alarm: float = FALSE_ALARM
) -> list[str]:
    """Whether requests went to the model server that a client's header names more often than chance has it.

    Requests that are refused with 4xx steered nothing. `named`: by label of the prompt. As `require_told`.
    """
    require_told(rows)
    found = _broken(rows)
    good = answered(rows)
    hits = sum(row.served_by == named[row.label] for row in good)
    limit = chance_limit(len(good), replicas, false_alarm)
    if hits > limit:
        found.append(
            f"{hits} of {len(good)} requests went to the model server that their own header {header} names, chance "
            f"allows {limit}: the gateway lets clients steer"
        )
    return found


def refused_or_answered(rows: Sequence[RequestRow]) -> list[str]:
    """Requests to a place that is none which were neither answered nor refused as the client's fault."""
    return _broken(rows) if rows else ["no requests: nothing was asked"]


def _broken(rows: Sequence[RequestRow]) -> list[str]:
    bad = [row for row in rows if not row.ok and not 400 <= (row.status or 0) < 500]
    return [f"{len(bad)} of {len(rows)} requests were neither answered nor refused: {shown(bad)}"] if bad else []


def shared_cache_findings(same: Sequence[RequestRow], other: Sequence[RequestRow]) -> list[str]:
    """Answers that used what was cached under another salt.

    Raises Inconclusive if not even answers under the same salt tell of cached tokens: then silence says nothing.
    """
    if not any(row.cached_tokens for row in answered(same)):
        raise Inconclusive(
            "no answer tells cached tokens, even where a prompt was repeated: have the model server tell them "
            "(vLLM: --enable-prompt-tokens-details; SGLang: --enable-cache-report)"
        )
    shared = [row for row in answered(other) if row.cached_tokens]
    return (
        [f"{len(shared)} of {len(other)} prompts found what another salt has cached: {shown(shared)}"] if shared else []
    )


def session_findings(rows: Sequence[RequestRow], home: str) -> list[str]:
    """Requests of one session that were served elsewhere than its first one, or in several places; `require_told`."""
    require_told(rows)
    places = {str(row.served_by) for row in answered(rows)}
    if home:
        places.add(home)
    return [] if len(places) == 1 else [f"one session was served by {', '.join(sorted(places))}: {shown(rows)}"]
