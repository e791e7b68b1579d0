"""How a router chooses a replica: by chance, in turn, by load, or by what it believes or knows to be cached there.

Sources: llm-d-inference-scheduler v0.7.1 with llm-d-kv-cache v0.9.0: random-picker, prefix-cache-scorer,
precise-prefix-cache-scorer, kv-cache-utilization-scorer and max-score-picker, which breaks ties by chance.
"""

from __future__ import annotations

import random
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, assert_never

from gpuassay.systems.llmd.model.prefix_cache import BlockCache, CacheShape, Chain
from gpuassay.systems.llmd.model.prefix_cache_segments import SegmentCache

Kind = Literal["random", "round-robin", "least-loaded", "approximate", "precise"]


@dataclass(frozen=True)
class Policy:
    """A way to choose.

    Attributes:
        kind: random; round robin; least loaded (fewest running and waiting requests, known at once); approximate
            prefix (the router remembers where it sent what); precise prefix (the true contents of the caches).
        memory_blocks: blocks that the approximate router remembers per replica (`lruCapacityPerServer`); None is
            without limit.
        event_delay: seconds from a block's storing or eviction until the precise router knows of it.
        speculative_ttl: seconds for which the precise router takes blocks for cached where it just sent them, whatever
            the events say (`speculativeTTL`); 0 is without speculation.
        cache_weight: weight of the share of a prompt's blocks that match.
        load_weight: weight of the share of a cache that running requests leave free (precise and approximate).
    """

    kind: Kind
    memory_blocks: int | None = None
    event_delay: float = 0.0
    speculative_ttl: float = 0.0
    cache_weight: float = 1.0
    load_weight: float = 0.0


RANDOM = Policy("random")
ROUND_ROBIN = Policy("round-robin")
LEAST_LOADED = Policy("least-loaded")
APPROXIMATE = Policy("approximate")
PRECISE = Policy("precise")
"""Knows the caches without delay, which is what speculation amounts to as long as nothing is lost or evicted."""


class Router(Protocol):
    """Chooses a replica and hears of what was started where."""

    def pick(self, chain: Chain, loads: Sequence[int], now: float) -> int:
        """The replica for a prompt; `loads` are running and waiting requests by replica, `now` is in seconds."""
        ...

    def started(self, replica: int, chain: Chain, now: float) -> None:
        """A replica has begun to work on a prompt: its cache may have changed."""
        ...


Caches = Sequence[BlockCache] | Sequence[SegmentCache]
"""The caches of a platform's replicas, all in blocks or all in segments."""


def counts_only(policy: Policy, shape: CacheShape, *, shared: bool) -> bool:
    """Whether a policy's figures need no single blocks, so that caches may be kept in segments.

    They need them where events come late, where the router's memory is limited, and where blocks go from the middle of
    a chain: unless then nobody looks at the chain and nothing is shared, so that only counts are left.
    """
    if policy.event_delay or policy.memory_blocks is not None:
        return False
    return shape.eviction == "tails" or (shape.holes_count and not shared and policy.kind != "precise")


def router(policy: Policy, caches: Caches, source: random.Random) -> Router:
    """The router of a policy over these caches; `source` decides what chance decides.

    Raises ValueError if events are to come late from caches that are kept in segments.
    """
    match policy.kind:
        case "random" | "round-robin" | "least-loaded":
            return _Blind(policy.kind, len(caches), source)
        case "approximate":
            return _Approximate(policy, caches, source)
        case "precise":
            if not policy.event_delay:
                return _Precise(policy, caches, source)
            blocks = [cache for cache in caches if isinstance(cache, BlockCache)]
            if len(blocks) < len(caches):
                raise ValueError("events tell of blocks: a delayed router needs caches in blocks")
            return _Delayed(policy, blocks, source)
        case _:
            assert_never(policy.kind)


