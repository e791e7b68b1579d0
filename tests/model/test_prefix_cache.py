"""The cache of one replica, against a second one written without regard to speed, and against what must hold."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuassay.systems.llmd.model.prefix_cache import (
    BlockCache,
    CacheShape,
    Chain,
    chains,
    distinct_chains,
    simulator_cache,
    vllm_cache,
)
from gpuassay.systems.llmd.model.prefix_cache_segments import SegmentCache, segments

QUIET = settings(derandomize=True, deadline=None, max_examples=100)


def test_a_repeat_hits_all_full_blocks() -> None:
    """Red when a partial block is cached: 200 tokens in blocks of 16 are 12 blocks, 192 tokens."""
    shape = simulator_cache(100, 16)
    [chain] = chains([range(200)], 16)
    cache = BlockCache(shape)
    assert len(chain) == shape.hit_blocks_at_most(200) == 12
    assert cache.start(chain, 200) == 0
    assert cache.start(chain, 200) == 12, "a concurrent twin hits: blocks count from the first one's start"


def test_only_vllm_computes_the_last_token_always() -> None:
    """Red when a prompt of full blocks alone hits its last block in vLLM, which must compute its last token."""
    [chain] = chains([range(64)], 16)
    for shape, hits in ((simulator_cache(9, 16), 4), (vllm_cache(9, 16), 3)):
        cache = BlockCache(shape)
        cache.start(chain, 64)
        cache.finish(chain)
        assert cache.start(chain, 64) == hits


def test_a_prompt_shorter_than_a_block_never_hits() -> None:
    shape = simulator_cache(9, 16)
    assert chains([range(15)], 16) == [()]
    assert shape.hit_blocks_at_most(15) == shape.hit_blocks_at_most(0) == 0


def test_common_beginnings_are_common_blocks_and_nothing_else() -> None:
    """Red when a block is told by its own tokens alone: behind another beginning it is another block."""
    a, b, c = chains([[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 9, 9], [9, 9, 3, 4, 5, 6]], 2)
    assert a[:2] == b[:2]
    assert a[2] != b[2]
    assert not set(c) & set(a)
    assert distinct_chains([5, 4], 2) == [(0, 1), (2, 3)]


def test_who_ended_first_goes_first_tail_first() -> None:
    """Red when eviction takes the head of a chain (nothing of it would hit), or a newer prompt."""
    first, second, third = distinct_chains([4, 4, 2], 1)
    cache = BlockCache(CacheShape(8, 1))
    for chain in (first, second):
        cache.start(chain)
    cache.finish(second)
    cache.finish(first)
    cache.start(third)
    assert cache.matched(second) == 2
    assert cache.matched(first) == 4


def test_holes() -> None:
    """Red when the simulator's rule (every block held is a hit) and an engine's (no gap) are one."""
    first, second = distinct_chains([8, 4], 1)
    for holes in (True, False):
        cache = BlockCache(CacheShape(8, 1, "random", holes_count=holes), random.Random(1))
        cache.start(first)
        cache.finish(first)
        cache.start(second)
        cache.finish(second)
        unbroken = cache.matched(first)
        assert cache.start(first) == (4 if holes else unbroken)
        assert unbroken < 4, "this seed evicts from the middle"


def test_running_requests_are_pinned_and_too_many_are_refused() -> None:
    """Red when a running request's blocks go, or one that has no room is let in (the simulator answers 500)."""
    first, second, third = distinct_chains([3, 2, 1], 1)
    cache = BlockCache(CacheShape(4, 1))
    assert cache.start(first) == 0
    assert cache.start(second) is None
    assert cache.start(third) == 0
    assert cache.used_share == 1
    assert cache.start(first) == 3
    cache.finish(first)
    assert cache.start(second) is None, "its twin still runs"
    cache.finish(first)
    assert cache.start(second) == 0
    assert len(cache) == 4
    assert cache.matched(first) == 1
    assert cache.blocks() == {*third, *second, first[0]}


@pytest.mark.parametrize(("capacity", "block"), [(0, 16), (4, 0)])
def test_a_cache_without_room_is_refused(capacity: int, block: int) -> None:
    with pytest.raises(ValueError, match="at least one block of one token"):
        CacheShape(capacity, block)


def test_blocks_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one token"):
        chains([[1]], 0)
    with pytest.raises(ValueError, match="at least one token"):
        distinct_chains([1], 0)


