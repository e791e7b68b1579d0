"""The prefix cache by segments: the same counts as block by block, several times as fast.

A segment is a run of blocks that always come together: those that the same prompts have in common. A prompt that
shares nothing is one segment. Where eviction takes tails, a segment is held from its beginning up to some block, so
one number tells all. This is an optimisation and no rule of its own:
`gpuassay.systems.llmd.model.prefix_cache.BlockCache` is what is meant.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from gpuassay.systems.llmd.model.prefix_cache import CacheShape, Chain


def segments(chains: Sequence[Chain]) -> tuple[list[Chain], list[int]]:
    """The chains in segments, by number, and how many blocks each segment has."""
    owners: dict[int, list[int]] = {}
    for number, chain in enumerate(chains):
        for block in chain:
            owners.setdefault(block, []).append(number)
    numbers: dict[int, int] = {}
    sizes: list[int] = []
    found: list[Chain] = []
    for chain in chains:
        mine: list[int] = []
        before: list[int] | None = None
        for block in chain:
            if block in numbers:
                if not mine or mine[-1] != numbers[block]:
                    mine.append(numbers[block])
            else:
                if owners[block] != before:
                    mine.append(len(sizes))
                    sizes.append(0)
                numbers[block] = mine[-1]
                sizes[mine[-1]] += 1
            before = owners[block]
        found.append(tuple(mine))
    return found, sizes


class SegmentCache:
    """As `BlockCache`, of chains in segments of the given sizes (blocks)."""

    def __init__(self, shape: CacheShape, sizes: Sequence[int]) -> None:
        """An empty cache."""
        self.shape, self._sizes = shape, sizes
        self._used: dict[int, int] = {}
        self._used_blocks = 0
        self._held = 0
        # Blocks held of each, in order of eviction.
        self._unused: OrderedDict[int, int] = OrderedDict()

    @property
    def used_share(self) -> float:
        """Share of the capacity that running requests pin."""
        return self._used_blocks / self.shape.capacity

    def size(self, chain: Chain) -> int:
        """Blocks of a chain."""
        return sum(self._sizes[one] for one in chain)

    def matched(self, chain: Chain) -> int:
        """How many blocks of the chain's beginning are held without a gap."""
        found = 0
        for one in chain:
            size = self._sizes[one]
            held = size if one in self._used else self._unused.get(one, 0)
            found += held
            if held < size:
                break
        return found

    def start(self, chain: Chain, tokens: int | None = None) -> int | None:
        """As `BlockCache.start`."""
        used, unused, sizes = self._used, self._unused, self._sizes
        new = sum(sizes[one] for one in chain if one not in used)
        if self._used_blocks + new > self.shape.capacity:
            return None
        hits = self.matched(chain)
        if self.shape.holes_count:
            hits = sum(sizes[one] if one in used else unused.get(one, 0) for one in chain)
        for one in chain:
            if one in used:
                used[one] += 1
            else:
                self._held += sizes[one] - unused.pop(one, 0)
                used[one] = 1
        self._used_blocks += new
        while (above := self._held - self.shape.capacity) > 0:
            oldest, held = next(iter(unused.items()))
            goes = min(above, held)
            self._held -= goes
            if goes == held:
                del unused[oldest]
            else:
                unused[oldest] = held - goes
        return min(hits, self.shape.hit_blocks_at_most(tokens)) if tokens is not None else hits

    def finish(self, chain: Chain) -> None:
        """As `BlockCache.finish`."""
        for one in reversed(chain):
            if self._used[one] == 1:
                del self._used[one]
                self._used_blocks -= self._sizes[one]
                self._unused[one] = self._sizes[one]
            else:
                self._used[one] -= 1
