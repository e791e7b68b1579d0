"""What a router that knows nothing scores by chance: limits with a stated probability of a false alarm."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from scipy import stats


@lru_cache(maxsize=4096)
def at_least_by_chance(hits: int, asks: int, replicas: int) -> float:
    """Probability that a random choice among `replicas` meets the wanted one at least `hits` times in `asks`.

    The upper tail of the binomial distribution with p = 1 / replicas. Raises ValueError for negative counts or no
    replica.
    """
    if asks < 0 or hits < 0 or replicas < 1:
        raise ValueError(f"needs counts and at least one replica, not {hits} of {asks} on {replicas}")
    return float(stats.binom.sf(hits - 1, asks, 1 / replicas))  # pyright: ignore


def chance_limit(asks: int, replicas: int, false_alarm: float = 1e-4) -> int:
    """The most hits that chance may score: more of them happen with probability at most `false_alarm`.

    16 asks on 8 replicas with 1e-4: 8. Raises ValueError as `at_least_by_chance`, or for a probability outside (0, 1).
    """
    if not 0 < false_alarm < 1:
        raise ValueError(f"a probability of a false alarm lies in (0, 1), not at {false_alarm}")
    return next(hits for hits in range(asks + 1) if at_least_by_chance(hits + 1, asks, replicas) <= false_alarm)


def seldom_limit(asks: int, replicas: int, false_alarm: float = 1e-3) -> int:
    """The most hits by which a choice that avoids one of `replicas` is told from a random one.

    A random one has so few with probability at most `false_alarm`; -1 where not even none tells it. 48 asks on 4
    replicas: 3. Raises ValueError as `chance_limit`.
    """
    if asks < 0 or replicas < 1 or not 0 < false_alarm < 1:
        raise ValueError(f"needs asks, replicas and a probability in (0, 1), not {asks}, {replicas} and {false_alarm}")
    few = range(asks + 1)
    return next((hits - 1 for hits in few if 1 - at_least_by_chance(hits + 1, asks, replicas) > false_alarm), asks)


def uniformity_p(counts: Sequence[int]) -> float:
    """P value of "all replicas are equally likely" for requests by replica (chi-square, replicas without any included).

    Valid for a number of requests fixed beforehand, at least 5 per replica. Raises ValueError for fewer than two
    replicas or fewer requests.
    """
    if len(counts) < 2 or sum(counts) < 5 * len(counts):
        raise ValueError(f"chi-square needs two replicas and 5 requests for each, not {sum(counts)} on {len(counts)}")
    return float(stats.chisquare(list(counts)).pvalue)  # pyright: ignore