def best(scores: Sequence[float], source: random.Random) -> int:
    """The place of the highest score, by chance among equals."""
    highest = max(scores)
    places = [place for place, score in enumerate(scores) if score == highest]
    return places[0] if len(places) == 1 else source.choice(places)


class _Blind:
    """Does not look at prompts."""

    def __init__(self, kind: Kind, replicas: int, source: random.Random) -> None:
        self.kind, self.replicas, self.source, self.turn = kind, replicas, source, -1

    def pick(self, chain: Chain, loads: Sequence[int], now: float) -> int:
        if self.kind == "random":
            return self.source.randrange(self.replicas)
        if self.kind == "least-loaded":
            return best([-load for load in loads], self.source)
        self.turn = (self.turn + 1) % self.replicas
        return self.turn

    def started(self, replica: int, chain: Chain, now: float) -> None:
        pass


class _Precise:
    """Looks into the caches themselves."""

    def __init__(self, policy: Policy, caches: Caches, source: random.Random) -> None:
        self.policy, self.caches, self.source = policy, caches, source

    def matched(self, replica: int, chain: Chain, now: float) -> int:
        """How many blocks of a chain's beginning the router takes for cached on a replica."""
        return self.caches[replica].matched(chain)

    def picked(self, replica: int, chain: Chain, now: float) -> None:
        """It was sent there."""

    def pick(self, chain: Chain, loads: Sequence[int], now: float) -> int:
        size = self.caches[0].size(chain)
        scores = [
            (self.policy.cache_weight * self.matched(replica, chain, now) / size if size else 0.0)
            + self.policy.load_weight * (1 - cache.used_share)
            for replica, cache in enumerate(self.caches)
        ]
        chosen = best(scores, self.source)
        self.picked(chosen, chain, now)
        return chosen

    def started(self, replica: int, chain: Chain, now: float) -> None:
        pass


class _Approximate(_Precise):
    """Remembers what it sent where, least recently sent block first to be forgotten."""

    def __init__(self, policy: Policy, caches: Caches, source: random.Random) -> None:
        super().__init__(policy, caches, source)
        self.memory: list[OrderedDict[int, None]] = [OrderedDict() for _ in caches]

    def matched(self, replica: int, chain: Chain, now: float) -> int:
        known, cache = self.memory[replica], self.caches[replica]
        for place, block in enumerate(chain):
            if block not in known:
                return cache.size(chain[:place])
        return cache.size(chain)

    def picked(self, replica: int, chain: Chain, now: float) -> None:
        memory = self.memory[replica]
        for block in chain:
            memory[block] = None
            memory.move_to_end(block)
        while self.policy.memory_blocks is not None and len(memory) > self.policy.memory_blocks:
            memory.popitem(last=False)


class _Delayed(_Precise):
    """Hears of the caches by events that take their time, and may speculate until they come."""

    def __init__(self, policy: Policy, caches: Sequence[BlockCache], source: random.Random) -> None:
        super().__init__(policy, caches, source)
        self.blocks = caches
        self.index: list[frozenset[int]] = [frozenset() for _ in caches]
        self.events: deque[tuple[float, int, frozenset[int]]] = deque()
        self.guessed: list[dict[int, float]] = [{} for _ in caches]

    def matched(self, replica: int, chain: Chain, now: float) -> int:
        while self.events and self.events[0][0] <= now:
            _, about, held = self.events.popleft()
            self.index[about] = held
        index, guessed = self.index[replica], self.guessed[replica]
        for place, block in enumerate(chain):
            if block not in index and guessed.get(block, -1.0) < now:
                return place
        return len(chain)

    def picked(self, replica: int, chain: Chain, now: float) -> None:
        if self.policy.speculative_ttl:
            self.guessed[replica].update(dict.fromkeys(chain, now + self.policy.speculative_ttl))

    def started(self, replica: int, chain: Chain, now: float) -> None:
        self.events.append((now + self.policy.event_delay, replica, self.blocks[replica].blocks()))
