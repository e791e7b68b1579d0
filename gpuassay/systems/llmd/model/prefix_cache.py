"""The prefix cache of one replica: which blocks of a prompt it holds, what it evicts, what counts as a hit.

Sources: llm-d-inference-sim v0.10.2, `pkg/kv-cache/block_cache.go`; vLLM, `vllm/v1/core/block_pool.py` and
`kv_cache_manager.py` (design document "Automatic Prefix Caching"). Both cut a prompt into blocks of a fixed number of
tokens, name a block by the hash of itself and of all blocks before it (so a prompt is a *chain*), keep full blocks
only, pin the blocks of running requests and evict, when a block is needed, an unpinned one. They differ in two rules:

- which one goes: both take the blocks of the request that ended longest ago, but vLLM the *tail* of its chain first,
  the simulator a random block of it (they carry one time stamp and it walks a map);
- what is a hit: vLLM counts the unbroken beginning of the chain, the simulator every block that it holds, also one
  behind a hole, which no engine could use.

400 asks for six prompts of a simulator too small for them had, every one, the cached tokens of `simulator_cache`.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Eviction = Literal["tails", "random"]
"""Which block of the oldest request goes first: of its tail (LRU, vLLM), or a random one (the simulator)."""

Chain = tuple[int, ...]
"""The full blocks of a prompt from its beginning, by number; two prompts have a number in common only if all blocks
before it are common too."""


@dataclass(frozen=True)
class CacheShape:
    """One replica's cache.

    Attributes:
        capacity: blocks that it holds.
        block_size: tokens of a block.
        eviction: see `Eviction`.
        holes_count: whether a block behind a missing one counts as a hit (the simulator).
        last_token_computed: whether the last token of a prompt is always computed, so that a prompt that consists of
            full blocks alone never hits its last block (vLLM).
    """

    capacity: int
    block_size: int
    eviction: Eviction = "tails"
    holes_count: bool = False
    last_token_computed: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError if capacity or block size is not positive."""
        if self.capacity < 1 or self.block_size < 1:
            raise ValueError(f"a cache has at least one block of one token, not {self.capacity} of {self.block_size}")

    def hit_blocks_at_most(self, tokens: int) -> int:
        """How many blocks of a prompt can hit: the full ones, less the last one where its last token is computed."""
        return (tokens - self.last_token_computed) // self.block_size if tokens else 0


def simulator_cache(capacity: int, block_size: int) -> CacheShape:
    """The cache of llm-d-inference-sim v0.10.2."""
    return CacheShape(capacity, block_size, "random", holes_count=True)


def vllm_cache(capacity: int, block_size: int) -> CacheShape:
    """The cache of vLLM, without the blocks that answers take up in it."""
    return CacheShape(capacity, block_size, "tails", last_token_computed=True)


class BlockCache:
    """The blocks of one replica. A request pins its chain from `start` to `finish`; its blocks count from its start."""

    def __init__(self, shape: CacheShape, source: random.Random | None = None) -> None:
        """An empty cache; `source` decides which block goes under random eviction (default: seed 0)."""
        self.shape = shape
        self._source = source or random.Random(0)
        self._used: dict[int, int] = {}
        # In order of eviction: by time of release, and within one release as the shape says.
        self._unused: OrderedDict[int, None] = OrderedDict()

    def __contains__(self, block: int) -> bool:
        """Whether the block is held."""
        return block in self._used or block in self._unused

    def __len__(self) -> int:
        """Number of blocks held."""
        return len(self._used) + len(self._unused)

    def blocks(self) -> frozenset[int]:
        """All blocks held."""
        return frozenset(self._used) | frozenset(self._unused)

    @property
    def used_share(self) -> float:
        """Share of the capacity that running requests pin, as `vllm:kv_cache_usage_perc` has it."""
        return len(self._used) / self.shape.capacity

    def size(self, chain: Chain) -> int:
        """Blocks of a chain."""
        return len(chain)

    def matched(self, chain: Chain) -> int:
        """How many blocks of the chain's beginning are held without a gap."""
        used, unused = self._used, self._unused
        for place, block in enumerate(chain):
            if block not in used and block not in unused:
                return place
        return len(chain)

    def start(self, chain: Chain, tokens: int | None = None) -> int | None:
        """Pin a chain, evicting what must go; how many of its blocks were hits, or None if it does not fit.

        Args:
            chain: blocks of the prompt.
            tokens: its length, needed where the last token is always computed.
        """
        used, unused, capacity = self._used, self._unused, self.shape.capacity
        idle = [block for block in chain if block in unused]
        pinned = [block for block in chain if block in used]
        if len(used) + len(chain) - len(pinned) > capacity:
            return None
        held = len(idle) + len(pinned)
        hits = held if self.shape.holes_count or held == len(chain) else self.matched(chain)
        for block in pinned:
            used[block] += 1
        for block in idle:
            del unused[block]
            used[block] = 1
        if held < len(chain):
            missing = [block for block in chain if block not in used]
            for _ in range(len(used) + len(unused) + len(missing) - capacity):
                unused.popitem(last=False)
            used.update(dict.fromkeys(missing, 1))
        return min(hits, self.shape.hit_blocks_at_most(tokens)) if tokens is not None else hits

    def finish(self, chain: Chain) -> None:
        """Release a chain that was started: what nobody else holds may be evicted from now on."""
        used = self._used
        free: list[int] = []
        for block in chain:
            if used[block] == 1:
                del used[block]
                free.append(block)
            else:
                used[block] -= 1
        if self.shape.eviction == "tails":
            free.reverse()
        else:
            self._source.shuffle(free)
        self._unused.update(dict.fromkeys(free))


def chains(prompts: Iterable[Sequence[int]], block_size: int) -> list[Chain]:
    """The chains of prompts given by their token ids: equal beginnings get equal blocks.

    Raises ValueError if the block size is not positive.
    """
    if block_size < 1:
        raise ValueError(f"a block has at least one token, not {block_size}")
    numbers: dict[tuple[int, tuple[int, ...]], int] = {}
    found: list[Chain] = []
    for tokens in prompts:
        parent, chain = -1, list[int]()
        for start in range(0, len(tokens) - block_size + 1, block_size):
            parent = numbers.setdefault((parent, tuple(tokens[start : start + block_size])), len(numbers))
            chain.append(parent)
        found.append(tuple(chain))
    return found


def distinct_chains(lengths: Iterable[int], block_size: int) -> list[Chain]:
    """The chains of prompts of these lengths (tokens) that share nothing. Raises ValueError as `chains`."""
    if block_size < 1:
        raise ValueError(f"a block has at least one token, not {block_size}")
    found: list[Chain] = []
    first = 0
    for tokens in lengths:
        found.append(tuple(range(first, first + tokens // block_size)))
        first += tokens // block_size
    return found