class Slow:
    """LRU by chain tails, spelled out: every block has the time of its last release and its place in the chain."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.order: dict[int, tuple[int, int]] = {}
        self.pinned: list[Chain] = []
        self.clock = 0

    def start(self, chain: Chain) -> int | None:
        running = {block for one in self.pinned for block in one}
        if len(running | set(chain)) > self.capacity:
            return None
        hits = 0
        while hits < len(chain) and (chain[hits] in self.order or chain[hits] in running):
            hits += 1
        self.pinned.append(chain)
        running |= set(chain)
        for block in chain:
            self.order.setdefault(block, (0, 0))
        while len(self.order) > self.capacity:
            del self.order[min((b for b in self.order if b not in running), key=lambda b: self.order[b])]
        return hits

    def finish(self, chain: Chain) -> None:
        self.pinned.remove(chain)
        self.clock += 1
        for place, block in enumerate(chain):
            self.order[block] = (self.clock, -place)


@QUIET
@given(
    st.integers(1, 12),
    st.lists(st.lists(st.integers(0, 1), max_size=6), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=40),
)
def test_the_cache_is_the_one_spelled_out(
    capacity: int, prompts: list[list[int]], steps: list[tuple[int, bool]]
) -> None:
    """Red when pinning, shared beginnings or the order of eviction differ from their plain definition."""
    known = chains(prompts, 1)
    fast, slow = BlockCache(CacheShape(capacity, 1)), Slow(capacity)
    running: list[Chain] = []
    for number, ends in steps:
        if ends and running:
            chain = running.pop(number % len(running))
            fast.finish(chain)
            slow.finish(chain)
            continue
        chain = known[number % len(known)]
        hits = fast.start(chain)
        assert hits == slow.start(chain)
        if hits is not None:
            running.append(chain)
        assert fast.blocks() == set(slow.order)


@QUIET
@given(
    st.integers(1, 16),
    st.lists(st.lists(st.integers(0, 1), max_size=6), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=40),
)
def test_segments_count_what_blocks_count(
    capacity: int, prompts: list[list[int]], steps: list[tuple[int, bool]]
) -> None:
    """Red when the fast cache differs from the one block by block, shared beginnings included."""
    known = chains(prompts, 1)
    coarse, sizes = segments(known)
    shape = CacheShape(capacity, 1)
    fine, fast = BlockCache(shape), SegmentCache(shape, sizes)
    running: list[int] = []
    for number, ends in steps:
        one = number % len(known)
        if ends and running:
            one = running.pop(one % len(running))
            fine.finish(known[one])
            fast.finish(coarse[one])
        else:
            hits = fine.start(known[one], len(prompts[one]))
            assert fast.start(coarse[one], len(prompts[one])) == hits
            if hits is not None:
                running.append(one)
        assert fast.used_share == fine.used_share
        for mine, theirs in zip(coarse, known, strict=True):
            assert fast.matched(mine) == fine.matched(theirs)
            assert fast.size(mine) == fine.size(theirs)


@QUIET
@given(
    st.lists(st.integers(0, 8), min_size=2, max_size=6),
    st.lists(st.integers(0, 5), max_size=60),
    st.integers(1, 30),
    st.integers(1, 30),
)
def test_more_room_never_hits_less(lengths: list[int], asks: list[int], room: int, more: int) -> None:
    """Red when eviction is no stack algorithm: LRU by tails holds in a large cache all that it holds in a small one."""
    known = distinct_chains(lengths, 1)
    small, large = BlockCache(CacheShape(room, 1)), BlockCache(CacheShape(room + more, 1))
    for number in asks:
        chain = known[number % len(known)]
        hits = [cache.start(chain) for cache in (small, large)]
        if hits[0] is None:
            if hits[1] is not None:
                large.finish(chain)
            return
        assert hits[1] is not None
        assert hits[0] <= hits[1]
        small.finish(chain)
        large.finish(chain)
        assert small.blocks() <= large.blocks()


@QUIET
@given(
    st.lists(st.integers(0, 8), min_size=2, max_size=6), st.lists(st.integers(0, 5), max_size=60), st.integers(8, 40)
)
def test_counting_holes_undoes_random_eviction(lengths: list[int], asks: list[int], room: int) -> None:
    """Red when the simulator's hit rate differs from LRU's for prompts that share nothing: as many blocks are held."""
    known = distinct_chains(lengths, 1)
    one, other = BlockCache(simulator_cache(room, 1)), BlockCache(CacheShape(room, 1))
    for number in asks:
        chain = known[number % len(known)]
        assert one.start(chain) == other.start(chain)
        one.finish(chain)
        other.finish(chain)
