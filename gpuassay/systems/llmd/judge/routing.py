"""Routing of LLM requests: where each went, whether it was where its prefix is cached, and whether anybody was asked.

Judges are functions of request rows. They return what is wrong, as sentences, or nothing. A status of 200 proves
nothing about routing: every fault of a cache-aware path still answers 200, so placement and cached tokens are what is
looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gpuassay.load.figures import hit_rate
from gpuassay.load.headers import ASKED
from gpuassay.systems.llmd.model.chance import at_least_by_chance, chance_limit, uniformity_p
from gpuassay.systems.llmd.model.montecarlo import Spread
from gpuassay.systems.llmd.rows import RequestRow

SHOWN = 10
"""Rows that a sentence names; the others are counted."""


def answered(rows: Iterable[RequestRow]) -> list[RequestRow]:
    """The rows with a complete answer: status 200 and no error."""
    return [row for row in rows if row.ok]


def shown(rows: Iterable[RequestRow]) -> str:
    """Rows in a sentence: index, label, status, error, replica, cached of prompt tokens."""
    some = list(rows)
    told = [
        f"#{row.index} {row.label}: {row.error or row.status}"
        f" by {row.served_by or '?'}, {row.cached_tokens}/{row.prompt_tokens} cached"
        for row in some[:SHOWN]
    ]
    return "; ".join(told) + (f"; and {len(some) - SHOWN} more" if len(some) > SHOWN else "")


def count_findings(rows: Sequence[RequestRow], asked: int, first: int = 0) -> list[str]:
    """What does not close: every ask must have left exactly one row, answered or failed.

    Asks are numbered by `index` from `first`; a later wave of one scenario does not begin at 0.
    """
    seen = Counter(row.index for row in rows)
    wanted = set(range(first, first + asked))
    found: list[str] = []
    if missing := sorted(wanted - set(seen)):
        found.append(f"{asked} requests were asked, {len(missing)} left no row: {_numbers(missing)}")
    if twice := sorted(index for index, times in seen.items() if times > 1):
        found.append(f"requests with more than one row: {_numbers(twice)}")
    if extra := sorted(set(seen) - wanted):
        found.append(f"rows of requests that were never asked: {_numbers(extra)}")
    neither = [row for row in rows if row.status is None and not row.error]
    if neither:
        found.append(f"neither answered nor failed: {shown(neither)}")
    return found


def failure_findings(rows: Sequence[RequestRow], allowed: int = 0) -> list[str]:
    """Requests without a complete answer, if there are more than `allowed`; or that there are no rows at all."""
    if not rows:
        return ["no requests: nothing was asked"]
    good = {id(row) for row in answered(rows)}
    failed = [row for row in rows if id(row) not in good]
    if len(failed) <= allowed:
        return []
    return [f"expected at most {allowed} of {len(rows)} requests to fail, seen {len(failed)}: {shown(failed)}"]


def asked_findings(rows: Sequence[RequestRow], header: str = ASKED) -> list[str]:
    """Answers that never went through the endpoint picker: every 200 must carry its mark."""
    good = [row for row in rows if row.status == 200]
    if not good:
        return ["no answer with status 200: whether the endpoint picker was asked cannot be told"]
    bare = [row for row in good if _header(row, header) != "true"]
    if not bare:
        return []
    return [f"expected {header}: true on all {len(good)} answers, missing on {len(bare)}: {shown(bare)}"]


def _header(row: RequestRow, name: str) -> str | None:
    for key, value in row.headers.items():
        if key.lower() == name.lower():
            return value.strip().lower()
    return None


# --- where prompts went ----------------------------------------------------------------------------------------------


def replicas_by_prompt(rows: Iterable[RequestRow]) -> dict[str, Counter[str]]:
    """How many answers to each prompt (label) each replica gave; for a heat map, and for stickiness."""
    found: dict[str, Counter[str]] = {}
    for row in answered(rows):
        found.setdefault(row.label, Counter())[str(row.served_by)] += 1
    return found


def replicas_per_prompt(rows: Iterable[RequestRow]) -> float:
    """On how many replicas a prompt was served, on average; 1 is perfect stickiness. ValueError without answers."""
    found = replicas_by_prompt(rows)
    if not found:
        raise ValueError("no answered requests: stickiness cannot be told")
    return sum(map(len, found.values())) / len(found)


def stickiness_findings(rows: Sequence[RequestRow], at_most: int = 1) -> list[str]:
    """Prompts that were served by more than `at_most` replicas, with all requests concerned; as `require_told`."""
    require_told(rows)
    found = [f"no replica named in {shown(nameless)}"] if (nameless := _nameless(rows)) else []
    by_prompt = replicas_by_prompt(rows)
    if not by_prompt:
        return [*found, "no answered requests: stickiness cannot be told"]
    for label, replicas in sorted(by_prompt.items()):
        if len(replicas) > at_most:
            told = ", ".join(f"{name} {times}x" for name, times in replicas.most_common())
            mine = [row for row in answered(rows) if row.label == label]
            found.append(f"{label}: expected at most {at_most} replica, seen {len(replicas)} ({told}): {shown(mine)}")
    return found


def require_told(rows: Iterable[RequestRow]) -> None:
    """Raises LookupError where nothing tells who served: a row's `untold` says why. It is no fault of the router."""
    if untold := [row for row in answered(rows) if row.untold]:
        raise LookupError(f"who served {len(untold)} requests cannot be told from outside: {untold[0].untold}")


