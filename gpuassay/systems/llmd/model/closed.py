"""Hit rates in closed form, for prompts that share nothing and are asked in rounds of one shuffled order each.

All rates are cached prompt tokens over prompt tokens. A prompt of n tokens caches only floor(n / block size) blocks, so
even a perfect router hits less than every token: `cacheable_share`. Derivations stand beside each formula; the
simulation in `gpuassay.systems.llmd.model.simulation` is the check.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from gpuassay.systems.llmd.model.prefix_cache import Chain


def cacheable_share(lengths: Sequence[int], block_size: int) -> float:
    """Share of the tokens of prompts of these lengths that lie in full blocks. ValueError if there are no tokens."""
    total = sum(lengths)
    if total < 1 or block_size < 1:
        raise ValueError("a share needs prompts with tokens, and blocks of at least one")
    return sum(length // block_size * block_size for length in lengths) / total


def exact_hits(lengths: Sequence[int], repeats: int, block_size: int) -> int:
    """Tokens that hit when each prompt is asked `repeats` times of a cold, large enough cache that all asks reach.

    The first ask of a prompt finds nothing, every later one all full blocks: (repeats - 1) x full blocks. Exact for
    one replica, and for precise routing while nothing is evicted.
    """
    return (repeats - 1) * sum(length // block_size * block_size for length in lengths)


def precise(lengths: Sequence[int], repeats: int, block_size: int, *, warm: bool = False) -> float:
    """Hit rate of perfect routing without eviction: cold (repeats - 1) / repeats of the cacheable share, warm all."""
    share = cacheable_share(lengths, block_size)
    return share if warm else share * (repeats - 1) / repeats


def random_cold(repeats: int, replicas: int) -> float:
    """Expected hit rate of a cold pass under random routing without eviction, of cacheable tokens.

    Before a prompt's ask k (from 0) each replica is still without it with probability (1 - 1/R)^k, so the mean over
    the n asks is 1 - (R/n) (1 - (1 - 1/R)^n); for n = R that is (1 - 1/R)^R. The paper's 8 x 8: (7/8)^8 = 0.344.
    Eviction only lowers it. Raises ValueError unless both are at least 1.
    """
    if repeats < 1 or replicas < 1:
        raise ValueError(f"needs at least one ask and one replica, not {repeats} and {replicas}")
    return 1 - replicas / repeats * (1 - (1 - 1 / replicas) ** repeats)


def random_warm_bound(lengths: Sequence[int], capacity: int, block_size: int) -> float:
    """Share of the prompts' full blocks that one replica holds: about what random routing would hit in the long run.

    Exact for asks that are independent of each other (every block is as likely to be held as any other); asks in
    shuffled rounds hit less, because a prompt comes back only after all others came, see `random_warm`.
    """
    blocks = sum(length // block_size for length in lengths)
    return min(1.0, capacity / blocks) if blocks else 0.0


def random_warm(lengths: Sequence[int], capacity: int, block_size: int, replicas: int) -> float:
    """Hit rate of a long warm pass under random routing, LRU by chain tails and shuffled rounds, of cacheable tokens.

    A prompt was last on this replica m rounds ago with probability (1/R)(1 - 1/R)^(m-1). Since then another prompt was
    there unless it missed it in m - 1 full rounds, and in the rest of the first and the beginning of the last round,
    which hold it with probability 1/2 each: it has been there with q = 1 - (1 - 1/R)^(m-1) (1 - 1/2R)^2. What the
    others brought is taken as normal with mean q x blocks and variance sum q (1 - q) blocks_j^2; of this prompt's own
    blocks those beyond the capacity that is left are gone, from the tail: min(own, max(0, capacity - others)).
    An estimate, within about 0.02 of the simulation for the paper's load.
    """
    blocks = [length // block_size for length in lengths]
    total, squares = sum(blocks), sum(one * one for one in blocks)
    if not total:
        return 0.0
    stay, kept = 1 - 1 / replicas, 0.0
    for own in blocks:
        rest, rest_squares = total - own, squares - own * own
        gap, weight = 1, 1 / replicas
        while weight > 1e-9:
            there = 1 - stay ** (gap - 1) * (1 - 1 / (2 * replicas)) ** 2
            mean, deviation = there * rest, math.sqrt(there * (1 - there) * rest_squares)
            kept += weight * (
                _expected_room(capacity - mean, deviation) - _expected_room(capacity - own - mean, deviation)
            )
            gap, weight = gap + 1, weight * stay
    return kept / total


def _expected_room(mean: float, deviation: float) -> float:
    """E[max(0, X)] of a normal X; the difference of two at distance `own` is E[min(own, max(0, room))]."""
    if deviation == 0:
        return max(0.0, mean)
    z = mean / deviation
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return mean * 0.5 * math.erfc(-z / math.sqrt(2)) + deviation * density


def longest_prefix_hits(asked: Sequence[Chain], block_size: int) -> int:
    """Tokens that hit when every ask goes where the longest part of its prefix is, and nothing is evicted.

    A replica that was asked for a chain holds all of it, so of the chains asked before the one with the longest common
    beginning tells: exact for precise routing that counts what it has just sent away.
    """
    hits = 0
    for place, chain in enumerate(asked):
        hits += max((_common(chain, before) for before in asked[:place]), default=0)
    return hits * block_size


def _common(a: Chain, b: Chain) -> int:
    return next((place for place, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