def _nameless(rows: Iterable[RequestRow]) -> list[RequestRow]:
    return [row for row in answered(rows) if not row.served_by]


def uniformity_findings(
    rows: Sequence[RequestRow], replicas: Sequence[str], asked: int, least_p: float = 1e-4
) -> list[str]:
    """Whether requests went elsewhere than evenly by chance: chi-square over `replicas`, p below `least_p` is red.

    `asked` is the number of requests fixed beforehand: with any other number of answers p means nothing. The
    probability of a false alarm is `least_p`. Raises ValueError for fewer than 5 requests per replica.
    """
    counts = Counter(str(row.served_by) for row in answered(rows))
    found: list[str] = []
    if counts.total() != asked:
        found.append(f"expected {asked} answers, the number fixed beforehand, seen {counts.total()}")
    if strangers := sorted(set(counts) - set(replicas)):
        found.append(f"answers by replicas that are none of {', '.join(replicas)}: {', '.join(strangers)}")
    if found:
        return found
    p = uniformity_p([counts[name] for name in replicas])
    if p >= least_p:
        return []
    seen = ", ".join(f"{name} {counts[name]}" for name in replicas)
    return [
        f"expected about {asked / len(replicas):.0f} of {asked} requests on each replica, seen {seen} (p = {p:.2g})"
    ]


# --- the decisive test: a replica is warmed directly, the gateway is asked -------------------------------------------


@dataclass(frozen=True)
class DirectWarm:
    """How many asks through the gateway went to the replica that had been warmed behind its back.

    Attributes:
        hits: asks that went there.
        asks: all asks, failed ones included: a failed one is no hit.
        replicas: between how many the router could choose.
        missed: rows that went elsewhere or failed.
    """

    hits: int
    asks: int
    replicas: int
    missed: tuple[RequestRow, ...]

    @property
    def by_chance(self) -> float:
        """Probability that a router that knows nothing scores as well or better."""
        return at_least_by_chance(self.hits, self.asks, self.replicas)


def direct_warm(rows: Sequence[RequestRow], warmed: Mapping[str, str], replicas: int) -> DirectWarm:
    """The score of asks through the gateway.

    Args:
        rows: the gateway's answers; the direct requests that warmed are not among them.
        warmed: by label of the prompt, the replica that was warmed with it.
        replicas: size of the pool.

    Raises:
        LookupError: as `require_told`.
        ValueError: a row's prompt was never warmed, or nothing was asked.
    """
    require_told(rows)
    if not rows:
        raise ValueError("nothing was asked through the gateway")
    if strange := sorted({row.label for row in rows} - set(warmed)):
        raise ValueError(f"asked for prompts that no replica was warmed with: {', '.join(strange)}")
    good = [row for row in answered(rows) if row.served_by == warmed[row.label]]
    kept = {id(row) for row in good}
    return DirectWarm(len(good), len(rows), replicas, tuple(row for row in rows if id(row) not in kept))


def direct_warm_findings(score: DirectWarm, allowed: int = 1, false_alarm: float = 1e-4) -> list[str]:
    """What is wrong with a router that claims to know the caches: all but `allowed` asks must find the warm replica.

    Also red when so few asks were made that chance would pass with a probability above `false_alarm`.
    """
    needed = score.asks - allowed
    luck = at_least_by_chance(max(0, needed), score.asks, score.replicas)
    if luck > false_alarm:
        return [f"{score.asks} asks prove nothing: chance finds {needed} of them with probability {luck:.2g}; ask more"]
    if score.hits >= needed:
        return []
    limit = chance_limit(score.asks, score.replicas, false_alarm)
    verdict = "no better than chance" if score.hits <= limit else "better than chance, but not what is asked"
    return [
        f"expected at least {needed} of {score.asks} requests on the replica warmed directly, seen {score.hits}"
        f" ({verdict}, which scores {score.asks / score.replicas:.1f}): {shown(score.missed)}"
    ]


def control_findings(score: DirectWarm, false_alarm: float = 1e-4) -> list[str]:
    """What is wrong with a control that cannot know the caches: it scores more than chance allows.

    Then the test itself leaks, for example because the router saw the requests that warmed. A healthy control fails
    with probability `false_alarm` at most.
    """
    limit = chance_limit(score.asks, score.replicas, false_alarm)
    if score.hits <= limit:
        return []
    return [
        f"a router that cannot know found the warm replica {score.hits} times of {score.asks}, chance allows {limit}"
        f" (p = {score.by_chance:.2g}): what warmed the replicas was seen by the router, or they share a cache"
    ]


# --- cached tokens ---------------------------------------------------------------------------------------------------


def cached_hit_rate(rows: Iterable[RequestRow]) -> float:
    """`gpuassay.load.figures.hit_rate`, where it is known. ValueError if no answer tells its tokens."""
    found = hit_rate(rows)
    if found is None:
        raise ValueError(
            "no answer says how many of its prompt tokens were cached: ask for usage"
            " (stream_options.include_usage), and have the model server tell (vLLM: --enable-prompt-tokens-details)"
        )
    return found


def cached_findings(rows: Sequence[RequestRow], expected: Mapping[str, int]) -> list[str]:
    """Answers whose cached tokens are not exactly those expected of their prompt (by label); or that there are none."""
    good = answered(rows)
    if not good:
        return [f"no answered requests: cached tokens cannot be told; {shown(rows)}"]
    wrong = [row for row in good if (row.cached_tokens or 0) != expected.get(row.label, -1)]
    if not wrong:
        return []
    labels = sorted({row.label for row in wrong})[:SHOWN]
    wanted = ", ".join(f"{label} {expected.get(label, 'none at all')}" for label in labels)
    return [f"expected cached tokens {wanted}; seen {shown(wrong)}"]


def hit_rate_findings(rate: float, expected: Spread, what: str = "hit rate", slack: float = 0.0) -> list[str]:
    """Whether a live hit rate lies outside what the model's simulations gave, widened by `slack`."""
    if expected.holds(rate, slack):
        return []
    side = "below" if rate < expected.low else "above"
    return [f"{what}: expected {expected} by the model, seen {rate:.3f}, which is {side} it"]


def _numbers(values: Sequence[int]) -> str:
    return ", ".join(map(str, values[:SHOWN])) + (f" and {len(values) - SHOWN} more" if len(values) > SHOWN else "")
